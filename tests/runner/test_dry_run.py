"""What a dry run says of a stage: its steps, its time, and what is decided later."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.runner.dry_run import stage_lines

COUNTS: dict[str, Any] = {
    "steps": 12,
    "steps_per_epoch": 4,
    "tokens": 30_000,
    "validations": 3,
    "checkpoints": 2,
}


@pytest.mark.parametrize(("packing", "tried"), [("auto", True), (True, False), (False, False)])
def test_what_a_trial_will_decide_is_said(packing: bool | str, tried: bool) -> None:
    found = {"stages": {"sft": COUNTS | {"packing": packing}}}
    said = "\n".join(stage_lines(found, "sft"))
    assert said.startswith("12 steps, 4 per epoch (30,000 tokens); 3 validations, 2 checkpoints")
    assert ("packing or grouping by length: chosen before the first step" in said) == tried


def test_what_an_adapter_trains_is_listed() -> None:
    lines = ["layers.*.mlp.experts.down_proj × 2 × 4 experts × 896 = 7,168", "q × 1 × 8 = 8"]
    said = stage_lines({"stages": {"sft": COUNTS | {"targets": lines}}}, "sft")
    assert said[-2:] == [f"trains {line}" for line in lines]
    assert not any("trains" in line for line in stage_lines({"stages": {"sft": COUNTS}}, "sft"))
