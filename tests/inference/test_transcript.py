from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.errors import UserError
from workbench.dataset.rows import Message
from workbench.inference.transcript import (
    Transcript,
    _from_json,
    _from_markdown,
    load,
    save,
    to_json,
    to_markdown,
)

CONTENT = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(
        st.sampled_from(["## user", "\\## user", "\\\\## system", "-->", "", " ", "text"])
    ).map("\n".join),
)
MESSAGES = st.lists(st.builds(Message, st.sampled_from(["system", "user", "assistant"]), CONTENT))
HERE = Path("talk")


@settings(deadline=None)
@given(MESSAGES, st.text(st.characters(exclude_categories=["Cs"])))
def test_both_forms_load_back_equal(messages: list[Message], model: str) -> None:
    transcript = Transcript(model, tuple(messages), {"temperature": 0.5})
    assert _from_json(to_json(transcript), HERE) == transcript
    assert _from_markdown(to_markdown(transcript), HERE) == transcript


@pytest.mark.parametrize("name", ["talk.md", "talk.json"])
def test_saved_and_loaded(tmp_path: Path, name: str) -> None:
    said = (Message("user", "Hi\n"), Message("assistant", "## user\nno"))
    transcript = Transcript("tuned", said)
    save(transcript, tmp_path / name)
    assert load(tmp_path / name) == transcript


def test_what_cannot_be_saved_or_loaded_is_one_line(tmp_path: Path) -> None:
    transcript = Transcript("m", ())
    with pytest.raises(UserError, match="use .md or .json"):
        save(transcript, tmp_path / "talk.txt")
    with pytest.raises(UserError, match="cannot be written"):
        save(transcript, tmp_path / "no" / "talk.md")
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path / "none.md")
    for name, text in [
        ("a.md", "# hello"),
        ("a.json", "{}"),
        ("b.json", "[1"),
        ("c.json", '{"format": "workbench-conversation-1", "model": "m", "messages": [1]}'),
        ("d.json", '{"format": "workbench-conversation-1", "messages": []}'),
    ]:
        (tmp_path / name).write_text(text)
        with pytest.raises(UserError, match="not a saved conversation"):
            load(tmp_path / name)
