"""The shape of the embedded base and its first weights.

Qwen2, because every tool reads it; 256 wide, because k-quants need rows of 256.
"""

import torch
from torch import Tensor, nn
from transformers import Qwen2Config, Qwen2ForCausalLM

HIDDEN, HEADS, KV_HEADS, INNER, CONTEXT = 256, 4, 2, 768, 1024
EOS_ID, PAD_ID = 2, 3  # <|im_end|>, <|pad|>


def build(vocab: int, layers: int, seed: int, mimic: float = 0.5) -> Qwen2ForCausalLM:
    """A new model in float32 with identity-like attention."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=vocab,
        hidden_size=HIDDEN,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        intermediate_size=INNER,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=EOS_ID,
        pad_token_id=PAD_ID,
        attn_implementation="sdpa",
    )
    model = Qwen2ForCausalLM(config)
    model.generation_config.update(
        do_sample=False, max_new_tokens=256, eos_token_id=EOS_ID, pad_token_id=PAD_ID
    )
    _mimic(model, mimic)
    return model


@torch.no_grad()
def _mimic(model: nn.Module, scale: float) -> None:
    """Add `scale` times the identity to q and o, and its kept rows to k and v.

    A query then resembles the key of the same token from the first step on, which is what a
    copying head has to find out otherwise ("mimetic" initialisation).
    """
    head_size = HIDDEN // HEADS
    identity = torch.eye(HIDDEN)
    kept = _rows_of_kv(identity, head_size)
    for layer in model.model.layers:  # type: ignore[union-attr]
        attention = layer.self_attn
        for linear in (attention.q_proj, attention.o_proj):
            linear.weight.add_(scale * identity)
        for linear in (attention.k_proj, attention.v_proj):
            linear.weight.add_(scale * kept)


def _rows_of_kv(identity: Tensor, head_size: int) -> Tensor:  # (H, H) -> (KV, H)
    """The first query head of every group stands for the group."""
    group = HEADS // KV_HEADS * head_size
    starts = (head * group for head in range(KV_HEADS))
    return torch.cat([identity[start : start + head_size] for start in starts])
