"""Whether llama.cpp gives a text the ids that the model was trained with.

The judge of the tokenizer's translation: not its structure but what it does, on hard texts and on
the caller's own. A GGUF without tensors is enough for it.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import RunFailed
from workbench.pipeline.export.gguf_header import write_header
from workbench.pipeline.export.native import NativeFile
from workbench.pipeline.export.plan import ExportPlan
from workbench.pipeline.export.pretokenizer import normalizer_kinds
from workbench.pipeline.export.probes import hard_texts
from workbench.pipeline.export.splits import DEVIATIONS
from workbench.pipeline.export.tokenizer import plain_backend
from workbench.text import one_line

WITH_SPECIAL = 20  # texts that are also compared with BOS and EOS added


@dataclass(frozen=True)
class Sample:
    """A conversation as training saw it: its text after the chat template, and its ids.

    `asked`: the ids of all before its last answer, as a chat would put them; none for no answer.
    """

    text: str
    ids: tuple[int, ...]
    asked: tuple[int, ...] = ()


@dataclass(frozen=True)
class Mismatch:
    """A text, the ids the model knows it by and the ids llama.cpp gives."""

    text: str
    expected: tuple[int, ...]
    got: tuple[int, ...]


@dataclass(frozen=True)
class VocabularyReport:
    """`texts` were compared; `mismatches` is empty when llama.cpp agrees on all of them."""

    pre: str
    texts: int
    mismatches: tuple[Mismatch, ...]

    def require(self) -> None:
        """Raise RunFailed, with the first text that differs, unless all ids are equal."""
        if not self.mismatches:
            return
        first = self.mismatches[0]
        raise RunFailed(
            f"tokenizer: llama.cpp ({self.pre}) gives different ids on {len(self.mismatches)} of "
            f"{self.texts} texts, first {one_line(repr(first.text))}: "
            f"{_around(first.got, first.expected)} instead of "
            f"{_around(first.expected, first.got)}"
        )


@dataclass(frozen=True)
class Expected:
    """Texts with the ids of training's tokenizer; `special` with the BOS and EOS it adds."""

    plain: tuple[Sample, ...]
    special: tuple[Sample, ...]


def expected_ids(plan: ExportPlan, samples: Sequence[Sample] = ()) -> Expected:
    """What llama.cpp must give: the hard texts by the tokenizer, `samples` as they are."""
    backend = plain_backend(plan.tokenizer)
    texts = list(_texts(plan))
    plain = [Sample(text, _ids(backend, text, False)) for text in texts]
    special = [Sample(text, _ids(backend, text, True)) for text in texts[:WITH_SPECIAL]]
    return Expected((*plain, *samples), tuple(special))


def _texts(plan: ExportPlan) -> Iterator[str]:
    """The hard texts, without what the plan's warnings say of this tokenizer in llama.cpp."""
    vocabulary, composes = plan.vocabulary, _composes(plan)
    deviation = DEVIATIONS.get(vocabulary.pre)
    for text in hard_texts(vocabulary.added, vocabulary.swallowing):
        text = unicodedata.normalize("NFC", text) if composes else text
        yield vocabulary.opening + (deviation.without(text) if deviation else text)


def check_vocabulary(plan: ExportPlan, folder: Path, expected: Expected) -> VocabularyReport:
    """Compare ids before any weight is touched, by a file without tensors in `folder`."""
    part = folder / ".vocabulary.gguf.part"
    try:
        write_header(plan, plan.types[0], part, vocabulary_only=True)
        return compare_ids(plan, part, expected)
    finally:
        part.unlink(missing_ok=True)


def compare_ids(plan: ExportPlan, gguf: Path, expected: Expected) -> VocabularyReport:
    """The same for the vocabulary of a file that stands."""
    with NativeFile(gguf) as native:
        found = [
            *_compare(native, expected.plain, add_special=False),
            *_compare(native, expected.special, add_special=True),
        ]
    n_texts = len(expected.plain) + len(expected.special)
    return VocabularyReport(plan.vocabulary.pre, n_texts, tuple(found))


def probe_ids(plan: ExportPlan, text: str) -> list[int]:
    """Ids of `text` by the tokenizer of training."""
    return list(_ids(plain_backend(plan.tokenizer), text, False))


def _ids(backend: Any, text: str, add_special: bool) -> tuple[int, ...]:
    return tuple(backend.encode(text, add_special_tokens=add_special).ids)


def _compare(
    native: NativeFile, samples: Iterable[Sample], *, add_special: bool
) -> Iterator[Mismatch]:
    for sample in samples:
        got = tuple(native.ids(sample.text, add_special=add_special))
        if got != sample.ids:
            yield Mismatch(sample.text, sample.ids, got)


def _composes(plan: ExportPlan) -> bool:
    """Whether the tokenizer composes characters: llama.cpp never does, and the plan says so."""
    normalizer = json.loads(plan.tokenizer.backend_json).get("normalizer")
    return "NFC" in normalizer_kinds(normalizer)


def _around(ids: Sequence[int], other: Sequence[int]) -> str:
    """The ids from the first difference on, at most eight."""
    same = 0
    while same < min(len(ids), len(other)) and ids[same] == other[same]:
        same += 1
    return str(list(ids[same : same + 8]))
