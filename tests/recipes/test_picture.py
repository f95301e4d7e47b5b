"""Pictures of terminals: code in them keeps its indentation in any viewer."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from recipes.picture import terminal_svg

DOCS = Path(__file__).parents[2] / "docs"
SPACE = "{http://www.w3.org/XML/1998/namespace}space"
PICTURES = [DOCS / "quickstart.svg", *sorted((DOCS / "tour").glob("*.svg"))]


def test_leading_spaces_are_kept() -> None:
    console = Console(record=True, width=40, file=io.StringIO())
    console.print("    return (", highlight=False)
    root = ElementTree.fromstring(terminal_svg(console, "code"))
    assert root.attrib[SPACE] == "preserve"
    texts = ["".join(text.itertext()).replace("\xa0", " ") for text in root.iter()]
    assert any(text.startswith("    return (") for text in texts)


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_the_pictures_of_the_docs_keep_them(path: Path) -> None:
    assert ElementTree.fromstring(path.read_text("utf-8")).attrib[SPACE] == "preserve"
