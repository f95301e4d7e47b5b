"""Pieces of a chat template as text of Go's text/template, as Ollama executes it.

Of Ollama's own functions only `currentDate` is used (in Ollama from 0.11.1): it gives the day as
2006-01-02, from which other forms of a date are cut. No action has trim markers, which would eat
literals. What the quotes of a Modelfile cannot hold, or `ollama create` drops, is written as a Go
string.
"""

from __future__ import annotations

import calendar
import os.path
import re
from collections.abc import Sequence

from workbench.serving.modelfile_values import is_kept
from workbench.serving.template_turns import Pieces

DATE = re.compile("\u2983date-(\\d+)\u2984")
_DIRECTIVE = re.compile(r"%-?.", re.DOTALL)
_PARTS = {
    "%Y": "slice $date 0 4",
    "%y": "slice $date 2 4",
    "%m": "slice $date 5 7",
    "%d": "slice $date 8 10",
    "%-d": "$day",
    "%B": "$month",
    "%b": "slice $month 0 3",
    "%h": "slice $month 0 3",
}
# What would open an action, alone or with what follows, or close the quotes; what may be dropped.
_MARKED = re.compile(r'\{\{+|\{(?=\Z|"""|[^ -~\n\t])|"""|[^ -~\n\t]+')


def date_mark(number: int) -> str:
    """What stands for a date in the `number`-th format until the text is written."""
    return f"\u2983date-{number}\u2984"


def date_parts(form: str) -> list[str] | None:
    """The actions and literals of a date in that format of strftime; None if one is unknown."""
    parts, at = list[str](), 0
    for match in _DIRECTIVE.finditer(form):
        if match[0] not in _PARTS and match[0] != "%%":
            return None
        parts.append(literal(form[at : match.start()]))
        parts.append("%" if match[0] == "%%" else f"{{{{ {_PARTS[match[0]]} }}}}")
        at = match.end()
    return [*parts, literal(form[at:])]


def go_text(pieces: Pieces, formats: Sequence[str] = ()) -> str:
    """The template; `formats` are those that the date marks in `pieces` count."""
    body = _turns(pieces)
    dated = DATE.sub(lambda mark: "".join(date_parts(formats[int(mark[1])]) or ()), body)
    return (_dates(dated) if dated != body else "") + dated


def _dates(text: str) -> str:
    """The variables that the dates in `text` are made of."""
    lines = "{{ $date := currentDate }}"
    if "$day" in text:
        lines += "{{ $day := slice $date 8 10 }}"
        lines += '{{ if eq (slice $date 8 9) "0" }}{{ $day = slice $date 9 10 }}{{ end }}'
    if "$month" in text:
        names = list(enumerate(calendar.month_name))[1:]
        cases = [f'if eq $number "{i:02}" }}}}{{{{ $month = "{name}" }}}}' for i, name in names]
        lines += '{{ $month := "" }}{{ $number := slice $date 5 7 }}'
        lines += "{{ " + "{{ else ".join(cases) + "{{ end }}"
    return lines


def _turns(pieces: Pieces) -> str:
    after_user, answer, generate = _common_start(pieces.assistant, pieces.generate)
    opening, head = _user_opening(pieces), '{{ $previous := "" }}'
    if pieces.late:
        before, after = map(literal, pieces.late)
        said = f"{before}{{{{ $.System }}}}{after}"
        opening += f"{{{{ if and $.System (eq $i $last) }}}}{said}{{{{ end }}}}"
        head += "{{ $last := -1 }}{{ range $i, $_ := .Messages }}"
        head += '{{ if eq .Role "user" }}{{ $last = $i }}{{ end }}{{ end }}'
    branches = []
    if pieces.system is not None:
        branches.append(f'eq .Role "system" }}}}{literal(pieces.system)}{{{{ .Content }}}}')
    branches += [
        f'eq .Role "user" }}}}{opening}{{{{ .Content }}}}{literal(after_user)}',
        f'eq .Role "assistant" }}}}{literal(answer)}{{{{ .Content }}}}',
    ]
    written = "{{ $previous = .Role }}"
    if pieces.system is None:
        written = f'{{{{ if ne .Role "system" }}}}{written}{{{{ end }}}}'
    body = "{{ if " + "{{ else if ".join(branches) + "{{ end }}" + written
    ending = f'{{{{ if eq $previous "user" }}}}{literal(generate)}{{{{ end }}}}' if generate else ""
    messages = "$i, $_ := .Messages" if pieces.late else ".Messages"
    return f"{head}{{{{ range {messages} }}}}{body}{{{{ end }}}}{ending}"


def _user_opening(pieces: Pieces) -> str:
    """What comes before a user's message, the part common to all cases written once."""
    cases = [pieces.user_first, pieces.user_after_assistant]
    if pieces.system is not None:
        cases.append(pieces.user_after_system)
    common = _common_end(cases)
    first, assistant, *system = (literal(case[: len(case) - len(common)]) for case in cases)
    text = f'{{{{ if eq $previous "assistant" }}}}{assistant}'
    if system and system[0]:
        text += f'{{{{ else if eq $previous "system" }}}}{system[0]}'
    if first:
        text += f'{{{{ else if eq $previous "" }}}}{first}' if system else f"{{{{ else }}}}{first}"
    return text + "{{ end }}" + literal(common)


def _common_end(texts: Sequence[str]) -> str:
    return _uncut(os.path.commonprefix([text[::-1] for text in texts])[::-1], texts[0], -1)


def _common_start(one: str, two: str) -> tuple[str, str, str]:
    common = _uncut(os.path.commonprefix([one, two]), one, 1)
    return common, one[len(common) :], two[len(common) :]


def _uncut(common: str, whole: str, direction: int) -> str:
    """`common`, a start (1) or end (-1) of `whole`, shortened where it would cut a date's mark."""
    cut = len(common) if direction > 0 else len(whole) - len(common)
    for mark in DATE.finditer(whole):
        if mark.start() < cut < mark.end():
            return whole[: mark.start()] if direction > 0 else whole[mark.end() :]
    return common


def literal(text: str) -> str:
    """Literal text of a Go template; what cannot stand there as it is goes into a Go string."""
    return _MARKED.sub(_written, text)


def _written(match: re.Match[str]) -> str:
    said = match[0]
    if said.isascii() and said.isprintable():
        return _as_string(said.replace('"', '\\"'))
    return "".join(c if is_kept(c) and c != "\r" else _as_string(_escape(ord(c))) for c in said)


def _escape(code: int) -> str:
    return f"\\u{code:04x}" if code < 1 << 16 else f"\\U{code:08x}"


def _as_string(inside: str) -> str:
    return f'{{{{ "{inside}" }}}}'
