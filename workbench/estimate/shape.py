"""The shape of a transformer from its `config.json`: which weights there are, and how large.

Names of other families' keys are taken for what they mean (n_embd is hidden_size). A family that
is built otherwise than Llama is estimated as if it were like it; the counts stay close. Of a model
that sees too, the text model counts: the rest is not loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ALIASES = {
    "hidden_size": ("n_embd", "d_model", "dim"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads"),
    "intermediate_size": ("n_inner", "ffn_dim", "ffn_hidden_size", "d_ff"),
    "num_experts": ("num_local_experts", "n_routed_experts"),
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
    """Sizes of a causal language model. `linears`: name -> (inputs, outputs), one layer's."""

    family: str
    vocabulary: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    tied: bool
    linears: Mapping[str, tuple[int, int]]
    experts: int = 1
    experts_used: int = 1
    norms: int = 2  # in a layer
    head_norms: bool = False  # queries and keys are normalised too
    caps_scores: bool = False
    caps_logits: bool = False

    @property
    def layer_weights(self) -> int:
        """Elements of the linear layers of one transformer layer, all experts counted."""
        return sum(i * o * self._copies(name) for name, (i, o) in self.linears.items())

    @property
    def embedding_weights(self) -> int:
        """Elements of the embedding, and of the output head where it is not the same tensor."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All elements, biases apart."""
        norms = self.hidden * (self.norms * self.layers + 1)
        norms += 2 * self.head_dim * self.layers if self.head_norms else 0
        return self.embedding_weights + self.layers * self.layer_weights + norms

    @property
    def query_width(self) -> int:
        return self.heads * self.head_dim

    def _copies(self, name: str) -> int:
        return self.experts if name in ("gate_proj", "up_proj", "down_proj") else 1


def shape_of(config: Mapping[str, Any]) -> ModelShape:
    """The shape that a `config.json` describes. Raises KeyError or TypeError for what is none."""
    text = config.get("text_config") or config
    family = str(text.get("model_type") or config.get("model_type", ""))
    text = {**DEFAULTS.get(family, {}), **text}
    hidden, heads = _int(text, "hidden_size"), _int(text, "num_attention_heads")
    head_dim = int(text.get("head_dim") or hidden // heads)
    kv_heads = int(text.get("num_key_value_heads") or heads)
    experts = _int(text, "num_experts", 1)
    wide = text.get("moe_intermediate_size") if experts > 1 else None
    inner = int(wide or _int(text, "intermediate_size", 4 * hidden))
    tied = text.get("tie_word_embeddings", config.get("tie_word_embeddings"))
    return ModelShape(
        family=family,
        vocabulary=int(text["vocab_size"]),
        hidden=hidden,
        layers=_int(text, "num_hidden_layers"),
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
        intermediate=inner,
        tied=_ties_by_default(family) if tied is None else bool(tied),
        linears=_linears(family, hidden, heads * head_dim, kv_heads * head_dim, inner),
        experts=experts,
        experts_used=int(text.get("num_experts_per_tok") or 1),
        norms=4 if family.startswith(("gemma2", "gemma3")) else 2,
        head_norms=family.startswith(("gemma3", "qwen3")),
        caps_scores=bool(text.get(EAGER)),
        caps_logits=bool(text.get("final_logit_softcapping")),
    )


def _linears(
    family: str, hidden: int, queries: int, keys: int, inner: int
) -> dict[str, tuple[int, int]]:
    """The linear layers of one transformer layer, by the names that adapters go by."""
    if family.startswith("phi3"):
        return {
            "qkv_proj": (hidden, queries + 2 * keys),
            "o_proj": (queries, hidden),
            "gate_up_proj": (hidden, 2 * inner),
            "down_proj": (inner, hidden),
        }
    return {
        "q_proj": (hidden, queries),
        "k_proj": (hidden, keys),
        "v_proj": (hidden, keys),
        "o_proj": (queries, hidden),
        "gate_proj": (hidden, inner),
        "up_proj": (hidden, inner),
        "down_proj": (inner, hidden),
    }


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
