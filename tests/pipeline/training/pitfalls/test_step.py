"""Pitfalls 7, 8, 9, 11, 14 and 15: what a step computes, and what it leaves alone."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file

from tests import tiny
from tests.pipeline.training.helpers import Row, rows, stage_settings
from tests.pipeline.training.losses.test_cross_entropy import reference
from tests.pipeline.training.pitfalls.families import Home
from tests.pipeline.training.test_stage import After, losses
from workbench.core import files
from workbench.core.errors import Interrupted, UserError
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.training import optimizer as optimizers
from workbench.pipeline.training import packed_attention
from workbench.pipeline.training.batch_plan import BatchPlan
from workbench.pipeline.training.losses.cross_entropy import CrossEntropyLoss
from workbench.pipeline.training.stage import adapter_settings
from workbench.pipeline.training.token_dataset import TokenDataset, collate
from workbench.pipeline.training.training_plan import (
    loop_settings,
    plan_batches,
    plan_hash,
    validation_plan,
)
from workbench.preset.loader import load
from workbench.preset.schema import Adapter, TrainStage
from workbench.run import events

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

CPU = torch.device("cpu")
STILL = {"learning_rate": 1e-12}


def of_kind(told: list[events.Event], kind: type[Any]) -> list[Any]:
    return [event for event in told if isinstance(event, kind)]


def test_07_packed_rows_do_not_see_each_other(home: Home) -> None:
    model = home.model()
    model.set_attn_implementation(packed_attention.NAME)
    loss, (one, two, three) = CrossEntropyLoss(model), rows(3, longest=30)

    def batch(*given: Row) -> Any:
        numbers = range(len(given))
        return collate(TokenDataset.of(given), numbers, packing=True, pad_id=0, device=CPU)

    with torch.no_grad():
        apart = [float(loss(batch(row))) for row in (one, two)]
        assert float(loss(batch(one, two))) == pytest.approx(sum(apart), rel=1e-6)
        seen = [hidden(model, batch(first, two), len(two.ids)) for first in (one, three)]
        torch.testing.assert_close(seen[0], seen[1], rtol=0, atol=1e-5)
        crossing = [
            hidden(model, batch(first, two), len(two.ids), apart=False) for first in (one, three)
        ]
        assert float((crossing[0] - crossing[1]).abs().max()) > 1e-3, "the control"


def hidden(model: Any, batch: Any, last: int, apart: bool = True) -> torch.Tensor:  # (last, C)
    """What the model makes of the last row of a pack."""
    made = model.base_model(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        use_cache=False,
        segments=batch.segments if apart else (),
    )
    return made.last_hidden_state[0, -last:]


def test_08_tokens_weigh_the_same_however_they_are_batched(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """12 uneven rows, one of them all masked: 1 x 8 and a last window of 4, or 8 and 4 at once."""
    masked = Row([5, 6, 7, 8], [False] * 4)
    TokenDataset.of([*rows(11), masked]).save(home.train_file)
    stage = stage_settings(
        batch_size=1,
        accumulation=8,
        packing=False,
        max_steps=4,
        learning_rate=1e-3,
        adapter={"dropout": 0.0},
    )
    plan, _ = plan_batches(stage, TokenDataset.load(home.train_file), validation=False)
    assert [len(plan.at(step)) for step in range(4)] == [8, 4, 8, 4]
    _, many = home.train("many", settings=stage)
    plain = BatchPlan.at
    monkeypatch.setattr(
        BatchPlan, "at", lambda self, step: (tuple(r for m in plain(self, step) for r in m),)
    )
    _, one = home.train("one", settings=stage)
    steps = [[(e.loss, e.gradient_norm) for e in of_kind(t, events.Step)] for t in (many, one)]
    for a, b in zip(*steps, strict=True):
        assert a == pytest.approx(b, rel=1e-5, abs=1e-5)
    ours, theirs = load_file(home.adapter("many")), load_file(home.adapter("one"))
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) <= 1e-5


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`")
@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "lm_head"]], ids=["linear", "head"])
def test_09_the_loss_at_chosen_positions_is_the_models_own(
    home: Home, targets: str | list[str]
) -> None:
    same_loss(home.model(), home.model(), targets)


def test_09_with_a_scale_of_the_logits() -> None:
    same_loss(tiny.model("cohere"), tiny.model("cohere"), "all-linear")


def same_loss(one: Any, two: Any, targets: str | list[str]) -> None:
    """Loss and gradients of an adapter, ours and by the model's labels; nothing of no targets."""
    examples = TokenDataset.of(rows(5, longest=30))
    made = []
    for base, way in ((one, packed_attention.NAME), (two, "eager")):
        base.set_attn_implementation(way)
        torch.manual_seed(1)
        config = LoraConfig(r=4, target_modules=targets, task_type="CAUSAL_LM")
        made.append(get_peft_model(base, config))
        with torch.no_grad():
            for name, parameter in made[-1].named_parameters():
                if "lora_B" in name:
                    parameter.add_(0.05)
    ours, theirs = made
    batch = collate(examples, range(5), packing=True, pad_id=0, device=CPU)
    loss, expected = CrossEntropyLoss(ours)(batch), reference(theirs, examples)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    loss.backward()
    expected.backward()
    learnt = 0
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if a.requires_grad:
            torch.testing.assert_close(a.grad, b.grad, rtol=1e-3, atol=1e-4, msg=name)
            learnt += float(a.grad.abs().max()) > 0
    assert learnt > 0
    silent = TokenDataset.of([Row([5, 6, 7], [False] * 3)])
    nothing = collate(silent, [0], packing=True, pad_id=0, device=CPU)
    assert CrossEntropyLoss(ours)(nothing).item() == 0.0


@pytest.mark.parametrize("packing", [True, False])
def test_11_stopped_and_resumed_it_is_the_same_run(home: Home, packing: bool) -> None:
    """8 steps, or 4 and 4 more; kills in the middle of a save are `tests/faults`."""
    TokenDataset.of(rows(24)).save(home.train_file)
    stage = stage_settings(max_steps=8, packing=packing, save_every=3.0)
    _, whole = home.train("whole", settings=stage)
    with pytest.raises(Interrupted):
        home.train("halved", settings=stage, should_stop=After(4))
    _, rest = home.train("halved", settings=stage)
    assert losses(rest) == losses(whole)[4:] and len(losses(rest)) == 4
    for which in ("best", "last", "final"):
        ours, theirs = home.adapter("halved", which), home.adapter("whole", which)
        assert files.sha256(ours) == files.sha256(theirs)
    with pytest.raises(Interrupted):
        home.train("other", settings=stage, should_stop=After(4))
    with pytest.raises(UserError, match="trained with other data or settings"):
        home.train("other", settings=stage.model_copy(update={"batch_tokens": 64}))


def test_14_evaluation_weighs_tokens_whatever_its_batches(home: Home) -> None:
    """Packs of 64 or of 512, or padded rows: one loss, that of all tokens by themselves."""
    found = []
    for number, (packing, length) in enumerate([(True, 64), (True, 512), (False, 512)]):
        stage = stage_settings(
            packing=packing, sequence_length=length, max_steps=1, evaluate_every=0.0, **STILL
        )
        _, told = home.train(f"run-{number}", settings=stage)
        found.append(of_kind(told, events.Validated)[-1].loss)
    examples = TokenDataset.load(home.validation_file)
    with torch.no_grad():
        expected = float(reference(home.model(), examples)) / int(examples.targets.sum())
    assert found == pytest.approx([expected] * 3, abs=1e-5)


def test_14_evaluation_keeps_no_logits(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows there are: those of one micro-batch are gone before the next one's."""
    alive: list[weakref.ref[torch.Tensor]] = []
    most, calls, plain = [], [], CrossEntropyLoss.forward

    def forward(module: CrossEntropyLoss, batch: Any) -> torch.Tensor:
        most.append(sum(one() is not None for one in alive))
        if not calls:
            head = module.model.get_base_model().get_output_embeddings()
            calls.append(head.register_forward_hook(lambda *given: alive.append(_ref(given[2]))))
        return plain(module, batch)

    monkeypatch.setattr(CrossEntropyLoss, "forward", forward)
    TokenDataset.of(rows(200, seed=3)).save(home.validation_file)
    home.train(settings=stage_settings(max_steps=1, sequence_length=64, evaluate_every=0.0))
    assert len(alive) > 5 and max(most) == 0


def _ref(tensor: torch.Tensor) -> weakref.ref[torch.Tensor]:
    return weakref.ref(tensor)


def test_14_evaluation_disturbs_nothing(home: Home) -> None:
    TokenDataset.of(rows(24)).save(home.train_file)
    told = {}
    for every in (1.0, 0.0):
        stage = stage_settings(max_steps=6, evaluate_every=every)
        told[every] = losses(home.train(f"every-{every}", settings=stage)[1])
    assert told[1.0] == told[0.0]
    ours, theirs = home.adapter("every-1.0"), home.adapter("every-0.0")
    assert files.sha256(ours) == files.sha256(theirs), "dropout and all"


def test_15_a_step_trains_the_adapter_and_nothing_else(home: Home) -> None:
    before = {path.name: files.sha256(path) for path in home.base.glob("*.safetensors")}
    _, told = home.train(settings=stage_settings(max_steps=1, warmup=0.0))
    (step,) = of_kind(told, events.Step)
    assert step.gradient_norm > 0 and step.trained_tokens > 0
    matrices = {n: t for n, t in load_file(home.adapter()).items() if "lora_B" in n}
    assert matrices and all(float(tensor.abs().max()) > 0 for tensor in matrices.values())
    after = {path.name: files.sha256(path) for path in home.base.glob("*.safetensors")}
    assert after == before


# A value other than that of `stage_settings` for every key of a stage and of its adapter.
OTHER: dict[str, Any] = {
    "name": "other",
    "objective": "pretrain",
    "source": [0],
    "start_from": "last",
    "sequence_length": 64,
    "on_cut": "cut",
    "packing": False,
    "epochs": 1.0,
    "max_steps": 3,
    "batch_tokens": 256,
    "batch_size": 2,
    "accumulation": 2,
    "learning_rate": 1e-3,
    "min_learning_rate_ratio": 0.5,
    "schedule": "linear",
    "warmup": 2.0,
    "weight_decay": 0.5,
    "optimizer": "adamw_8bit",
    "betas": [0.5, 0.9],
    "adam_eps": 1e-3,
    "max_grad_norm": 0.25,
    "gradient_checkpointing": True,
    "compile": True,
    "evaluate_every": 3.0,
    "early_stopping": 2,
    "save_every": 2.0,
    "keep_checkpoints": 5,
    "extensions": [4],
    "seed": 7,
    "order_seed": 7,
    "dropout_seed": 7,
    "weights_seed": 7,
}
OTHER_ADAPTER: dict[str, Any] = {
    "kind": "dora",
    "rank": 4,
    "alpha": 1.0,
    "rslora": True,
    "dropout": 0.5,
    "targets": "attention",
    "last_layers": 1,
    "modules_to_save": ["lm_head"],
    "continue": "carry",
}
FREE = {"keep_checkpoints", "save_every", "extensions"}  # may be changed on resuming
# What the loop and its plan do not read: which rows (prepare), which weights, which folder; the
# model is told of computing again. Each has tests of its own.
ELSEWHERE = {"name", "objective", "source", "sequence_length", "on_cut", "start_from"}
ELSEWHERE |= {"gradient_checkpointing"}


def test_15_every_key_is_read(tmp_path: Path) -> None:
    """Each changes the plan's hash, or may be changed on resuming; and what training does."""
    keys = {field.alias or name for name, field in Adapter.model_fields.items()}
    assert set(TrainStage.model_fields) - {"adapter"} == set(OTHER) and keys == set(OTHER_ADAPTER)
    base = tiny.save_base(tmp_path / "base")
    data = tmp_path / "rows.safetensors"
    TokenDataset.of(rows(40)).save(data)
    examples, plain = TokenDataset.load(data), stage_settings()

    def hashed(stage: TrainStage) -> str:
        return plan_hash(stage, Weights(base), data, data)

    changed = {key: stage_settings(**_with(key, value)) for key, value in OTHER.items()}
    changed |= {f"adapter.{k}": stage_settings(adapter={k: v}) for k, v in OTHER_ADAPTER.items()}
    for key, stage in changed.items():
        assert (hashed(stage) == hashed(plain)) == (key in FREE), key
        if key not in ELSEWHERE:
            assert behaviour(stage, examples) != behaviour(plain, examples), key


def _with(key: str, value: Any) -> dict[str, Any]:
    """Accumulation counts only beside a batch size."""
    return ({"batch_size": 3} if key == "accumulation" else {}) | {key: value}


def behaviour(stage: TrainStage, examples: TokenDataset) -> list[Any]:
    """All that the loop is told by the stage's keys."""
    plan, steps = plan_batches(stage, examples, validation=True)
    asked = validation_plan(examples, stage)
    assert asked is not None
    weights = {"a": torch.nn.Parameter(torch.ones(2, 2))}
    optimizer = optimizers.build(
        weights,
        kind=stage.optimizer,
        learning_rate=stage.learning_rate,
        weight_decay=stage.weight_decay,
        betas=(stage.betas[0], stage.betas[1]),
        eps=stage.adam_eps,
    )
    groups = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    return [
        [plan.at(step) for step in range(plan.steps)],
        [asked.at(step) for step in range(asked.steps)],
        loop_settings(stage, steps),
        adapter_settings(stage),
        stage.weights_seed,
        type(optimizer).__name__,
        groups,
    ]


def test_15_an_unknown_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"
    path.write_text("[[train]]\nlearning_rat = 1e-3\n")
    with pytest.raises(UserError, match="p.toml:2: train.0.learning_rat.*learning_rate"):
        load(str(path))
