"""The matrices of a model by its `config.json` alone, for the families that the export knows.

Named and sized as transformers holds them in memory: the experts of a layer are one stack. A
family that is not known is taken for Llama's like; a test holds the others equal to the models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from workbench.bases.targets import Matrix

EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
Sizes = Mapping[str, tuple[int, int]]
_PARTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "mixtral": (("w1", "w3"), ("w2",)),
}
_USUAL_PARTS = (("gate_proj", "up_proj"), ("down_proj",))


def experts_of(text: Mapping[str, Any]) -> int:
    """Experts of a layer, 1 for a dense model. `text`: the text model's configuration."""
    return next((int(text[name]) for name in EXPERTS if text.get(name)), 1)


def matrices(
    text: Mapping[str, Any],
    *,
    layers: int,
    hidden: int,
    heads: int,
    kv_heads: int,
    head_dim: int,
    intermediate: int,
) -> tuple[Matrix, ...]:
    """The matrices in the model's order, the embedding and the output head apart."""
    family = str(text.get("model_type") or "")
    if text.get("kv_lora_rank"):
        attention = _latent_attention(text, hidden, heads)
    else:
        attention = _attention(family, hidden, heads * head_dim, kv_heads * head_dim)
    dense = _feed_forward(family, hidden, intermediate)
    found = list[Matrix]()
    for layer in range(layers):
        place = f"model.layers.{layer}"
        found += [Matrix(f"{place}.self_attn.{name}", *size) for name, size in attention.items()]
        if _has_experts(text, layer):
            found += _mixture(text, family, f"{place}.mlp", hidden, intermediate)
        else:
            found += [Matrix(f"{place}.mlp.{name}", *size) for name, size in dense.items()]
    return tuple(found)


def _attention(family: str, hidden: int, queries: int, keys: int) -> Sizes:
    if family.startswith("phi3"):
        return {"o_proj": (queries, hidden), "qkv_proj": (hidden, queries + 2 * keys)}
    return {
        "q_proj": (hidden, queries),
        "k_proj": (hidden, keys),
        "v_proj": (hidden, keys),
        "o_proj": (queries, hidden),
    }


def _latent_attention(text: Mapping[str, Any], hidden: int, heads: int) -> Sizes:
    """DeepSeek's: keys and values, perhaps queries too, through a narrow layer."""
    rank, rotary = int(text["kv_lora_rank"]), int(text["qk_rope_head_dim"])
    plain, value = int(text["qk_nope_head_dim"]), int(text["v_head_dim"])
    queries, narrow = heads * (plain + rotary), text.get("q_lora_rank")
    first: Sizes = {"q_proj": (hidden, queries)}
    if narrow:
        first = {"q_a_proj": (hidden, int(narrow)), "q_b_proj": (int(narrow), queries)}
    return {
        **first,
        "kv_a_proj_with_mqa": (hidden, rank + rotary),
        "kv_b_proj": (rank, heads * (plain + value)),
        "o_proj": (heads * value, hidden),
    }


def _feed_forward(family: str, hidden: int, inner: int) -> Sizes:
    if family.startswith("phi3"):
        return {"gate_up_proj": (hidden, 2 * inner), "down_proj": (inner, hidden)}
    if family.startswith("starcoder2"):
        return {"c_fc": (hidden, inner), "c_proj": (inner, hidden)}
    return {
        "gate_proj": (hidden, inner),
        "up_proj": (hidden, inner),
        "down_proj": (inner, hidden),
    }


def _has_experts(text: Mapping[str, Any], layer: int) -> bool:
    """Whether that layer has experts: some models begin, or alternate, with dense ones."""
    if experts_of(text) == 1 or layer in (text.get("mlp_only_layers") or ()):
        return False
    every = int(text.get("decoder_sparse_step") or 1)
    return layer >= int(text.get("first_k_dense_replace") or 0) and (layer + 1) % every == 0


def _mixture(
    text: Mapping[str, Any], family: str, place: str, hidden: int, intermediate: int
) -> Iterator[Matrix]:
    experts, inner = experts_of(text), int(text.get("moe_intermediate_size") or intermediate)
    up, down = _PARTS.get(family, _USUAL_PARTS)
    stacks = (
        Matrix(f"{place}.experts.gate_up_proj", hidden, 2 * inner, experts, True, False, up),
        Matrix(f"{place}.experts.down_proj", inner, hidden, experts, True, False, down),
    )
    router = Matrix(f"{place}.gate.weight", hidden, experts, is_parameter=True, is_router=True)
    shared, width = "shared_expert", int(text.get("shared_expert_intermediate_size") or 0)
    if count := text.get("n_shared_experts"):
        shared, width = "shared_experts", int(count) * inner
    last = family.startswith(("deepseek", "qwen3_moe"))
    yield from (*stacks, router) if last else (router, *stacks)
    if width:
        sizes = _feed_forward(family, hidden, width)
        yield from (Matrix(f"{place}.{shared}.{name}", *size) for name, size in sizes.items())
    if width and shared == "shared_expert":
        yield Matrix(f"{place}.shared_expert_gate", hidden, 1, is_router=True)
