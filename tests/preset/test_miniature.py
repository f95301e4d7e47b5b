"""A preset's miniature: another base and fewer steps, and nothing else that a person chose."""

import pytest

from workbench.core.errors import UserError
from workbench.preset.loader import load
from workbench.preset.miniature import check, kind_of, overrides

NAMES = {
    "google/gemma-2b-it": "gemma",
    "google/gemma-2-9b-it": "gemma2",
    "google/gemma-3-270m": "gemma3",
    "Qwen/Qwen2.5-Coder-14B": "qwen2",
    "Qwen/Qwen3-0.6B": "qwen3",
    "Qwen/Qwen3-30B-A3B": "qwen3-moe",
    "meta-llama/Llama-3.2-1B": "llama3",
    "HuggingFaceTB/SmolLM2-135M": "smollm2",
    "microsoft/Phi-4-mini-instruct": "phi4",
    "deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct": "deepseek2",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_hub_id_names_its_family(name):
    assert kind_of(name) == NAMES[name]


def test_an_owner_called_like_a_family_does_not_decide():
    with pytest.raises(UserError, match="no miniature for 'gemma-fans/novel'.*known: deepseek2"):
        check("miniature:gemma-fans/novel")


def test_only_the_base_and_what_costs_time_are_changed():
    before = load("blop-gemma-2b")
    after = load("blop-gemma-2b", overrides(before.preset))
    changed = {key for key in before.origin if before.origin[key] != after.origin[key]}
    assert after.preset.model.base == "miniature:google/gemma-2b-it"
    assert changed == {
        "model.base",
        "model.revision",
        "train.0.max_steps",
        "train.0.sequence_length",
        "train.0.evaluate_every",
        "train.0.save_every",
        "train.0.early_stopping",
        "train.0.adapter.last_layers",
        "train.0.batch_tokens",
        "generate.max_tokens",
        "generate.context",
        "evaluate.limit",
        "evaluate.samples",
        "evaluate.baselines",
    }
    assert after.preset.export == before.preset.export
    assert after.preset.train[0].adapter == before.preset.train[0].adapter


def test_the_embedded_base_is_small_enough_to_stay():
    words = overrides(load("quickstart").preset)
    assert not [word for word in words if word.startswith("model.")]
    assert load("quickstart", words).preset.model.base == "embedded:tiny"


def test_what_is_smaller_already_is_left():
    given = ["train.0.max_steps=3", "train.1.batch_tokens=0", "train.1.batch_size=1"]
    loaded = load("quickstart", given)
    small = load("quickstart", [*given, *overrides(loaded.preset)]).preset
    assert small.train[0].max_steps == 3
    assert small.train[1].batch_size == 1
