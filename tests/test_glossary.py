"""Text for people keeps to the words of the glossary: each thing has one name.

What people read is looked through: the documentation, the comments of the presets, the help of the
commands, the preset keys, and every string of the package that is a phrase. Code spans and blocks
are left out: identifiers keep their names.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.cli import COMMANDS, main
from workbench.preset.reference import reference_text

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    + [*(ROOT / "docs").glob("*.md"), *(ROOT / "recipes").glob("*.md")]
    + [*(ROOT / "data").glob("*.md"), *(ROOT / "data" / "blop").glob("*.md")]
    + [*(ROOT / "workbench" / "embedded").rglob("*.md")]
)
COMMENTED = [ROOT / "Makefile", *sorted((ROOT / "presets").glob("*.toml"))]

# What not to write, as whole words, and what to write instead.
WORDS = {
    r"learnt": "trained, learned",
    r"(?<![Tt]here )(?:is|are|was|were) no(?! longer| more| less)": "is not a valid X, X not found",
    r"[Tt]old|[Tt]ells?": "show, report",
    r"at fault|faults?": "error, finding; internal error",
    r"puts? right|[Mm]end(?:s|ed|ing)?": "fix, correct",
    r"held back": "split off for validation",
    r"control tokens?": "special token",
    r"[Dd]ata sets?": "dataset",
    r"data (?:are|were|have)": "data is",
    r"(?:the|a|this|of|on|from|in) hub": "the Hub",
    r"likeliest": "most likely",
    r"LOST": "FAILED",
    r"[Jj]udg(?:es?|ed|ing|ments?)": "the checker checks; verdict",
    r"[Aa]nswer(?:s|ed|ing)?": "response, respond",
    r"pairs? of (?:an? |the )?(?:request|question|prompt)s?": "example: a prompt with its response",
    r"stop texts?": "stop string",
    r"by chance alone": "p = ...",
    r"at work": "running",
    r"nobody works": "not running",
    r"half-?way": "incomplete",
    r"as it stands|stands? (?:twice|already|there)": "current; appears twice; exists",
    r"so many": "N, at most N",
    r"all the same": "anyway",
    r"amid": "during",
    r"anew": "again",
    r"sought": "search for",
    r"go(?:es|ing)? on|went on": "continue",
    r"to be had|to be seen": "available, visible",
    r"lies? (?:in|at|on|under)": "is in",
    r"come[s]? of|is owed": "because of",
    r"asks? for|asked for": "request",
    r"hold(?:s|ing)? (?:what|all|both|no)": "contain",
    r"[Bb]eside": "next to, with",
    r"[Ff]igures?": "number, metric",
    r"(?:that|which) ships?|shipped": "bundled, built-in",
    r"cut (?:off|short)": "truncated",
    r"course of the": "schedule",
    r"by (?:itself|themselves)": "on its own",
    r"talks? to|the talk": "chat with",
    r"the screen": "the terminal UI",
    r"end to end|laid": "packed",
    r"(?:tokens?|nats|rows?|steps?|bytes?|objects?|lines?|responses?) an? "
    r"(?:second|token|step|line|row|prompt|response|process|weight|file)": "per",
    r"\d+ %": "95%, without a space",
    r"licence|colours?|behaviour|favour|grey|whilst|towards": "American spelling",
    r"(?:normal|summar|initial|util|optim|recogn|organ)is(?:e[ds]?|ing|ation)": "American spelling",
}
FORBIDDEN = {
    re.compile(rf"(?<![\w'-])(?:{pattern})(?![\w-])"): instead for pattern, instead in WORDS.items()
}

SHOWN = {"about", "detail", "doing", "help", "hint", "label", "message", "title", "unit"}

# Phrases that may keep a word: what a model is given in a test of itself is no text of ours.
ALLOWED = {
    "workbench/tokenization/chat_format.py": "messages with which a template is tried",
    "workbench/pipeline/export/vocabulary_check.py": (
        "texts with which tokenizers and models are compared"
    ),
    "workbench/serving/template_turns.py": "messages with which Modelfiles are proved",
}


def misnamed(text: str) -> Iterator[tuple[int, str, str]]:
    """Each word that the glossary replaces: its line, from 0; the word; what to write."""
    for pattern, instead in FORBIDDEN.items():
        for found in pattern.finditer(text):
            yield text.count("\n", 0, found.start()), found[0], instead


def complaints(place: str, text: str, line: int = 1) -> list[str]:
    """`place:LINE: 'word' (write ...)` for each word that the glossary replaces."""
    return [
        f"{place}:{line + down}: '{word}' (write: {instead})"
        for down, word, instead in misnamed(prose(text))
    ]


def prose(text: str) -> str:
    """Markdown without code blocks, code spans, comments, links and file names, line for line."""

    def blank(found: re.Match[str]) -> str:
        return "·" + "\n" * found[0].count("\n")

    names = r"[\w/{}.-]+\.(?:md|jsonl?|toml|py|txt)\b"
    for code in (r"^(`{3,}).*?^\1`*$", r"<!--.*?-->", r"(?<!`)`[^`]+`", r"\]\([^)]*\)", names):
        text = re.sub(code, blank, text, flags=re.MULTILINE | re.DOTALL)
    return text


def comments(path: Path) -> str:
    """What a preset or the Makefile says in comments and descriptions, line for line."""
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        is_description = path.suffix == ".toml" and line.startswith("description")
        kept.append(line if is_description else line.partition("#")[2])
    return re.sub(r"make \w+", "make", "\n".join(kept))  # a target is a name


def phrases(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every string of a module that has a space; what is set in shows as {}.

    Also of one word, if it is given as a `unit`, a `title` and the like. Not docstrings, style
    sheets, and what only a failed assertion shows.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            skipped.update(map(id, ast.iter_child_nodes(node)))
        elif isinstance(node, ast.Expr | ast.Assert):
            skipped.update(map(id, _unread(node)))
        elif isinstance(node, ast.Assign) and _is_style(node):
            skipped.add(id(node.value))
        elif isinstance(node, ast.keyword) and node.arg in SHOWN:
            if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
                skipped.add(id(node.value))
                yield node.value.lineno, node.value.value
        elif isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in node.values if isinstance(part, ast.Constant))
            yield from _with_space(node.lineno, "".join(map(_shown, node.values)))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _with_space(node.lineno, node.value)


def _unread(node: ast.Expr | ast.Assert) -> list[ast.AST]:
    if isinstance(node, ast.Assert):
        return [node.msg] if node.msg else []
    return [node.value] if isinstance(node.value, ast.Constant) else []


def _is_style(node: ast.Assign) -> bool:
    (first, *_) = node.targets
    return isinstance(first, ast.Name) and first.id in ("CSS", "DEFAULT_CSS")


def _shown(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "{}"


def _with_space(line: int, text: str) -> Iterator[tuple[int, str]]:
    if " " in text:
        yield line, text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages(page: Path) -> None:
    found = complaints(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8"))
    assert not found, "\n".join(found)


def test_comments_of_presets_and_of_the_makefile() -> None:
    found: list[str] = []
    for path in COMMENTED:
        found += complaints(str(path.relative_to(ROOT)), comments(path))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("command", ["run", *COMMANDS])
def test_help(command: str) -> None:
    words = ["--help"] if command == "run" else [command, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(words) == 0
    assert "usage" in out.getvalue() or command == "run"
    found = complaints(f"workbench {' '.join(words)}", out.getvalue())
    assert not found, "\n".join(found)


def test_preset_keys() -> None:
    found = complaints("workbench keys", reference_text())
    assert not found, "\n".join(found)


def test_strings_of_the_package() -> None:
    """Messages, findings, labels, reports: every phrase, wherever it is shown."""
    found = []
    for path in sorted((ROOT / "workbench").rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        if place not in ALLOWED:
            for line, text in phrases(path):
                found += [f"{one} in {text[:80]!r}" for one in complaints(place, text, line)]
    assert not found, "\n".join(found)


def test_what_is_allowed_is_needed() -> None:
    for place in ALLOWED:
        assert any(complaints(place, text) for _, text in phrases(ROOT / place)), place


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("the response is learnt\nas it is told", [(0, "learnt"), (1, "told")]),
        ("'x' is no number", [(0, "is no")]),
        ("there is no run; it is no longer needed", []),
        ("3 tokens a second, 95 % of them", [(0, "95 %"), (0, "tokens a second")]),
        ("see `answers.md` and answers.md, [no-answer](x#answers)", []),
        ("```\nthe answer\n```\nthe answer", [(3, "answer")]),
    ],
)
def test_what_is_found(text: str, words: list[tuple[int, str]]) -> None:
    """Negative control: words are found with their line, and identifiers are left alone."""
    assert sorted((line, word) for line, word, _ in misnamed(prose(text))) == words


def test_which_strings_are_read(tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text(
        '"""A docstring."""\n'
        "CSS = 'a b'\n"
        "def told(x):\n"
        "    assert x, f'{x} is odd'\n"
        "    return f'{x} is' ' told', 'word'\n"
        "label = 'two words'\n"
        "Progress(unit='answers', kind='faults')\n"
    )
    assert sorted(phrases(source)) == [(5, "{} is told"), (6, "two words"), (7, "answers")]
