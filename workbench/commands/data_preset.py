"""What a preset adds to `workbench data`: its data, its model's control tokens, its checker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.checkers.remembered import Remembered
from workbench.checkers.run import Limits
from workbench.dataset.lint import USUAL_SPECIAL
from workbench.dataset.options import Options
from workbench.dataset.read import Plan, plan_source
from workbench.dataset.refused import Judge
from workbench.dataset.rows import Fault, Row
from workbench.errors import UserError
from workbench.headless.freeze import frozen, prompt_files
from workbench.lens.lens import Lens
from workbench.lens.loading import lens_of
from workbench.preset.load import load
from workbench.preset.schema import DataSource, Evaluate


@dataclass(frozen=True)
class Eyes:
    """How one preset looks at data; without one, with the usual control tokens and no checker."""

    plans: tuple[tuple[Plan, str], ...] = ()
    held_out: str = ""
    special: tuple[str, ...] = USUAL_SPECIAL
    lens: Lens | None = None
    judge: Judge | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, preset_name: str) -> Eyes:
        """Those of a preset, with its sources. Raises UserError for a preset at fault."""
        preset = frozen(load(preset_name))
        asked = [path for key, path in prompt_files(preset.evaluate) if len(key) == 2]
        lens, notes = _lens(preset_name)
        return cls(
            plans=tuple(_plan(source) for source in preset.data.source),
            held_out=_nearer(asked[0]) if asked else "",
            special=tuple(lens.tokenizer.special_tokens) if lens else USUAL_SPECIAL,
            lens=lens,
            judge=_judge(preset.evaluate),
            notes=notes,
        )

    def refused(self, rows: Iterable[Row], recheck: bool) -> Iterator[Fault | None]:
        """The checker's findings, None for an answer that passes; nothing without a checker."""
        if self.judge is None:
            return
        if recheck:
            self.judge.checker.forget()
        yield from self.judge.findings(rows)


def _plan(source: DataSource) -> tuple[Plan, str]:
    options = Options(**source.options())
    return plan_source(_nearer(source.path), source.format, options), source.name


def _lens(preset_name: str) -> tuple[Lens | None, tuple[str, ...]]:
    """The preset's tokenizer and template, or a note saying why they are not to be had."""
    try:
        return lens_of(preset_name), ()
    except UserError as error:
        return None, (f"without the model's template and control tokens: {error}",)


def _nearer(path: str) -> str:
    """The path from here, where it lies below the current folder."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if here in Path(path).parents else path


def _judge(evaluate: Evaluate) -> Judge | None:
    if not evaluate.checker:
        return None
    limits = Limits(timeout_s=evaluate.timeout)
    checker = Remembered(tuple(evaluate.checker), evaluate.checker_suffix, limits)
    return Judge(checker, evaluate.extract)
