"""The preset of a run: every default written out, every path absolute; and its extension.

A frozen preset means the same from any folder, so a run can be resumed from anywhere. To make the
training longer its preset gets an extension, and the next resume continues there. Only the last
training stage can be extended: later stages build on what earlier ones learned. What comes after it
(export, evaluation) is done again, as its inputs change.
"""

from __future__ import annotations

import re
from pathlib import Path

from workbench.checkers.builtin import is_builtin, is_schema
from workbench.core.errors import UserError
from workbench.core.files import write_atomic
from workbench.core.text import quantity
from workbench.preset.inputs import EMBEDDED, TEMPLATE_FILE
from workbench.preset.loader import LoadedPreset, load
from workbench.preset.lookup import resolve_data, with_absolute_source
from workbench.preset.rendering import to_toml
from workbench.preset.schema import TRAIN, Evaluate, Export, Model, Preset, Watch
from workbench.preset.watch import PROMPT_FILE
from workbench.run import lock
from workbench.run.folder import RunFolder
from workbench.run.log import read
from workbench.run.state import RunState, StageState

VALIDATION = "validation"


def freeze(loaded: LoadedPreset, run: RunFolder) -> None:
    """Write the run's `preset.toml`; from then on the run exists."""
    write_atomic(run.preset_file, to_toml(with_absolute_paths(loaded)))


def with_absolute_paths(loaded: LoadedPreset) -> Preset:
    """The preset with absolute paths. Raises UserError for one that is not there."""
    preset = loaded.preset
    sources = [with_absolute_source(source, loaded.path) for source in preset.data.source]
    return preset.model_copy(
        update={
            "data": preset.data.model_copy(update={"source": sources}),
            "model": _model(preset.model, loaded.path),
            "export": _export(preset.export, loaded.path),
            "watch": _watch(preset.watch, loaded.path),
            "evaluate": _evaluate(preset.evaluate, loaded.path),
        }
    )


def prompt_files(evaluate: Evaluate) -> list[tuple[tuple[str | int, ...], str]]:
    """The files of prompts that a preset names, each with its key's path."""
    named = evaluate.prompts not in ("", VALIDATION)
    found: list[tuple[tuple[str | int, ...], str]] = []
    if named:
        found.append((("evaluate", "prompts"), evaluate.prompts))
    for number, guard in enumerate(evaluate.guard):
        found.append((("evaluate", "guard", number, "prompts"), guard.prompts))
    return found


def _model(model: Model, preset_file: Path) -> Model:
    base, template = model.base, model.chat_template
    folder = Path(base).expanduser()
    if not base.startswith(EMBEDDED) and folder.is_dir():
        base = str(folder.resolve())
    if template.startswith(TEMPLATE_FILE):
        path = _absolute(template.removeprefix(TEMPLATE_FILE), preset_file)
        template = TEMPLATE_FILE + path
    return model.model_copy(update={"base": base, "chat_template": template})


def _export(export: Export, preset_file: Path) -> Export:
    if not export.converter:
        return export
    return export.model_copy(update={"converter": _absolute(export.converter, preset_file)})


def _watch(watch: Watch, preset_file: Path) -> Watch:
    if isinstance(watch.prompts, str):
        return watch
    prompts = list(watch.prompts)
    for index, file in watch.prompt_files:
        prompts[index] = PROMPT_FILE + _absolute(file, preset_file)
    return watch.model_copy(update={"prompts": prompts})


def _evaluate(evaluate: Evaluate, preset_file: Path) -> Evaluate:
    guards = [
        guard.model_copy(
            update={
                "prompts": _absolute(guard.prompts, preset_file),
                "checker": checker_command(guard.checker, preset_file),
            }
        )
        for guard in evaluate.guard
    ]
    prompts = evaluate.prompts
    if prompts not in ("", VALIDATION):
        prompts = _absolute(prompts, preset_file)
    return evaluate.model_copy(
        update={
            "prompts": prompts,
            "checker": checker_command(evaluate.checker, preset_file),
            "baselines": [_baseline(name, preset_file) for name in evaluate.baselines],
            "guard": guards,
        }
    )


def checker_command(command: list[str], preset_file: Path) -> list[str]:
    """A checker runs in an empty folder: a word with a slash that names a file gets its path.

    A built-in one's words are texts, but for the schema's file. Raises UserError where that is not.
    """
    if is_schema(command):
        return [command[0], _absolute(command[1], preset_file)]
    if is_builtin(command):
        return command
    return [_word(word, preset_file) for word in command]


def _word(word: str, preset_file: Path) -> str:
    if "/" not in word or word.startswith(("/", "-")) or "{" in word:
        return word
    roots = (Path.cwd(), preset_file.absolute().parent, preset_file.absolute().parent.parent)
    return next((str(root / word) for root in roots if (root / word).is_file()), word)


def _baseline(name: str, preset_file: Path) -> str:
    is_file = name.endswith(".gguf") and ":" not in name
    return _absolute(name, preset_file) if is_file else name


def _absolute(path: str, preset_file: Path) -> str:
    return str(resolve_data(path, preset_file).absolute())


MORE = re.compile(r"\+(\d+(?:\.\d+)?|\.\d+)")


def extend(run: RunFolder, epochs: str = "", steps: str = "") -> str:
    """Add `+N` epochs or steps to the run's preset; returns what was done, in words.

    Raises UserError where that cannot be: somebody is at work, nothing was planned yet, the stage
    stopped early.
    """
    if epochs and steps:
        raise UserError("--epochs and --steps cannot be combined", hint="use one of them")
    if lock.owner(run.lock_file):
        raise lock.acquire_lock(run.lock_file)
    loaded = load(str(run.preset_file))
    stage = loaded.preset.train[-1]
    told = _told(run, f"{TRAIN}:{stage.name}")
    more = _steps(steps) if steps else _epochs(epochs, told)
    longer = stage.model_copy(update={"extensions": [*stage.extensions, more]})
    preset = loaded.preset.model_copy(update={"train": [*loaded.preset.train[:-1], longer]})
    write_atomic(run.preset_file, to_toml(preset))
    return f"extended {stage.name} by {quantity(more, 'step')}; later stages will run again"


def _told(run: RunFolder, name: str) -> StageState:
    """The stage as its log tells it. Raises UserError for one that stopped early."""
    state = RunState()
    state.apply(read(run.events_file))
    stage = state.stages.get(name, StageState(name))
    if stage.done and stage.steps and stage.steps[-1].step < stage.steps[-1].steps:
        hint = "start a new run with early_stopping = 0"
        raise UserError(f"{name} stopped early; added steps would stop at once", hint=hint)
    return stage


def _steps(text: str) -> int:
    found = MORE.fullmatch(text)
    if not found or "." in text or int(found[1]) < 1:
        raise UserError(f"--steps {text}: not a number of steps to add", hint="use +100")
    return int(found[1])


def _epochs(text: str, stage: StageState) -> int:
    found = MORE.fullmatch(text)
    if not found or float(found[1]) <= 0:
        raise UserError(f"--epochs {text}: not a number of epochs to add", hint="use +1")
    if stage.plan is None:
        raise UserError(f"{stage.name} has not started; its epoch is unknown", hint="use --steps")
    return max(1, round(float(found[1]) * stage.plan.steps / stage.plan.epochs))
