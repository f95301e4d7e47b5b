"""A sequence has the same loss packed, padded and alone, on both sides of any switch in its length.

The reference is transformers alone: a model made for one row, its own attention and labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, PhimoeConfig

from tests import tiny
from tests.pipeline.export import helpers
from tests.pipeline.training.helpers import Bench, Row, stage_settings
from workbench.pipeline.models.causal_lm import load_causal
from workbench.pipeline.models.rotary import SequenceRotary, keeps_frequencies, separate_sequences
from workbench.pipeline.training import packed_attention
from workbench.pipeline.training.losses.cross_entropy import CrossEntropyLoss
from workbench.pipeline.training.token_dataset import TokenDataset, collate
from workbench.run import events

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable:FutureWarning"),
]

CPU = torch.device("cpu")
LENGTHS = (9, 3, 8, 257, 128, 256, 129)  # windows of 8; yarn, llama3, dynamic 128; longrope 256
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}
LONGROPE = helpers.SHAPES["phi3-longrope"][2]["rope_parameters"]
BY_LAYER = {  # a switch in some layers and another in the rest
    "full_attention": {**LONGROPE, "attention_factor": 1.1},
    "sliding_attention": {**DYNAMIC, "rope_theta": 5000.0},
}
# name -> (configuration class, settings), beside the families that can be exported
MORE: Mapping[str, tuple[Any, Mapping[str, Any]]] = {
    "llama-dynamic": (LlamaConfig, dict(rope_parameters=DYNAMIC, max_position_embeddings=128)),
    "gemma3-by-layer": (
        Gemma3TextConfig,
        dict(
            rope_parameters=BY_LAYER,
            head_dim=16,
            sliding_window=8,
            layer_types=["sliding_attention", "full_attention"],
            max_position_embeddings=128,
        ),
    ),
    "phimoe": (
        PhimoeConfig,
        dict(
            rope_parameters={**LONGROPE, "short_mscale": 1.1, "long_mscale": 1.3},
            num_local_experts=4,
        ),
    ),
}


def config_of(name: str) -> Any:
    if name in helpers.SHAPES:
        return helpers.config_for(name).get_text_config(decoder=True)
    kind, settings = MORE[name]
    return kind(**{**helpers._common(64, 2), **settings})


def model_of(name: str) -> Any:
    """The same random model each time: nothing was computed with it yet."""
    torch.manual_seed(0)
    made = AutoModelForCausalLM.from_config(config_of(name), attn_implementation="eager")
    with torch.no_grad():
        for parameter_name, parameter in made.named_parameters():
            if "norm" in parameter_name:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    return made.eval()


def some_rows(lengths: tuple[int, ...] = LENGTHS, vocabulary: int = 384) -> list[Row]:
    torch.manual_seed(1)
    return [
        Row(torch.randint(4, vocabulary, (n,)).tolist(), [i >= n // 3 for i in range(n)])
        for n in lengths
    ]


@torch.no_grad()
def alone(model: Any, row: Row) -> float:
    """Summed loss of the row by transformers' own labels and mask."""
    ids = torch.tensor([row.ids])
    labels = ids.where(torch.tensor([row.trained]), -100)
    count = int((labels[0, 1:] != -100).sum())
    return float(model(input_ids=ids, labels=labels, use_cache=False).loss) * count


@torch.no_grad()
def together(model: Any, rows: list[Row], packing: bool) -> float:
    batch = collate(TokenDataset.of(rows), range(len(rows)), packing=packing, pad_id=0, device=CPU)
    return float(CrossEntropyLoss(model)(batch))


@pytest.mark.parametrize("name", [*helpers.SHAPES, *MORE])
def test_packed_and_padded_the_loss_is_that_of_rows_alone(name: str) -> None:
    rows = some_rows()
    found = [alone(model_of(name), row) for row in rows]
    tokens = int(TokenDataset.of(rows).targets.sum())
    ours = model_of(name)
    ours.set_attn_implementation(packed_attention.NAME)
    separate_sequences(ours)
    for training in (True, False):
        ours.train(training and name != "phimoe")  # whose experts are drawn at random in training
        for packing in (True, False):
            mean = together(ours, rows, packing) / tokens
            assert mean == pytest.approx(sum(found) / tokens, abs=1e-6, rel=1e-6)
    # a row at a time, after all that was computed before
    for row, expected in zip(rows, found, strict=True):
        assert together(ours, [row], True) == pytest.approx(expected, abs=1e-6, rel=2e-6)


@pytest.mark.parametrize("name", ["phi3-longrope", *MORE])
def test_without_it_the_neighbours_would_matter(name: str) -> None:
    """The control: transformers' own embedding gives a short row another loss beside a long one."""
    short, long = some_rows((40, 300))
    found = []
    for separate in (True, False):
        model = model_of(name)
        model.set_attn_implementation(packed_attention.NAME)
        if separate:
            separate_sequences(model)
        silent = Row(long.ids, [False] * len(long.ids))
        found.append(together(model, [short, silent], True) / 40)
    expected = alone(model_of(name), short) / 40
    assert found[0] == pytest.approx(expected, abs=1e-6)
    assert abs(found[1] - expected) > 1e-4


def test_on_one_side_of_the_switch_the_bits_are_those_of_transformers() -> None:
    for lengths in ((40, 7, 256), (257, 300)):
        rows, found = some_rows(lengths), []
        for separate in (True, False):
            model = model_of("phi3-longrope")
            model.set_attn_implementation(packed_attention.NAME)
            if separate:
                separate_sequences(model)
            found.append(together(model, rows, True))
        assert found[0] == found[1]


def test_other_rotary_embeddings_are_left_alone() -> None:
    for name in ("llama", "qwen2-yarn", "gemma3", "deepseek2-yarn", "phi3"):
        model = model_of(name)
        separate_sequences(model)
        assert not any(isinstance(module, SequenceRotary) for module in model.modules())


def test_a_base_is_loaded_so(tmp_path: Path) -> None:
    made = load_causal(tiny.save_base(tmp_path / "base", "longrope"))
    assert sum(isinstance(module, SequenceRotary) for module in made.modules()) == 1
    made.save_pretrained(tmp_path / "again")
    again = load_causal(tmp_path / "again")
    assert again.state_dict().keys() == made.state_dict().keys()


@pytest.mark.parametrize("name", ["phi3-longrope", "llama-dynamic", "gemma3-by-layer"])
def test_cached_keys_stay_true_where_a_sequence_passes_no_switch(name: str) -> None:
    model = model_of(name)
    separate_sequences(model)
    assert keeps_frequencies(model, 3, 128)
    assert keeps_frequencies(model, 3, 257) is False
    assert keeps_frequencies(model, 257, 300) is (name == "phi3-longrope")
    assert keeps_frequencies(model_of("llama"), 3, 10_000)


def test_training_and_validation_go_by_each_row(tmp_path: Path) -> None:
    """One step over rows of both sides, and one look: packed, padded, and a row at a time."""
    bench = Bench(tmp_path, "longrope")
    rows = some_rows((30, 6, 21, 20, 12, 40, 19))
    TokenDataset.of(rows).save(bench.train_file)
    TokenDataset.of(rows[::-1]).save(bench.validation_file)
    expected = [alone(tiny.model("longrope"), row) for row in rows]
    mean = sum(expected) / int(TokenDataset.of(rows).targets.sum())
    layouts = [
        {"packing": True, "batch_tokens": 1000},
        {"packing": False, "batch_tokens": 1000},
        {"packing": False, "batch_size": 1, "accumulation": len(rows)},
    ]
    for number, changes in enumerate(layouts):
        for again in ("auto", True):  # activations kept, and computed again
            stage = stage_settings(
                max_steps=1,
                learning_rate=1e-12,
                evaluate_every=0.0,
                gradient_checkpointing=again,
                adapter={"dropout": 0.0},
                **changes,
            )
            _, told = bench.train(f"run-{number}-{again}", settings=stage)
            (step,) = (event for event in told if isinstance(event, events.Step))
            looks = [event for event in told if isinstance(event, events.Validated)]
            assert step.loss == pytest.approx(mean, abs=1e-6)
            assert looks[-1].loss == pytest.approx(mean, abs=1e-6)
