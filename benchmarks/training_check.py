"""The gradients with the head at selected positions, beside those over all logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.training_shared import Told, settings_of

MICRO_ROWS = 4


def gradients(folder: Path) -> Told:
    """How many of the adapter's gradients differ in any bit, on one packed micro-batch."""
    import torch
    import torch.nn.functional as F

    from workbench.pipeline.models.causal_lm import causal_model
    from workbench.pipeline.models.weights import Weights
    from workbench.pipeline.training import model as models
    from workbench.pipeline.training.losses.cross_entropy import CrossEntropyLoss
    from workbench.pipeline.training.token_dataset import TokenDataset, collate

    given, cpu = settings_of(folder), torch.device("cpu")
    network = models.load(Weights(folder / "base"), device=cpu, dtype=torch.float32)
    network = models.attach_adapter(network, models.Adapter(rank=given["rank"]), seed=42)
    parameters = models.trainable(network)
    _shake(parameters)
    examples = TokenDataset.load(folder / "train.safetensors")
    rows = range(MICRO_ROWS)
    batch = collate(examples, rows, packing=True, pad_id=0, device=cpu)
    CrossEntropyLoss(network)(batch).backward()
    ours = {name: _gradient(p) for name, p in parameters.items()}
    for parameter in parameters.values():
        parameter.grad = None
    labels = torch.full((batch.tokens,), -100)
    labels[batch.selected] = batch.targets
    causal = causal_model(network)
    hidden = causal.base_model(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        use_cache=False,
        segments=batch.segments,
    ).last_hidden_state
    logits = causal.get_output_embeddings()(hidden[0]).float()
    F.cross_entropy(logits, labels, reduction="sum").backward()
    apart = [float((ours[name] - _gradient(p)).abs().max()) for name, p in parameters.items()]
    return {
        "tensors": len(apart),
        "differing": sum(one > 0 for one in apart),
        "largest": max(apart),
        "selected": batch.trained_tokens,
        "positions": batch.tokens,
    }


def _gradient(parameter: Any) -> Any:
    assert parameter.grad is not None, "every adapter takes part"
    return parameter.grad


def _shake(parameters: dict[str, Any]) -> None:
    """B is zero at the start: with it half of the gradients would be zero, and equal anyhow."""
    import torch

    torch.manual_seed(7)
    with torch.no_grad():
        for name, parameter in parameters.items():
            if "lora_B" in name:
                parameter.normal_(std=0.01)
