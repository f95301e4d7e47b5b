"""Names and scopes of a parsed program, as the compiler checks them.

Every name must be known where it is used (the compiler knows some without a definition) and be
defined only once; tags, `return`, `await`, `break` and `continue` must be in a place that allows
them. The walk follows the compiler's order, since a name counts only after its assignment. Unused
names and unreachable lines are warnings for the compiler, and so they are no errors here.
"""

from __future__ import annotations

from collections.abc import Callable

from .lexer import Token
from .parser import Node

_LANGUAGE = """
    Infinity NaN undefined null true false eval uneval isFinite isNaN parseFloat parseInt decodeURI
    decodeURIComponent encodeURI encodeURIComponent escape unescape Object Function Boolean Symbol
    Error EvalError InternalError RangeError ReferenceError SyntaxError TypeError URIError Number
    Math Date String RegExp Array Int8Array Uint8Array Uint8ClampedArray Int16Array Uint16Array
    Int32Array Uint32Array Float32Array Float64Array Map Set WeakMap WeakSet Promise Generator
    GeneratorFunction AsyncFunction Reflect Proxy arguments this super ArrayBuffer
    SharedArrayBuffer Atomics DataView JSON __dirname
""".split()
_BROWSER = "setTimeout setInterval alert prompt fetch document console window history".split()
_TESTS = "test expect".split()

# Keys that every JavaScript object has: the compiler takes them for known names, and fails when a
# program makes one of them.
UNUSABLE = frozenset(
    """
    constructor hasOwnProperty isPrototypeOf propertyIsEnumerable toLocaleString toString valueOf
    __defineGetter__ __defineSetter__ __lookupGetter__ __lookupSetter__ __proto__
    """.split()
)
BUILTIN = frozenset(_LANGUAGE + _BROWSER + _TESTS) | UNUSABLE


class ScopeError(Exception):
    """A name or a tag that stands where it may not; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class _Scope:
    """The names of one function, and whether it is async and has a root tag already."""

    def __init__(self, is_async: bool | None = None) -> None:
        self.names: set[str] = set()
        self.is_async = is_async  # None: not inside a function
        self.has_root = False


class Walk:
    """One walk over a tree; raises the first fault."""

    def __init__(self) -> None:
        self.scopes = [_Scope()]
        self.branches: list[bool] = [False]  # of `if` and `else`: whether it has a root tag
        self.loops = 0
        self.tags = 0  # open around this place

    def visit(self, node: Node | Token) -> None:
        """Check a node and all below it."""
        if isinstance(node, Token):
            self.token(node)
            return
        special: Callable[[Node], None] | None = getattr(self, "on_" + node.rule, None)
        if special is not None:
            special(node)
        else:
            self.below(node)

    def below(self, node: Node) -> None:
        for child in node.children:
            self.visit(child)

    def token(self, token: Token) -> None:
        if token.kind == "return" and len(self.scopes) == 1:
            raise ScopeError(token.line, "return outside a function")
        if token.kind in ("break", "continue") and not self.loops:
            raise ScopeError(token.line, f"{token.kind} outside a loop")
        if token.kind == "await" and not self.scopes[-1].is_async:
            raise ScopeError(token.line, "await outside an async function")

    def use(self, name: str, line: int) -> None:
        known = name in BUILTIN or any(name in scope.names for scope in self.scopes)
        if not known:
            raise ScopeError(line, f"{name} is not defined here")

    def make(self, name: str, line: int) -> None:
        if name in UNUSABLE or any(name in scope.names for scope in self.scopes):
            raise ScopeError(line, f"{name} is defined twice (use := to change it)")
        self.scopes[-1].names.add(name)

    def on_assign(self, node: Node) -> None:
        name, path = node.name(), node.name("path")
        if name and "again" not in node.labels:
            self.make(name, node.line)
        if path:
            self.use(path, node.line)
        self.below(node)

    def on_assign_step(self, node: Node) -> None:
        self.use(node.name() or "", node.line)
        self.below(node)

    def on_names(self, node: Node) -> None:
        self.make(node.name() or "", node.line)
        self.below(node)

    def on_import(self, node: Node) -> None:
        name, file = node.name(), node.name("file")
        if file:
            name = file[1:-1].rsplit("/", 1)[-1]
            stem, dot, _ = name.rpartition(".")
            name = stem if dot and stem else name
        if name:
            self.make(name, node.line)
        self.below(node)

    def on_named(self, node: Node) -> None:
        self.use(node.name() or "", node.line)
        self.below(node)

    on_named_call = on_named

    def on_pairs(self, node: Node) -> None:
        same = node.labels.get("same")
        if isinstance(same, Node) and isinstance(same.children[0], Token):
            self.use(same.children[0].value, node.line)
        self.below(node)

    def on_attribute(self, node: Node) -> None:
        same = node.name("same")
        if same:
            self.use(same, node.line)
        self.below(node)

    def on_for(self, node: Node) -> None:
        names = [name for name in (node.name("key"), node.name("value")) if name]
        for name in names:
            if name in UNUSABLE or any(name in scope.names for scope in self.scopes):
                raise ScopeError(node.line, f"{name} is defined twice (rename the loop's name)")
        self.scopes[-1].names.update(names)
        self.looped(node)

    def on_while(self, node: Node) -> None:
        self.looped(node)

    def looped(self, node: Node) -> None:
        self.loops += 1
        self.below(node)
        self.loops -= 1

    def on_condition(self, node: Node) -> None:
        rest = list(node.nodes("else"))
        self.branches.append(False)
        for child in node.children:
            if child not in rest:
                self.visit(child)
        self.branches.pop()
        for other in rest:
            self.visit(other)

    on_else = on_condition

    def on_try(self, node: Node) -> None:
        caught = False
        for child in node.children:
            caught = caught or (isinstance(child, Token) and child.kind == "catch")
            if caught and isinstance(child, Token) and child.kind == "name":
                self.scopes[-1].names.add(child.value)
            self.visit(child)

    def on_function(self, node: Node) -> None:
        name = node.name()
        if name:
            self.make(name, node.line)
        self.entered(node, set())

    def on_method(self, node: Node) -> None:
        name = node.name()
        if name is None:
            raise ScopeError(node.line, "a method needs a name")
        self.entered(node, {name})

    def entered(self, node: Node, names: set[str]) -> None:
        self.scopes.append(_Scope(is_async="async" in node.labels))
        self.scopes[-1].names |= names
        self.below(node)
        self.scopes.pop()

    def on_params(self, node: Node) -> None:
        self.make(node.name() or "", node.line)
        self.below(node)

    def on_class(self, node: Node) -> None:
        self.make(node.name() or "", node.line)
        self.below(node)

    def on_show(self, node: Node) -> None:
        self.below(node)
        if not self.tags:
            raise ScopeError(node.line, "'= value' must be inside a tag")

    def on_tag(self, node: Node) -> None:
        self.placed(node)
        self.on_tag_value(node)

    def placed(self, node: Node) -> None:
        """A tag outside of every other tag is what the function returns: there is one."""
        if len(self.scopes) == 1:
            raise ScopeError(node.line, "a tag must be inside a function")
        if self.tags:
            return
        if self.scopes[-1].has_root or (len(self.branches) > 1 and any(self.branches)):
            raise ScopeError(node.line, "the function already has a root tag")
        if len(self.branches) > 1:
            self.branches[-1] = True
        else:
            self.scopes[-1].has_root = True

    def on_tag_value(self, node: Node) -> None:
        self.tags += 1
        self.below(node)
        self.tags -= 1
        opening = node.name("opening") or ""
        if opening[0].isupper() and opening[0].isascii():
            self.use(opening, node.line)
