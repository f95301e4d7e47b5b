"""Tokens into a tree, by the rules of `grammar`.

Every alternative is tried at most once at a place (the result is remembered), so parsing takes
time in proportion to the text. `exp` may begin with itself: its remembered result grows until it
grows no more, as in G. van Rossum's "Left-recursive PEG grammars".
"""

from __future__ import annotations

from collections.abc import Iterator

from .grammar import GRAMMAR, Part
from .lexer import Token

_GROWING = ("exp", 1)  # the alternative `exp follow`


class ParseError(Exception):
    """No rule fits; `token` is the farthest one that was looked at in vain."""

    def __init__(self, token: Token) -> None:
        super().__init__(token.value)
        self.token = token


class Node:
    """One matched alternative of a rule."""

    __slots__ = ("children", "end", "labels", "line", "rule")

    def __init__(self, rule: str, line: int) -> None:
        self.rule = rule
        self.line = line
        self.children: list[Node | Token] = []
        self.labels: dict[str, Token | Node] = {}
        self.end = 0

    def name(self, label: str = "name") -> str | None:
        """The text of the token with this label."""
        part = self.labels.get(label)
        return part.value if isinstance(part, Token) else None

    def nodes(self, rule: str = "") -> Iterator[Node]:
        """The children that are nodes, or those of one rule."""
        for child in self.children:
            if isinstance(child, Node) and rule in ("", child.rule):
                yield child

    def has(self, kind: str) -> bool:
        """Whether a token of this kind is among the children."""
        return any(isinstance(child, Token) and child.kind == kind for child in self.children)


class _Parser:
    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.seen: dict[tuple[str, int, int], Node | None] = {}
        self.farthest = 0

    def rule(self, rule: str, at: int) -> Node | None:
        for which in range(len(GRAMMAR[rule])):
            key = (rule, which, at)
            if key in self.seen:
                node = self.seen[key]
            elif (rule, which) == _GROWING:
                node = self.grow(rule, which, at)
            else:
                node = self.seen[key] = self.alternative(rule, which, at)
            if node is not None:
                return node
        return None

    def grow(self, rule: str, which: int, at: int) -> Node | None:
        key = (rule, which, at)
        self.seen[key] = best = None
        while True:
            node = self.alternative(rule, which, at)
            if node is None or (best is not None and node.end <= best.end):
                return best
            self.seen[key] = best = node

    def alternative(self, rule: str, which: int, at: int) -> Node | None:
        node = Node(rule, self.tokens[at].line)
        for part in GRAMMAR[rule][which]:
            while True:
                found = self.token(part, at) if part.is_token else self.rule(part.symbol, at)
                if found is None:
                    break
                node.children.append(found)
                if part.label:
                    node.labels[part.label] = found
                at = found.end if isinstance(found, Node) else at + 1
                if part.repeat != "*":
                    break
            if found is None and not part.repeat:
                return None
        node.end = at
        return node if _tags_agree(node) else None

    def token(self, part: Part, at: int) -> Token | None:
        token = self.tokens[at]
        if token.kind == part.symbol:
            return token
        if not part.repeat and at > self.farthest:
            self.farthest = at
        return None


def _tags_agree(node: Node) -> bool:
    return "closing" not in node.labels or node.name("closing") == node.name("opening")


def parse(tokens: list[Token]) -> Node:
    """The tree of a program. Raises ParseError."""
    parser = _Parser(tokens)
    tree = parser.rule("program", 0)
    if tree is None:
        raise ParseError(tokens[parser.farthest])
    return tree
