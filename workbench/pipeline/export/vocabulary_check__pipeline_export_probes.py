"""Texts on which two tokenizers part if they ever do, and the conversations a template is tried on.

Hard ones by hand (runs of spaces, contractions in every case, digits, scripts, emoji, code) and
seeded random ones over kinds of characters. The same texts every time.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

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
