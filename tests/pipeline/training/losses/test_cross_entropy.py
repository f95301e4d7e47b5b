"""The loss over selected positions is the model's own loss, in both layouts, per architecture."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests import tiny
from tests.pipeline.training.helpers import Row, rows
from workbench.pipeline.models import causal_lm
from workbench.pipeline.models.rotary import separate_sequences
from workbench.pipeline.training import packed_attention
from workbench.pipeline.training.losses import cross_entropy as losses
from workbench.pipeline.training.losses.cross_entropy import CrossEntropyLoss
from workbench.pipeline.training.token_dataset import MicroBatchTensors, TokenDataset, collate

CPU = torch.device("cpu")

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


def reference(model: Any, examples: TokenDataset) -> torch.Tensor:
    """Sum of the losses of all rows, one at a time, through the model's own labels."""
    total = torch.zeros(())
    for row in range(len(examples)):
        ids = examples.ids(row)[None]
        labels = ids.clone()
        labels[0, ~examples.trained(row)] = -100
        count = int((labels[0, 1:] != -100).sum())
        total = total + model(input_ids=ids, labels=labels).loss * count
    return total


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("kind", list(tiny.CONFIGS))
def test_loss_and_gradients_equal_the_models_own(kind: str, packing: bool) -> None:
    examples = TokenDataset.of(rows(5, longest=30))
    ours, theirs = tiny.model(kind), tiny.model(kind)
    ours.set_attn_implementation(packed_attention.NAME)
    separate_sequences(ours)
    theirs.set_attn_implementation("eager")
    batch = collate(examples, range(5), packing=packing, pad_id=3, device=CPU)
    loss, expected = CrossEntropyLoss(ours)(batch), reference(theirs, examples)
    loss.backward()
    expected.backward()
    assert batch.trained_tokens == int(examples.targets.sum())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=2e-5, msg=name)


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("kind", list(tiny.CONFIGS))
def test_gradients_with_and_without_selection_are_equal_bit_for_bit(
    kind: str, packing: bool
) -> None:
    """The head at chosen positions, or at all of them with the others left out of the loss: what an
    adapter learns is the same to the last bit, on one thread of a CPU."""
    found, sums = [], []
    for selecting in (True, False):
        model = adapted(kind)
        batch = collate(
            TokenDataset.of(rows(5, longest=30)), range(5), packing=packing, pad_id=3, device=CPU
        )
        loss = CrossEntropyLoss(model)(batch) if selecting else over_all_positions(model, batch)
        loss.backward()
        sums.append(loss.item())
        found.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert sums[0] == pytest.approx(sums[1], rel=1e-6), "only the order of its sum differs"
    assert found[0].keys() == found[1].keys() and found[0]
    for name, gradient in found[0].items():
        assert torch.equal(gradient, found[1][name]), name


def adapted(kind: str) -> Any:
    """A model with an adapter whose matrices are not zero."""
    base = tiny.model(kind)
    base.set_attn_implementation(packed_attention.NAME)
    torch.manual_seed(0)
    model = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear"))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.add_(0.05)
    return model


def over_all_positions(model: Any, batch: MicroBatchTensors) -> torch.Tensor:
    causal = losses.causal_model(model)
    hidden = causal.base_model(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        use_cache=False,
        segments=batch.segments,
    ).last_hidden_state
    logits = causal_lm.head_logits(causal, hidden).float().flatten(0, 1)
    labels = torch.full((len(logits),), -100)
    labels[batch.selected] = batch.targets
    return torch.nn.functional.cross_entropy(logits, labels, reduction="sum")


def test_packed_rows_do_not_see_each_other() -> None:
    model = tiny.model("gemma2")
    model.set_attn_implementation(packed_attention.NAME)
    second = rows(1, seed=5)[0]
    sums = []
    for seed in (1, 2):
        first = rows(1, seed=seed)[0]
        silent = Row(first.ids, [False] * len(first.ids))
        batch = collate(
            TokenDataset.of([silent, second]), [0, 1], packing=True, pad_id=3, device=CPU
        )
        sums.append(CrossEntropyLoss(model)(batch).item())
    assert sums[0] == pytest.approx(sums[1], abs=1e-6)


def test_without_segments_they_would() -> None:
    """The control of the test above: plain causal attention over the pack gives another loss."""
    model = tiny.model("llama")
    model.set_attn_implementation(packed_attention.NAME)
    batch = collate(TokenDataset.of(rows(2)), [0, 1], packing=True, pad_id=3, device=CPU)
    crossed = type(batch)(**{**batch.__dict__, "segments": ()})
    loss = CrossEntropyLoss(model)
    assert abs(loss(batch).item() - loss(crossed).item()) > 1e-3


@pytest.mark.parametrize("kind", ["qwen2", "gemma2"])
def test_chunks_of_logits_give_the_same_loss_and_gradients(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples, found, heads = TokenDataset.of(rows(6, longest=30)), [], []
    for limit in (1 << 26, 384 * 7):
        monkeypatch.setattr(losses, "CHUNK_LOGITS", limit)
        model = tiny.model(kind)
        model.set_attn_implementation(packed_attention.NAME)
        seen: list[int] = []
        model.get_output_embeddings().register_forward_hook(
            lambda head, inputs, output, seen=seen: seen.append(output.shape[0])
        )
        batch = collate(examples, range(6), packing=True, pad_id=3, device=CPU)
        loss = CrossEntropyLoss(model)(batch)
        loss.backward()
        found.append((loss.item(), {name: p.grad for name, p in model.named_parameters()}))
        heads.append(seen)
    (whole, gradients), (chunked, others) = found
    assert heads[0] == [batch.trained_tokens] and max(heads[1]) == 7
    assert chunked == pytest.approx(whole, rel=1e-6)
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("kind", ["qwen2", "gemma2", "cohere", "granite"])
def test_under_a_frozen_head_chunks_give_the_loss_and_gradients_of_the_whole(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each position's gradient is its own: in how many chunks it comes changes nothing."""
    causal = tiny.model(kind).requires_grad_(False)
    torch.manual_seed(1)
    hidden, targets, found = torch.randn(40, 64), torch.randint(4, 384, (40,)), []
    for limit in (1 << 26, 384 * 16):
        monkeypatch.setattr(losses, "CHUNK_LOGITS", limit)
        leaf = hidden.clone().requires_grad_()
        loss = losses.summed_cross_entropy(causal, leaf, targets)
        (loss / 7).backward()
        with torch.no_grad():
            assert losses.summed_cross_entropy(causal, hidden, targets).item() == loss.item()
        assert leaf.grad is not None
        found.append((loss.item(), leaf.grad))
    (whole, gradient), (chunked, other) = found
    assert chunked == pytest.approx(whole, rel=1e-6)
    torch.testing.assert_close(other, gradient, rtol=1e-5, atol=1e-7)
