"""Abstract programs: one small tree that every renderer can write in its own language.

A plain string expression is a path or number that all languages share; `@.` stands for the
component's attributes (`props` in JavaScript, `attributes` in Blop). Nothing here knows a syntax.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Quote:
    """A string literal."""

    text: str


@dataclass(frozen=True)
class Op:
    """A binary operation; `op` is spelled as in Blop."""

    left: Expr
    op: str
    right: Expr


@dataclass(frozen=True)
class Concat:
    """Text and expressions in turn, beginning and ending with text (which may be empty)."""

    parts: tuple[str, ...]  # text, path, text, path, ..., text


@dataclass(frozen=True)
class Choice:
    """A conditional expression."""

    test: Expr
    yes: Expr
    no: Expr


Expr = str | Quote | Op | Concat | Choice


@dataclass(frozen=True)
class Element:
    """An HTML element or a component; `events` are (event, handler path) pairs."""

    tag: str
    attrs: tuple[tuple[str, Expr], ...] = ()
    events: tuple[tuple[str, str], ...] = ()
    children: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Show:
    """An expression whose value is shown."""

    value: Expr


@dataclass(frozen=True)
class Each:
    """Children repeated for every item of a list."""

    item: str
    items: Expr
    children: tuple[Node, ...]


@dataclass(frozen=True)
class When:
    """Children shown if the test holds, else the others."""

    test: Expr
    then: tuple[Node, ...]
    other: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Children:
    """The children that the component was given."""


Node = Element | Show | Each | When | Children


@dataclass(frozen=True)
class Let:
    """A new name; `changes` says that the program assigns it again."""

    name: str
    value: Expr
    changes: bool = False


@dataclass(frozen=True)
class Unpack:
    """Names taken out of an object."""

    names: tuple[str, ...]
    source: Expr


@dataclass(frozen=True)
class Set:
    """A new value for a known name."""

    name: str
    value: Expr


@dataclass(frozen=True)
class Do:
    """An expression run for what it does."""

    value: str


@dataclass(frozen=True)
class Return:
    """The result of a function."""

    value: Expr


@dataclass(frozen=True)
class Loop:
    """Statements repeated for every item of a list."""

    item: str
    items: Expr
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class If:
    """Statements run if the test holds."""

    test: Expr
    body: tuple[Statement, ...]


Statement = Let | Unpack | Set | Do | Return | Loop | If


@dataclass(frozen=True)
class Import:
    """Names imported from a module of the same folder (its name without ending)."""

    names: tuple[str, ...]
    module: str


@dataclass(frozen=True)
class Program:
    """A component (`root` is set) or a function, with the words that describe it.

    `wording` completes "a component that shows ..." or "a function that returns ...";
    `must_contain` lists the strings that an answer in any language has to hold.
    """

    name: str
    wording: str
    must_contain: tuple[str, ...]
    root: Node | None = None
    params: tuple[str, ...] = ()
    body: tuple[Statement, ...] = ()
    imports: tuple[Import, ...] = ()
    uses_children: bool = False
    hook: tuple[str, str] | None = field(default=None)  # (life cycle event, called path)
    topic: str = ""

    @property
    def is_component(self) -> bool:
        """Whether the program shows something."""
        return self.root is not None
