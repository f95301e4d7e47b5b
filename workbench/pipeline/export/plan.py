"""What an export is going to write, settled before any work: tensors, formats, bytes, fallbacks.

Invariant: whatever can be refused without reading weights is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from workbench.architectures import family_of
from workbench.architectures.card import Architecture
from workbench.architectures.model_config import ModelConfig
from workbench.architectures.tensor_layout import RowRange, TensorPart, parts_by_tensor
from workbench.core.errors import UserError
from workbench.core.text import quantity
from workbench.pipeline.export.gguf_keys import rope_tensors, tensor_name, write_keys
from workbench.pipeline.export.gguf_vocabulary import read_vocabulary
from workbench.pipeline.export.merged_weights import MergedWeights
from workbench.pipeline.export.safetensors_reader import Float32
from workbench.pipeline.export.tensor_types import (
    BIG_LAYERS,
    EIGHT,
    Depth,
    GgufType,
    block_elements,
    n_bytes,
    possible_format,
    preferred_format,
    type_named,
)
from workbench.pipeline.export.tokenizer_files import TokenizerFiles, read_tokenizer
from workbench.pipeline.export.unused import PREDICTION, unused
from workbench.pipeline.export.vocabulary import Vocabulary
from workbench.pipeline.models.serving_files import read_generation, stop_ids
from workbench.pipeline.models.weights import Weights
from workbench.tokenization.named_templates import DEFAULT, read_templates

ALIGNMENT = 32
EMBEDDING_NAME = "token_embd.weight"
HEADER_RESERVE_BYTES = 1 << 20
TOKEN_RESERVE_BYTES = 64  # text, score, type and merges of one token, roughly
_LAYER = re.compile(r"\.layers\.(\d+)\.")


@dataclass(frozen=True)
class TensorPlan:
    """One tensor of the files. `formats` has one entry a type, in the plan's order.

    Its rows are those of the `pieces`, in order; a `constant` has none. `heads` is the number of
    heads whose rows are put in pairs, 0 for none.
    """

    name: str
    pieces: tuple[RowRange, ...]
    shape: tuple[int, ...]
    formats: tuple[Any, ...]
    heads: int = 0
    add_one: bool = False
    constant: Float32 | None = None

    @property
    def source(self) -> str:
        """The Hugging Face name of its first rows, empty for a constant."""
        return self.pieces[0].source if self.pieces else ""

    @property
    def columns(self) -> int:
        return self.shape[-1] if len(self.shape) > 1 else 1


@dataclass(frozen=True)
class Fallback:
    """A tensor that cannot have the format its type would give it."""

    type: str
    tensor: str
    wished: str
    got: str
    columns: int
    block: int

    def __str__(self) -> str:
        return (
            f"{self.tensor}: {self.got} instead of {self.wished}; "
            f"{self.columns} columns are not a multiple of {self.block}"
        )


@dataclass(frozen=True)
class ExportPlan:
    """Everything an export writes. `layers` is smaller than the model's for a cut-off copy."""

    name: str
    weights: Weights
    family: Architecture
    config: ModelConfig
    merged: MergedWeights
    tokenizer: TokenizerFiles
    vocabulary: Vocabulary
    chat_template: str
    types: tuple[GgufType, ...]
    tensors: tuple[TensorPlan, ...]
    fallbacks: tuple[Fallback, ...]
    warnings: tuple[str, ...]

    @property
    def vocabulary_size(self) -> int:
        """Rows of the embedding."""
        return len(self.vocabulary.tokens)

    @property
    def generation(self) -> Mapping[str, Any]:
        """What training saved as generation_config.json."""
        return read_generation(self.tokenizer.folder)

    @property
    def stop_ids(self) -> list[int]:
        """The ids that end an answer, the one that training ended with first."""
        return stop_ids(self.tokenizer.folder, self.vocabulary.special, self.vocabulary_size)

    @property
    def named_templates(self) -> dict[str, str]:
        """Name -> source of the chat templates that training saved beside the default one."""
        found = read_templates(self.tokenizer.folder) if self.chat_template else {}
        return {name: source for name, source in found.items() if name != DEFAULT}

    def tensor_bytes(self, kind: GgufType) -> int:
        """Bytes of all tensors of one type's file, padding included."""
        i = self.types.index(kind)
        sizes = (n_bytes(tensor.formats[i], tensor.shape) for tensor in self.tensors)
        return sum(-(-size // ALIGNMENT) * ALIGNMENT for size in sizes)

    def file_bytes(self, kind: GgufType) -> int:
        """Bytes of one type's file, the header estimated."""
        header = HEADER_RESERVE_BYTES + TOKEN_RESERVE_BYTES * self.vocabulary_size
        return self.tensor_bytes(kind) + header

    def total_bytes(self) -> int:
        """Bytes of all files."""
        return sum(self.file_bytes(kind) for kind in self.types)


def plan_export(
    weights: Weights,
    types: Sequence[str],
    tokenizer: Path,
    *,
    chat_template: str = "",
    name: str = "",
    end_of_turn: str = "",
    layers: int | None = None,
) -> ExportPlan:
    """The plan for writing `weights` in all `types` at once.

    `tokenizer`: the folder that training saved. `end_of_turn`: text of the token that ends an
    answer, when it is not EOS. `layers`: keep only so many (for parity of a model that does not
    fit into memory). Raises UserError with place and reason for all that cannot be exported.
    """
    kinds = _kinds(types)
    settled = _settle(weights, kinds, layers)
    family, config, merged = settled.family, settled.config, settled.merged
    rows = merged.shape(merged.embedding)[0]
    # What is missing shows now.
    write_keys(family, gguf.GGUFWriter(None, family.gguf_arch), config, rows)
    files = read_tokenizer(tokenizer)
    vocabulary = read_vocabulary(files, rows, end_of_turn, config.values)
    return ExportPlan(
        name=name or weights.base.name,
        weights=weights,
        family=family,
        config=config,
        merged=merged,
        tokenizer=files,
        vocabulary=vocabulary,
        chat_template=chat_template,
        types=kinds,
        tensors=tuple(settled.tensors),
        fallbacks=tuple(settled.fallbacks),
        warnings=(
            *family.warnings(config),
            *_of_parting(merged),
            *_of_prediction(settled.predicting),
        ),
    )


def base_fallbacks(base: Path, types: Sequence[str]) -> list[Fallback]:
    """Tensors of the untrained `base` that cannot have the format that a type would give them.

    Reads the headers of its files only. Raises UserError for a tensor without a place in GGUF or in
    a number format that is not plain floating point.
    """
    settled = _settle(Weights(base), _kinds(types), None)
    rows = settled.merged.shape(settled.merged.embedding)[0]
    writer = gguf.GGUFWriter(None, settled.family.gguf_arch)
    write_keys(settled.family, writer, settled.config, rows)
    return settled.fallbacks


@dataclass(frozen=True)
class _Settled:
    """All of a plan that needs no tokenizer."""

    family: Architecture
    config: ModelConfig
    merged: MergedWeights
    tensors: list[TensorPlan]
    fallbacks: list[Fallback]
    predicting: int  # tensors for multi-token prediction, which are not written


def _kinds(types: Sequence[str]) -> tuple[GgufType, ...]:
    return tuple(dict.fromkeys(type_named(wished) for wished in types))


def _settle(weights: Weights, kinds: Sequence[GgufType], layers: int | None) -> _Settled:
    family, config = family_of(weights.base)
    kept = min(layers or config.layers, config.layers)
    merged = MergedWeights(
        weights,
        tied_in_config=family.tied(config),
        in_scope=_in_scope(config, kept),
        storage=family.storage,
    )
    predicting = sum(unused(n, config.values) == PREDICTION for n in merged.base.tensors)
    config = config.with_layers(kept)
    tensors, fallbacks = _plan_tensors(family, config, merged, kinds)
    return _Settled(family, config, merged, tensors, fallbacks, predicting)


def _of_parting(merged: MergedWeights) -> list[str]:
    if merged.headed:
        return [
            "config.json ties the output head to the embedding, but another is stored: it is used"
        ]
    if not merged.parted:
        return []
    return ["training untied the input and output embeddings: both are written"]


def _of_prediction(found: int) -> list[str]:
    return [f"{PREDICTION}: {quantity(found, 'tensor')} not written"] if found else []


def _in_scope(config: ModelConfig, kept: int) -> Callable[[str], bool]:
    """Whether a tensor is used and belongs to no layer that is cut off: those from `kept` on."""

    def in_scope(name: str) -> bool:
        match = _LAYER.search(name)
        cut = match and kept <= int(match[1]) < config.layers
        return not cut and not unused(name, config.values)

    return in_scope


def _plan_tensors(
    family: Architecture, config: ModelConfig, merged: MergedWeights, kinds: Sequence[GgufType]
) -> tuple[list[TensorPlan], list[Fallback]]:
    depth = Depth(config.layers, merged.tied, _eases_values(family, config), config.experts)
    tensors, fallbacks, seen = list[TensorPlan](), list[Fallback](), set[str]()
    for tensor in _unformatted(family, config, merged):
        if tensor.name in seen:
            raise UserError(f"two tensors become {tensor.name}", path=config.path.parent)
        seen.add(tensor.name)
        formats = []
        for kind in kinds:
            wished = preferred_format(kind, tensor.name, tensor.shape, depth)
            got = possible_format(wished, tensor.shape[-1])
            formats.append(got)
            if got != wished:
                fallbacks.append(_fallback(kind, tensor, wished, got))
        tensors.append(_with_formats(tensor, formats))
    _check_whole(config, seen)
    return tensors, fallbacks


def _eases_values(family: Architecture, config: ModelConfig) -> bool:
    """Whether llama.cpp takes the model for one of 70B and is kinder to its attn_v."""
    if config.layers != BIG_LAYERS or config.experts == EIGHT:
        return False
    shared = config.heads != config.kv_heads
    return family.gguf_arch == "qwen2" or (family.gguf_arch == "llama" and shared)


def _unformatted(
    family: Architecture, config: ModelConfig, merged: MergedWeights
) -> Iterator[TensorPlan]:
    for name, values in rope_tensors(config):
        yield TensorPlan(name, (), values.shape, (), constant=values)
    parts = (
        part for name in merged.names for part in family.parts(name, merged.shape(name), config)
    )
    for name, found in parts_by_tensor(parts).items():
        _check_complete(name, found, config)
        stacked = (found[0].of,) if found[0].of else ()
        yield TensorPlan(
            name=tensor_name(family, name, config),
            pieces=tuple(part.piece for part in found),
            shape=(*stacked, *found[0].shape),
            formats=(),
            heads=family.heads_to_permute(name, config),
            add_one=family.adds_one(name),
        )


def _check_complete(name: str, found: Sequence[TensorPart], config: ModelConfig) -> None:
    """Every piece once, all of one shape."""
    wanted = list(range(found[0].of)) or [0]
    if [part.index for part in found] != wanted:
        message = f"{name}: {len(found)} pieces, config.json says {len(wanted)}"
        raise UserError(message, path=config.path.parent)
    if len({part.shape for part in found}) > 1:
        raise UserError(f"{name}: its pieces have different shapes", path=config.path.parent)


def _with_formats(tensor: TensorPlan, formats: Sequence[Any]) -> TensorPlan:
    return TensorPlan(**{**vars(tensor), "formats": tuple(formats)})


def _fallback(kind: GgufType, tensor: TensorPlan, wished: Any, got: Any) -> Fallback:
    columns, block = tensor.shape[-1], block_elements(wished)
    return Fallback(kind.name, tensor.name, wished.name, got.name, columns, block)


def _check_whole(config: ModelConfig, names: set[str]) -> None:
    """A shard may be whole and still lack a layer: llama.cpp would only say so on loading."""
    for layer in range(config.layers):
        if not any(name.startswith(f"blk.{layer}.") for name in names):
            message = f"no tensor of layer {layer}, config.json says {config.layers} layers"
            raise UserError(message, path=config.path.parent)
