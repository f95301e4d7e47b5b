"""Pretraining of the embedded base on its generated corpus, on two CPU cores.

    python -m recipes.tiny.pretrain --out DIR [--minutes N | --steps N] [--seed N]

The folder DIR is replaced as a whole by every snapshot: a reader finds the old one or the new
one, never half of one. With --steps the result depends on the seed alone (up to the rounding of
the machine); with --minutes the learning rate follows the clock.
"""

import argparse
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor
from transformers import Qwen2ForCausalLM

from recipes.tiny import tokenizer as tokenizers_recipe
from recipes.tiny.batches import batches
from recipes.tiny.model import build

WARM_UP = 0.02  # share of the run
FLOOR = 0.02  # of the peak learning rate, at the end


def rate(progress: float) -> float:
    """Factor of the learning rate at a share (0 to 1) of the run: up, then straight down."""
    if progress < WARM_UP:
        return max(progress / WARM_UP, 0.05)
    return max(FLOOR, 1 - (progress - WARM_UP) / (1 - WARM_UP))


def optimizers(
    model: Qwen2ForCausalLM, matrix_lr: float, other_lr: float
) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embeddings, norms and biases."""
    matrices, others = [], []
    for name, weight in model.named_parameters():
        (matrices if weight.ndim == 2 and "embed" not in name else others).append(weight)
    return [
        torch.optim.Muon(matrices, lr=matrix_lr, momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(others, lr=other_lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def loss_of(model: Qwen2ForCausalLM, inputs: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy over trained tokens; matrix products in bfloat16."""
    trained = labels != -100
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(input_ids=inputs).last_hidden_state
        logits = model.lm_head(hidden[trained])  # (trained tokens, V)
    return F.cross_entropy(logits.float(), labels[trained])


def snapshot(model: Qwen2ForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Put the model in bfloat16 and its tokenizer at `folder`; other files there are kept."""
    fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    if folder.exists():
        shutil.copytree(folder, fresh, dirs_exist_ok=True)
    weights = {name: weight.to(torch.bfloat16) for name, weight in model.state_dict().items()}
    weights.pop("lm_head.weight", None)  # tied to the embedding
    model.config.dtype = torch.bfloat16
    model.save_pretrained(fresh, state_dict=weights)
    tokenizers_recipe.save(tokenizer, fresh)
    for path in fresh.iterdir():
        path.chmod(0o644)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)
    os.rename(fresh, folder)
    shutil.rmtree(old, ignore_errors=True)


def train(
    model: Qwen2ForCausalLM,
    tokenizer: Tokenizer,
    options: argparse.Namespace,
    save: Callable[[], None],
) -> None:
    """Train until the run's end, saving every `snapshot_minutes`."""
    began = saved = time.monotonic()
    opts = optimizers(model, options.matrix_lr, options.other_lr)
    peaks = [group["lr"] for opt in opts for group in opt.param_groups]
    average, tokens = 0.0, 0
    for step, (inputs, labels) in enumerate(batches(tokenizer, options.seed, options.tokens)):
        elapsed_s = time.monotonic() - began
        progress = step / options.steps if options.steps else elapsed_s / (60 * options.minutes)
        if progress >= 1:
            break
        for group, peak in zip((g for o in opts for g in o.param_groups), peaks, strict=True):
            group["lr"] = peak * rate(progress)
        loss = loss_of(model, inputs, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        tokens += inputs.numel()
        average = loss.item() if step == 0 else 0.98 * average + 0.02 * loss.item()
        if (step + 1) % 100 == 0:
            speed = tokens / (time.monotonic() - began)
            print(f"step {step + 1} loss {average:.4f} tokens {tokens / 1e6:.2f} M "
                  f"({speed:.0f}/s) {elapsed_s / 60:.1f} min", flush=True)
        if time.monotonic() - saved > 60 * options.snapshot_minutes:
            saved = time.monotonic()
            save()


def main() -> None:
    """Train the tokenizer and the model, and save both."""
    parser = argparse.ArgumentParser(description="Pretrain the embedded base.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=0, help="instead of --minutes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--vocab", type=int, default=3072)
    parser.add_argument("--tokens", type=int, default=2048, help="per batch, with padding")
    parser.add_argument("--matrix-lr", type=float, default=0.02)
    parser.add_argument("--other-lr", type=float, default=3e-3)
    parser.add_argument("--snapshot-minutes", type=float, default=8.0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tokenizer = tokenizers_recipe.train(options.vocab, options.seed)
    model = build(tokenizer.get_vocab_size(), options.layers, options.seed)
    train(model, tokenizer, options, lambda: snapshot(model, tokenizer, options.out))
    snapshot(model, tokenizer, options.out)


if __name__ == "__main__":
    main()
