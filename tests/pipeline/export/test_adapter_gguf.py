"""An adapter alone as GGUF, on a running model: what transformers and peft compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.pipeline.export.helpers import PROBES, export, plan, save_adapter, save_base
from workbench.core.errors import UserError
from workbench.inference.llama_model import LlamaAdapter, LlamaModel, apply_adapter
from workbench.pipeline.export.adapter_gguf import NeedsMerge, write_adapter
from workbench.pipeline.export.gguf_logits import GgufLogits
from workbench.pipeline.export.parity import log_softmax
from workbench.pipeline.export.peft_adapter import read_adapter
from workbench.pipeline.export.reference_logits import write_reference
from workbench.pipeline.models.weights import Weights

IDS = PROBES[0]


def expected(weights: Weights, folder: Path) -> np.ndarray:
    folder.mkdir(exist_ok=True)
    planned = plan(weights, ["f32"])
    rows, layers = planned.vocabulary_size, planned.config.layers
    (path,) = write_reference(weights, [IDS], folder, rows=rows, layers=layers)
    return np.load(path)


def divergence(expected: np.ndarray, got: np.ndarray) -> float:
    p, q = log_softmax(expected), log_softmax(got)
    return float((np.exp(p) * (p - q)).sum(axis=1).mean())


def with_adapter(native: GgufLogits, path: Path | None) -> np.ndarray:
    """Logits of IDS with that adapter."""
    adapter = None if path is None else LlamaAdapter(native._c, native._model, path)
    apply_adapter(native._c, native._context, adapter)
    logits = native.logits(list(IDS))
    apply_adapter(native._c, native._context, None)
    if adapter:
        adapter.close()
    return logits


SHAPES = ("llama", "llama-bias", "qwen2", "gemma3", "gemma3-vision", "phi3", "qwen3")


@pytest.mark.parametrize("shape", SHAPES)
def test_the_model_with_it_is_the_model_that_was_trained(shape: str, tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", shape)
    adapter = save_adapter(base, tmp_path / "adapter")
    gguf = export(Weights(base), tmp_path, "f32")["f32"]
    made = write_adapter(base, read_adapter(adapter), tmp_path / "adapter.gguf")
    assert made.bytes < (adapter / "adapter_model.safetensors").stat().st_size + 20_000
    limit = plan(Weights(base), ["f32"]).family.f32_limit
    with GgufLogits(gguf, context=len(IDS) + 1) as native:
        plain = expected(Weights(base), tmp_path / "plain")
        tuned = expected(Weights(base, (adapter,)), tmp_path / "tuned")
        assert divergence(plain, with_adapter(native, None)) < limit
        assert divergence(tuned, with_adapter(native, made.path)) < limit
        assert divergence(plain, with_adapter(native, None)) < limit, "it is off again"
        assert divergence(plain, tuned) > 0.05, "the adapter changes the model"


VARIANTS = {
    "rslora": dict(use_rslora=True),
    "patterns": dict(rank_pattern={"q_proj": 8}, alpha_pattern={"v_proj": 32, "k_proj": 3}),
    "embedding": dict(target_modules=["embed_tokens", "lm_head", "q_proj"]),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_scales_and_ranks_of_every_kind(variant: str, tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "llama")
    adapter = save_adapter(base, tmp_path / "adapter", **VARIANTS[variant])
    gguf = export(Weights(base), tmp_path, "f32")["f32"]
    made = write_adapter(base, read_adapter(adapter), tmp_path / "adapter.gguf")
    with GgufLogits(gguf, context=len(IDS) + 1) as native:
        tuned = expected(Weights(base, (adapter,)), tmp_path / "tuned")
        assert divergence(tuned, with_adapter(native, made.path)) < 1e-6


@pytest.mark.parametrize(
    ("settings", "kind", "said"),
    [
        (dict(use_dora=True), NeedsMerge, "DoRA cannot be applied to a loaded model"),
        (dict(modules_to_save=["lm_head"]), NeedsMerge, "replaces lm_head.weight"),
    ],
)
def test_what_a_lora_file_cannot_say_is_refused(
    settings: dict[str, object], kind: type[UserError], said: str, tmp_path: Path
) -> None:
    base = save_base(tmp_path / "base", "llama")
    adapter = save_adapter(base, tmp_path / "adapter", **settings)
    with pytest.raises(kind, match=said):
        write_adapter(base, read_adapter(adapter), tmp_path / "adapter.gguf")
    assert not list(tmp_path.glob("*.gguf")) and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("end", ["embed_tokens", "lm_head"])
def test_one_end_of_a_tied_matrix_has_to_be_merged(end: str, tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen2")
    adapter = save_adapter(base, tmp_path / "adapter", target_modules=[end])
    with pytest.raises(NeedsMerge, match="merge"):
        write_adapter(base, read_adapter(adapter), tmp_path / "adapter.gguf")


def test_factors_on_experts_have_to_be_merged(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "mixtral")
    settings = dict(target_modules=["q_proj"], target_parameters=["experts.down_proj"])
    adapter = save_adapter(base, tmp_path / "adapter", **settings)
    with pytest.raises(NeedsMerge, match="experts.* must be merged"):
        write_adapter(base, read_adapter(adapter), tmp_path / "adapter.gguf")


def test_an_adapter_of_another_model_is_refused_by_us_and_by_llama(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "llama")
    other = save_base(tmp_path / "other", "qwen2", hidden=128)
    adapter = read_adapter(save_adapter(other, tmp_path / "adapter"))
    with pytest.raises(UserError, match="but the adapter is for"):
        write_adapter(base, adapter, tmp_path / "wrong.gguf")
    made = write_adapter(other, adapter, tmp_path / "adapter.gguf")
    model = LlamaModel(export(Weights(base), tmp_path, "f32")["f32"])
    with pytest.raises(
        UserError, match="adapter.gguf: llama.cpp cannot use this adapter: ."
    ) as told:
        LlamaAdapter(model.c, model.pointer, made.path)
    assert "\n" not in str(told.value)
    model.close()


def test_two_hundred_swaps_take_no_memory(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "llama", hidden=128)
    gguf = export(Weights(base), tmp_path, "f32")["f32"]
    paths: list[Path | None] = [None]
    for seed in (1, 2):
        adapter = read_adapter(save_adapter(base, tmp_path / f"{seed}", seed=seed, r=64))
        paths.append(write_adapter(base, adapter, tmp_path / f"{seed}.gguf").path)
    size = paths[1].stat().st_size if paths[1] else 0
    with GgufLogits(gguf, context=len(IDS) + 1) as native:
        first = [with_adapter(native, path) for path in paths]
        for n in range(20):
            with_adapter(native, paths[n % 3])
        before = psutil.Process().memory_info().rss
        for n in range(200):
            logits = with_adapter(native, paths[n % 3])
            assert np.array_equal(logits, first[n % 3])
        grown = psutil.Process().memory_info().rss - before
    assert grown < 5 * size, f"{grown} bytes after 200 swaps of {size}"
