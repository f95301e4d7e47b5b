"""Pretraining, in miniature: it runs, learns a little, and replaces its folder as a whole."""

import json
from pathlib import Path

import torch

from recipes.tiny.batches import batches
from recipes.tiny.model import PAD_ID, build
from recipes.tiny.pretrain import loss_of, optimizers, rate, snapshot
from recipes.tiny.tokenizer import train


def test_the_rate_goes_up_and_then_down() -> None:
    rates = [rate(i / 100) for i in range(101)]
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top]) and rates[top:] == sorted(rates[top:], reverse=True)
    assert 0 < rates[0] < 0.1 and 0 < rates[-1] < 0.1 and max(rates) == 1


def test_batches_train_on_answers_only() -> None:
    tokenizer = train(vocab=600, seed=1, sample_size=300)
    inputs, labels = next(batches(tokenizer, seed=1, tokens=1024))
    assert inputs.shape == labels.shape and inputs.numel() <= 1024
    assert ((labels == -100) | (labels < 600)).all()
    assert not (labels == PAD_ID).any()
    shifted = labels[:, :-1] != -100
    assert (inputs[:, 1:][shifted] == labels[:, :-1][shifted]).all()


def test_a_few_steps_lower_the_loss_and_can_be_loaded(tmp_path: Path) -> None:
    tokenizer = train(vocab=600, seed=1, sample_size=300)
    model = build(tokenizer.get_vocab_size(), layers=1, seed=1)
    opts = optimizers(model, matrix_lr=0.02, other_lr=3e-3)
    losses = []
    for _, (inputs, labels) in zip(range(8), batches(tokenizer, 1, 512), strict=False):
        loss = loss_of(model, inputs, labels)
        loss.backward()
        losses.append(loss.item())
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
    assert losses[-1] < losses[0] - 0.5
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "README.md").write_text("kept", encoding="utf-8")
    snapshot(model, tokenizer, folder)
    assert (folder / "README.md").read_text(encoding="utf-8") == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["base"]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["dtype"] == "bfloat16" and model.dtype == torch.float32
    again = type(model).from_pretrained(folder)
    first, second = model.model.embed_tokens.weight, again.model.embed_tokens.weight
    assert torch.allclose(first.bfloat16(), second.bfloat16())
