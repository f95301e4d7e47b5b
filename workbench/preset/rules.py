"""What two keys may not say together: each fault with its key, what is wrong and how to mend it.

Pure: a preset in, faults out; no file is looked at. Every value is valid by itself already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from workbench.core.section import InvalidValue
from workbench.core.text import did_you_mean
from workbench.objectives import objective_of
from workbench.preset.inputs import FORMATS_OF, is_local
from workbench.preset.schema import Adapter, DataSource, Preset, TrainStage

Path = tuple[str | int, ...]
GUARD: Path = ("evaluate", "guard")
CONTINUED_KEYS = ("kind", "rank", "alpha", "rslora", "targets", "modules_to_save", "last_layers")


@dataclass(frozen=True)
class Fault:
    """What is wrong at `path`; `others` are the further keys that take part in it."""

    path: Path
    message: str
    hint: str
    others: tuple[Path, ...] = ()


def faults(preset: Preset) -> list[Fault]:
    """Every impossible combination of the preset's values; empty when it can be run."""
    return [fault for rule in RULES for fault in rule(preset)]


def sources_of(preset: Preset, stage: TrainStage) -> list[DataSource]:
    """The sources a stage names, or all that may fit its objective where it names none.

    A source whose format is 'auto' fits until its rows are read. Raises Refused for a source that
    does not exist.
    """
    if stage.source:
        return [preset.data.source[source_index(preset, name)] for name in stage.source]
    return [
        source
        for source in preset.data.source
        if source.use != "validation" and _fits(source, stage)
    ]


def formats_of(stage: TrainStage) -> tuple[str, ...]:
    """The formats whose rows the stage's objective takes."""
    return FORMATS_OF[objective_of(stage.objective).row_kind]


def source_index(preset: Preset, name: int | str) -> int:
    """The index of the source called `name` or numbered so. Raises Refused when there is none."""
    names = [source.name for source in preset.data.source]
    if isinstance(name, int):
        if 0 <= name < len(names):
            return name
        raise InvalidValue(f"no data source {name}", f"there are {len(names)}, numbered from 0")
    if name in names and name:
        return names.index(name)
    raise InvalidValue(f"no data source '{name}'", did_you_mean(name, filter(None, names)))


def _model(preset: Preset) -> Iterator[Fault]:
    model = preset.model
    if is_local(model.base) and model.revision != "main":
        yield Fault(
            ("model", "revision"),
            f"'{model.base}' is a local folder and has no revisions",
            "remove revision",
            (("model", "base"),),
        )


def _gguf_base(preset: Preset) -> Iterator[Fault]:
    if preset.model.base.lower().endswith(".gguf"):
        message = "a GGUF file cannot be trained"
        hint = "use the model that it was made from: a Hub id, or a folder in Hugging Face layout"
        yield Fault(("model", "base"), message, hint)


def _sources(preset: Preset) -> Iterator[Fault]:
    found = preset.data.source
    if not found:
        yield Fault(("data", "source"), "no data source", "add a [[data.source]] table with a path")
    for index, source in enumerate(found):
        if not source.path:
            path = ("data", "source", index, "path")
            yield Fault(path, "path is missing", "give a file, folder or glob")
    if found and all(source.use == "validation" for source in found):
        path = ("data", "source", len(found) - 1, "use")
        yield Fault(path, "all sources are for validation", 'add one with use = "train"')
    yield from _same_names(("data", "source"), [source.name for source in found])


def _stages(preset: Preset) -> Iterator[Fault]:
    if not preset.train:
        yield Fault(("train",), "no training stage", "add a [[train]] table")
    yield from _same_names(("train",), [stage.name for stage in preset.train])
    for index, stage in enumerate(preset.train):
        yield from _stage_sources(preset, stage, ("train", index, "source"))
        yield from _step_size(stage, ("train", index))
        if stage.early_stopping and not validates(preset):
            yield Fault(
                ("train", index, "early_stopping"),
                "early stopping needs validation rows",
                "set data.validation above 0, or early_stopping = 0",
                (("data", "validation"), ("data", "source")),
            )


def _stage_sources(preset: Preset, stage: TrainStage, path: Path) -> Iterator[Fault]:
    for n, name in enumerate(stage.source):
        try:
            source = preset.data.source[source_index(preset, name)]
        except InvalidValue as refused:
            yield Fault((*path, n), refused.message, refused.hint, (("data", "source"),))
            continue
        yield from _named_source(source, stage, name, (*path, n))
    indexes = [_index_or_none(preset, name) for name in stage.source]
    if len(set(indexes)) < len(indexes) and None not in indexes:
        yield Fault(path, "a data source is listed twice", "use weight or repeat instead")
    if not stage.source and preset.data.source and not sources_of(preset, stage):
        needed = ", ".join(formats_of(stage))
        yield Fault(
            path,
            f"no data source fits objective '{stage.objective}'",
            f"it takes the formats {needed}",
            (("data", "source"), (*path[:2], "objective")),
        )


def _named_source(
    source: DataSource, stage: TrainStage, name: int | str, path: Path
) -> Iterator[Fault]:
    others: tuple[Path, ...] = (("data", "source"), (*path[:2], "objective"))
    if source.use == "validation":
        hint = 'its use is "validation"; set it to "auto" or "train"'
        yield Fault(path, f"data source {name} is reserved for validation", hint, others)
    elif not _fits(source, stage):
        yield Fault(
            path,
            f"data source {name} has format '{source.format}',"
            f" which objective '{stage.objective}' does not accept",
            "it takes the formats " + ", ".join(formats_of(stage)),
            others,
        )


def _step_size(stage: TrainStage, path: Path) -> Iterator[Fault]:
    tokens, size = (*path, "batch_tokens"), (*path, "batch_size")
    if stage.batch_tokens and stage.batch_size:
        hint = "set batch_tokens = 0 or batch_size = 0"
        yield Fault(tokens, "batch_tokens and batch_size are both set", hint, (size,))
    if not stage.batch_tokens and not stage.batch_size:
        hint = "set batch_tokens or batch_size"
        yield Fault(tokens, "neither batch_tokens nor batch_size is set", hint, (size,))
    if stage.accumulation > 1 and not stage.batch_size:
        hint = "set batch_size too, or raise batch_tokens"
        key = (*path, "accumulation")
        yield Fault(key, "accumulation needs batch_size", hint, (size,))


def _adapters(preset: Preset) -> Iterator[Fault]:
    before: TrainStage | None = None
    for index, stage in enumerate(preset.train):
        path = ("train", index, "adapter")
        yield from _full(preset, stage.adapter, path)
        if before is not None:
            yield from _stacked(preset, stage.adapter, path)
        if stage.adapter.continue_ == "carry":
            yield from _carried(before, stage.adapter, path)
        if stage.adapter.continue_ == "merge":
            yield from _merged(before, stage.adapter, path)
        before = stage


def _added_tokens(preset: Preset) -> Iterator[Fault]:
    """Rows of new tokens that no stage trains would stay what they were made: a mean."""
    for index, stage in enumerate(preset.train):
        if preset.model.added_tokens and stage.adapter.kind == "full" and stage.adapter.last_layers:
            yield Fault(
                ("train", index, "adapter", "last_layers"),
                "last_layers would leave the added tokens' rows untrained",
                'use last_layers = 0, kind = "lora", or no model.added_tokens',
                (("model", "added_tokens"),),
            )


def _full(preset: Preset, adapter: Adapter, path: Path) -> Iterator[Fault]:
    if adapter.kind != "full":
        return
    if preset.model.quantization != "none":
        yield Fault(
            (*path, "kind"),
            f"quantized weights ({preset.model.quantization}) cannot be fully fine-tuned",
            'use kind = "lora", or model.quantization = "none"',
            (("model", "quantization"),),
        )
    if adapter.modules_to_save:
        hint = 'remove modules_to_save, or use kind = "lora"'
        message = "full fine-tuning trains all modules"
        yield Fault((*path, "modules_to_save"), message, hint, ((*path, "kind"),))
    if adapter.rslora:
        hint = 'remove rslora, or use kind = "lora"'
        yield Fault((*path, "rslora"), "there is no adapter to scale", hint, ((*path, "kind"),))


def _stacked(preset: Preset, adapter: Adapter, path: Path) -> Iterator[Fault]:
    """Beside quantized weights earlier adapters stay unmerged: sums of plain LoRA, nothing else."""
    if preset.model.quantization == "none" or adapter.continue_ != "new":
        return
    hint = 'use continue = "merge" or "carry", or model.quantization = "none"'
    others: tuple[Path, ...] = (("model", "quantization"), ("train",))
    if any(stage.adapter.kind == "dora" for stage in preset.train):
        message = "DoRA adapters cannot be stacked on a quantized base model"
        yield Fault((*path, "continue"), message, hint, others)
    if any(stage.adapter.modules_to_save for stage in preset.train):
        message = "modules_to_save cannot be trained in two stages on a quantized base model"
        yield Fault((*path, "continue"), message, hint, others)
    if preset.model.added_tokens:
        message = "added tokens cannot be trained in two stages on a quantized base model"
        yield Fault((*path, "continue"), message, hint, others)


def _carried(before: TrainStage | None, adapter: Adapter, path: Path) -> Iterator[Fault]:
    key, others = (*path, "continue"), (path, ("train",))
    if before is None:
        yield Fault(key, "the first stage has no earlier adapter to carry", 'use "new"', others)
    elif "full" in (adapter.kind, before.adapter.kind):
        yield Fault(key, "full fine-tuning has no adapter to carry", 'use "new"', others)
    else:
        differing = [k for k in CONTINUED_KEYS if getattr(adapter, k) != getattr(before.adapter, k)]
        if differing:
            hint = f"set them as in stage '{before.name}', or use \"new\""
            message = f"the carried adapter differs in {', '.join(differing)}"
            yield Fault(key, message, hint, others)


def _merged(before: TrainStage | None, adapter: Adapter, path: Path) -> Iterator[Fault]:
    key, others = (*path, "continue"), (path, ("train",))
    if before is None:
        yield Fault(key, "the first stage has no earlier adapter to merge", 'use "new"', others)
    elif before.adapter.kind == "full":
        yield Fault(key, "the previous stage is full fine-tuning: no adapter", 'use "new"', others)
    elif adapter.kind == "full":
        yield Fault(key, "full fine-tuning merges the adapter anyway", 'use "new"', others)


def _generate(preset: Preset) -> Iterator[Fault]:
    generate = preset.generate
    if generate.max_tokens >= generate.context:
        yield Fault(
            ("generate", "max_tokens"),
            f"a response of {generate.max_tokens} tokens leaves no room for the prompt"
            f" in a context of {generate.context}",
            "lower max_tokens or raise context",
            (("generate", "context"),),
        )
    if preset.evaluate.samples > 1 and generate.temperature == 0:
        yield Fault(
            ("evaluate", "samples"),
            "at temperature 0, all responses to a prompt are identical",
            "use samples = 1, or raise generate.temperature",
            (("generate", "temperature"),),
        )


def _evaluate(preset: Preset) -> Iterator[Fault]:
    evaluate, formats = preset.evaluate, ("export", "formats")
    if evaluate.prompts == "validation" and not validates(preset):
        yield Fault(
            ("evaluate", "prompts"),
            "there are no validation rows to evaluate on",
            'set data.validation above 0, give a prompt file, or use "" for no evaluation',
            (("data", "validation"), ("data", "source")),
        )
    if not preset.export.formats and evaluate.prompts:
        yield Fault(
            formats,
            "evaluation needs an exported model, but formats is empty",
            'add a format, or set evaluate.prompts = "" for no evaluation',
            (("evaluate",),),
        )
    if preset.ollama.create and not preset.export.formats:
        hint = "add a format to export.formats, or set create = false"
        yield Fault(("ollama", "create"), "no model file to create it from", hint, (formats,))


def _guards(preset: Preset) -> Iterator[Fault]:
    if preset.evaluate.guard and not preset.evaluate.prompts:
        hint = "set evaluate.prompts, or remove the guards"
        prompts = ("evaluate", "prompts")
        yield Fault(prompts, "guards need an evaluation", hint, (GUARD,))
    for index, guard in enumerate(preset.evaluate.guard):
        path = (*GUARD, index)
        if not guard.name:
            yield Fault((*path, "name"), "the guard has no name", "name the guarded ability")
        if not guard.prompts:
            yield Fault((*path, "prompts"), "the guard has no prompts", "give a data file")
    yield from _same_names(GUARD, [guard.name for guard in preset.evaluate.guard])


def validates(preset: Preset) -> bool:
    """Whether the preset holds any rows back for validation."""
    return preset.data.validation > 0 or any(s.use == "validation" for s in preset.data.source)


def needs_chat_template(preset: Preset) -> bool:
    """Whether a stage learns from what the chat template renders."""
    return any(objective_of(stage.objective).needs_chat_template for stage in preset.train)


def _same_names(path: Path, names: list[str]) -> Iterator[Fault]:
    """Names differing only in case count as the same: so do folders on some systems."""
    folded = [name.casefold() for name in names]
    for index, name in enumerate(folded):
        if name and name in folded[:index]:
            first = folded.index(name)
            message = f"the name '{names[index]}' is used twice"
            other = (*path, first, "name")
            yield Fault((*path, index, "name"), message, f"also used by number {first}", (other,))


def _fits(source: DataSource, stage: TrainStage) -> bool:
    return source.format == "auto" or source.format in formats_of(stage)


def _index_or_none(preset: Preset, name: int | str) -> int | None:
    try:
        return source_index(preset, name)
    except InvalidValue:
        return None


def _processes(preset: Preset) -> Iterator[Fault]:
    """How many GPUs there are is known where they are: the run and the dry run ask."""
    if preset.launch.processes > 1 and preset.model.device == "mps":
        message = "MPS supports only one process"
        yield Fault(("launch", "processes"), message, "use 1", (("model", "device"),))


def _sharding(preset: Preset) -> Iterator[Fault]:
    key, model = ("launch", "sharding"), preset.model
    if preset.launch.sharding == "none":
        return
    if model.quantization == "int8":
        message = "int8 weights cannot be sharded: bitsandbytes keeps their scales per row"
        yield Fault(key, message, 'use "none", or nf4', (("model", "quantization"),))
    for index, stage in enumerate(preset.train):
        if stage.adapter.modules_to_save:
            saved = ("train", index, "adapter", "modules_to_save")
            message = "modules_to_save cannot be trained with sharded weights"
            yield Fault(key, message, 'use "none", or modules_to_save = []', (saved,))
        if stage.adapter.kind == "full" and stage.optimizer != "adamw":
            message = f"{stage.optimizer} cannot be sharded: bitsandbytes needs whole tensors"
            other = ("train", index, "optimizer")
            yield Fault(key, message, 'use "none", or optimizer = "adamw"', (other,))


RULES: tuple[Callable[[Preset], Iterable[Fault]], ...] = (
    _model,
    _gguf_base,
    _sources,
    _stages,
    _adapters,
    _added_tokens,
    _generate,
    _evaluate,
    _guards,
    _processes,
    _sharding,
)
