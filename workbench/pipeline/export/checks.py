"""Checks of the export that need no trained weights; `pipeline.checking` runs them in `prepare`.

To add one, write the function and its line in `CHECKS`.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from workbench.architectures import family_of
from workbench.bases.architecture import architecture_of, not_exported, read_config
from workbench.core.errors import RunFailed
from workbench.core.findings import Finding, error, note, warning
from workbench.core.text import quantity
from workbench.pipeline.export.converter import check_converter, convert
from workbench.pipeline.export.output_files import requested_types
from workbench.pipeline.export.plan import Fallback, base_fallbacks
from workbench.pipeline.export.vocabulary_findings import check_vocabulary
from workbench.pipeline.models.candidate import Candidate, Check, When
from workbench.pipeline.package import modelfile_of

CANNOT_CONVERT = "use a version of it that knows this model, or export.formats = []"


def check_architecture(candidate: Candidate) -> Iterator[Finding]:
    """An architecture, or a setting of it, that cannot be written as GGUF."""
    family, config = family_of(candidate.base)
    for line in family.warnings(config):
        yield warning(line)


def check_modelfile(candidate: Candidate) -> Iterator[Finding]:
    """What the Modelfile for Ollama has to leave out."""
    if candidate.template is None:
        return
    made = modelfile_of(
        candidate.preset,
        candidate.tokenizer_folder,
        "model.gguf",
        candidate.template,
        candidate.end_of_turn,
    )
    for line in made.warnings:
        yield warning(f"Modelfile: {line}")


def check_converter_path(candidate: Candidate) -> Iterator[Finding]:
    """A converter that is not there."""
    check_converter(Path(candidate.preset.export.converter))
    name = architecture_of(read_config(candidate.base))
    yield note(f"{name} is written as GGUF by export.converter, not by workbench itself")


def check_conversion(candidate: Candidate) -> Iterator[Finding]:
    """A model or tokenizer that the converter refuses; it writes the vocabulary without weights."""
    with TemporaryDirectory(prefix="workbench-converter-") as name:
        model = Path(name) / "model"
        shutil.copytree(candidate.tokenizer_folder, model)
        shutil.copyfile(candidate.base / "config.json", model / "config.json")
        target = Path(name) / "vocabulary.gguf"
        converter = Path(candidate.preset.export.converter)
        try:
            convert(converter, model, target, "f16", vocabulary_only=True)
        except RunFailed as failed:
            yield error(str(failed), path=converter, hint=CANNOT_CONVERT)


def check_tensors(candidate: Candidate) -> Iterator[Finding]:
    """A stored tensor without a place in GGUF, of an unknown number format or an odd shape."""
    export = candidate.preset.export
    found = base_fallbacks(candidate.base, requested_types(export.formats, export.parity).in_pass)
    for kind in export.formats:
        told = [one for one in found if one.type == kind]
        if told:
            yield warning(_in_one_line(kind, told))


def _in_one_line(kind: str, told: Sequence[Fallback]) -> str:
    """How many tensors of a file get which format, and why; the export's notes name them."""
    formats = Counter(f"{one.got} instead of {one.wished}" for one in told)
    counts = ", ".join(f"{count} {words}" for words, count in formats.items())
    columns = sorted({(one.columns, one.block) for one in told})
    why = ", ".join(f"{n} columns are not a multiple of {block}" for n, block in columns)
    return f"{kind}: {quantity(len(told), 'tensor')} in another format ({counts}): {why}"


CHECKS: Mapping[When, Mapping[str, Check]] = {
    When.CONFIG: {"architecture": check_architecture},
    When.TOKENIZER: {"vocabulary": check_vocabulary, "modelfile": check_modelfile},
    When.WEIGHTS: {"tensors": check_tensors},
}


# Of an architecture that llama.cpp's converter writes.
CONVERTED: Mapping[When, Mapping[str, Check]] = {
    When.CONFIG: {"converter": check_converter_path},
    When.TOKENIZER: {"converter": check_conversion, "modelfile": check_modelfile},
    When.WEIGHTS: {},
}


def checks_of(when: When, candidate: Candidate) -> Mapping[str, Check]:
    """The checks of that moment; of an architecture that is not ours only what refuses it."""
    unknown = not_exported(read_config(candidate.base), candidate.base / "config.json")
    if unknown is None:
        return CHECKS[when]
    if candidate.preset.export.converter:
        return CONVERTED[when]
    return CHECKS[when] if when is When.CONFIG else {}
