"""The stages of a run, in order, and the rule by which a finished one is not done again.

A stage is skipped when its last `stage_done` names the same inputs (a hash over its part of the
preset and over what earlier stages made) and every artefact is still there with its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from workbench.core import files
from workbench.core.errors import Interrupted, UserError
from workbench.pipeline.context import Context, Stage, TrainingTeam, context_of
from workbench.preset.loader import load
from workbench.preset.schema import TRAIN, Preset, TrainStage, check_stage_names
from workbench.run import events
from workbench.run.folder import RunFolder
from workbench.run.log import EventLog, read
from workbench.run.state import RunState


def plan_stages(run: RunFolder, wanted: tuple[str, ...] = ()) -> list[Stage]:
    """All stages of the run's preset, then the exports it was asked for besides; those that are
    not `wanted` only stand if done before.

    `train` means every training stage. An export that is `wanted` goes on record here. Raises
    UserError for a name that is no stage.
    """
    from workbench.pipeline.export import job as export_job

    stages = all_stages(load(str(run.preset_file)).preset)
    stages += export_job.requested(run, wanted)
    check_stage_names(wanted, [stage.name for stage in stages])
    if not wanted:
        return stages
    return [replace(s, wanted=s.name in wanted or s.kind in wanted) for s in stages]


def all_stages(preset: Preset) -> list[Stage]:
    """The stages a preset asks for."""
    from workbench.pipeline.evaluation import job as evaluation_job
    from workbench.pipeline.export import job as export_job
    from workbench.pipeline.training import job as training_job

    sft = [_settings(stage) for stage in preset.train]
    planned = [stage.model_dump(mode="json", exclude={"extensions"}) for stage in preset.train]
    data, model = preset.data.model_dump(mode="json"), preset.model.model_dump(mode="json")
    stages = [Stage("prepare", "Prepare the data", [data, model, planned], training_job.prepare)]
    for number, stage in enumerate(preset.train):
        title = f"Train: {stage.name}"
        job = training_job.training(number)
        stages.append(Stage(f"{TRAIN}:{stage.name}", title, [model, sft[: number + 1]], job))
    if preset.export.formats or preset.export.merged:
        export = [preset.export.model_dump(mode="json"), sft]
        title = "Export to GGUF" if preset.export.formats else "Export the merged model"
        stages.append(Stage("export", title, export, export_job.export))
    if preset.export.formats and preset.evaluate.prompts:
        asked = preset.evaluate.model_dump(mode="json")
        generate = preset.generate.model_dump(mode="json")
        stages.append(Stage("evaluate", "Evaluate", [asked, generate], evaluation_job.evaluate))
    if preset.export.formats:
        package = [preset.ollama.model_dump(mode="json"), preset.generate.model_dump(mode="json")]
        stages.append(Stage("package", "Package for Ollama", package, export_job.package))
    return stages


def _settings(stage: TrainStage) -> dict[str, Any]:
    """A training stage's part of the preset; extensions only where there are any."""
    return stage.model_dump(mode="json", exclude=None if stage.extensions else {"extensions"})


def run_stages(
    run: RunFolder,
    stages: Sequence[Stage],
    log: EventLog,
    should_stop: Callable[[], bool],
    team: TrainingTeam | None = None,
) -> None:
    """Do what is wanted and not done yet. Raises what a stage raises."""
    state = RunState()
    state.apply(read(run.events_file))
    preset = load(str(run.preset_file)).preset
    before: list[tuple[Stage, Any]] = []
    skipped: list[Stage] = []
    wanted = [stage.name for stage in stages if stage.wanted]
    for stage in stages:
        inputs = _hash([stage.settings, [made for other, made in before if stage.builds_on(other)]])
        missing = [other.name for other in skipped if stage.builds_on(other)]
        finished = state.stages[stage.name].done if stage.name in state.stages else None
        stands = finished is not None and not missing and _is_current(run, finished, inputs)
        emit = _to(log, stage.name)
        context = context_of(run, preset, emit, should_stop, team=team, wanted=wanted)
        if finished and stands:
            if stage.wanted:
                context.emit(events.StageSkipped(reason="already done, inputs unchanged"))
            before.append((stage, finished.artefacts))
        elif stage.wanted:
            _refuse_missing(run, stage, missing)
            before.append((stage, _do(stage, inputs, context, log)))
        else:
            skipped.append(stage)


def _to(log: EventLog, name: str) -> events.Emit:
    def emit(event: events.Event) -> None:
        log.append(event, name)

    return emit


def _refuse_missing(run: RunFolder, stage: Stage, missing: Sequence[str]) -> None:
    if missing:
        names = ", ".join(missing)
        hint = f"add {names}" if stage.needs is None else f"workbench resume {run.name}"
        raise UserError(f"--stages: {stage.name} needs {names} first", hint=hint)


def _do(stage: Stage, inputs: str, context: Context, log: EventLog) -> list[dict[str, Any]]:
    if context.should_stop():
        raise Interrupted(f"stopped before {stage.name}")
    started = time.monotonic()
    context.emit(events.StageStarted(title=stage.title))
    outcome = stage.run(context)
    artefacts = [context.artefact(path) for path in outcome.artefacts]
    context.emit(
        events.StageDone(
            elapsed_s=time.monotonic() - started,
            inputs=inputs,
            artefacts=artefacts,
            summary=outcome.summary,
        )
    )
    log.sync()
    return artefacts


def _is_current(run: RunFolder, finished: events.StageDone, inputs: str) -> bool:
    """Whether a finished stage's inputs are the same and its files are still what they were."""
    if finished.inputs != inputs:
        return False
    for artefact in finished.artefacts:
        path = run.path / artefact["path"]
        if not path.is_file() or path.stat().st_size != artefact["bytes"]:
            return False
        if files.sha256(path) != artefact["sha256"]:
            return False
    return True


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
