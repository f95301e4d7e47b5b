"""Near duplicates and near leaks, told once and only where they are not exact."""

from __future__ import annotations

from tests.dataset.helpers import chat
from workbench.dataset.checks.repeated_rows import near_duplicate_findings
from workbench.dataset.rows import Place, Row

LONG = " ".join(f"word{n}" for n in range(60))


def row(line: int, question: str, answer: str) -> Row:
    return chat(question, answer, place=Place("a", line))


def test_near_is_told_with_both_places_and_exact_is_not() -> None:
    rows = [row(1, LONG, "yes"), row(2, LONG, " yes"), row(3, f"{LONG} more", "yes")]
    (fault,) = near_duplicate_findings(rows)
    assert str(fault).startswith("a:3: nearly identical to a:1") and not fault.fatal


def test_a_near_leak_is_one_in_the_prompt() -> None:
    held = [chat(LONG, "?", place=Place("held", 4)), chat("other", "?", place=Place("held", 5))]
    rows = [row(1, LONG, "exact"), row(2, f"{LONG} more", "near"), row(3, "far " + LONG[:20], "x")]
    (fault,) = (f for f in near_duplicate_findings(rows, held) if f.code == "near-leak")
    assert fault.place.line == 2 and "held:4" in fault.message
