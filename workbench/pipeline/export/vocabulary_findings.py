"""The tokenizer in llama.cpp, checked before training: probes and the data, without a model."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from workbench.architectures import family_of
from workbench.core.findings import Finding, error, note, warning
from workbench.core.text import quantity
from workbench.pipeline.export.gguf_vocabulary import read_vocabulary
from workbench.pipeline.export.native_ids import ids_and_ends
from workbench.pipeline.export.tokenizer_files import TokenizerFiles, read_tokenizer
from workbench.pipeline.export.vocabulary import Vocabulary
from workbench.pipeline.export.vocabulary_check import expected_ids
from workbench.pipeline.export.vocabulary_rows import Kind, RowsCheck, RowsReport
from workbench.pipeline.models.candidate import Candidate
from workbench.pipeline.models.serving_files import stop_ids

WITHOUT_EXPORT = "set export.formats = [] to train without GGUF files"


def check_vocabulary(candidate: Candidate) -> Iterator[Finding]:
    """A tokenizer whose ids llama.cpp does not give, by probes and by the rows of the data."""
    files = read_tokenizer(candidate.tokenizer_folder)
    _, config = family_of(candidate.base)
    rows = embedding_rows(files, config.values, bool(candidate.preset.model.added_tokens))
    vocabulary = read_vocabulary(files, rows, candidate.end_of_turn, config.values)
    expected = expected_ids(files, vocabulary)
    data = RowsCheck(files, vocabulary.differences, candidate.rows, candidate.template)
    asked = expected.requests()
    stops = stop_ids(files.folder, vocabulary.special, len(vocabulary.tokens))
    got, ends = ids_and_ends(vocabulary, [*asked, *data.requests()], stops)
    report = expected.report(vocabulary.pre, got[: len(asked)])
    if report.mismatches:
        yield error(report.complaint(), hint=WITHOUT_EXPORT)
    yield from _of_stops(vocabulary, stops, ends, candidate.preset.generate.stop)
    yield from _of_data(data.report(got[len(asked) :]), candidate.preset.export.max_token_mismatch)


def _of_stops(
    vocabulary: Vocabulary, stops: Sequence[int], ends: Collection[int], strings: Sequence[str]
) -> Iterator[Finding]:
    """Stop tokens, the trained one first, that llama.cpp does not know for such.

    It goes by the eos and eot keys and by names, and takes `<|end|>` off in some vocabularies.
    """
    for number, token in enumerate(stops):
        text = vocabulary.tokens[token]
        if token in ends or text in strings:
            continue
        if number == 0:
            message = f"llama.cpp does not end responses at {text!r}, at which training ends them"
            yield warning(message, hint=f"add {text!r} to generate.stop")
        else:
            yield note(f"llama.cpp does not end responses at {text!r}, as transformers does")


def embedding_rows(files: TokenizerFiles, config: Any, adds_tokens: bool) -> int:
    """Rows that the embedding will have: config.json's, more where training adds tokens."""
    rows = int(config.get("vocab_size") or 0)
    return max(rows, files.highest_id + 1) if adds_tokens or not rows else rows


def _of_data(found: RowsReport, allowed: float) -> Iterator[Finding]:
    for kind in found.kinds:
        yield _of_kind(kind, found.rows)
    if found.unexplained:
        place, mismatch = found.unexplained[0]
        many = f"{len(found.unexplained)} of {found.compared} compared rows"
        message = f"llama.cpp gives different ids for {many}: {mismatch}"
        yield error(message, path=str(place), hint=WITHOUT_EXPORT)
    share = found.differing_share
    if share > allowed:
        worst = max(found.kinds, key=lambda one: one.differing)
        needed = math.ceil(share * 100) / 100
        yield error(
            f"llama.cpp tokenizes {max(1, round(share * found.rows))} of {found.rows} rows "
            f"differently, more than export.max_token_mismatch = {allowed:g}: "
            f"{worst.difference.what}",
            path=str(worst.first),
            hint=f"change these rows, or set export.max_token_mismatch = {needed:g}",
        )


def _of_kind(kind: Kind, rows: int) -> Finding:
    """The kind with how many rows of the data are of it."""
    what, equal = kind.difference.what, kind.difference.ids_equal
    if not kind.holding and not kind.differing:
        return note(f"{what}; no row has it")
    if kind.difference.allowed == "none":
        message = f"{what}: {quantity(kind.holding, 'row')} with it"
        hint = "remove it from the data, or list the token in model.added_tokens"
        return error(message, path=str(kind.first), hint=hint)
    many = kind.holding if equal else round(kind.differing)
    if not many:
        return note(f"{what}; {quantity(kind.holding, 'row')} with it, their ids are equal")
    return warning(f"{what}: {many} of {rows} rows", path=str(kind.first))
