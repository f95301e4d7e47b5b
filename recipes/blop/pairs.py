"""The INPUT/OUTPUT text format: blocks of `# INPUT`, a blank line, text, `# OUTPUT`, text."""

import re
from collections.abc import Iterable
from typing import NamedTuple


class Pair(NamedTuple):
    """An instruction and its answer; `code` says that the answer is a program."""

    prompt: str
    answer: str
    code: bool = True


def written(pairs: Iterable[Pair]) -> str:
    """The pairs as text."""
    return "\n".join(f"# INPUT\n\n{pair.prompt}\n\n# OUTPUT\n\n{pair.answer}\n" for pair in pairs)


def read(text: str) -> list[tuple[str, str]]:
    """The (input, output) texts of a file."""
    blocks = re.split(r"^# (INPUT|OUTPUT)\s*$", text, flags=re.MULTILINE)[1:]
    kinds, texts = blocks[::2], [block.strip("\n") for block in blocks[1::2]]
    if kinds != ["INPUT", "OUTPUT"] * (len(kinds) // 2):
        raise ValueError("INPUT and OUTPUT do not take turns")
    return list(zip(texts[::2], texts[1::2], strict=True))
