"""What a training stage draws: one series for each figure of its steps and validations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workbench.run.events import GeneralMeasured, Step, Validated
from workbench.tui.chart.series import Series


class StageCurves:
    """The figures of one training stage, by optimizer step. Losses in nats a token."""

    def __init__(self) -> None:
        self.train = Series()
        self.validation = Series()
        self.general = Series()
        self.learning_rate = Series()
        self.gradient_norm = Series()
        self.speed = Series()
        self.steps = 0  # planned in all

    def add_step(self, event: Step) -> None:
        """One optimizer step."""
        self.steps = event.steps
        self.train.append(event.step, event.loss)
        self.learning_rate.append(event.step, event.learning_rate)
        self.gradient_norm.append(event.step, event.gradient_norm)
        self.speed.append(event.step, event.tokens_per_second)

    def add_steps(self, columns: Mapping[str, Sequence[float]], planned: int) -> None:
        """Many optimizer steps at once, of `planned` in all: the fields of `Step` as columns."""
        self.steps = planned
        steps = columns["step"]
        self.train.extend(steps, columns["loss"])
        self.learning_rate.extend(steps, columns["learning_rate"])
        self.gradient_norm.extend(steps, columns["gradient_norm"])
        self.speed.extend(steps, columns["tokens_per_second"])

    def add_validation(self, event: Validated) -> None:
        """The validation loss after `event.step` steps."""
        self.validation.append(event.step, event.loss)

    def add_general(self, event: GeneralMeasured) -> None:
        """The loss on the general text after `event.step` steps."""
        self.general.append(event.step, event.loss)

    def forget_after(self, step: int) -> None:
        """Drop what came after `step`: a resumed worker tells it again."""
        for series in self.all():
            series.forget_after(step)

    def all(self) -> tuple[Series, ...]:
        """Every series of the stage."""
        losses = (self.train, self.validation, self.general)
        return (*losses, self.learning_rate, self.gradient_norm, self.speed)

    @property
    def version(self) -> int:
        """Rises whenever a point is added or dropped."""
        return sum(series.version for series in self.all())
