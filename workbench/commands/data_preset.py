"""`workbench data` with a preset: its sources, its control tokens, its checker, and `--set`.

A `--set` key that begins with a section of the preset (`evaluate.checker`) changes the preset, as
with `workbench --preset`; any other key is one of `[[data.source]]`. The checker runs over the
training data and finds the answers that would teach what it refuses.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import tee
from pathlib import Path
from typing import cast

from workbench.checkers.answer_text import extract
from workbench.checkers.builtin import expected_for
from workbench.checkers.execution import CheckItem, Limits
from workbench.checkers.verdict_cache import VerdictCache
from workbench.console.progress import counted
from workbench.core.errors import UserError
from workbench.dataset.checks.linter import USUAL_SPECIAL
from workbench.dataset.duplicates import with_system
from workbench.dataset.reader_options import PLAIN, ReaderOptions
from workbench.dataset.rows import Fault, Row
from workbench.dataset.sources import ReadPlan, plan_source
from workbench.preset.loader import load
from workbench.preset.schema import DataSource, Evaluate
from workbench.runner.frozen_preset import prompt_files, with_absolute_paths
from workbench.runner.preview import load_preview
from workbench.tokenization.encoder import EncodedSplit, OverlengthPolicy
from workbench.tokenization.encoding_stats import EncodingStats
from workbench.tokenization.preview import Limit, TokenPreview
from workbench.tokenization.sequences import TrainingSequence


@dataclass(frozen=True)
class AnswerChecker:
    """A checker, and what of an answer it gets to see (`checkers.extract`)."""

    checker: VerdictCache
    extract: str = "code-block-or-all"

    def findings(self, rows: Iterable[Row]) -> Iterator[Fault | None]:
        """For each row with an answer: a fault where that is refused, None where it passes.

        Several answers are judged at a time. Raises UserError when the checker is not installed.
        """
        judged, given = tee(row for row in rows if row.expected)
        verdicts = self.checker.judge(map(self._item, given), workers=os.cpu_count() or 1)
        for row, verdict in zip(judged, verdicts, strict=True):
            says = verdict.reason or "no reason given"
            if not self._item(row).answer.strip():  # an empty program compiles, and teaches nothing
                yield _refused(row, "the response contains nothing to check")
            else:
                yield (None if verdict.passed is not False else _refused(row, f"checker: {says}"))

    def _item(self, row: Row) -> CheckItem:
        asked = row.prompt_messages()[-1:]
        prompt = asked[0].content if asked else ""
        expected = expected_for(self.checker.command, row.expected, self.extract)
        return CheckItem(extract(row.expected, self.extract), prompt, expected, row.must_contain)


def _refused(row: Row, message: str) -> Fault:
    return Fault(row.place, "refused", message, "fix the response or the checker", fatal=False)


@dataclass(frozen=True)
class PresetChecks:
    """How one preset looks at data; without one, with the usual control tokens and no checker."""

    plans: tuple[tuple[ReadPlan, str], ...] = ()
    held_out: str = ""
    special: tuple[str, ...] = USUAL_SPECIAL
    preview: TokenPreview | None = None
    judge: AnswerChecker | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, preset_name: str, overrides: Sequence[str] = ()) -> PresetChecks:
        """Those of a preset, with its sources. Raises UserError for a preset at fault."""
        preset = with_absolute_paths(load(preset_name, overrides))
        asked = [path for key, path in prompt_files(preset.evaluate) if len(key) == 2]
        preview, notes = _preview(preset_name, overrides)
        return cls(
            plans=tuple(_plan(source) for source in preset.data.source),
            held_out=_nearer(asked[0]) if asked else "",
            special=tuple(preview.tokenizer.special_tokens) if preview else USUAL_SPECIAL,
            preview=preview,
            judge=_judge(preset.evaluate),
            notes=notes,
        )

    def tokenized(self, rows: Callable[[], Iterable[Row]], notes: list[str]) -> Iterator[Fault]:
        """What tokenizing as training does brings to light; `notes` get the ledgers' lines.

        `rows` is asked once for each kind of rows, as it may read them anew.
        """
        for kind, limit in self.preview.limits.items() if self.preview else ():
            if kind == "chat" and self.preview and self.preview.template is None:
                notes.append("the model has no chat template, so conversations were not tokenized")
                continue
            some = (row for row in rows() if row.kind == kind)
            yield from self._tokenized(kind, limit, some, notes)

    def _tokenized(
        self, kind: str, limit: Limit, rows: Iterable[Row], notes: list[str]
    ) -> Iterator[Fault]:
        assert self.preview is not None
        preview, encoding = self.preview, EncodedSplit(ledger=EncodingStats(limit.tokens))
        encoder = preview.encoder(kind, limit.tokens)
        ready = (one for row in rows for one in with_system([row], preview.system))
        for found in counted(encoder.encode(ready), "rows tokenized"):
            encoding.enter(found, cast(OverlengthPolicy, limit.on_cut))
            cut = [p for p in found.parts if isinstance(p, TrainingSequence) and p.cut]
            yield from (_over_length(part, limit) for part in cut[:1])
        if encoding.ledger.rows:
            notes += [f"{kind} tokens: {line}" for line in encoding.ledger.lines()]
        # The others (names of control tokens, nothing trained) are reported by the linter.
        yield from (fault for fault in encoding.faults if fault.fatal)

    def refused(self, rows: Iterable[Row], recheck: bool) -> Iterator[Fault | None]:
        """The checker's findings, None for an answer that passes; nothing without a checker."""
        if self.judge is None:
            return
        if recheck:
            self.judge.checker.forget()
        yield from self.judge.findings(rows)


def _plan(source: DataSource) -> tuple[ReadPlan, str]:
    options = ReaderOptions(**source.options())
    return plan_source(_nearer(source.path), source.format, options), source.name


def _preview(
    preset_name: str, overrides: Sequence[str]
) -> tuple[TokenPreview | None, tuple[str, ...]]:
    """The preset's tokenizer and template, or a note saying why they are not to be had."""
    try:
        return load_preview(preset_name, overrides), ()
    except UserError as error:
        return None, (f"checked without the model's template and special tokens: {error}",)


def _nearer(path: str) -> str:
    """The path from here, where it lies below the current folder."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if here in Path(path).parents else path


def _over_length(part: TrainingSequence, limit: Limit) -> Fault:
    lost = "every trained token" if not part.n_trained else "the stop token"
    loses = f"; truncation would remove {lost}" if part.lost_stop or not part.n_trained else ""
    what = f"{part.length:,} tokens, more than sequence_length = {limit.tokens:,}{loses}"
    hint = (
        f"the preset has on_cut = {limit.on_cut!r}; sequence_length = {part.length:,} would fit it"
    )
    return Fault(part.place, "over-length", what, hint, fatal=limit.on_cut == "refuse")


def _judge(evaluate: Evaluate) -> AnswerChecker | None:
    if not evaluate.checker:
        return None
    limits = Limits(timeout_s=evaluate.timeout)
    checker = VerdictCache(tuple(evaluate.checker), evaluate.checker_suffix, limits)
    return AnswerChecker(checker, evaluate.extract)


def split_keys(given: Sequence[str], preset: str | None) -> tuple[list[str], list[str]]:
    """(keys of the source, keys of the preset). Raises UserError for the latter without one."""
    from workbench.preset.schema import Preset

    source: list[str] = []
    of_preset: list[str] = []
    for key in given:
        section = re.split(r"[.=\[]", key, maxsplit=1)[0].strip()
        (of_preset if section in Preset.model_fields else source).append(key)
    if of_preset and not preset:
        raise UserError(f"--set {of_preset[0]}: this is a preset key", hint="add --preset NAME")
    return source, of_preset


def source_options(keys: Sequence[str]) -> ReaderOptions:
    """The source's options with those keys set. Raises UserErrors."""
    if not keys:
        return PLAIN
    from workbench.preset.loader import parse

    text = '[[data.source]]\npath = "."\n[[train]]\n'
    loaded = parse(text, Path("."), [f"data.source.0.{key}" for key in keys])
    return ReaderOptions(**loaded.preset.data.source[0].options())
