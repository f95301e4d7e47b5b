"""The presets of well-known models: as their recipe writes them, with arithmetic that holds."""

from pathlib import Path

import pytest

from recipes.models import CARDS_GB, ENOUGH, GB, MODELS, USABLE, Known, fit, page, preset
from workbench.architectures.shape import known_shape
from workbench.estimate.stage import stage_memory
from workbench.preset.loader import load
from workbench.preset.lookup import list_presets
from workbench.preset.miniature import kind_of

PARAMETERS = {"k": 1e3, "m": 1e6, "b": 1e9}


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.preset)
def test_the_shipped_preset_is_what_the_recipe_writes(model: Known) -> None:
    assert Path(f"presets/{model.preset}.toml").read_text(encoding="utf-8") == preset(model)


def test_the_page_is_what_the_recipe_writes() -> None:
    assert Path("docs/models.md").read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.preset)
def test_a_preset_fits_the_card_that_it_names(model: Known) -> None:
    loaded = load(model.preset).preset
    card = next(card for card in CARDS_GB if f"from {card} GB" in loaded.description)
    stage, shape = loaded.train[0], known_shape(loaded.model.base)
    assert stage_memory(shape, stage, loaded.model, "cuda", 2, card * GB).peak <= USABLE * card * GB
    assert stage.sequence_length <= ENOUGH and stage.batch_tokens % stage.sequence_length == 0


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.preset)
def test_what_a_preset_says_of_a_card_is_true(model: Known) -> None:
    """The words behind a card, taken as flags, fit that card; more memory is never worse."""
    loaded = load(model.preset)
    for card in CARDS_GB:
        line = next(line for line in loaded.text.splitlines() if line.startswith(f"#   {card} GB"))
        said = line[10:].strip()
        if said == "too small":
            assert fit(model, card) is None
            continue
        words = said.split() if said.startswith("--set") else []
        small = load(model.preset, words[1::2]).preset
        memory = stage_memory(
            known_shape(model.base), small.train[0], small.model, "cuda", 2, card * GB
        )
        assert memory.peak <= USABLE * card * GB


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.preset)
def test_the_sizes_are_those_of_the_name(model: Known) -> None:
    """A slip in a table of numbers shows in the count of weights."""
    size = model.preset.rpartition("-")[2]
    wanted = 3.8e9 if size == "mini" else float(size[:-1]) * PARAMETERS[size[-1]]
    assert known_shape(model.base).parameters == pytest.approx(wanted, rel=0.3)


def test_every_base_of_a_preset_can_be_made_small_and_is_known() -> None:
    for name, _ in list_presets():
        base = load(name).preset.model.base
        if not base.startswith("embedded:"):
            assert kind_of(base) and known_shape(base)
