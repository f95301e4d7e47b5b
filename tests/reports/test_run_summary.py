"""The report at a run's end: what each stage's adapter trained."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from tests.run.test_state import PLAN, STAGE, fold, told
from workbench.bases.targets import TargetGroup
from workbench.reports.run_summary import report
from workbench.run import folder


def test_module_pattern_count_and_parameters_are_listed(tmp_path: Path) -> None:
    run = folder.create(tmp_path, "one", "one")
    groups = [TargetGroup("model.layers.*.mlp.experts.down_proj", 2, 4, 3584)]
    groups.append(TargetGroup("model.layers.*.self_attn.q_proj", 2, 0, 1536))
    targets = [asdict(group) for group in groups]
    plan = replace(PLAN, trainable_parameters=10240, total_parameters=222272, targets=targets)
    lines = report(run, fold(told((plan, STAGE))))
    at = lines.index("Trained parameters")
    assert lines[at + 1 : at + 4] == [
        "  train sft: 10,240 of 222,272",
        "    model.layers.*.mlp.experts.down_proj × 2 × 4 experts × 896 = 7,168",
        "    model.layers.*.self_attn.q_proj × 2 × 1,536 = 3,072",
    ]
    assert "Trained parameters" not in report(run, fold(told((PLAN, STAGE)))), "full fine-tuning"
