"""What is suspicious in rows that can be read: told with its place, none of it fatal.

Contradictions (one prompt, several answers), questions without an answer, answers that repeat the
question, and names of control tokens in the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from workbench.dataset.prepare import normalise, prompt_key
from workbench.dataset.rows import ASSISTANT, Fault, Row
from workbench.text import one_line

# Names that the usual chat formats give to control tokens; a tokenizer's own are better, if known.
USUAL_SPECIAL = (
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<|eot_id|>",
    "<|begin_of_text|>",
    "<|start_header_id|>",
    "[INST]",
    "[/INST]",
    "<eos>",
    "<bos>",
)


def lint(rows: Sequence[Row], special_tokens: Iterable[str] = USUAL_SPECIAL) -> list[Fault]:
    """All that is suspicious, in the order of the rows, contradictions last."""
    names = tuple(name for name in special_tokens if len(name) > 1)
    faults = [fault for row in rows for fault in _row_faults(row, names)]
    return faults + contradictions(rows)


def contradictions(rows: Iterable[Row]) -> list[Fault]:
    """A fault for each row whose prompt an earlier row answers otherwise, white space apart."""
    first: dict[str, Row] = {}
    faults = []
    for row in rows:
        if not row.expected:
            continue
        earlier = first.setdefault(prompt_key(row), row)
        if normalise(earlier.expected) != normalise(row.expected):
            what = f"the prompt of {earlier.place} with another answer"
            hint = "keep the better one, or both if either is right"
            faults.append(Fault(row.place, "contradiction", what, hint, fatal=False))
    return faults


def _row_faults(row: Row, names: tuple[str, ...]) -> Iterator[Fault]:
    found = next((n for n in names for text in _texts(row) if n in text), None)
    if found:
        what = f"the text holds the control token's name '{one_line(found)}'"
        yield Fault(row.place, "special-token", what, "it will be plain text", fatal=False)
    if row.kind == "text":
        return
    if not any(m.role == ASSISTANT and m.train for m in row.messages):
        yield Fault(row.place, "nothing-trained", "no answer to be learnt", fatal=False)
    elif normalise(row.expected) == normalise(row.prompt_messages()[-1].content):
        yield Fault(row.place, "echo", "the answer repeats the prompt", fatal=False)


def _texts(row: Row) -> tuple[str, ...]:
    return (row.text,) if row.kind == "text" else tuple(m.content for m in row.messages)
