"""How much memory a training stage needs, by parts, before anything is loaded.

Weights, adapter, gradients and optimizer are counted, the adapter by the resolution of its targets
that training uses. Activations are the tensors that a backward pass needs, counted layer by layer
for Llama-like models as PyTorch keeps them (a test holds the count against autograd's own): in
units of one element a token,

    2 inputs of norms + what each adapted linear keeps of its input + query, key, value and output
    of the attention + three tensors as wide as the MLP, or as the experts that compute a token.

The peak is the larger of the training step's and the evaluation's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

from workbench.architectures.shape import ModelShape
from workbench.bases.targets import Matrix, resolve
from workbench.core.errors import UserError

Device = Literal["cpu", "cuda", "mps"]
DOWN = ("down_proj", "c_proj", "w2", "fc2", "output_linear")  # the last of a feed-forward block
# Linear layers that have the same input.
SHARED_INPUT = {"q_proj": "a", "k_proj": "a", "v_proj": "a", "gate_proj": "b", "up_proj": "b"}

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
class MemorySettings:
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
class BatchWork:
    """The largest micro-batches: positions, those whose next token is trained, a row's longest."""

    tokens: int
    trained: int
    longest: int
    validation_tokens: int = 0
    validation_trained: int = 0


@dataclass(frozen=True)
class MemoryEstimate:
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


def estimate(shape: ModelShape, setting: MemorySettings, work: BatchWork) -> MemoryEstimate:
    """The memory of a training stage at its largest batch."""
    trained, adapter = _trained_elements(shape, setting)
    return MemoryEstimate(
        weights=round(_weights_bytes(shape, setting) / setting.shares),
        gathered=round(_gathered(shape, setting)),
        adapter=4 * adapter,
        gradients=4 * (trained // _parts(setting) + _meeting(shape, setting)),
        optimizer=round(OPTIMIZER_BYTES[setting.optimizer] * trained) // _parts(setting),
        activations=round(_activations(shape, setting, work)),
        logits=round(_logits(shape, setting, work.trained)),
        allocator=round(_held(shape, setting, work)),
        evaluation=round(_evaluation(shape, setting, work)),
        libraries=LIBRARIES_BYTES[setting.device],
    )


def adapted_linears(shape: ModelShape, setting: MemorySettings) -> list[Matrix]:
    """The matrices that get an adapter; none where all weights are trained, or the targets are not
    this model's (training refuses them)."""
    if setting.kind == "full":
        return []
    last = setting.last_layers
    try:
        return resolve(shape.matrices, setting.targets, kind=setting.kind, last_layers=last)
    except UserError:
        return []


def _trained_elements(shape: ModelShape, setting: MemorySettings) -> tuple[int, int]:
    """(elements that are trained, those of an adapter beside the weights)."""
    layers = setting.last_layers or shape.layers
    if setting.kind == "full":
        frozen = [one for found in shape.by_layer[: shape.layers - layers] for one in found]
        below = sum(one.elements for one in frozen)
        head = 0 if shape.tied else shape.vocabulary * shape.hidden
        ends = shape.embedding_weights - head if setting.last_layers else 0
        return shape.parameters - below - ends, 0
    dora = setting.kind == "dora"
    own = sum(
        one.adapter_elements(setting.rank, dora=dora) for one in adapted_linears(shape, setting)
    )
    saved = min(setting.saved, 1 if shape.tied else 2) * shape.vocabulary * shape.hidden
    return own + saved, own + saved


def _meeting(shape: ModelShape, setting: MemorySettings) -> int:
    """Elements of a second gradient of the one matrix that embedding and head are, where it is
    trained in full beside an adapter: each end gives its own, and they are added up.

    Measured on a CPU with 48,000 x 512: 539 MiB more than without, 375 MiB without this count.
    """
    meets = setting.kind != "full" and setting.saved and shape.tied
    return shape.vocabulary * shape.hidden if meets else 0


def _parts(setting: MemorySettings) -> int:
    """Into how many parts gradients and optimizer go: those of an adapter stay whole."""
    return setting.shares if setting.kind == "full" else 1


def _gathered(shape: ModelShape, setting: MemorySettings) -> float:
    """Weights that are put together at a time where they are shared out: embedding and head, the
    layer at work and the next one on its way; where they are trained their gradients, too."""
    if setting.shares == 1:
        return 0.0
    others, layer = shape.parameters - shape.matrix_weights, shape.largest_layer_weights
    if setting.kind == "full":
        elements = others + 2 * layer
        return elements * setting.element_bytes + (others + layer) * 4
    each = QUANTIZED_BYTES.get(setting.quantization, setting.element_bytes)
    return others * setting.element_bytes + 2 * layer * each


def _weights_bytes(shape: ModelShape, setting: MemorySettings) -> float:
    if setting.kind == "full":
        copied = setting.element_bytes == 2 and setting.shares == 1  # by autocast
        half = 2 * shape.parameters if copied else 0
        return 4 * shape.parameters + half
    linear = sum(one.elements for one in shape.matrices if not one.is_parameter)
    others = shape.parameters - linear  # bitsandbytes quantizes linear layers, and no experts
    each = QUANTIZED_BYTES.get(setting.quantization, setting.element_bytes)
    return linear * each + others * setting.element_bytes


def _activations(shape: ModelShape, setting: MemorySettings, work: BatchWork) -> float:
    """Bytes that the backward pass needs of the forward pass, logits apart."""
    layers = _layers_bytes(shape, setting, work)[-(setting.last_layers or shape.layers) :]
    element = setting.element_bytes
    end = work.tokens * shape.hidden * 8  # the last norm, and what is selected for the head
    if setting.new_tokens and setting.kind != "full":  # the matrix with them in it, its gradient
        end += 3 * shape.vocabulary * shape.hidden * element
    if setting.checkpointing:
        return len(layers) * work.tokens * shape.hidden * element + max(layers) + end
    return sum(layers) + end


def _held(shape: ModelShape, setting: MemorySettings, work: BatchWork) -> float:
    if setting.device != "cpu":
        return 0.0
    used = _activations(shape, setting, work)
    if setting.checkpointing:
        return HELD_OF_ALL * _activations(shape, replace(setting, checkpointing=False), work) - used
    return HELD_SHARE[setting.kind] * used


def _layers_bytes(shape: ModelShape, setting: MemorySettings, work: BatchWork) -> list[float]:
    """What each layer keeps."""
    chosen: list[list[Matrix]] = [[] for _ in range(shape.layers)]
    for one in adapted_linears(shape, setting):
        if one.layer is not None:
            chosen[one.layer].append(one)
    return [
        _layer_bytes(shape, setting, work, held, mine)
        for held, mine in zip(shape.by_layer, chosen, strict=True)
    ]


def _layer_bytes(
    shape: ModelShape,
    setting: MemorySettings,
    work: BatchWork,
    held: Sequence[Matrix],
    chosen: Sequence[Matrix],
) -> float:
    """What a layer with the matrices `held` keeps, of which the `chosen` have adapters."""
    element, hidden, queries = setting.element_bytes, shape.hidden, shape.query_width
    inner = _inner(shape, held)
    norms = 4 * shape.norms * hidden  # norms compute in float32 whatever comes in
    if shape.head_norms:
        norms += 4 * (queries + shape.kv_heads * shape.head_dim)
    kept: float = norms + element * (4 * queries + 3 * inner)
    if setting.kind == "full":
        kept += 8 * hidden + element * (2 * hidden + queries + inner)
    else:
        kept += sum(_adapter_bytes(shape, setting, one) for one in _inputs(setting, chosen))
    if setting.kind == "dora":
        kept += (element + 4) / 2 * sum(one.inputs + 2 * one.outputs for one in chosen)
    if any(one.experts for one in held):
        kept += _routing_bytes(shape, setting)
    scores = 8 * shape.heads * work.longest if shape.caps_scores else 0
    folded = sum(one.elements for one in chosen if one.is_folded)
    return work.tokens * (kept + scores) + folded * element


def _inner(shape: ModelShape, held: Sequence[Matrix]) -> int:
    """Width of a layer's feed-forward block as a token passes it: all experts that it uses."""
    ends = [one for one in held if one.name in DOWN and "attn" not in one.path]
    return sum(one.inputs * shape.used(one) for one in ends) or shape.intermediate


def _routing_bytes(shape: ModelShape, setting: MemorySettings) -> int:
    """Per token: outputs of its experts, their order, and the router's scores of all experts."""
    used = shape.experts_used
    return used * (setting.element_bytes * shape.hidden + 3 * 8) + 8 * shape.experts


def _inputs(setting: MemorySettings, chosen: Sequence[Matrix]) -> list[Matrix]:
    """The adapted matrices whose input is kept apart: in float32 and without dropout those that
    share an input share the tensor."""
    if setting.dropout or setting.element_bytes != 4:
        return list(chosen)
    seen: dict[tuple[str, str], Matrix] = {}
    for one in chosen:
        place = one.path.rpartition(".")[0]
        seen.setdefault((place, SHARED_INPUT.get(one.name, one.name)), one)
    return list(seen.values())


def _adapter_bytes(shape: ModelShape, setting: MemorySettings, one: Matrix) -> float:
    """What one adapter keeps of a token: its input in float32, the dropout's mask, A's output."""
    if one.is_folded:
        return 0.0
    mask = 0 if not setting.dropout else 1 if setting.device == "cuda" else 4
    return shape.used(one) * (one.inputs * (4 + mask) + 4 * setting.rank)


def _logits(shape: ModelShape, setting: MemorySettings, trained: int) -> float:
    """The head's output, its float32 copy where it has fewer bits, and the log-probabilities."""
    element = setting.element_bytes
    each = 8 if element == 4 else element + 8
    each += 2 * element if shape.caps_logits else 0
    return float(min(trained * shape.vocabulary, CHUNK_LOGITS) * each)


def _evaluation(shape: ModelShape, setting: MemorySettings, work: BatchWork) -> float:
    """A forward pass without gradients: one layer's tensors at a time, and the logits."""
    inner = max((_inner(shape, held) for held in shape.by_layer), default=shape.intermediate)
    element = setting.element_bytes
    wide = element * (3 * inner + 2 * shape.hidden + 5 * shape.query_width) + 8 * shape.hidden
    return work.validation_tokens * wide + _logits(shape, setting, work.validation_trained)
