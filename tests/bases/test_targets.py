"""Words of `train.adapter.targets` against a small mixture: what they mean, what they do not."""

from __future__ import annotations

import pytest

from workbench.bases.targets import Matrix, TargetGroup, groups, resolve
from workbench.core.errors import UserError

ATTENTION = [Matrix(f"model.layers.{n}.self_attn.{x}_proj", 8, 8) for n in (0, 1) for x in "qkvo"]
DENSE = [Matrix(f"model.layers.0.mlp.{x}_proj", 8, 16) for x in ("gate", "up", "down")]
UP = Matrix("model.layers.1.mlp.experts.gate_up_proj", 8, 32, 4, True, False, ("w1", "w3"))
DOWN = Matrix("model.layers.1.mlp.experts.down_proj", 16, 8, 4, True, False, ("w2",))
ROUTER = Matrix("model.layers.1.mlp.gate.weight", 8, 4, is_parameter=True, is_router=True)
SHARED = [Matrix(f"model.layers.1.mlp.shared_expert.{x}_proj", 8, 16) for x in ("gate", "up")]
SHARE = Matrix("model.layers.1.mlp.shared_expert_gate", 8, 1, is_router=True)
MODEL = [*ATTENTION, *DENSE, UP, DOWN, ROUTER, *SHARED, SHARE]

MEANT = {
    "all-linear": [*ATTENTION, *DENSE, UP, DOWN, *SHARED],
    "attention": ATTENTION,
    "q_proj": [ATTENTION[0], ATTENTION[4]],
    "experts": [UP, DOWN],
    "mlp.experts": [UP, DOWN],
    "gate_up_proj": [UP],
    "experts.down_proj": [DOWN],
    "down_proj": [DENSE[2], DOWN],
    "w2": [DOWN],
    "w1 w3": [UP],
    "w3 experts": [UP, DOWN],
    "mlp": [*DENSE, UP, DOWN, *SHARED],
    "router": [ROUTER, SHARE],
    "gate": [ROUTER],
    "experts router": [UP, DOWN, ROUTER, SHARE],
    "shared_expert": SHARED,
    "shared_expert.gate_proj": [SHARED[0]],
    "gate_proj": [DENSE[0], SHARED[0]],
    "layers.1.self_attn": ATTENTION[4:],
    "layers.*.mlp.shared*": SHARED,
    "layers.*.self_attn.[qk]_proj": None,
    "proj": None,
    "expert": None,
}


@pytest.mark.parametrize("words", MEANT)
def test_a_name_means_what_has_it(words: str) -> None:
    targets = words if words in ("all-linear", "attention") else words.split()
    if MEANT[words] is None:
        with pytest.raises(UserError, match="no module"):
            resolve(MODEL, targets)
    else:
        assert resolve(MODEL, targets) == [one for one in MODEL if one in MEANT[words]]


def test_only_the_last_layers() -> None:
    assert resolve(MODEL, "attention", last_layers=1) == ATTENTION[4:]
    with pytest.raises(UserError, match=r"last_layers: 3, but the model has 2"):
        resolve(MODEL, "all-linear", last_layers=3)
    with pytest.raises(UserError, match=r"last_layers: no target in the last 1 layer \("):
        resolve(MODEL, ["layers.0.mlp"], last_layers=1)


REFUSED = [
    (["exprts"], "no module 'exprts' in this model (did you mean 'experts'?)"),
    (["q_proj", "qproj"], "no module 'qproj' in this model (did you mean 'q_proj'?)"),
    (["w1"], "w1 of the experts is one matrix with w3 (name both, or a module outside"),
    (["lm_head"], "'lm_head' gets no adapter (use modules_to_save = [\"lm_head\"])"),
]


@pytest.mark.parametrize(("targets", "said"), REFUSED)
def test_what_the_model_does_not_have_is_refused_in_one_line(targets: list[str], said: str) -> None:
    with pytest.raises(UserError) as caught:
        resolve(MODEL, targets)
    assert str(caught.value).startswith(f"train.adapter.targets: {said}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("targets", ["all-linear", ["experts"], ["router"]])
def test_dora_has_no_experts(targets: str | list[str]) -> None:
    with pytest.raises(UserError, match="DoRA cannot train experts"):
        resolve(MODEL, targets, kind="dora")
    assert resolve(MODEL, "attention", kind="dora") == ATTENTION
    assert resolve([*ATTENTION, *DENSE], "all-linear", kind="dora") == [*ATTENTION, *DENSE]


def test_groups_count_modules_and_parameters() -> None:
    found = groups([*ATTENTION[:2], ATTENTION[4], UP], 2)
    assert found == [
        TargetGroup("model.layers.*.self_attn.q_proj", 2, 0, 32),
        TargetGroup("model.layers.*.self_attn.k_proj", 1, 0, 32),
        TargetGroup("model.layers.*.mlp.experts.gate_up_proj", 1, 4, 320),
    ]
    assert found[0].line() == "model.layers.*.self_attn.q_proj × 2 × 32 = 64"
    assert found[2].line().endswith(".experts.gate_up_proj × 1 × 4 experts × 80 = 320")
    assert [one.parameters for one in groups(ATTENTION[:1], 2, dora=True)] == [40]
