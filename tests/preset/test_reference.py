"""The reference is made from the schema, and the documentation is up to date with it."""

from pathlib import Path

import pytest

from workbench.core.errors import UserError
from workbench.preset.fields import field_of, fields, sections
from workbench.preset.reference import reference_markdown, reference_text
from workbench.preset.schema import Adapter, Export, TrainStage

ROOT = Path(__file__).resolve().parent.parent.parent


def test_the_documentation_is_up_to_date() -> None:
    """Write it anew with `python -m workbench.preset.reference > docs/preset.md`."""
    assert (ROOT / "docs" / "preset.md").read_text() == reference_markdown()


@pytest.mark.parametrize("render", [reference_text, reference_markdown])
def test_every_key_is_in_the_reference(render: object) -> None:
    text = render()  # type: ignore[operator]
    for name, section in sections():
        for field in fields(section):
            assert field.key in text, f"{name}.{field.key}"
            assert field.is_table or field.description.split()[0] in text


def test_the_text_of_one_section_has_those_below_it_and_no_other() -> None:
    text = reference_text("train")
    assert "[[train]]" in text and "[train.adapter]" in text and "[export]" not in text
    assert "learning_rate = 5e-05" in text
    assert "Takes a whole number from 1 to 4096." in text
    assert max(map(len, text.splitlines())) <= 100


def test_an_unknown_section_gets_the_nearest() -> None:
    with pytest.raises(UserError, match="no section 'trian'") as caught:
        reference_text("trian")
    assert caught.value.hint == "did you mean 'train'?"


def test_a_form_finds_type_range_choices_and_default() -> None:
    rank, formats = field_of(Adapter, "rank"), field_of(Export, "formats")
    assert rank and (rank.kind, rank.default, rank.at_least, rank.at_most) == (
        "integer",
        16,
        1,
        4096,
    )
    assert formats and formats.kind == "list" and "q4_k_m" in formats.choices
    checkpointing = field_of(TrainStage, "gradient_checkpointing")
    assert checkpointing and checkpointing.choices == ("auto", True, False)
    assert [field.key for field in fields("launch")] == ["processes", "sharding"]
    train = next(field for field in fields() if field.key == "train")
    assert train.kind == "tables" and train.section is TrainStage
    carry = field_of(Adapter, "continue")
    assert carry and carry.attribute == "continue_"
