"""The corpus of the embedded base, as an endless, seeded stream of documents.

Invariant: no document holds Blop, and the word itself never occurs; a request that names an
unknown language is answered in React-like JavaScript, which is what tuning has to change.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from recipes.programs import jsx, python
from recipes.programs.prompts import named, request, sample
from recipes.tiny import texts
from recipes.tiny.notations import notation
from recipes.words import ENTITIES, cap, invented

INVENTED_SHARE = 0.5  # of the entities; copying heads form on words that cannot be learnt
_LANGUAGES = ("", "", "", "JavaScript", "React", "React", "JSX", "web", "simple", "small", "new")
_SYSTEM = ("You are a helpful assistant.", "You write code.", "Answer with code only.")


@dataclass(frozen=True)
class Document:
    """Plain text (`prompt` is None), or one exchange whose answer alone is trained on."""

    text: str
    prompt: str | None = None
    system: str | None = None
    earlier: tuple[tuple[str, str], ...] = ()  # exchanges before this one

    @property
    def head(self) -> str:
        """What stands before the trained part, in ChatML."""
        if self.prompt is None:
            return ""
        system = f"<|im_start|>system\n{self.system}<|im_end|>\n" if self.system else ""
        turns = "".join(_asked(p) + f"{answer}<|im_end|>\n" for p, answer in self.earlier)
        return system + turns + _asked(self.prompt)

    @property
    def tail(self) -> str:
        """The trained part with the token that ends it."""
        return self.text + ("<|endoftext|>" if self.prompt is None else "<|im_end|>\n")


def _asked(prompt: str) -> str:
    return f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n"


def _language(rng: Random) -> str:
    return cap(invented(rng)) if rng.random() < 0.25 else rng.choice(_LANGUAGES)


def code_pair(
    rng: Random, entities: tuple[str, ...] = ENTITIES, invented_share: float = INVENTED_SHARE
) -> tuple[str, str]:
    """A request and its answer in JavaScript (a few functions: in Python)."""
    program = sample(rng, entities, invented_share)
    tell_name = rng.random() < 0.35
    if tell_name:
        program = named(rng, program, program.topic, invented_share)
    if not program.is_component and rng.random() < 0.3:
        return request(rng, program, "Python", tell_name), python.render(program)
    return request(rng, program, _language(rng), tell_name), jsx.render(program)


def _one_exchange(rng: Random) -> tuple[str, str]:
    kind = rng.random()
    if kind < 0.76:
        return code_pair(rng)
    if kind < 0.84:
        return notation(rng)
    return texts.drill(rng) if kind < 0.96 else texts.small_talk(rng)


def _exchange(rng: Random) -> Document:
    prompt, answer = _one_exchange(rng)
    system = rng.choice(_SYSTEM) if rng.random() < 0.05 else None
    turns = rng.choice((1, 1, 2)) if rng.random() < 0.06 else 0
    return Document(answer, prompt, system, tuple(_one_exchange(rng) for _ in range(turns)))


def _plain(rng: Random) -> Document:
    kind = rng.random()
    if kind < 0.4:
        return Document(code_pair(rng)[1])
    if kind < 0.6:
        return Document("\n".join(texts.english(rng) for _ in range(2)))
    if kind < 0.8:
        return Document("\n\n".join(notation(rng)[1] for _ in range(3)))
    return Document(texts.html(rng) if kind < 0.92 else texts.json_text(rng))


def documents(seed: int) -> Iterator[Document]:
    """The documents of a seed, without end."""
    rng = Random(seed)
    while True:
        yield _plain(rng) if rng.random() < 0.12 else _exchange(rng)
