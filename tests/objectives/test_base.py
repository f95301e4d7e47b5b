"""What the objectives share."""

from __future__ import annotations

from workbench.dataset.rows import Message, Place, Row
from workbench.objectives.base import last_user_text


def test_the_last_message_of_the_user_stands_for_a_conversation() -> None:
    said = [("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four")]
    row = Row(Place("a", 1), tuple(Message(role, text) for role, text in said))
    assert last_user_text(row) == "three"
    assert last_user_text(Row(Place("a", 1), text="a document")) == ""
