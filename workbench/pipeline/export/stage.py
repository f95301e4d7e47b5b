"""The export stage: plan, vocabulary check, files, parity, parity.json. Plain values in and out.

A quantized file is judged by a float file of the same pass. When none is asked for, an F16 twin is
written for the measurement and removed. What an earlier export left in the folder stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from workbench.core import files
from workbench.core.errors import RunFailed
from workbench.core.runtime import usable_cores
from workbench.pipeline.export.merged_safetensors import write_merged
from workbench.pipeline.export.output_files import (
    COMPARE,
    MERGE,
    ExportForecast,
    ExportProgress,
    check_space,
    forecast_export,
    make_files,
    of_tensor,
    requested_types,
)
from workbench.pipeline.export.parity import Parity, Verdict
from workbench.pipeline.export.plan import ExportPlan, plan_export
from workbench.pipeline.export.smoke_test import SmokeTest
from workbench.pipeline.export.streaming import ExportedFile
from workbench.pipeline.export.tokenizer_files import TokenizerFiles
from workbench.pipeline.export.verification import (
    Verification,
    VerifiedFile,
    verify_files,
    write_report,
)
from workbench.pipeline.export.vocabulary_check import (
    Sample,
    check_vocabulary,
    expected_ids,
)
from workbench.pipeline.models.weights import Weights

ANSWERS = "answers.md"


@dataclass(frozen=True)
class ExportResult:
    """What the stage made. `files` in the order they were made; `warnings` are for the person.
    `coarse` as in `Verification`.

    `artefacts` leaves parity.json and answers.md out: a later export writes them anew.
    """

    files: tuple[ExportedFile, ...]
    merged: Path | None
    parity: tuple[VerifiedFile, ...]
    warnings: tuple[str, ...]
    artefacts: tuple[Path, ...]
    coarse: Parity | None = None


@dataclass(frozen=True)
class Callbacks:
    """How the stage speaks while it works; each may be left out.

    `on_plan` comes before any work, with what it will take; `on_file` with the seconds that it
    took; `on_answers` with a line on answers.md, or on why there is none.
    """

    on_plan: Callable[[ExportPlan, ExportForecast], None] = lambda plan, foreseen: None
    doing: Callable[[ExportProgress], None] = lambda doing: None
    on_file: Callable[[ExportedFile, float], None] = lambda file, elapsed_s: None
    on_parity: Callable[[Parity, Verdict], None] = lambda parity, verdict: None
    on_answers: Callable[[str], None] = lambda line: None
    should_stop: Callable[[], bool] = lambda: False


def export_stage(
    weights: Weights,
    tokenizer: Path,
    out: Path,
    *,
    name: str,
    formats: Sequence[str],
    chat_template: str = "",
    end_of_turn: str = "",
    merged: bool = False,
    card: Callable[[Sequence[VerifiedFile]], str] = lambda judged: "",
    parity: bool = True,
    samples: Sequence[Sample] = (),
    callbacks: Callbacks | None = None,
    threads: int | None = None,
    memory_bytes: int | None = None,
    quantization: str = "none",
) -> ExportResult:
    """Write `NAME-TYPE.gguf` for all `formats` into `out`, and `out/merged` if asked for.

    `tokenizer`: the folder that training saved. `end_of_turn`: text of the token that ends an
    answer when it is not EOS. `samples`: conversations as training tokenized them; all are compared
    by their ids and the first few by their logits. `card` gives the model card of the merged
    model. `memory_bytes`: memory for the reference, by default what is free. `quantization`: how
    training held the base; how far that is from the files is reported.
    Raises UserError when this model cannot be exported, RunFailed in one line when a file is not
    the model it came from (the files stay, parity.json says which), Interrupted when asked to stop.
    """
    calls = callbacks or Callbacks()
    cores = threads or usable_cores()
    wished = requested_types(formats, parity)
    out.mkdir(parents=True, exist_ok=True)
    files.sweep(out)
    plan = plan_export(
        weights,
        wished.in_pass,
        tokenizer,
        chat_template=chat_template,
        name=name,
        end_of_turn=end_of_turn,
    )
    calls.on_plan(plan, forecast_export(plan, wished, merged, cores))
    check_space(plan, wished, out, merged)
    exported, examination = list[ExportedFile](), None
    if wished.names:
        expected = expected_ids(plan.tokenizer, plan.vocabulary, samples)
        vocabulary = check_vocabulary(plan.vocabulary, expected)
        vocabulary.require()
    try:
        if wished.names:
            exported = make_files(
                plan,
                wished,
                out,
                doing=calls.doing,
                on_file=calls.on_file,
                should_stop=calls.should_stop,
                threads=cores,
            )
        if parity and exported:
            examination = verify_files(
                plan,
                {file.type: file.path for file in exported},
                out,
                expected=expected,
                samples=samples,
                on_parity=calls.on_parity,
                on_compare=lambda done, total, kind: calls.doing(
                    ExportProgress(COMPARE, done, total, "files", kind)
                ),
                should_stop=calls.should_stop,
                threads=cores,
                memory_bytes=memory_bytes,
                quantization=quantization,
            )
            write_report(out / "parity.json", plan.config.layers, vocabulary, examination)
            write_answers(plan.tokenizer, examination, out, calls)
            require_parity(examination.judged)
    finally:
        files.sweep(out)
    kept = [file for file in exported if file.type in wished.names]
    judged = examination.judged if examination else ()
    folder = _write_merged(plan, out, calls, card(judged)) if merged else None
    return _result(plan, kept, folder, examination)


def _write_merged(plan: ExportPlan, out: Path, calls: Callbacks, card: str) -> Path:
    folder = out / "merged"
    write_merged(
        plan,
        folder,
        progress=lambda at: calls.doing(of_tensor(MERGE, at)),
        should_stop=calls.should_stop,
        card=card,
    )
    return folder


def write_answers(
    tokenizer: TokenizerFiles, found: Verification, out: Path, calls: Callbacks
) -> None:
    """answers.md beside the files, or a line that says why there are no responses to compare."""
    if isinstance(found.answers, SmokeTest):
        backend = tokenizer.backend
        page = found.answers.page(lambda ids: str(backend.decode(ids, skip_special_tokens=False)))
        files.write_atomic(out / ANSWERS, page)
        calls.on_answers(f"{found.answers.summary()} ({out.name}/{ANSWERS})")
    elif found.answers:
        calls.on_answers(found.answers)


def require_parity(judged: Sequence[VerifiedFile]) -> None:
    """Raise RunFailed naming the first file that is not the model it came from."""
    for one in judged:
        if not one.verdict.passed:
            kind, reason = one.parity.type, one.verdict.reason
            raise RunFailed(
                f"parity check failed: the {kind} file differs from the trained model: {reason}"
            )


def _result(
    plan: ExportPlan,
    kept: Sequence[ExportedFile],
    folder: Path | None,
    examination: Verification | None,
) -> ExportResult:
    judged = examination.judged if examination else ()
    artefacts = [file.path for file in kept]
    artefacts += sorted(p for p in folder.rglob("*") if p.is_file()) if folder else []
    return ExportResult(
        files=tuple(kept),
        merged=folder,
        parity=judged,
        warnings=(*plan.warnings, *(j.verdict.warning for j in judged if j.verdict.warning)),
        artefacts=tuple(artefacts),
        coarse=examination.coarse if examination else None,
    )
