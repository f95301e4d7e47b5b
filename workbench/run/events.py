"""The closed set of what a worker can say, one frozen record a kind. The docs of the event log.

An event is a narrative: readers fold it into what they show, and nothing that resuming needs
lives here. Units stand in the names. A reader ignores kinds and fields that it does not know, so
that an older screen can watch a newer worker.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

KINDS: dict[str, type[Event]] = {}


@dataclass(frozen=True, kw_only=True)
class Event:
    """Base of all events. `kind` is the name in the log."""

    kind: ClassVar[str] = ""

    def __init_subclass__(cls, kind: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kind = kind
        KINDS[kind] = cls

    def fields(self) -> dict[str, Any]:
        """The event's own fields, as they stand in the log."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}


Emit = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True)
class RunStarted(Event, kind="run_started"):
    """A worker took the run up, for the first time or again."""

    pid: int
    host: str
    version: str
    stages: list[str]


@dataclass(frozen=True, kw_only=True)
class StageStarted(Event, kind="stage_started"):
    title: str


@dataclass(frozen=True, kw_only=True)
class Progress(Event, kind="progress"):
    """How far a stage is, in its own unit (rows, tensors, answers, steps).

    `label` is what it does, and another one counts from the start; `detail` the unit at hand.
    """

    done: int
    total: int
    unit: str
    label: str = ""
    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """A file that a stage made: path relative to the run's folder, size and SHA-256."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class StageDone(Event, kind="stage_done"):
    """The stage is complete. `inputs` is the hash of all it depended on."""

    elapsed_s: float
    inputs: str
    artefacts: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StageSkipped(Event, kind="stage_skipped"):
    reason: str


@dataclass(frozen=True, kw_only=True)
class Note(Event, kind="note"):
    """One line for the person. `level` is `info` or `warning`."""

    message: str
    level: str = "info"


@dataclass(frozen=True, kw_only=True)
class Load(Event, kind="load"):
    """What the worker and its machine are busy with, about once a second; shares are 0 to 1.

    `cpu_share` is that of all cores by all processes, `worker_cores` how many the worker and its
    children keep busy. Memory is theirs, and what the machine has left. A GPU's are None
    without one, `gpu_share` also where nothing tells it.
    """

    cpu_share: float
    worker_cores: float
    memory_bytes: int
    memory_free_bytes: int
    gpu_share: float | None = None
    gpu_memory_bytes: int | None = None
    gpu_memory_total_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class DataReady(Event, kind="data_ready"):
    """What became of the rows of every source: read, kept, left out, and why."""

    rows: int
    train_rows: int
    validation_rows: int
    duplicates: int
    leaks: int
    faults: int


@dataclass(frozen=True, kw_only=True)
class TrainingPlanned(Event, kind="training_planned"):
    """What a training stage is going to do, on how many processes; `shared`: each of them holds
    a part of the weights. `targets`: what is trained beside frozen weights, the fields of a
    `TargetGroup` each."""

    steps: int
    from_step: int
    epochs: float
    tokens_per_epoch: int
    trained_tokens_per_epoch: int
    trainable_parameters: int
    total_parameters: int
    device: str
    dtype: str
    processes: int = 1
    shared: bool = False
    targets: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class MemoryMeasured(Event, kind="memory_measured"):
    """What the stage's worst batch came to before its first step, beside the estimate by parts.

    `device_bytes` is all the memory of the GPU, or of the machine, `free_bytes` what is left.
    """

    peak_bytes: int
    estimated_bytes: int
    device_bytes: int
    free_bytes: int
    parts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Step(Event, kind="step"):
    """One optimizer step. `loss` is the mean over the step's trained tokens, in nats."""

    step: int
    steps: int
    epoch: float
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    trained_tokens: int
    tokens_per_second: float
    padding_share: float
    elapsed_s: float
    memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Validated(Event, kind="validated"):
    """Loss over all trained tokens of the validation split after `step` steps, in nats."""

    step: int
    loss: float
    trained_tokens: int
    best: bool
    elapsed_s: float


@dataclass(frozen=True, kw_only=True)
class GeneralMeasured(Event, kind="general_measured"):
    """Loss over the general text that ships, in nats a token: what rises has been forgotten.

    Step 0 is the model as the stage found it.
    """

    step: int
    loss: float
    tokens: int
    elapsed_s: float


@dataclass(frozen=True, kw_only=True)
class Sampled(Event, kind="sampled"):
    """An answer of the model in training to one of the fixed prompts; step 0: before training.

    `stopped` says that the model ended it by itself.
    """

    step: int
    prompt: str
    answer: str
    stopped: bool


@dataclass(frozen=True, kw_only=True)
class CheckpointSaved(Event, kind="checkpoint_saved"):
    step: int
    path: str
    elapsed_s: float


@dataclass(frozen=True, kw_only=True)
class CheckpointRefused(Event, kind="checkpoint_refused"):
    """A checkpoint that did not verify was passed over on resuming."""

    path: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Diverged(Event, kind="diverged"):
    """Training came to what is no finite number, after `step` good steps; the run fails by it.

    `checkpoint` is the last good one, "" where there is none.
    """

    step: int
    what: str
    checkpoint: str


@dataclass(frozen=True, kw_only=True)
class Resumed(Event, kind="resumed"):
    """The stage goes on after `from_step`; steps beyond it that the log already has are void."""

    from_step: int
    path: str


@dataclass(frozen=True, kw_only=True)
class ExportPlanned(Event, kind="export_planned"):
    """What an export is going to write, by type: bytes, and a line for each tensor that cannot
    have its type's format. `adapters` are merged on the way. `disk_bytes` have to be free at once;
    the writing is foreseen to take `writing_s` seconds (None: not foreseen)."""

    adapters: int
    tensors: int
    bytes: dict[str, Any]
    fallbacks: dict[str, Any] = field(default_factory=dict)
    merged: bool = False
    disk_bytes: int = 0
    writing_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class FileExported(Event, kind="file_exported"):
    """A GGUF file (or `merged` folder) stands. `fallbacks` tensors could not take the type."""

    type: str
    path: str
    bytes: int
    fallbacks: int
    elapsed_s: float


@dataclass(frozen=True, kw_only=True)
class ParityMeasured(Event, kind="parity_measured"):
    """A GGUF against the trained model in float32: Kullback-Leibler divergence in nats."""

    type: str
    kl_mean: float
    kl_max: float
    top1: float
    ids_equal: bool
    passed: bool


@dataclass(frozen=True, kw_only=True)
class Answered(Event, kind="answered"):
    """One held-out prompt was answered by one model, or could not be: `problem` says why.

    `guard` names the guard that asked it.
    """

    model: str
    done: int
    total: int
    prompt: str = ""
    answer: str = ""
    passed: bool | None = None
    category: str = ""
    guard: str = ""
    checker_says: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Evaluated(Event, kind="evaluated"):
    """The headline figures of one model, each with its unit in the name."""

    model: str
    figures: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Packaged(Event, kind="packaged"):
    """What the run made for use elsewhere and the command that takes it there."""

    path: str
    command: str


@dataclass(frozen=True, kw_only=True)
class RunStopped(Event, kind="run_stopped"):
    """Somebody asked for it; `workbench resume` goes on."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class RunFailed(Event, kind="run_failed"):
    """The run ended without its goal. `status` is the exit status it gives (1 or 2)."""

    error: str
    status: int


@dataclass(frozen=True, kw_only=True)
class RunDone(Event, kind="run_done"):
    elapsed_s: float


ENDINGS = (RunStopped, RunFailed, RunDone)


def parse(kind: str, fields: Mapping[str, Any]) -> Event | None:
    """The event of that kind, or None for a kind (or a shape of it) this version does not know.

    A number that was no number (NaN, infinity) stands as null in the log and is NaN here.
    """
    known = KINDS.get(kind)
    if known is None:
        return None
    types = {f.name: str(f.type) for f in dataclasses.fields(known)}
    values = {name: _restored(fields[name], types[name]) for name in types if name in fields}
    if not all(_fits(value, types[name]) for name, value in values.items()):
        return None
    try:
        return known(**values)
    except TypeError:
        return None


_CLASSES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "bool | None": (bool, type(None)),
    "dict[str, Any]": (dict,),
    "float": (float, int),
    "float | None": (float, int, type(None)),
    "int": (int,),
    "int | None": (int, type(None)),
    "list[dict[str, Any]]": (list,),
    "list[str]": (list,),
    "str": (str,),
}


def _restored(value: Any, type_name: str) -> Any:
    return math.nan if value is None and type_name == "float" else value


def _fits(value: Any, type_name: str) -> bool:
    if isinstance(value, bool):
        return type_name.startswith("bool")
    return isinstance(value, _CLASSES[type_name])
