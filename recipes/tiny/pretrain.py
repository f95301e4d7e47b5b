"""Pretraining of the embedded base on its generated corpus, on CPU cores.

    python -m recipes.tiny.pretrain --out DIR [--minutes N | --steps N] [--seed N] [--workers N]
        [--init DIR]

One process with one thread for each core: each reads its own documents, and all step with the
mean of their gradients. (Threads within one process wait for each other many times a step, which
on a shared machine costs most of the time.) The folder DIR is replaced as a whole by every
snapshot. With --steps the result depends on the seed and the workers alone (up to the rounding
of the machine); with --minutes the learning rate follows the clock.
"""

import argparse
import copy
import os
import shutil
import tempfile
import time
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor
from torch.multiprocessing.spawn import spawn
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
    matrices: list[torch.nn.Parameter] = []
    others: list[torch.nn.Parameter] = []
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


def share(model: Qwen2ForCausalLM, progress: float) -> float:
    """Put the workers' mean gradient into each; their mean progress is the result."""
    if not dist.is_initialized():
        return progress
    grads = [weight.grad for weight in model.parameters() if weight.grad is not None]
    flat = torch.cat([*(grad.flatten() for grad in grads), torch.tensor([progress])])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for grad, mean in zip(grads, flat[:-1].split([g.numel() for g in grads]), strict=True):
        grad.copy_(mean.view_as(grad))
    return float(flat[-1])


def snapshot(model: Qwen2ForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Put the model in bfloat16 and its tokenizer at `folder`; other files there are kept."""
    fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    if folder.exists():
        shutil.copytree(folder, fresh, dirs_exist_ok=True)
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(fresh)  # config.json tells the type
    tokenizers_recipe.save(tokenizer, fresh)
    for path in fresh.iterdir():
        path.chmod(0o644)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.rename(folder, old)
    os.rename(fresh, folder)
    shutil.rmtree(old, ignore_errors=True)


def train(
    rank: int, options: argparse.Namespace, model: Qwen2ForCausalLM, tokenizer: Tokenizer
) -> None:
    """Train until the run's end; worker 0 tells how it goes and saves now and then."""
    began = saved = time.monotonic()
    opts = optimizers(model, options.matrix_lr, options.other_lr)
    peaks = [group["lr"] for opt in opts for group in opt.param_groups]
    average, tokens = 0.0, 0
    stream = batches(tokenizer, options.seed * 1000 + rank, options.tokens)
    for step, (inputs, labels) in enumerate(stream):
        elapsed_s = time.monotonic() - began
        progress = step / options.steps if options.steps else elapsed_s / (60 * options.minutes)
        loss = loss_of(model, inputs, labels)
        loss.backward()
        progress = share(model, progress)
        if progress >= 1:
            break
        for group, peak in zip((g for o in opts for g in o.param_groups), peaks, strict=True):
            group["lr"] = peak * rate(progress)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        tokens += inputs.numel() * options.workers
        average = loss.item() if step == 0 else 0.98 * average + 0.02 * loss.item()
        if rank == 0 and (step + 1) % 100 == 0:
            print(
                f"step {step + 1} loss {average:.4f} tokens {tokens / 1e6:.2f} M "
                f"({tokens / elapsed_s:.0f}/s) {elapsed_s / 60:.1f} min",
                flush=True,
            )
        if rank == 0 and time.monotonic() - saved > 60 * options.snapshot_minutes:
            saved = time.monotonic()
            snapshot(model, tokenizer, options.out)


def work(rank: int, options: argparse.Namespace, tokenizer_json: str, meeting: str) -> None:
    """One worker from its first weights to the end."""
    torch.set_num_threads(1)
    if options.workers > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{meeting}", rank=rank, world_size=options.workers
        )
    tokenizer = Tokenizer.from_str(tokenizer_json)
    if options.init:
        model = Qwen2ForCausalLM.from_pretrained(options.init, dtype=torch.float32)
    else:
        model = build(tokenizer.get_vocab_size(), options.layers, options.seed)
    train(rank, options, model, tokenizer)
    if rank == 0:
        snapshot(model, tokenizer, options.out)
    if options.workers > 1:
        dist.barrier()
        dist.destroy_process_group()


def main() -> None:
    """Train the tokenizer and the model, and save both."""
    parser = argparse.ArgumentParser(description="Pretrain the embedded base.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--steps", type=int, default=0, help="instead of --minutes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--init", type=Path, help="go on from this base instead of a new one")
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--vocab", type=int, default=3072)
    parser.add_argument("--tokens", type=int, default=2048, help="per worker and step")
    parser.add_argument("--matrix-lr", type=float, default=0.02)
    parser.add_argument("--other-lr", type=float, default=3e-3)
    parser.add_argument("--snapshot-minutes", type=float, default=8.0)
    options = parser.parse_args()
    if options.init:
        tokenizer_json = (options.init / "tokenizer.json").read_text(encoding="utf-8")
    else:
        tokenizer_json = tokenizers_recipe.train(options.vocab, options.seed).to_str()
    with tempfile.TemporaryDirectory() as folder:
        arguments = (options, tokenizer_json, f"{folder}/meeting")
        if options.workers > 1:
            spawn(work, arguments, nprocs=options.workers)
        else:
            work(0, *arguments)


if __name__ == "__main__":
    main()
