"""A stage made longer: the bits of one that was planned so, and nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.training.helpers import Bench, stage_settings
from tests.pipeline.training.test_stage import After, losses
from workbench.core import files
from workbench.core.errors import Interrupted, UserError
from workbench.run import events

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_extended_after_its_end_and_amid_an_extension_the_bits_are_the_same(bench: Bench) -> None:
    whole, told = bench.train("whole", settings=stage_settings(extensions=[6, 5]))
    planned, first = bench.train("grown")
    assert whole.steps == planned.steps + 11
    with pytest.raises(Interrupted):
        bench.train("grown", settings=stage_settings(extensions=[6]), should_stop=After(3))
    _, rest = bench.train("grown", settings=stage_settings(extensions=[6, 5]))
    assert losses(rest) == losses(told)[planned.steps + 3 :]
    assert losses(first) == losses(told)[: planned.steps]
    for which in ("best", "final"):
        ours, theirs = bench.adapter("grown", which), bench.adapter("whole", which)
        assert files.sha256(ours) == files.sha256(theirs), which


def test_the_course_of_the_learning_rate_is_told(bench: Bench) -> None:
    planned, _ = bench.train()
    _, told = bench.train(settings=stage_settings(extensions=[20]))
    (note,) = [event.message for event in told if isinstance(event, events.Note)]
    first, last = planned.steps + 1, planned.steps + 20
    assert note.startswith(
        f"train.sft: extended by steps {first} to {last}; the learning rate starts"
    )
    assert "peaks at 0.0015" in note
    rates = [event.learning_rate for event in told if isinstance(event, events.Step)]
    assert len(rates) == 20 and max(rates) == pytest.approx(0.3 * 5e-3)


def test_an_extension_that_has_begun_cannot_be_another(bench: Bench) -> None:
    bench.train(settings=stage_settings(extensions=[4]))
    for others in ([5], [], [3, 4]):
        with pytest.raises(UserError, match="trained with other extensions"):
            bench.train(settings=stage_settings(extensions=others))
