"""Types are strict, nothing unknown is taken, and every key says what it means."""

from typing import Any

import pytest
from pydantic import ValidationError

from workbench.dataset.formats import FORMATS
from workbench.dataset.readers.fields import FIELDS
from workbench.preset import inputs
from workbench.preset.fields import fields, sections
from workbench.preset.inputs import CHAT_FORMATS, TEXT_FORMATS
from workbench.preset.schema import Adapter, Evaluate, Generate, Model, Preset, TrainStage


def keys() -> list[Any]:
    return [
        pytest.param(field, id=f"{name}.{field.key}".strip("."))
        for name, section in sections()
        for field in fields(section)
    ]


@pytest.mark.parametrize("field", keys())
def test_every_key_is_described_in_sentences(field: Any) -> None:
    assert field.description.endswith(".")
    assert field.description[0].isupper() or field.description.startswith("embedded")
    assert field.allowed


@pytest.mark.parametrize("section", [section for _, section in sections()])
def test_every_key_has_a_default(section: Any) -> None:
    section()


def test_all_keys_of_the_sections_are_there() -> None:
    assert {name for name, _ in sections()} == {
        "",
        "model",
        "data",
        "data.source",
        "train",
        "train.adapter",
        "watch",
        "export",
        "generate",
        "evaluate",
        "evaluate.guard",
        "ollama",
        "launch",
    }
    assert [field.key for field in fields("train.adapter")][-1] == "continue"


def test_a_string_is_not_a_number_nor_a_whole_number_a_switch() -> None:
    for bad in ({"rank": "16"}, {"rank": 16.0}, {"rank": True}, {"rslora": 1}, {"dropout": "0"}):
        with pytest.raises(ValidationError):
            Adapter.model_validate(bad)


def test_a_whole_number_will_do_for_a_number() -> None:
    alpha = Adapter.model_validate({"alpha": 32}).alpha
    assert alpha == 32.0 and isinstance(alpha, float)


def test_a_preset_is_frozen() -> None:
    with pytest.raises(ValidationError):
        Preset().description = "new"  # type: ignore[misc]


def test_nan_and_infinity_are_refused() -> None:
    for bad in (float("nan"), float("inf"), 10**400):
        with pytest.raises(ValidationError):
            TrainStage.model_validate({"learning_rate": bad})


def test_a_stage_without_a_name_is_called_by_its_objective() -> None:
    assert TrainStage.model_validate({"objective": "pretrain"}).name == "pretrain"
    assert TrainStage.model_validate({"objective": "pretrain", "name": "raw"}).name == "raw"
    assert TrainStage().name == "sft"


def test_a_batch_size_switches_batch_tokens_off_unless_both_are_given() -> None:
    assert TrainStage.model_validate({"batch_size": 4}).batch_tokens == 0
    assert TrainStage.model_validate({"batch_size": 0}).batch_tokens == 8192
    assert TrainStage.model_validate({"batch_size": 4, "batch_tokens": 9}).batch_tokens == 9


def test_no_checker_is_an_empty_list_however_it_is_written() -> None:
    assert Evaluate.model_validate({"checker": ""}).checker == []
    assert Evaluate.model_validate({"checker": []}).checker == []


@pytest.mark.parametrize("field", [f for f in keys() if f.values[0].kind in ("integer", "number")])
def test_numbers_stop_at_their_bounds(field: Any) -> None:
    """Negative control for the ranges: one step outside is refused, the bound itself is not."""
    name, info = next((n, s) for n, s in sections() if field in fields(s))
    for bound, step in ((field.at_least, -1), (field.at_most, 1)):
        if bound is None:
            continue
        whole = int if field.kind == "integer" else float
        assert getattr(info.model_validate({field.key: whole(bound)}), field.attribute) == bound
        with pytest.raises(ValidationError):
            info.model_validate({field.key: whole(bound + step)})
    for bound in (field.above, field.below):
        if bound is not None:
            with pytest.raises(ValidationError):
                info.model_validate({field.key: float(bound)})
    assert field.at_least is not None or field.above is not None, f"{name}: no lower bound"


def test_the_sections_can_be_made_in_code() -> None:
    assert Generate(temperature=0.0).temperature == 0.0
    assert Model(base="./mine").base == "./mine"


def test_the_formats_and_fields_of_a_source_are_those_that_are_read() -> None:
    formats = fields("data.source")[2]
    assert formats.key == "format" and set(formats.choices) == {"auto", *FORMATS}
    assert set(CHAT_FORMATS) | set(TEXT_FORMATS) == set(FORMATS)
    assert set(inputs.FIELDS) == set(FIELDS)
