"""The shape of a transformer, read from its `config.json`: which weights it has, and how large.

Keys of other model families are read by their meaning (n_embd is hidden_size). A caller who has
the model itself passes its matrices instead. Of a multimodal model only the text model counts: the
rest is not loaded. `known_models.toml` holds the shapes of well-known models, so that their memory
can be estimated before anything is downloaded.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from workbench.architectures.matrices import experts_of, matrices
from workbench.bases.targets import Matrix

ALIASES = {
    "hidden_size": ("n_embd", "d_model", "dim"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads"),
    "intermediate_size": ("n_inner", "ffn_dim", "ffn_hidden_size", "d_ff"),
}
# What transformers takes for keys that a config.json leaves out: larger Gemma 3 leave out these.
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "gemma3_text": {
        "vocab_size": 262208,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
    }
}
EAGER = "attn_logit_softcapping"  # scores are capped before the softmax and kept for the gradient


@dataclass(frozen=True)
class ModelShape:
    """Sizes of a causal language model. `matrices`: all but the embedding and the output head.

    `intermediate`: the width of a dense feed-forward block.
    """

    family: str
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    tied: bool
    matrices: tuple[Matrix, ...]
    experts: int = 1
    experts_used: int = 1
    norms: int = 2  # in a layer
    head_norms: bool = False  # queries and keys are normalised too
    caps_scores: bool = False
    caps_logits: bool = False

    @property
    def matrix_weights(self) -> int:
        """Elements of all matrices, all experts counted."""
        return sum(one.elements for one in self.matrices)

    @property
    def by_layer(self) -> list[list[Matrix]]:
        """The matrices of each transformer layer."""
        found: list[list[Matrix]] = [[] for _ in range(self.layers)]
        for one in self.matrices:
            if one.layer is not None and one.layer < self.layers:
                found[one.layer].append(one)
        return found

    @property
    def largest_layer_weights(self) -> int:
        """Elements of the matrices of the largest layer."""
        return max((sum(one.elements for one in found) for found in self.by_layer), default=0)

    @property
    def embedding_weights(self) -> int:
        """Elements of the embedding, and of the output head where it is not the same tensor."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All elements, biases apart."""
        norms = self.hidden * (self.norms * self.layers + 1)
        norms += 2 * self.head_dim * self.layers if self.head_norms else 0
        return self.embedding_weights + self.matrix_weights + norms

    @property
    def query_width(self) -> int:
        return self.heads * self.head_dim

    def used(self, one: Matrix) -> int:
        """How many of its experts compute a token; 1 of a single matrix."""
        return self.experts_used if one.experts else 1


def shape_of(config: Mapping[str, Any], known: Sequence[Matrix] = ()) -> ModelShape:
    """The shape that a `config.json` describes, with the model's own matrices where `known`.

    Raises KeyError or TypeError for what describes none.
    """
    text = config.get("text_config") or config
    family = str(text.get("model_type") or config.get("model_type", ""))
    text = {**DEFAULTS.get(family, {}), **text}
    hidden, heads = _int(text, "hidden_size"), _int(text, "num_attention_heads")
    head_dim = int(text.get("head_dim") or hidden // heads)
    if text.get("kv_lora_rank"):
        head_dim = _int(text, "qk_nope_head_dim") + _int(text, "qk_rope_head_dim")
    kv_heads = int(text.get("num_key_value_heads") or heads)
    layers = _int(text, "num_hidden_layers")
    inner = _int(text, "intermediate_size", 4 * hidden)
    tied = text.get("tie_word_embeddings", config.get("tie_word_embeddings"))
    return ModelShape(
        family=family,
        vocabulary=int(text["vocab_size"]),
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=inner,
        tied=_ties_by_default(family) if tied is None else bool(tied),
        matrices=tuple(known)
        or matrices(
            {**text, "model_type": family},
            layers=layers,
            hidden=hidden,
            heads=heads,
            kv_heads=kv_heads,
            head_dim=head_dim,
            intermediate=inner,
        ),
        experts=experts_of(text),
        experts_used=int(text.get("num_experts_per_tok") or 1),
        norms=4 if family.startswith(("gemma2", "gemma3")) else 2,
        head_norms=family.startswith(("gemma3", "qwen3")),
        caps_scores=bool(text.get(EAGER)),
        caps_logits=bool(text.get("final_logit_softcapping")),
    )


def _ties_by_default(family: str) -> bool:
    """What transformers takes where the config does not say."""
    return family.startswith(("gemma", "cohere"))


def _int(config: Mapping[str, Any], key: str, default: int | None = None) -> int:
    for name in (key, *ALIASES.get(key, ())):
        if config.get(name) is not None:
            return int(config[name])
    if default is None:
        raise KeyError(key)
    return default


def known_shape(base: str) -> ModelShape:
    """The shape of the model of that hub id. Raises KeyError for one that is not listed."""
    return shape_of(_known()[base])


def known_config(base: str) -> dict[str, Any]:
    """What that model's config.json says of its sizes. Raises KeyError for one not listed."""
    return dict(_known()[base])


@cache
def _known() -> dict[str, dict[str, Any]]:
    text = files("workbench.architectures").joinpath("known_models.toml").read_text("utf-8")
    return tomllib.loads(text)
