"""A Jinja chat template as a Go template for Ollama, or None when it cannot be one.

Ollama hands the template alternating messages (it joins neighbours of one role itself), a system
message at most at the start. So the text between two contents depends on the two roles alone, if
the template is linear at all; it is read off by rendering sentinels, put together as a Go template
and proved: on conversations it was not derived from, both must give the same text.
"""

from __future__ import annotations

import os.path
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from workbench.dataset import rows
from workbench.dataset.template import ChatTemplate

Message = Mapping[str, str]
Render = Callable[[Sequence[Message], bool], str]  # (messages, add_generation_prompt) -> text

_MARKS = tuple(f"\u2983sentinel-{i}\u2984" for i in range(6))
_ANSWERS = ("Yes.", "def a(b):\n    return {b}", "Second answer, with \"quotes\" and 'more'.")
_QUESTIONS = ("What is it?", "Line one\nline two", "Third: 1 < 2 & 3 > 2?", "{{ .Content }}")


@dataclass(frozen=True)
class GoTemplate:
    """`text`: the template. `stops`: strings that end an answer. `notes`: what it does not keep."""

    text: str
    stops: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pieces:
    """The literal text between contents, by the roles at its two ends.

    `system` comes before a system message (None: the template takes none); the three `user`
    pieces before a user's message: first of all, after a system message, after an answer.
    `assistant` comes before an answer, `generate` after the last user's message.
    """

    system: str | None
    user_first: str
    user_after_system: str
    user_after_assistant: str
    assistant: str
    generate: str

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt for the answer to the last message."""
        text, previous = "", ""
        for message in messages:
            text += self.before(message["role"], previous) + message["content"]
            previous = message["role"]
        return text + (self.generate if previous == "user" else "")

    def before(self, role: str, previous: str) -> str:
        """The literal text before a message of `role` that follows one of `previous`."""
        if role == "user":
            after = {"system": self.user_after_system, "assistant": self.user_after_assistant}
            return after.get(previous, self.user_first)
        return (self.system or "") if role == "system" else self.assistant


def go_template(
    render: Render, *, special_tokens: Sequence[str] = (), added_bos: str = ""
) -> GoTemplate | None:
    """The Go template equal to `render` on every conversation Ollama can send, or None.

    `special_tokens`: those of the tokenizer; the one that follows an answer is a stop string.
    `added_bos`: the BOS text when llama.cpp adds it by itself; it is taken off the start.
    """
    trimmed = _without_bos(render, added_bos)
    try:
        pieces = _pieces(trimmed)
        if pieces is None or not _proved(pieces, trimmed):
            return None
    except Exception:
        return None  # templates raise whatever they like, at their own will
    closing = pieces.user_after_assistant.lstrip()
    starts = sorted((t for t in special_tokens if t and closing.startswith(t)), key=len)
    return GoTemplate(_go_text(pieces), tuple(starts[-1:]), tuple(_notes(pieces, trimmed)))


def renderer(template: ChatTemplate) -> Render:
    """`template` as the function that this module asks for."""

    def render(messages: Sequence[Message], generate: bool) -> str:
        talk = [rows.Message(m["role"], m["content"]) for m in messages]
        return template.render(talk, generate)

    return render


def _without_bos(render: Render, bos: str) -> Render:
    def trimmed(messages: Sequence[Message], generate: bool) -> str:
        text = render(messages, generate)
        return text.removeprefix(bos) if bos else text

    return trimmed


def _pieces(render: Render) -> Pieces | None:
    plain = _between(render, ("user", "assistant", "user"))
    if plain is None:
        return None
    with_system = None
    try:
        with_system = _between(render, ("system", "user", "assistant", "user"))
    except Exception:
        with_system = None  # the template refuses a system message by raising
    first, assistant, after_assistant, generate = plain
    if with_system is None:
        return Pieces(None, first, "", after_assistant, assistant, generate)
    if with_system[2:] != plain[1:]:
        return None
    return Pieces(with_system[0], first, with_system[1], after_assistant, assistant, generate)


def _between(render: Render, roles: Sequence[str]) -> list[str] | None:
    """The text before each content and after the last, None when a content is not there once."""
    messages = [{"role": r, "content": m} for r, m in zip(roles, _MARKS, strict=False)]
    rest, found = render(messages, True), list[str]()
    for message in messages:
        if rest.count(message["content"]) != 1:
            return None
        before, rest = rest.split(message["content"])
        found.append(before)
    return [*found, rest]


def proof_conversations(with_system: bool) -> list[list[Message]]:
    """Conversations of one to four turns, with and without a system message."""
    talks = list[list[Message]]()
    for turns in range(1, 5):
        talk = list[Message]()
        for i in range(turns):
            talk.append({"role": "user", "content": _QUESTIONS[i % 4]})
            talk.append({"role": "assistant", "content": _ANSWERS[i % 3]})
        talks.append(talk[:-1])
    system: Message = {"role": "system", "content": "You are terse.\nAlways."}
    return talks + ([[system, *talk] for talk in talks] if with_system else [])


def _proved(pieces: Pieces, render: Render) -> bool:
    talks = proof_conversations(pieces.system is not None)
    return all(pieces.render(talk) == render(talk, True) for talk in talks)


def _notes(pieces: Pieces, render: Render) -> list[str]:
    notes = []
    if pieces.system is None:
        notes.append("the template does not support system prompts: Ollama's SYSTEM has no effect")
    padded: list[Message] = [{"role": "user", "content": "  padded\n"}]
    if pieces.render(padded) != render(padded, True):
        notes.append("Ollama does not trim messages as the template does")
    return notes


def _go_text(pieces: Pieces) -> str:
    """The template in Go's text/template. No action has trim markers: they would eat literals."""
    after_user, answer, generate = _common_start(pieces.assistant, pieces.generate)
    branches = []
    if pieces.system is not None:
        branches.append(f'eq .Role "system" }}}}{_literal(pieces.system)}{{{{ .Content }}}}')
    branches.append(
        f'eq .Role "user" }}}}{_user_opening(pieces)}{{{{ .Content }}}}{_literal(after_user)}'
    )
    branches.append(f'eq .Role "assistant" }}}}{_literal(answer)}{{{{ .Content }}}}')
    body = "{{ if " + "{{ else if ".join(branches) + "{{ end }}"
    ending = (
        f'{{{{ if eq $previous "user" }}}}{_literal(generate)}{{{{ end }}}}' if generate else ""
    )
    return (
        '{{ $previous := "" }}{{ range .Messages }}'
        + body
        + "{{ $previous = .Role }}{{ end }}"
        + ending
    )


def _user_opening(pieces: Pieces) -> str:
    """What comes before a user's message, the part common to all cases written once."""
    cases = [pieces.user_first, pieces.user_after_assistant]
    if pieces.system is not None:
        cases.append(pieces.user_after_system)
    common = _common_end(cases)
    first, assistant, *system = (_literal(case[: len(case) - len(common)]) for case in cases)
    text = f'{{{{ if eq $previous "assistant" }}}}{assistant}'
    if system and system[0]:
        text += f'{{{{ else if eq $previous "system" }}}}{system[0]}'
    if first:
        text += f'{{{{ else if eq $previous "" }}}}{first}' if system else f"{{{{ else }}}}{first}"
    return text + "{{ end }}" + _literal(common)


def _common_end(texts: Sequence[str]) -> str:
    return os.path.commonprefix([text[::-1] for text in texts])[::-1]


def _common_start(one: str, two: str) -> tuple[str, str, str]:
    common = os.path.commonprefix([one, two])
    return common, one[len(common) :], two[len(common) :]


def _literal(text: str) -> str:
    """Literal text of a Go template; braces that would open an action go into a Go string."""
    return text.replace("{{", '{{ "{{" }}') if "{{" in text else text


def quoted(text: str) -> str | None:
    """`text` as a value in a Modelfile, or None when it cannot stand in one.

    Ollama's parser takes triple quotes literally, knows no escapes and ends at the next three.
    """
    if '"""' in text or text.endswith('"') or "\x00" in text:
        return None
    return f'"""{text}"""' if "\n" in text or '"' in text else f'"{text}"'
