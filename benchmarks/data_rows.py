"""Synthetic rows for the benchmarks of data sets: the same ones every time."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import TextIO

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# ChatML, with the assistant's words marked as transformers needs them for its mask.
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}"
    "{% else %}{{ m.content + '<|im_end|>\\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
NOUNS = "User Card Modal Table Menu List Page Form Badge Chart Panel Widget Tile Grid Row".split()
ENDS = "Alpha Beta Gamma Delta Item View Box Bar Set Pro Lite Max Mini One Two".split()
FIELDS = "name email title price color size label text url count total date author rank".split()
TAGS = "div span ul li p section article h1 h2 a".split()


def write_chats(path: Path, count: int, words: int) -> Path:
    """Chat rows whose answers have so many words, drawn as words of a language are: few often."""
    choose = random.Random(1)
    vocabulary = ["".join(choose.choices(LETTERS, k=choose.randint(2, 9))) for _ in range(20_000)]
    weights = [1 / rank for rank in range(1, 20_001)]
    with path.open("w") as file:
        for number in range(count):
            asked = " ".join(choose.choices(vocabulary, weights, k=max(5, words // 3)))
            said = " ".join(choose.choices(vocabulary, weights, k=words))
            _write(file, f"Question {number}: {asked}", said, choose.choice("abcd"))
    return path


def write_lookalikes(path: Path, count: int) -> Path:
    """Rows from one pattern, as synthetic data have them: all of them share most of their words."""
    choose = random.Random(3)
    with path.open("w") as file:
        for _ in range(count):
            name, tag = choose.choice(NOUNS) + choose.choice(ENDS), choose.choice(TAGS)
            fields = choose.sample(FIELDS, choose.randint(1, 5))
            asked = f"Please write me a component called {name} in the Blop language that takes "
            asked += f"{', '.join(fields)} and shows them in a {tag}."
            lines = [f'    <p class="{f}">{f}: {{attributes.{f}}}</p>\n' for f in fields]
            said = f"def {name}(attributes, children) {{\n  <{tag}>\n{''.join(lines)}"
            _write(file, asked, f"{said}  </{tag}>\n}}\n\nexport default {name}\n", "made")
    return path


def _write(file: TextIO, asked: str, said: str, category: str) -> None:
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]
    print(json.dumps({"messages": messages, "category": category}), file=file)
