"""The export of an architecture that is not ours: llama.cpp's converter writes its GGUF files.

The model is merged in float32 for the converter, so that its float files are as exact as ours. All
other types are quantized from its F16, every file is compared with the trained model, and
parity.json and answers.md are written as for ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.core import files
from workbench.core.errors import UserError
from workbench.core.runtime import usable_cores
from workbench.inference.quantization import GgufFileType, kind_named
from workbench.pipeline.export.converter import TYPES, convert
from workbench.pipeline.export.gguf_logits import GgufLogits
from workbench.pipeline.export.gguf_vocabulary import read_vocabulary
from workbench.pipeline.export.merge_whole import WholeModel, whole_model, write_whole
from workbench.pipeline.export.output_files import (
    COMPARE,
    MERGE,
    REFERENCE_TYPE,
    ExportProgress,
    quantized,
)
from workbench.pipeline.export.reference_logits import write_reference
from workbench.pipeline.export.smoke_test import SmokeTest, smoke_answers
from workbench.pipeline.export.stage import Callbacks, ExportResult, require_parity, write_answers
from workbench.pipeline.export.streaming import ExportedFile
from workbench.pipeline.export.tokenizer_files import TokenizerFiles, read_tokenizer
from workbench.pipeline.export.verification import (
    MEASURED_POSITIONS,
    MEASURED_SAMPLES,
    Verification,
    VerifiedFile,
    judge_files,
    work_folder,
    write_report,
)
from workbench.pipeline.export.vocabulary_check import (
    PARITY_TEXTS,
    Expected,
    Sample,
    VocabularyReport,
    expected_ids,
)
from workbench.pipeline.models.serving_files import ids_in, read_generation
from workbench.pipeline.models.weights import Weights

CONVERT = "convert to"
MIB = 1 << 20


@dataclass(frozen=True)
class _Job:
    """The plain values of one call. `known`: the model's size, rows and context."""

    weights: Weights
    tokenizer: Path
    out: Path
    name: str
    kinds: tuple[GgufFileType, ...]
    converter: Path | None
    known: WholeModel
    calls: Callbacks
    threads: int

    def path(self, kind: str) -> Path:
        """Where the file of that type goes; an F16 that nobody asked for is swept away."""
        asked = any(kind == one.name for one in self.kinds)
        return self.out / (f"{self.name}-{kind}.gguf" if asked else f".twin-{kind}.part")


def export_converted(
    weights: Weights,
    tokenizer: Path,
    out: Path,
    *,
    name: str,
    formats: Sequence[str],
    converter: Path | None,
    end_of_turn: str = "",
    merged: bool = False,
    card: Callable[[Sequence[VerifiedFile]], str] = lambda judged: "",
    parity: bool = True,
    samples: Sequence[Sample] = (),
    callbacks: Callbacks | None = None,
    threads: int | None = None,
    memory_bytes: int | None = None,
) -> ExportResult:
    """As `export_stage`, with all GGUF files from the `converter` and llama.cpp's quantization.

    Without `formats`, only the merged model is written and no converter is needed.
    Raises RunFailed where the converter fails or a file is not the trained model, Interrupted when
    asked to stop. A model that does not fit into memory in float32 is not compared, which is a
    warning.
    """
    calls = callbacks or Callbacks()
    kinds = tuple(dict.fromkeys(kind_named(one) for one in formats))
    known, cores = whole_model(weights, tokenizer), threads or usable_cores()
    out.mkdir(parents=True, exist_ok=True)
    files.sweep(out)
    job = _Job(weights, tokenizer, out, name, kinds, converter, known, calls, cores)
    files.check_space(out, _disk_bytes(job, merged), "the export")
    exported, examination, warnings = list[ExportedFile](), None, list[str]()
    try:
        if kinds:
            exported = _make_files(job)
        if exported and parity and known.fits(memory_bytes):
            examination = _examine(job, samples, end_of_turn)
        elif exported and parity:
            warnings.append("the files were not compared: the model in float32 is larger than RAM")
    finally:
        files.sweep(out)
    judged = examination.judged if examination else ()
    folder = out / "merged" if merged else None
    if folder:
        calls.doing(ExportProgress(MERGE, 0, 1, "models", name))
        write_whole(weights, tokenizer, folder, card=card(judged))
    return ExportResult(
        files=tuple(exported),
        merged=folder,
        parity=judged,
        warnings=(*warnings, *(one.verdict.warning for one in judged if one.verdict.warning)),
        artefacts=(*(one.path for one in exported), *_files_in(folder)),
    )


def base_gguf(
    base: Path, tokenizer: Path, target: Path, kind: str, converter: Path, threads: int
) -> None:
    """Write the untrained `base` as `target` of that type."""
    known = whole_model(Weights(base), tokenizer)
    with work_folder(target.with_name(f"tmp-{target.stem}")) as work:
        job = _Job(
            Weights(base),
            tokenizer,
            work,
            "base",
            (kind_named(kind),),
            converter,
            known,
            Callbacks(),
            threads,
        )
        _make_files(job)
        files.rename(job.path(kind), target)


def _disk_bytes(job: _Job, merged: bool) -> int:
    """What the disk has to take at once: the merged models and all files."""
    sizes = sum(
        int(job.known.elements * kind.bits / 8) for kind in (*job.kinds, kind_named(REFERENCE_TYPE))
    )
    return job.known.bytes_as("float32") + sizes + (job.known.bytes_as("stored") if merged else 0)


def _make_files(job: _Job) -> list[ExportedFile]:
    """All files of the job: floats by the converter, the others from its F16."""
    made = list[ExportedFile]()
    needs_twin = any(kind.name not in TYPES for kind in job.kinds)
    floats = dict.fromkeys(kind.name for kind in job.kinds if kind.name in TYPES)
    floats |= {REFERENCE_TYPE: None} if needs_twin else {}
    with work_folder(job.out / "tmp-convert") as work:
        job.calls.doing(ExportProgress(MERGE, 0, 1, "models", job.name))
        write_whole(job.weights, job.tokenizer, work / "model", dtype="float32")
        for kind in floats:
            made += _converted(job, work / "model", kind)
    for one in job.kinds:
        if one.name not in TYPES:
            started = time.monotonic()
            source, target = job.path(REFERENCE_TYPE), job.path(one.name)
            made.append(
                quantized(source, target, one, job.calls.doing, job.calls.should_stop, job.threads)
            )
            job.calls.on_file(made[-1], time.monotonic() - started)
    order = [kind.name for kind in job.kinds]
    return sorted(made, key=lambda file: order.index(file.type))


def _converted(job: _Job, model: Path, kind: str) -> list[ExportedFile]:
    """The float file of that type; none in the list where nobody asked for it."""
    assert job.converter is not None, "only the merged model needs no converter"
    target, started = job.path(kind), time.monotonic()
    total = job.known.bytes_as("float32" if kind == "f32" else "float16") // MIB

    def progress(written: int) -> None:
        done = min(total, written // MIB)
        job.calls.doing(ExportProgress(f"{CONVERT} {kind}", done, total, "MiB", target.name))

    progress(0)
    convert(
        job.converter, model, target, kind, progress=progress, should_stop=job.calls.should_stop
    )
    if all(one.name != kind for one in job.kinds):
        return []
    made = ExportedFile(kind, target, target.stat().st_size, files.sha256(target), 0, ())
    job.calls.on_file(made, time.monotonic() - started)
    return [made]


def _examine(job: _Job, samples: Sequence[Sample], end_of_turn: str) -> Verification:
    """The files against the trained model in float32; parity.json and answers.md are written."""
    paths = {kind.name: job.path(kind.name) for kind in job.kinds}
    if job.path(REFERENCE_TYPE).exists():
        paths[REFERENCE_TYPE] = job.path(REFERENCE_TYPE)
    tokenizer = read_tokenizer(job.tokenizer)
    expected = _expected(tokenizer, job, samples, end_of_turn)
    ids = {kind: _compare_ids(path, expected) for kind, path in paths.items()}
    probes = _probes(tokenizer, samples, min(MEASURED_POSITIONS, job.known.context))
    stops = ids_in(read_generation(tokenizer.folder).get("eos_token_id"))
    answers = smoke_answers((one.asked for one in samples), stops, job.known.context)
    asked = answers if isinstance(answers, SmokeTest) else None
    layers = job.known.layers
    with work_folder(job.out / "tmp-parity") as work:
        job.calls.doing(ExportProgress(COMPARE, 0, len(paths), "files", "the trained model"))
        reference = write_reference(
            job.weights,
            probes,
            work,
            rows=job.known.rows,
            layers=layers,
            then=asked.ask_trained if asked else lambda model: None,
        )
        judged = judge_files(
            paths,
            probes,
            reference,
            {kind: not report.mismatches for kind, report in ids.items()},
            routed=job.known.experts > 1,
            answers=asked,
            on_parity=job.calls.on_parity,
            on_compare=lambda done, total, kind: job.calls.doing(
                ExportProgress(COMPARE, done, total, "files", kind)
            ),
            should_stop=job.calls.should_stop,
            threads=job.threads,
        )
    found = Verification(tuple(judged), layers, None, answers)
    write_report(job.out / "parity.json", layers, ids[next(iter(ids))], found)
    write_answers(tokenizer, found, job.out, job.calls)
    require_parity(judged)
    return found


def _expected(
    tokenizer: TokenizerFiles, job: _Job, samples: Sequence[Sample], end_of_turn: str
) -> Expected:
    """Ids that the files must give; known differences as far as our own reading knows them."""
    try:
        vocabulary = read_vocabulary(tokenizer, job.known.rows, end_of_turn)
    except UserError:
        texts = [Sample(text, tokenizer.ids(text)) for text in PARITY_TEXTS]
        return Expected((*texts, *samples), ())
    return expected_ids(tokenizer, vocabulary, samples)


def _compare_ids(path: Path, expected: Expected) -> VocabularyReport:
    with GgufLogits(path) as native:
        got = [
            tuple(native.ids(request.text, add_special=request.add_special))
            for request in expected.requests()
        ]
    return expected.report("llama.cpp's converter", got)


def _probes(tokenizer: TokenizerFiles, samples: Sequence[Sample], longest: int) -> list[list[int]]:
    texts = [list(tokenizer.ids(text)) for text in PARITY_TEXTS]
    texts += [list(sample.ids) for sample in samples[:MEASURED_SAMPLES]]
    return [ids[:longest] for ids in texts if len(ids) > 1]


def _files_in(folder: Path | None) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file()) if folder else []
