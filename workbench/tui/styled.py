"""A line of text in one style, whatever draws it."""

from __future__ import annotations

from rich.text import Text


def styled(text: str, style: str = "") -> Text:
    """The style lies on the characters: rich leaves a text's own style out when it has no spans."""
    return Text(no_wrap=True).append(text, style)
