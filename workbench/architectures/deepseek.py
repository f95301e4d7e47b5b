"""DeepSeek-V2 (Lite): latent attention, experts beside shared ones after a few dense layers.

llama.cpp absorbs the up-projection of keys and values into the query and the output: `kv_b_proj`
is split by head into `attn_k_b`, transposed, and `attn_v_b`. What it caches is the latent, one
"key head" of kv_lora_rank + qk_rope_head_dim. Rotary rows are pairs in both worlds.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.architectures.card import Architecture, refuse_unless
from workbench.architectures.model_config import ModelConfig
from workbench.architectures.tensor_layout import RowRange, TensorPart, experts
from workbench.core.errors import UserError

UP = "kv_b_proj"
LATENT_EPS = 1e-6  # of the norms inside attention, whatever config.json says
WITHOUT_Q_RANK = (26, 27)  # llama.cpp takes models of these depths for the Lite ones


def _parts(name: str, shape: tuple[int, ...], config: ModelConfig) -> Iterator[TensorPart]:
    if not name.endswith(f".{UP}.weight"):
        yield from experts(name, shape, config)
        return
    nope, value, rank = config.need("qk_nope_head_dim"), config.need("v_head_dim"), shape[1]
    if shape[0] != config.heads * (nope + value):
        message = f"{name} has {shape[0]} rows, config.json says {config.heads * (nope + value)}"
        raise UserError(message, path=config.path)
    for head in range(config.heads):
        first = head * (nope + value)
        key = RowRange(name, first, first + nope, transposed=True)
        yield TensorPart(name.replace(UP, "k_b_proj"), key, (rank, nope), head, config.heads)
        values = RowRange(name, first + nope, first + nope + value)
        yield TensorPart(name.replace(UP, "v_b_proj"), values, (value, rank), head, config.heads)


def _attention_keys(writer: Any, config: ModelConfig) -> None:
    rank, rotary = config.need("kv_lora_rank"), config.need("qk_rope_head_dim")
    writer.add_head_count_kv(1)
    writer.add_q_lora_rank(config.get("q_lora_rank", 0))
    writer.add_kv_lora_rank(rank)
    writer.add_key_length(rank + rotary)
    writer.add_value_length(rank)
    writer.add_key_length_mla(config.need("qk_nope_head_dim") + rotary)
    writer.add_value_length_mla(config.need("v_head_dim"))
    writer.add_rope_dimension_count(rotary)


def _more_keys(writer: Any, config: ModelConfig) -> None:
    writer.add_leading_dense_block_count(config.get("first_k_dense_replace", 0))
    writer.add_expert_feed_forward_length(config.need("moe_intermediate_size"))
    writer.add_expert_shared_count(config.need("n_shared_experts"))
    writer.add_expert_weights_scale(float(config.get("routed_scaling_factor", 1.0)))
    rope = config.rope()
    if rope.kind == "yarn":  # llama.cpp divides by the 0.1 again
        writer.add_rope_scaling_yarn_log_mul(0.1 * rope.number("mscale_all_dim"))


def _check(config: ModelConfig) -> None:
    for key in ("attention_bias", "mlp_bias", "norm_topk_prob"):
        refuse_unless(config, key, {False, None})
    refuse_unless(config, "topk_method", {"greedy", None})
    refuse_unless(config, "scoring_func", {"softmax", None})
    refuse_unless(config, "n_group", {1, None})
    refuse_unless(config, "moe_layer_freq", {1, None})
    refuse_unless(config, "rms_norm_eps", {LATENT_EPS})  # llama.cpp has one for all norms
    if config.layers in WITHOUT_Q_RANK:
        refuse_unless(config, "q_lora_rank", {None})
    rope = config.rope()
    if rope.kind == "yarn" and rope.values.get("mscale") != rope.number("mscale_all_dim"):
        raise UserError("yarn whose mscale is not mscale_all_dim", path=config.path)


FAMILIES = (
    Architecture(
        "DeepseekV2ForCausalLM",
        "deepseek2",
        rope_kinds=("default", "yarn"),
        latent=True,
        parts=_parts,
        check_more=_check,
        attention_keys=_attention_keys,
        more_keys=_more_keys,
    ),
)
