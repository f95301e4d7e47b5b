"""A preset written out says every key, and reads back as the same preset."""

import tomllib

from hypothesis import given, settings

from tests.preset.helpers import MINIMAL, loaded, presets
from workbench.preset.fields import leaves
from workbench.preset.loader import check, parse
from workbench.preset.rendering import WIDTH, explain, to_toml
from workbench.preset.schema import Preset


@settings(max_examples=200, deadline=None)
@given(preset=presets())
def test_a_preset_written_out_loads_back_equal(preset: Preset) -> None:
    """And the same combinations of it are refused."""
    again, faults = check(tomllib.loads(to_toml(preset)))
    assert again == preset
    assert faults == check(preset.model_dump(by_alias=True))[1]


def test_a_runnable_preset_loads_back_through_the_front_door() -> None:
    first = loaded(MINIMAL, "train.0.batch_size=2", 'data.system="two\\n\\u007f\\"lines\\""')
    again = parse(to_toml(first.preset), first.path)
    assert again.preset == first.preset
    assert set(again.origin.values()) == {"preset"}


def test_every_default_is_written_out() -> None:
    preset = loaded(MINIMAL).preset
    origin = parse(to_toml(preset), loaded(MINIMAL).path).origin
    assert len(origin) == len(list(leaves(preset)))
    assert "default" not in origin.values()


def test_comments_are_short_and_say_the_meaning() -> None:
    text = to_toml(loaded(MINIMAL).preset)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "sequence_length = 512             # Maximum sequence length, in tokens" in text


def test_explain_tells_value_and_origin() -> None:
    rows = explain(loaded(MINIMAL, "train.sft.adapter.rank=8"))
    assert ("data.source.0.path", '"a.txt"', "preset") in rows
    assert ("train.0.adapter.rank", "8", "flag") in rows
    assert ("train.0.adapter.continue", '"new"', "default") in rows
    assert len({key for key, _, _ in rows}) == len(rows)
