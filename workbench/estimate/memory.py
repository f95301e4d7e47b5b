"""How much memory a training stage needs, by parts, before anything is loaded.

Weights, adapter, gradients and optimizer are counted. Activations are the tensors that a backward
pass needs, counted layer by layer for Llama-like models as PyTorch keeps them (a test holds the
count against autograd's own): in units of one element a token,

    2 inputs of norms + what each adapted linear keeps of its input + query, key, value and output
    of the attention + three tensors as wide as the MLP.

The peak is the larger of the training step's and the evaluation's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

from workbench.estimate.shape import ModelShape

Device = Literal["cpu", "cuda", "mps"]
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj")

# Logits that the loss holds at once; beyond that it takes the positions in chunks.
CHUNK_LOGITS = 1 << 26  # elements: 0.7 GB with their float32 copy and its gradient in 16 bits

# Bytes a weight: NF4 with double quantization is 4 + 8/64 + 32/(64 * 256) bits (QLoRA, Dettmers
# 2023, section 3); int8 has a float32 scale a row besides.
QUANTIZED_BYTES = {"nf4": (4 + 8 / 64 + 32 / (64 * 256)) / 8, "int8": 1.0}
OPTIMIZER_BYTES = {"adamw": 8.0, "adamw_8bit": 2.1, "paged_adamw_8bit": 2.1}
# What glibc's heap keeps of freed blocks between those in use, as a share of the activations:
# measured on Linux over 1k to 4k tokens and 4 to 12 layers, 0.7 to 1.0 with adapters. It keeps
# about as much where activations are computed again: there that saves little on a CPU.
HELD_SHARE = {"lora": 0.8, "dora": 0.8, "full": 0.25}
HELD_OF_ALL = 1.2
LIBRARIES_BYTES = {"cpu": 450 << 20, "cuda": 500 << 20, "mps": 450 << 20}


@dataclass(frozen=True)
class Setting:
    """What is trained, and how: the stage's keys that memory depends on.

    `element_bytes` is the size of a weight as it is held (4, or 2 in 16 bits). `shares` are the
    processes that share the weights out; 1: each has all of them.
    """

    kind: str = "lora"  # lora, dora or full
    rank: int = 16
    dropout: float = 0.0
    targets: str | Sequence[str] = "all-linear"
    last_layers: int = 0
    quantization: str = "none"
    optimizer: str = "adamw"
    checkpointing: bool = False
    saved: int = 0  # of embedding and head, how many are trained in full beside the adapter
    new_tokens: bool = False  # rows of the embedding and the head are trained besides
    element_bytes: int = 4
    device: Device = "cpu"
    shares: int = 1


@dataclass(frozen=True)
class Work:
    """The largest micro-batches: positions, those whose next token is trained, a row's longest."""

    tokens: int
    trained: int
    longest: int
    validation_tokens: int = 0
    validation_trained: int = 0


@dataclass(frozen=True)
class Memory:
    """Bytes by parts. `evaluation` takes the place of gradients, activations and logits.

    `allocator` is freed memory that the process holds on to, `gathered` the weights of others
    that a layer is computed with.
    """

    weights: int
    gathered: int
    adapter: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    allocator: int
    evaluation: int
    libraries: int

    @property
    def peak(self) -> int:
        """The most that is in use at once."""
        step = self.gradients + self.activations + self.logits + self.allocator
        held = self.weights + self.gathered + self.adapter + self.optimizer + self.libraries
        return held + max(step, self.evaluation)

    @property
    def parts(self) -> dict[str, int]:
        """Name -> bytes of the parts that make up the peak."""
        step = ("gradients", "activations", "logits", "allocator")
        asks = self.evaluation > sum(getattr(self, name) for name in step)
        out = {*(step if asks else ("evaluation",)), *(() if self.gathered else ("gathered",))}
        names = [field.name for field in fields(self) if field.name not in out]
        return {name: getattr(self, name) for name in names}


def estimate(shape: ModelShape, setting: Setting, work: Work) -> Memory:
    """The memory of a training stage at its largest batch."""
    trained, adapter = _trained_elements(shape, setting)
    return Memory(
        weights=round(_weights_bytes(shape, setting) / setting.shares),
        gathered=round(_gathered(shape, setting)),
        adapter=4 * adapter,
        gradients=4 * trained // _parts(setting),
        optimizer=round(OPTIMIZER_BYTES[setting.optimizer] * trained) // _parts(setting),
        activations=round(_activations(shape, setting, work)),
        logits=round(_logits(shape, setting, work.trained)),
        allocator=round(_held(shape, setting, work)),
        evaluation=round(_evaluation(shape, setting, work)),
        libraries=LIBRARIES_BYTES[setting.device],
    )


def adapted(shape: ModelShape, setting: Setting) -> list[str]:
    """The linear layers that get an adapter, by name; none where all weights are trained."""
    if setting.kind == "full":
        return []
    if setting.targets == "all-linear":
        return list(shape.linears)
    wanted = ATTENTION if setting.targets == "attention" else tuple(setting.targets)
    return [name for name in shape.linears if name in wanted]


def _trained_elements(shape: ModelShape, setting: Setting) -> tuple[int, int]:
    """(elements that are trained, those of an adapter beside the weights)."""
    layers = setting.last_layers or shape.layers
    if setting.kind == "full":
        below = (shape.layers - layers) * shape.layer_weights
        head = 0 if shape.tied else shape.vocabulary * shape.hidden
        frozen = shape.embedding_weights - head if setting.last_layers else 0
        return shape.parameters - below - frozen, 0
    one = 0
    for name in adapted(shape, setting):
        inputs, outputs = shape.linears[name]
        one += setting.rank * (inputs + outputs) + (outputs if setting.kind == "dora" else 0)
    saved = min(setting.saved, 1 if shape.tied else 2) * shape.vocabulary * shape.hidden
    return layers * one + saved, layers * one + saved


def _parts(setting: Setting) -> int:
    """Into how many parts gradients and optimizer go: those of an adapter stay whole."""
    return setting.shares if setting.kind == "full" else 1


def _gathered(shape: ModelShape, setting: Setting) -> float:
    """Weights that are put together at a time where they are shared out: embedding and head, the
    layer at work and the next one on its way; where they are trained their gradients, too."""
    if setting.shares == 1:
        return 0.0
    others = shape.parameters - shape.layers * shape.layer_weights
    if setting.kind == "full":
        elements = others + 2 * shape.layer_weights
        return elements * setting.element_bytes + (others + shape.layer_weights) * 4
    each = QUANTIZED_BYTES.get(setting.quantization, setting.element_bytes)
    return others * setting.element_bytes + 2 * shape.layer_weights * each


def _weights_bytes(shape: ModelShape, setting: Setting) -> float:
    if setting.kind == "full":
        copied = setting.element_bytes == 2 and setting.shares == 1  # by autocast
        half = 2 * shape.parameters if copied else 0
        return 4 * shape.parameters + half
    linear = shape.layers * shape.layer_weights
    others = shape.parameters - linear
    each = QUANTIZED_BYTES.get(setting.quantization, setting.element_bytes)
    return linear * each + others * setting.element_bytes


def _activations(shape: ModelShape, setting: Setting, work: Work) -> float:
    """Bytes that the backward pass needs of the forward pass, logits apart."""
    layers = setting.last_layers or shape.layers
    layer = _layer_bytes(shape, setting, work)
    element = setting.element_bytes
    end = work.tokens * shape.hidden * 8  # the last norm, and what is selected for the head
    if setting.new_tokens and setting.kind != "full":  # the matrix with them in it, its gradient
        end += 3 * shape.vocabulary * shape.hidden * element
    if setting.checkpointing:
        return layers * work.tokens * shape.hidden * element + layer + end
    return layers * layer + end


def _held(shape: ModelShape, setting: Setting, work: Work) -> float:
    if setting.device != "cpu":
        return 0.0
    used = _activations(shape, setting, work)
    if setting.checkpointing:
        return HELD_OF_ALL * _activations(shape, replace(setting, checkpointing=False), work) - used
    return HELD_SHARE[setting.kind] * used


def _layer_bytes(shape: ModelShape, setting: Setting, work: Work) -> float:
    element, hidden, queries = setting.element_bytes, shape.hidden, shape.query_width
    inner = shape.intermediate * shape.experts_used
    norms = 4 * shape.norms * hidden  # norms compute in float32 whatever comes in
    if shape.head_norms:
        norms += 4 * (queries + shape.kv_heads * shape.head_dim)
    kept: float = norms + element * (4 * queries + 3 * inner)
    if setting.kind == "full":
        kept += 8 * hidden + element * (2 * hidden + queries + inner)
    else:
        kept += sum(_adapter_bytes(shape, setting, name) for name in _inputs(shape, setting))
    if setting.kind == "dora":
        sizes = [shape.linears[name] for name in adapted(shape, setting)]
        kept += (element + 4) / 2 * sum(i + 2 * o for i, o in sizes)
    scores = 8 * shape.heads * work.longest if shape.caps_scores else 0
    return work.tokens * (kept + scores)


def _inputs(shape: ModelShape, setting: Setting) -> list[str]:
    """The adapted linears whose input is kept apart: in float32 and without dropout those that
    share an input share the tensor."""
    names = adapted(shape, setting)
    if setting.dropout or setting.element_bytes != 4:
        return names
    seen: dict[str, str] = {}
    for name in names:
        group = {"q_proj": "a", "k_proj": "a", "v_proj": "a", "gate_proj": "b", "up_proj": "b"}
        seen.setdefault(group.get(name, name), name)
    return list(seen.values())


def _adapter_bytes(shape: ModelShape, setting: Setting, name: str) -> float:
    """What one adapter keeps of a token: its input in float32, the dropout's mask, A's output."""
    used = shape.experts_used if name in ("gate_proj", "up_proj", "down_proj") else 1
    inputs = shape.linears[name][0] * used
    mask = 0 if not setting.dropout else 1 if setting.device == "cuda" else 4
    return inputs * (4 + mask) + 4 * setting.rank


def _logits(shape: ModelShape, setting: Setting, trained: int) -> float:
    """The head's output, its float32 copy where it has fewer bits, and the log-probabilities."""
    element = setting.element_bytes
    each = 8 if element == 4 else element + 8
    each += 2 * element if shape.caps_logits else 0
    return float(min(trained * shape.vocabulary, CHUNK_LOGITS) * each)


def _evaluation(shape: ModelShape, setting: Setting, work: Work) -> float:
    """A forward pass without gradients: one layer's tensors at a time, and the logits."""
    inner = shape.intermediate * shape.experts_used
    element = setting.element_bytes
    wide = element * (3 * inner + 2 * shape.hidden + 5 * shape.query_width) + 8 * shape.hidden
    return work.validation_tokens * wide + _logits(shape, setting, work.validation_trained)
