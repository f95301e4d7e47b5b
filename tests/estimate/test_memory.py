"""The estimate against what torch really keeps, and against known models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, Gemma3TextConfig

from tests import tiny
from tests.pipeline.export.helpers import config_for
from workbench.architectures.shape import known_shape, shape_of
from workbench.estimate.memory import CHUNK_LOGITS, BatchWork, MemorySettings, estimate
from workbench.pipeline.training import model as models
from workbench.pipeline.training import packed_attention
from workbench.pipeline.training.losses.cross_entropy import CrossEntropyLoss
from workbench.pipeline.training.model import Adapter
from workbench.pipeline.training.token_dataset import MicroBatchTensors

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

ROWS, LENGTH, TRAINED = 4, 64, 96
WIDE = {"hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 3}
VOCABULARY = 1000
MIXTURES = ("qwen2-moe", "qwen3-moe", "mixtral", "deepseek2")


def config(kind: str) -> Any:
    if kind in MIXTURES:
        made = config_for(kind, hidden=128, layers=3)
        made.vocab_size = VOCABULARY
        return made
    made = tiny.CONFIGS[kind](VOCABULARY)
    for name, value in WIDE.items():
        setattr(made, name, value)
    if hasattr(made, "layer_types"):
        made.layer_types = (made.layer_types * 2)[:3]
    return made


def network(kind: str, adapter: Adapter, dtype: torch.dtype) -> Any:
    plain = AutoModelForCausalLM.from_config(
        config(kind), attn_implementation=packed_attention.NAME
    )
    plain.config.use_cache = False
    for parameter in plain.to(dtype).parameters():
        parameter.requires_grad_(False)
    return models.attach_adapter(plain, adapter, seed=1).train()


def batch() -> MicroBatchTensors:
    tokens = ROWS * LENGTH
    return MicroBatchTensors(
        input_ids=torch.randint(0, VOCABULARY, (1, tokens)),
        position_ids=torch.arange(LENGTH).repeat(ROWS)[None],
        selected=torch.arange(TRAINED),
        targets=torch.randint(0, VOCABULARY, (TRAINED,)),
        segments=(LENGTH,) * ROWS,
        tokens=tokens,
    )


def kept_bytes(model: Any) -> int:
    """What autograd holds on to after a forward pass, parameters and logits apart."""
    own = [*model.parameters(), *model.buffers()]
    known = {tensor.untyped_storage().data_ptr() for tensor in own}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        at = tensor.untyped_storage().data_ptr()
        if at not in known and VOCABULARY not in tensor.shape:
            kept[at] = tensor  # held, so that the address stays its own
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        CrossEntropyLoss(model)(batch())
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def cases() -> Iterator[tuple[str, Adapter, torch.dtype]]:
    for kind in ("llama", "gemma2", "gemma3"):
        yield kind, Adapter(rank=8), torch.float32
    yield "llama", Adapter(rank=8), torch.bfloat16
    yield "llama", Adapter(rank=8, dropout=0.1), torch.float32
    yield "llama", Adapter(rank=8, dropout=0.1), torch.bfloat16
    yield "llama", Adapter(rank=8, targets="attention"), torch.float32
    yield "llama", Adapter(rank=8, last_layers=1), torch.float32
    yield "llama", Adapter(kind="dora", rank=8), torch.float32
    yield "llama", Adapter(kind="full"), torch.float32
    yield "llama", Adapter(kind="full", last_layers=2), torch.float32
    for kind in MIXTURES:
        yield kind, Adapter(rank=8), torch.float32
    yield "mixtral", Adapter(rank=8), torch.bfloat16
    yield "qwen2-moe", Adapter(rank=8, dropout=0.1), torch.float32
    yield "deepseek2", Adapter(rank=8, targets="attention"), torch.float32


@pytest.mark.parametrize(("kind", "adapter", "dtype"), list(cases()))
def test_activations_and_trained_elements_are_those_of_torch(
    kind: str, adapter: Adapter, dtype: torch.dtype
) -> None:
    model = network(kind, adapter, dtype)
    setting = MemorySettings(
        kind=adapter.kind,
        rank=adapter.rank,
        dropout=adapter.dropout,
        targets=adapter.targets,
        last_layers=adapter.last_layers,
        element_bytes=dtype.itemsize,
    )
    found = estimate(
        shape_of(config(kind).to_dict()), setting, BatchWork(ROWS * LENGTH, TRAINED, LENGTH)
    )
    trained, _ = models.count_parameters(model)
    assert found.gradients == pytest.approx(4 * trained, rel=0.01)
    assert found.activations == pytest.approx(kept_bytes(model), rel=0.12)


@pytest.mark.parametrize("kind", tiny.CONFIGS)
def test_weights_are_those_of_the_model(kind: str) -> None:
    made = tiny.model(kind)
    shape = shape_of(made.config.to_dict())
    assert shape.parameters == pytest.approx(made.num_parameters(), rel=0.01)
    found = estimate(shape, MemorySettings(element_bytes=2), BatchWork(1, 1, 1))
    assert found.weights == 2 * shape.parameters


QWEN_7B = {  # Qwen2.5-7B's config.json
    "model_type": "qwen2",
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
    "tie_word_embeddings": False,
}


def test_a_model_of_seven_billion() -> None:
    shape = shape_of(QWEN_7B)
    assert shape.parameters == pytest.approx(7.62e9, rel=0.01)
    work = BatchWork(4096, 2000, 2048)
    lora = MemorySettings(rank=16, element_bytes=2, device="cuda")
    plain = estimate(shape, lora, work)
    nf4 = estimate(shape, MemorySettings(rank=16, element_bytes=2, quantization="nf4"), work)
    assert plain.weights == pytest.approx(15.2e9, rel=0.02)
    assert nf4.weights == pytest.approx(5.5e9, rel=0.03)  # as bitsandbytes loads it
    assert plain.adapter == pytest.approx(4 * 40.4e6, rel=0.01)
    again = MemorySettings(rank=16, element_bytes=2, device="cuda", checkpointing=True)
    less = estimate(shape, again, work)
    assert less.activations < plain.activations / 10
    assert plain.peak == sum(plain.parts.values()) > plain.weights + plain.activations
    many = estimate(shape, lora, BatchWork(65536, 65536, 2048))
    assert many.logits == 10 * CHUNK_LOGITS, "more are taken in chunks"
    asked = estimate(shape, lora, BatchWork(8, 8, 8, 4096, 4096))
    assert asked.peak == sum(asked.parts.values()) and "evaluation" in asked.parts


def test_shared_weights_are_a_part_and_what_a_layer_borrows() -> None:
    """Eight GPUs: an eighth of 7.62e9 weights, and embedding, head and two layers at once."""
    shape, work = shape_of(QWEN_7B), BatchWork(4096, 2000, 2048)
    alone = MemorySettings(element_bytes=2, device="cuda")
    plain, shared = (estimate(shape, replace(alone, shares=n), work) for n in (1, 8))
    layer, ends = 233.1e6, 2 * 152064 * 3584
    assert plain.gathered == 0 and "gathered" not in plain.parts
    assert shared.weights == pytest.approx(plain.weights / 8, rel=1e-6)
    assert shared.gathered == pytest.approx(2 * (ends + 2 * layer), rel=0.01)
    assert (shared.gradients, shared.optimizer) == (plain.gradients, plain.optimizer)
    assert shared.peak == sum(shared.parts.values()) < plain.peak
    full = estimate(shape, replace(alone, kind="full", shares=8), work)
    assert full.optimizer == pytest.approx(shape.parameters, rel=1e-6), "8 bytes each, an eighth"
    assert full.weights == full.gradients == pytest.approx(shape.parameters / 2, rel=1e-6)


QWEN3_30B = {  # Qwen3-30B-A3B's config.json
    "model_type": "qwen3_moe",
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "head_dim": 128,
    "num_attention_heads": 32,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "num_hidden_layers": 48,
    "num_key_value_heads": 4,
    "vocab_size": 151936,
    "tie_word_embeddings": False,
}


def test_each_expert_has_an_adapter_and_is_not_quantized() -> None:
    shape, work = shape_of(QWEN3_30B), BatchWork(4096, 2000, 2048)
    assert shape.parameters == pytest.approx(30.53e9, rel=0.001)
    lora = MemorySettings(rank=16, element_bytes=2, device="cuda")
    found = estimate(shape, lora, work)
    attention = 48 * 16 * ((2048 + 4096) * 2 + (2048 + 512) * 2)
    experts = 48 * 128 * 16 * ((2048 + 2 * 768) + (768 + 2048))
    assert found.adapter == 4 * (attention + experts) == 4 * 642_514_944
    some = estimate(shape, replace(lora, targets="attention"), work)
    assert some.adapter == 4 * attention
    nf4 = estimate(shape, replace(lora, quantization="nf4"), work)
    linear = 48 * 2048 * (2 * 4096 + 2 * 512)
    assert found.weights - nf4.weights == pytest.approx(linear * (2 - 0.516), rel=0.001)


GEMMA_3_4B: dict[
    str, Any
] = {  # google/gemma-3-4b-it's config.json: what it leaves out is transformers' default
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
    },
    "vision_config": {"hidden_size": 1152, "num_hidden_layers": 27},
}


def test_of_a_model_that_sees_the_text_model_counts() -> None:
    shape = shape_of(GEMMA_3_4B)
    assert shape == known_shape("google/gemma-3-4b-it")
    meant = Gemma3TextConfig(**GEMMA_3_4B["text_config"])
    with torch.device("meta"):
        made = AutoModelForCausalLM.from_config(meant)
    assert shape.parameters == pytest.approx(made.num_parameters(), rel=0.001)
    assert shape.parameters == pytest.approx(3.88e9, rel=0.01)  # 4.30 with the vision tower


def test_other_families_names_are_understood() -> None:
    gpt2 = {"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, "vocab_size": 50257}
    assert shape_of(gpt2).intermediate == 3072
    phi = QWEN_7B | {"model_type": "phi3"}
    assert shape_of(phi).parameters == shape_of(QWEN_7B).parameters
    experts = QWEN_7B | {"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2}
    assert shape_of(experts).parameters > 6 * shape_of(QWEN_7B).parameters
    nested = {"model_type": "gemma3", "text_config": QWEN_7B | {"model_type": "gemma3_text"}}
    assert shape_of(nested).layers == 28 and shape_of(nested).norms == 4
    with pytest.raises(KeyError):
        shape_of({"model_type": "clip"})


@pytest.mark.parametrize(("kind", "copies"), [("llama", 1), ("qwen2", 2)])
def test_a_tied_matrix_that_is_trained_in_full_has_two_gradients(kind: str, copies: int) -> None:
    shape = shape_of(config(kind).to_dict())
    matrix = 4 * shape.vocabulary * shape.hidden
    with_it, without = (
        estimate(shape, MemorySettings(saved=n), BatchWork(64, 64, 64)) for n in (1, 0)
    )
    assert with_it.gradients - without.gradients == copies * matrix
    assert with_it.adapter - without.adapter == matrix
    assert with_it.optimizer - without.optimizer == 2 * matrix
    both = estimate(shape, MemorySettings(saved=2), BatchWork(64, 64, 64))
    assert both.adapter - without.adapter == (matrix if shape.tied else 2 * matrix)
