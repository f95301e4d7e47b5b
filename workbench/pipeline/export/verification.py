"""All files of one pass against the model they came from: ids, logits, verdicts, parity.json.

When the model in float32 does not fit into memory, the same code exports its first layers, in all
types, and those are measured; the real files' ids are compared all the same.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from workbench.core import files
from workbench.core.errors import Interrupted
from workbench.inference.quantization import kind_named, quantize
from workbench.pipeline.export.output_files import REFERENCE_TYPE
from workbench.pipeline.export.parity import (
    HARD_LIMITS,
    Parity,
    Verdict,
    as_json,
    between,
    judge_parity,
    measure,
)
from workbench.pipeline.export.plan import ExportPlan, plan_export
from workbench.pipeline.export.reference_logits import layers_that_fit, write_reference
from workbench.pipeline.export.smoke_test import NONE_COMPARED, SmokeTest, smoke_answers
from workbench.pipeline.export.streaming import run_export
from workbench.pipeline.export.vocabulary_check import (
    PARITY_TEXTS,
    Expected,
    Sample,
    VocabularyReport,
    compare_ids,
)

MEASURED_SAMPLES = 5
MEASURED_POSITIONS = 256  # of one text


@dataclass(frozen=True)
class VerifiedFile:
    """A file's parity and what the gate says of it."""

    parity: Parity
    verdict: Verdict


@dataclass(frozen=True)
class Verification:
    """`layers`: how many of the model's layers were measured. `coarse`: how far the files' base is
    from the quantized one that training held, by its type; None where it held the files' own.
    `answers`: those of adapter, merge and files to the same prompts, or why there are none, "" for
    no prompts at all."""

    judged: tuple[VerifiedFile, ...]
    layers: int
    coarse: Parity | None = None
    answers: SmokeTest | str = ""


def verify_files(
    plan: ExportPlan,
    paths: Mapping[str, Path],
    out: Path,
    *,
    expected: Expected,
    samples: Sequence[Sample] = (),
    on_parity: Callable[[Parity, Verdict], None] = lambda parity, verdict: None,
    on_compare: Callable[[int, int, str], None] = lambda done, total, kind: None,
    should_stop: Callable[[], bool] = lambda: False,
    threads: int = 1,
    memory_bytes: int | None = None,
    quantization: str = "none",
) -> Verification:
    """Judge the files (type -> path) of `plan`, float types first; a working folder lies in `out`.

    `expected`: ids to compare; `samples`: conversations to measure beside the texts of our own.
    `on_compare` is told how many files are measured, of how many, and which is next.
    `quantization`: how training held the base.
    Raises Interrupted between two files when `should_stop()` says so.
    """
    on_compare(0, len(paths), "the trained model")
    ids_equal = {
        t: not compare_ids(plan.vocabulary, path, expected).mismatches for t, path in paths.items()
    }
    layers = layers_that_fit(plan, memory_bytes)
    probes = _probes(plan, samples)
    answers = _answers(plan, samples, layers)
    asked = answers if isinstance(answers, SmokeTest) else None
    coarse = None
    with work_folder(out / "tmp-parity") as work:
        if layers < plan.config.layers:
            paths = _first_layers(plan, tuple(paths), layers, work, should_stop, threads)
        reference = write_reference(
            plan.weights,
            probes,
            work,
            rows=plan.vocabulary_size,
            layers=layers,
            then=asked.ask_trained if asked else lambda model: None,
        )
        if quantization != "none":
            on_compare(0, len(paths), f"the base model in {quantization}")
            coarse = _as_trained(plan, probes, reference, work / quantization, layers, quantization)
        judged = judge_files(
            paths,
            probes,
            reference,
            ids_equal,
            f32_limit=plan.family.f32_limit,
            routed=plan.config.experts > 1,
            answers=asked,
            on_parity=on_parity,
            on_compare=on_compare,
            should_stop=should_stop,
            threads=threads,
        )
    return Verification(tuple(judged), layers, coarse, answers)


def judge_files(
    paths: Mapping[str, Path],
    probes: Sequence[Sequence[int]],
    reference: Sequence[Path],
    ids_equal: Mapping[str, bool],
    *,
    f32_limit: float = HARD_LIMITS["f32"],
    routed: bool = False,
    answers: SmokeTest | None = None,
    on_parity: Callable[[Parity, Verdict], None] = lambda parity, verdict: None,
    on_compare: Callable[[int, int, str], None] = lambda done, total, kind: None,
    should_stop: Callable[[], bool] = lambda: False,
    threads: int = 1,
) -> list[VerifiedFile]:
    """Each file (type -> path) against the reference's logits, F16 and the other floats first.

    Raises Interrupted between two files when `should_stop()` says so.
    """
    judged, noise = list[VerifiedFile](), None
    for done, kind in enumerate(sorted(paths, key=_exactness)):
        if should_stop():
            raise Interrupted("the parity check was stopped; the files were kept")
        on_compare(done, len(paths), kind)
        measured = measure(
            kind,
            paths[kind],
            probes,
            reference,
            ids_equal=ids_equal[kind],
            noise=noise,
            threads=threads,
        )
        noise = measured.max_abs if noise is None else noise
        verdict = judge_parity(measured, f32_limit=f32_limit, routed=routed)
        judged.append(VerifiedFile(measured, verdict))
        on_parity(measured, verdict)
        if answers:
            answers.ask_file(kind, paths[kind], threads)
    return judged


def _as_trained(
    plan: ExportPlan,
    probes: Sequence[Sequence[int]],
    reference: Sequence[Path],
    work: Path,
    layers: int,
    quantization: str,
) -> Parity | None:
    """From the model as training held it to the one that is exported; None without the library."""
    if find_spec("bitsandbytes") is None:
        return None
    rows = plan.vocabulary_size
    trained = write_reference(
        plan.weights, probes, work, rows=rows, layers=layers, quantization=quantization
    )
    return between(quantization, trained, reference)


def _exactness(kind: str) -> tuple[bool, bool]:
    """F16 first, whose differences are the noise that others are held against; then floats."""
    return kind != "f16", not kind_named(kind).is_float


def _probes(plan: ExportPlan, samples: Sequence[Sample]) -> list[list[int]]:
    texts = [list(plan.tokenizer.ids(text)) for text in PARITY_TEXTS]
    texts += [list(sample.ids) for sample in samples[:MEASURED_SAMPLES]]
    longest = min(MEASURED_POSITIONS, plan.config.context)
    return [ids[:longest] for ids in texts if len(ids) > 1]


def _answers(plan: ExportPlan, samples: Sequence[Sample], layers: int) -> SmokeTest | str:
    """The prompts of the first few samples, not yet asked, or why none is."""
    if layers < plan.config.layers:
        return f"{NONE_COMPARED}: the model does not fit into memory in float32"
    return smoke_answers((one.asked for one in samples), plan.stop_ids, plan.config.context)


def _first_layers(
    plan: ExportPlan,
    names: Sequence[str],
    layers: int,
    work: Path,
    should_stop: Callable[[], bool],
    threads: int,
) -> dict[str, Path]:
    """The same model cut off after `layers` layers, in all types."""
    in_pass = [kind.name for kind in plan.types]
    short = plan_export(plan.weights, in_pass, plan.tokenizer.folder, layers=layers)
    paths = {name: work / f"{name}.gguf" for name in in_pass}
    run_export(short, paths, should_stop=should_stop, threads=threads)
    for name in names:
        if name not in paths:
            paths[name] = work / f"{name}.gguf"
            kind = kind_named(name)
            quantize(
                paths[REFERENCE_TYPE], paths[name], kind, threads=threads, should_stop=should_stop
            )
    return paths


@contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """An empty folder that is gone afterwards, whatever happens."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_report(
    path: Path, model_layers: int, vocabulary: VocabularyReport, examination: Verification
) -> None:
    """parity.json: each file's figures and how they were measured; also when the gate fails.

    Entries of other types, from earlier exports, stay.
    """
    how: dict[str, Any] = {
        "reference": {
            "dtype": "float32",
            "layers": examination.layers,
            "model_layers": model_layers,
            "transformers": version("transformers"),
            "peft": version("peft"),
            "llama_cpp_python": version("llama-cpp-python"),
        },
        "vocabulary": {
            "pre": vocabulary.pre,
            "texts": vocabulary.texts,
            "mismatches": len(vocabulary.mismatches),
            "known_differences": dict(vocabulary.known),
        },
    }
    if examination.coarse:
        names = ("type", "kl_mean", "kl_max", "top1", "positions")
        how["trained_on"] = {name: getattr(examination.coarse, name) for name in names}
    measured = {
        one.parity.type: as_json(one.parity, one.verdict) | how for one in examination.judged
    }
    files.write_json(path, {"files": list((_before(path) | measured).values())})


def _before(path: Path) -> dict[str, dict[str, Any]]:
    """Type -> entry of an earlier export's report; none where there is no sound report."""
    try:
        report = json.loads(path.read_bytes())
        return {entry["type"]: dict(entry) for entry in report["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
