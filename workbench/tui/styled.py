"""Lines of text in a style: made, and compared before they are drawn again."""

from __future__ import annotations

from rich.text import Text


def styled(text: str, style: str = "") -> Text:
    """The style lies on the characters: rich leaves a text's own style out when it has no spans."""
    return Text(no_wrap=True).append(text, style)


def same(one: Text, other: Text) -> bool:
    """Whether they look the same: characters, spans, and the style of the whole line."""
    return one == other and one.style == other.style
