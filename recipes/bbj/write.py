"""The files: every pattern with every thing goes to exactly one of corpus, Markdown and chat."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from recipes.bbj.programs import PATTERNS, THINGS, Pattern, Thing

SYSTEM = "You are an expert BBj programmer."
KINDS = ("completion", "comprehension", "explanation", "migration")
VOWELS = "|".join(thing.name for thing in THINGS if thing.name[0] in "aeiou")
_AN = re.compile(rf"\b([Aa]) (?=(?:{VOWELS})\b)")


def write(folder: Path) -> None:
    """Write `corpus/`, `examples/` and `chat.jsonl` below `folder`."""
    rows = []
    for number, (pattern, thing) in enumerate(pairs()):
        part = number % 5
        if part in (0, 1):
            _put(folder / "corpus" / f"{thing.name}-{pattern.key}.bbj", pattern.code(thing))
        elif part == 2:
            kind = KINDS[number // 5 % 4]
            if kind != "migration" or pattern.old is not None:
                path = folder / "examples" / pattern.topic / f"{thing.name}-{pattern.key}.md"
                _put(path, markdown(pattern, thing, kind))
        else:
            rows.append(chat(pattern, thing, number))
    old = next(pattern for pattern in PATTERNS if pattern.old)
    for thing in THINGS[:3]:
        path = folder / "examples" / "migration" / f"{thing.name}-{old.key}.md"
        _put(path, markdown(old, thing, "migration"))
    _put(folder / "chat.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def pairs() -> Iterator[tuple[Pattern, Thing]]:
    """All pairs, so ordered that each part gets every pattern."""
    for turn, thing in enumerate(THINGS):
        for number in range(len(PATTERNS)):
            yield PATTERNS[(number + turn) % len(PATTERNS)], thing


def request(pattern: Pattern, thing: Thing) -> str:
    return pattern.request.format(name=thing.name, text=thing.text, number=thing.number)


def chat(pattern: Pattern, thing: Thing, number: int) -> dict[str, object]:
    """A conversation: mostly asked for code, now and then asked about it."""
    code = f"```bbj\n{pattern.code(thing)}```"
    ask, answer = request(pattern, thing), code
    if number % 3 == 0:
        ask, answer = f"Explain this BBj code.\n\n{code}", pattern.explanation
    said = (("system", SYSTEM), ("user", ask), ("assistant", answer))
    return {
        "messages": [{"role": role, "content": text} for role, text in said],
        "category": pattern.topic,
    }


def markdown(pattern: Pattern, thing: Thing, kind: str) -> str:
    """A Markdown example with front matter, as its contributors write it."""
    old = pattern.old(thing) if pattern.old and kind == "migration" else ""
    generation = (
        json.dumps(list(pattern.generation))
        if len(pattern.generation) > 1
        else (json.dumps(pattern.generation[0]))
    )
    head = [
        f'title: "{pattern.key.capitalize()} for a {thing.name}"',
        f"type: {kind}",
        f"generation: {generation}",
        f"difficulty: {pattern.difficulty}",
        f"tags: [{pattern.topic}, {pattern.key}, {thing.name}]",
        f'description: "{request(pattern, thing)}"',
    ]
    parts = ["---", *head, "---", ""]
    if old:
        parts += ["## Original Code", "", f"```bbj\n{old}```", ""]
    parts += ["## Code", "", f"```bbj\n{pattern.code(thing)}```", ""]
    parts += ["## Expected Behavior", "", pattern.behaviour, ""]
    parts += ["## Explanation", "", pattern.explanation, ""]
    return "\n".join(parts)


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_AN.sub(r"\1n ", text), encoding="utf-8")
