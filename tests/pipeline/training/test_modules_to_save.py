"""Embedding and head trained in full beside an adapter: resumed, merged, exported, tied or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests import tiny
from tests.pipeline.export.helpers import parities, plan
from tests.pipeline.training.helpers import Bench, stage_settings
from workbench.core import files
from workbench.core.errors import Interrupted
from workbench.pipeline.export.adapter_gguf import NeedsMerge, write_adapter
from workbench.pipeline.export.peft_adapter import read_adapter
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.training import model as models
from workbench.preset.schema import Model

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

BOTH = ["embed_tokens", "lm_head"]
EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
PREFIX = "base_model.model."


def settings(saved: list[str], **changes: Any) -> Any:
    return stage_settings(
        max_steps=6, adapter={"modules_to_save": saved, "dropout": 0.0}, **changes
    )


@pytest.mark.parametrize(
    ("kind", "saved"),
    [("llama", BOTH), ("llama", ["lm_head"]), ("qwen2", ["embed_tokens"]), ("qwen2", ["lm_head"])],
)
def test_what_is_named_is_trained_and_exported(kind: str, saved: list[str], tmp_path: Path) -> None:
    bench = Bench(tmp_path, kind)
    result, _ = bench.train(settings=settings(saved))
    weights = result.take("last")
    before = load_file(bench.base / "model.safetensors")
    planned = plan(weights, ["f32"])
    tied = kind == "qwen2"
    assert planned.merged.tied == tied
    changed = {EMBEDDING} if tied else {EMBEDDING if "embed" in s else HEAD for s in saved}
    for name in (EMBEDDING, HEAD)[: 1 if tied else 2]:
        rows = torch.tensor(planned.merged.open(name).rows(0, 384))
        assert torch.equal(rows, before[name]) == (name not in changed), name
    assert parities(weights, tmp_path, "f32")["f32"].kl_mean <= 1e-6
    merged = models.load(weights, device=torch.device("cpu"), dtype=torch.float32)
    assert models._is_tied(merged) == tied
    for name in planned.merged.names:
        if name in merged.state_dict():
            wanted = torch.tensor(planned.merged.open(name).rows(0, planned.merged.shape(name)[0]))
            got = merged.state_dict()[name].reshape(wanted.shape)
            assert torch.allclose(got, wanted, rtol=1e-5, atol=1e-6), name


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_a_resumed_stage_equals_one_that_ran_through(kind: str, tmp_path: Path) -> None:
    bench, told = Bench(tmp_path, kind), list[Any]()
    stage = settings(BOTH, save_every=2.0)
    bench.train("whole", settings=stage)
    with pytest.raises(Interrupted):
        bench.train("cut", settings=stage, emit=told.append, should_stop=lambda: len(told) > 6)
    bench.train("cut", settings=stage)
    assert files.sha256(bench.adapter("cut")) == files.sha256(bench.adapter("whole"))


def test_in_bfloat16_they_are_kept_in_float32(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "llama")
    model = Model.model_validate({"device": "cpu", "dtype": "bfloat16"})
    result, _ = bench.train(settings=settings(BOTH), model=model)
    saved = load_file(bench.adapter())
    for name in (EMBEDDING, HEAD):
        assert saved[PREFIX + name].dtype == torch.float32
    assert parities(result.take("last"), tmp_path, "f32")["f32"].kl_mean <= 1e-6


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_a_second_stage_starts_from_the_first(kind: str, tmp_path: Path) -> None:
    bench = Bench(tmp_path, kind)
    first, _ = bench.train(settings=settings(BOTH, name="one"))
    second, _ = bench.train(settings=settings([], name="two"), weights=first.take("last"))
    assert parities(second.take("last"), tmp_path, "f32")["f32"].kl_mean <= 1e-6


def test_a_checkpoint_is_exported_as_tied(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "qwen2")
    bench.train(settings=settings(["embed_tokens"]))
    checkpoint = sorted(bench.folder().glob("step-*"))[-1]
    config = bench.folder() / "adapters" / "final"
    adapter = read_adapter(checkpoint, config_folder=config)
    assert EMBEDDING in adapter.replacements and HEAD not in adapter.replacements
    with pytest.raises(NeedsMerge, match="replaces model.embed_tokens.weight and must be merged"):
        write_adapter(bench.base, adapter, tmp_path / "adapter.gguf")


def test_added_tokens_need_no_rows_of_their_own(tmp_path: Path) -> None:
    for kind, saved, rows in (("llama", ["embed_tokens"], ["lm_head"]), ("qwen2", BOTH, [])):
        model = tiny.model(kind)
        names = models._saved(model, saved)
        assert list(models._token_rows(model, [5, 6], names)) == rows
    assert Weights(tmp_path).adapters == ()
