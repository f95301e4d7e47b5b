"""Every code that the data room gives is in the table, and the page shows the table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import workbench.dataset
from workbench.core.errors import UserError
from workbench.dataset.checks import findings
from workbench.dataset.checks.findings import CODES, check_codes, severity
from workbench.dataset.rows import Fault, Place

ROOM = Path(workbench.dataset.__file__).parent
# Which argument of a call is the code.
MAKERS = {"Fault": 1, "Refused": 0, "_fault": 1, "_note": 2, "_told": 1}


def given_codes(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            at = MAKERS.get(node.func.id, -1)
            if 0 <= at < len(node.args):
                code = node.args[at]
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    yield code.value


@pytest.mark.parametrize("path", sorted(ROOM.rglob("*.py")), ids=lambda path: path.stem)
def test_codes_that_are_given_are_in_the_table(path: Path) -> None:
    assert [code for code in given_codes(path) if code not in CODES] == []


def test_the_page_has_the_table() -> None:
    page = (ROOM.parent.parent / "docs" / "data.md").read_text("utf-8")
    assert findings.reference() in page, (
        "write it anew: python -m workbench.dataset.checks.findings"
    )


def test_fatal_is_an_error_and_nothing_else_is() -> None:
    place = Place("a", 1)
    assert severity(Fault(place, "bom", "x")) == "error"
    assert severity(Fault(place, "broken-json", "x", fatal=False)) == "warning"
    assert severity(Fault(place, "bom", "x", fatal=False)) == "note"


def test_an_unknown_code_gets_did_you_mean() -> None:
    with pytest.raises(UserError, match="did you mean 'duplicate'"):
        check_codes(["duplicat"])
