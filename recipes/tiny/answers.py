"""Greedy answers of a model to many prompts, and how many keep to what was asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)


@dataclass(frozen=True)
class Answer:
    """The text of an answer and whether the model ended it by itself."""

    text: str
    stopped: bool


def load(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model in float32 and tokenizer of a local folder."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(folder)


@torch.no_grad()
def greedy(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    max_new: int = 256,
    rows: int = 48,
) -> list[Answer]:
    """One answer per prompt, in the order of the prompts; prompts of like length run together."""
    model.eval()
    eos = tokenizer.convert_tokens_to_ids("<|im_end|>")
    tokenizer.padding_side = "left"
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    found: dict[int, Answer] = {}
    for start in range(0, len(order), rows):
        chosen = order[start : start + rows]
        chats = [[{"role": "user", "content": prompts[i]}] for i in chosen]
        texts = [
            tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
            for chat in chats
        ]
        batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        out = model.generate(**batch, max_new_tokens=max_new, do_sample=False, eos_token_id=eos)
        for i, row in zip(chosen, out[:, batch["input_ids"].shape[1] :].tolist(), strict=True):
            stopped = eos in row
            kept = row[: row.index(eos)] if stopped else row
            found[i] = Answer(tokenizer.decode(kept), stopped)
    return [found[i] for i in range(len(prompts))]


def keeps(answer: Answer, must_contain: Sequence[str]) -> bool:
    """Whether the answer holds every string that it must."""
    return all(part in answer.text for part in must_contain)
