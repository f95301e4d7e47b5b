"""Whether llama.cpp gives a text the token ids that the model was trained with.

It judges the converted tokenizer by its behavior, not its structure: on hard texts written by hand
(runs of spaces, contractions in every case, digits, scripts, emoji, code), on seeded random ones
over kinds of characters, and on texts of the caller. A GGUF of the vocabulary alone is enough; no
model is needed. Texts with a known difference of llama.cpp (`differences`) are counted, and must be
equal without the parts that cause it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workbench.core.errors import RunFailed
from workbench.core.text import one_line
from workbench.pipeline.export.differences import Difference, without_differences
from workbench.pipeline.export.gguf_logits import GgufLogits
from workbench.pipeline.export.native_ids import Ids, Request, vocabulary_ids
from workbench.pipeline.export.tokenizer_files import TokenizerFiles
from workbench.pipeline.export.vocabulary import Vocabulary

HARD = (
    "",
    " ",
    "  ",
    "   \n \n\n  \n\t\t x",
    "\t\n\r\n\r\r a",
    "Hello world",
    " Hello  world ",
    "Hello, y'all! How are you 😁 ?我想在apple工作1314151天～",
    "I've I'VE you'll YOU'LL we'd WE'D they're it's IT'S can't CAN'T 'tis ''quoted''",
    "3 33 333 3333 33333 333333 3333333 1234567890 3.14159 1,000,000",
    "discards ½ ² ① Ⅷ ٣٤٥ १२३",
    "zażółć gęślą jaźń größer Ærøskøbing façade naïve Ελληνικά кириллица",
    "東京タワー 日本語テキスト 中文字符 한국어 ไทย العربية עברית हिन्दी",
    "🧪🧵 👩‍👩‍👧‍👦 🇩🇪 ❤️ 👍🏽 🦙",
    "def forward(self, x):\n    return self.linear(x) + 12345 * 3.14159  # I've told you\n",
    "class A:\n\tdef b(self) -> dict[str, int]:\n\t\treturn {'c': 1, \"d\": 2}\n\n\n",
    'if (a && b || !c) { x += y >>= 2; } /* comment */ // "end"\r\n\r\n',
    '<ul>\n  <li class="x">{item.name}</li>\n</ul>\n&nbsp;&lt;',
    '{"key": [1, 2.5e-10, null, true], "nested": {"a": "b\\n"}}',
    "https://example.org/a/b?c=d&e=%20f#g user@example.org C:\\dir\\file.txt",
    "CamelCaseWord snake_case_word kebab-case-word SCREAMING_CASE mixed123numbers456",
    "......!!!!!!??????------======~~~~~~@@@@@@######",
    "word\u00a0nbsp\u2003em\u200bzero\u3000ideographic\ufeffbom",
    "a\u0301 e\u0308 combining \u0e01\u0e33",
    "tabs\t\tand   spaces \n \n  mixed   \n\n\n end   ",
    "    four\n        eight\n  two\n   three",
    "\u2581already \u2581\u2581escaped",
    "<0x0A> <0xFF> <s> </s> <unk> [INST] <<SYS>>",
    "\x01\x1b[0m\x7f",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" * 4,
    "MiXeD cAsE wOrDs'S 'S 'LL'll",
    "ﬁ ligature ﬃ ① fullwidth ＡＢＣ１２３",
)
_KINDS = (
    "abcdefghijklmnopqrstuvwxyz",
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "0123456789",
    "     ",
    "\n\n\t\r",
    ".,;:!?'\"()[]{}<>/\\|@#$%^&*-_=+~`",
    "äöüßéèñçåøæœłśżőřğ",
    "абвгдежзийклмнопрстуфхцчшщъыьэюя",
    "αβγδεζηθικλμνξοπρστυφχψω",
    "的一是不了人我在有他这为之大来以个中上们",
    "あいうえおかきくけこアイウエオ",
    "가나다라마바사아자차카타파하",
    "אבגדהוזחטיכלמנסעפצקרשת",
    "ابتثجحخدذرزسشصضطظعغفقكلمنهوي",
    "😀😁🎉🚀🔥✨🧪🦙",
    "½¼¾²³¹①②③",
    "АБВГДЕЖЗИЙ",
    "ΑΒΓΔΕΖΗΘ",
    "ÄÖÜÉÈÑÇŁŚ",
    "ǅǈǋʰʱʲ",
    "कखगघािीु",
    "กขคงัิีุ",
    "\u0301\u0308\u0302",
    "\u00a0\u2003\u3000",
    "‘’“”…—–«»",
    "！？。、，：",
    "٣٤٥१२३",
    "$+<=>^`|~€£©™",
)
_MIXTURES = 600
_SEED = 1


def hard_texts(added: Iterable[str]) -> list[str]:
    """All probe texts: the hard ones, random mixtures, and every added token among words."""
    spaced = "{0}user\nHi{0} there {0}{0}\n{0}"
    return [*HARD, *_mixtures(), *(spaced.format(token) for token in added)]


def _mixtures() -> list[str]:
    rng = random.Random(_SEED)
    return [
        "".join(
            "".join(rng.choices(rng.choice(_KINDS), k=rng.randint(1, 5)))
            for _ in range(rng.randint(1, 20))
        )
        for _ in range(_MIXTURES)
    ]


PARITY_TEXTS = (
    "def forward(self, x):\n    return self.linear(x) + 12345 * 3.14159  # I've told you\n",
    "Mixed scripts: zażółć 東京タワー 123456, tabs\t\tand   spaces\n\n\n  indented 🧪 ''' !!!???",
    "Please write a component that shows the name of a user. The answer is short; it is code.\n",
)


WITH_SPECIAL = 20  # texts that are also compared with BOS and EOS added


@dataclass(frozen=True)
class Sample:
    """A conversation as training saw it: its text after the chat template, and its ids.

    `asked`: the ids of all before its last answer, as a chat would put them; none for no answer.
    """

    text: str
    ids: Ids
    asked: Ids = ()


@dataclass(frozen=True)
class Mismatch:
    """A text, the ids the model knows it by and the ids llama.cpp gives."""

    text: str
    expected: Ids
    got: Ids

    def __str__(self) -> str:
        return (
            f"{one_line(repr(self.text))}: {_around(self.got, self.expected)} instead of "
            f"{_around(self.expected, self.got)}"
        )


@dataclass(frozen=True)
class VocabularyReport:
    """`texts` were compared; `mismatches` is empty when llama.cpp agrees on all of them.

    `known`: sentence of each kind of difference -> how many texts of that kind differ; these are
    no mismatches.
    """

    pre: str
    texts: int
    mismatches: tuple[Mismatch, ...]
    known: Mapping[str, int] = field(default_factory=dict)

    def require(self) -> None:
        """Raise RunFailed, with the first text that differs, unless all ids are equal."""
        if self.mismatches:
            raise RunFailed(self.complaint())

    def complaint(self) -> str:
        """How many texts differ, and the first of them; in one line."""
        return (
            f"tokenizer: llama.cpp ({self.pre}) gives different ids on {len(self.mismatches)} of "
            f"{self.texts} texts, first {self.mismatches[0]}"
        )


@dataclass(frozen=True)
class Expected:
    """Texts with the ids of training's tokenizer; `special` with the BOS and EOS it adds.

    `known`: texts of one kind of difference each, with its sentence.
    """

    plain: tuple[Sample, ...]
    special: tuple[Sample, ...]
    known: tuple[tuple[str, Sample], ...] = ()

    def requests(self) -> list[Request]:
        """Everything that llama.cpp is to tokenize, in the order of `report`'s ids."""
        plain = [Request(sample.text) for sample in self.plain]
        special = [Request(sample.text, add_special=True) for sample in self.special]
        return [*plain, *special, *(Request(sample.text) for _, sample in self.known)]

    def report(self, pre: str, got: Sequence[Ids]) -> VocabularyReport:
        """What came of it; `got` in the order of `requests`."""
        must = (*self.plain, *self.special)
        pairs = zip(must, got[: len(must)], strict=True)
        mismatches = [Mismatch(one.text, one.ids, ids) for one, ids in pairs if ids != one.ids]
        rest = zip(self.known, got[len(must) :], strict=True)
        differ = Counter(what for (what, sample), ids in rest if ids != sample.ids)
        return VocabularyReport(pre, len(got), tuple(mismatches), dict(differ))


def expected_ids(
    files: TokenizerFiles, vocabulary: Vocabulary, samples: Sequence[Sample] = ()
) -> Expected:
    """What llama.cpp must give: the hard texts by the tokenizer, `samples` as they are."""
    kinds = [one for one in vocabulary.differences if not one.ids_equal]
    probes = hard_texts(vocabulary.added)
    texts = list(dict.fromkeys(without_differences(text, kinds) for text in probes))
    plain = [Sample(text, files.ids(text)) for text in texts]
    special = [Sample(text, files.ids(text, add_special=True)) for text in texts[:WITH_SPECIAL]]
    known = list(_of_one_kind(files, probes, kinds))
    for sample in samples:
        kind = next((one for one in kinds if one.touches(sample.text)), None)
        if kind:
            known.append((kind.what, sample))
        else:
            plain.append(sample)
    return Expected(tuple(plain), tuple(special), tuple(known))


def _of_one_kind(
    files: TokenizerFiles, texts: Sequence[str], kinds: Sequence[Difference]
) -> Iterator[tuple[str, Sample]]:
    """Each text of a kind without what is of the others."""
    for kind in kinds:
        others = [one for one in kinds if one is not kind]
        for text in filter(kind.touches, texts):
            alone = without_differences(text, others)
            if kind.touches(alone):
                yield kind.what, Sample(alone, files.ids(alone))


def check_vocabulary(vocabulary: Vocabulary, expected: Expected) -> VocabularyReport:
    """Compare ids before any weight is touched, by a file of the vocabulary alone.

    Raises RunFailed where llama.cpp cannot read it.
    """
    got = vocabulary_ids(vocabulary, expected.requests())
    return expected.report(vocabulary.pre, got)


def compare_ids(vocabulary: Vocabulary, gguf: Path, expected: Expected) -> VocabularyReport:
    """The same for the vocabulary of a file that stands, opened by this process."""
    with GgufLogits(gguf) as native:
        got = [
            tuple(native.ids(request.text, add_special=request.add_special))
            for request in expected.requests()
        ]
    return expected.report(vocabulary.pre, got)


def _around(ids: Sequence[int], other: Sequence[int]) -> str:
    """The ids from the first difference on, at most eight."""
    same = 0
    while same < min(len(ids), len(other)) and ids[same] == other[same]:
        same += 1
    return str(list(ids[same : same + 8]))
