"""The words one program is about, and the list of templates that use them."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from recipes.programs.nodes import Element, Expr, Node, Program, Quote, Show
from recipes.words import FIELDS, cap, invented, plural, with_article


@dataclass(frozen=True)
class Words:
    """An entity, fields it may have, and the random stream that picks among phrasings."""

    rng: Random
    entity: str
    fields: tuple[str, ...]

    @property
    def many(self) -> str:
        """The plural of the entity."""
        return plural(self.entity)

    @property
    def title(self) -> str:
        """The entity with a capital."""
        return cap(self.entity)

    @property
    def one(self) -> str:
        """The entity after its article."""
        return with_article(self.entity)

    def field(self) -> str:
        """One field."""
        return self.rng.choice(self.fields)

    def some(self, *counts: int) -> list[str]:
        """Different fields; how many is one of `counts`."""
        return self.rng.sample(self.fields, self.rng.choice(counts))

    def pick(self, *choices: str) -> str:
        """One of the choices."""
        return self.rng.choice(choices)


Template = Callable[[Words], Program]
TEMPLATES: list[Template] = []


def template(make: Template) -> Template:
    """Register a template."""
    TEMPLATES.append(make)
    return make


def words_for(rng: Random, entities: tuple[str, ...], invented_share: float = 0.0) -> Words:
    """Words for one program; a share of the entities and fields is made up on the spot."""
    entity = invented(rng) if rng.random() < invented_share else rng.choice(entities)
    fields = tuple(f for f in FIELDS if f != entity)
    if rng.random() < invented_share / 2:
        fields = tuple(sorted({invented(rng) for _ in range(8)} - {entity}))
    return Words(rng, entity, fields)


def el(
    tag: str, *children: Node, events: tuple[tuple[str, str], ...] = (), **attrs: Expr
) -> Element:
    """An element; attribute names that are Python keywords end in an underscore."""
    pairs = tuple((key.rstrip("_"), value) for key, value in attrs.items())
    return Element(tag, pairs, events, children)


def text(shown: str) -> Show:
    """Fixed text."""
    return Show(Quote(shown))
