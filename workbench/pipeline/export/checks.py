"""Checks of the export that need no trained weights; `pipeline.checking` runs them in `prepare`.

To add one, write the function and its line in `CHECKS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from workbench.bases.architecture import not_exported, read_config
from workbench.findings import Finding, warning
from workbench.pipeline.candidate import Candidate, Check, When
from workbench.pipeline.export.arch import family_of
from workbench.pipeline.export.making import wish
from workbench.pipeline.export.plan import Fallback, base_fallbacks
from workbench.pipeline.export.vocabulary_findings import check_vocabulary
from workbench.pipeline.packaging import modelfile_of
from workbench.text import quantity


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


def check_tensors(candidate: Candidate) -> Iterator[Finding]:
    """A stored tensor without a place in GGUF, of an unknown number format or an odd shape."""
    export = candidate.preset.export
    found = base_fallbacks(candidate.base, wish(export.formats, export.parity).in_pass)
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


def checks_of(when: When, candidate: Candidate) -> Mapping[str, Check]:
    """The checks of that moment; of an architecture that is not ours only what refuses it."""
    unknown = not_exported(read_config(candidate.base), candidate.base / "config.json")
    return CHECKS[when] if unknown is None or when is When.CONFIG else {}
