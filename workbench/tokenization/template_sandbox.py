"""A Jinja environment in which a template of unknown origin can do no harm: no code, no bomb.

Jinja's immutable sandbox keeps a template away from Python. It does not stop one that loops for
ever or asks for ten gigabytes, so here every operation pays out of a budget (`dataset.budget`)
before it is carried out. Nothing depends on the clock: the same template fails at the same place.

What is covered: loops, recursion, strings and lists that double, formats and paddings with huge
widths, nested lists that grow when printed, slices and comparisons of long values.
What is not: a fault in Jinja or Python themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import GeneratorType
from typing import Any

from jinja2 import nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from workbench.tokenization.template_budget import (
    CHARS_A_STEP,
    add,
    charge,
    charge_deep,
    check_format,
    check_growth,
    join_cost,
    modulo,
    multiply,
    power,
    spend,
)

# Filters and tests that look at no more than the elements of what they get.
_HANDED_ON = set(
    "attr batch boolean count d default defined even first float integer items iterable last "
    "length list map mapping none number odd random reject rejectattr reverse sameas select "
    "selectattr sequence slice sum undefined".split()
)


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or test that pays for what it is given and for what it returns."""
    skipped = 1 if hasattr(function, "jinja_pass_arg") else 0
    pay = charge if name in _HANDED_ON else charge_deep

    @wraps(function)
    def paid(*args: Any, **kwargs: Any) -> Any:
        given = [pay(arg) for arg in args[skipped:]]
        named = {key: pay(entry) for key, entry in kwargs.items()}
        value, rest = (given[0] if given else None), (*given[1:], *named.values())
        check_growth(name, value, rest)
        if name == "join":
            join_cost(rest[0] if rest else "", value)
        result = function(*args[:skipped], *given, **named)
        return result if isinstance(result, GeneratorType) else charge(result)

    return paid


class _Meter(NodeTransformer):
    """Rewrites a template so that loops, literals, slices, comparisons and `~` are paid for."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        data = sum(len(text.data) for text in node.find_all(nodes.TemplateData))
        self.generic_visit(node)
        node.iter = _filtered(node.iter, "paid_loop", nodes.Const(1 + data // CHARS_A_STEP))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(nodes.List(node.nodes, lineno=node.lineno), "paid_concat")

    def visit_List(self, node: nodes.List) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, "paid_deep") if node.items else node

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, "paid_deep") if node.items and node.ctx == "load" else node

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, "paid_deep") if node.items else node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Node:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _filtered(node.node, "paid")
        return node

    def visit_Compare(self, node: nodes.Compare) -> nodes.Node:
        self.generic_visit(node)
        node.expr = _paid(node.expr)
        for operand in node.ops:
            operand.expr = _paid(operand.expr)
        return node


def _paid(node: nodes.Expr) -> nodes.Expr:
    return node if isinstance(node, nodes.Const) else _filtered(node, "paid_deep")


def _filtered(node: nodes.Node, name: str, *args: nodes.Expr) -> nodes.Filter:
    assert isinstance(node, nodes.Expr)
    for arg in args:
        arg.set_lineno(node.lineno)
    return nodes.Filter(node, name, list(args), [], None, None, lineno=node.lineno)


def _paid_loop(value: Any, steps: int) -> Any:
    """What a loop runs over: each turn costs `steps`."""
    value = charge(value)
    try:
        turns = len(value)
    except TypeError:
        return value
    spend(turns * steps)
    return value


def _paid_concat(values: list[Any]) -> str:
    charge_deep(values)
    return "".join(map(str, values))


_OF_DICTS = frozenset(dir(dict))


class SandboxEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox with the budget in every place where work can grow."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self, **options: Any) -> None:
        # No folding of constants at compile time: it would run operations outside the budget.
        super().__init__(optimized=False, finalize=charge_deep, **options)
        self.binop_table |= {"+": add, "*": multiply, "**": power, "%": modulo}
        del self.globals["lipsum"]

    def seal(self) -> None:
        """Put the meter on all filters and tests; call it once, after adding one's own."""
        for table in (self.filters, self.tests):
            for name, function in list(table.items()):
                table[name] = _guarded(name, function)
        self.filters |= {"paid": charge, "paid_deep": charge_deep}
        self.filters |= {"paid_loop": _paid_loop, "paid_concat": _paid_concat}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        metered = _Meter().visit(tree)
        assert isinstance(metered, nodes.Template)
        return metered

    def getattr(self, obj: Any, attribute: str) -> Any:
        """As the sandbox does it; an entry of a message needs none of its questions."""
        if type(obj) is dict and attribute in obj and attribute not in _OF_DICTS:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: B902, N805
        name, owner = getattr(__obj, "__name__", ""), getattr(__obj, "__self__", None)
        pay = charge_deep if isinstance(owner, (str, bytes)) else charge
        given = [pay(arg) for arg in args]
        named = {key: pay(entry) for key, entry in kwargs.items()}
        if isinstance(owner, (str, bytes, int)):
            charge(owner)
            check_growth(name, owner, (*given, *named.values()))
            if name == "join" and given:
                join_cost(owner, given[0])
        elif name in ("format", "format_map"):  # wrapped by the sandbox: the text is in the closure
            check_format(_format_text(__obj), *given, *named.values())
        result = super().call(__context, __obj, *given, **named)
        return result if isinstance(result, GeneratorType) else charge(result)


def _format_text(wrapped: Any) -> str | bytes:
    original = getattr(wrapped, "__wrapped__", None)
    text = getattr(original, "__self__", "")
    return text if isinstance(text, (str, bytes)) else ""
