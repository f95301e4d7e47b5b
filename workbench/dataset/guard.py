"""A Jinja environment in which a template of unknown origin can do no harm: no code, no bomb.

Jinja's immutable sandbox keeps a template away from Python. It does not stop one that loops for
ever or asks for ten gigabytes, so here every operation is paid for out of a budget before it is
carried out: one step a loop turn, call, filter or test, one more for each element or 16 characters
that it reads or makes. Nothing depends on the clock: the same template fails at the same place.

What is covered: loops, recursion, strings and lists that double, formats and paddings with huge
widths, nested lists that grow when printed, slices and comparisons of long values.
What is not: a fault in Jinja or Python themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import wraps
from itertools import islice
from types import GeneratorType
from typing import Any

from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace
from jinja2.visitor import NodeTransformer

BASE_STEPS = 1_000_000
CHARS_A_STEP = 16
MAX_WIDTH = 10_000
MAX_BITS = 100_000

_PADDINGS = {"center", "ljust", "rjust", "zfill", "expandtabs", "indent", "wordwrap", "truncate"}
_COUNTED = {"batch", "slice", "round", "tojson"}
_REFUSED = {"translate", "to_bytes"}
_WIDE_FORMAT = re.compile(r"%[^a-zA-Z%]*(\*|\d{5,})|\d{5,}[^{}]*\}|:[^{}]*\{")


class OverBudget(SecurityError):
    """The template asked for more work than any chat template needs."""


class Budget:
    """Steps left of one rendering."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise OverBudget("the template loops without end or makes a text without bounds")


_active: ContextVar[Budget] = ContextVar("budget")


class Metered:
    """Context manager: what is rendered inside pays from a budget that fits the messages."""

    def __init__(self, chars: int, messages: int) -> None:
        self._budget = Budget(BASE_STEPS + 8 * chars + 1000 * messages)

    def __enter__(self) -> None:
        self._token = _active.set(self._budget)

    def __exit__(self, *_: object) -> None:
        _active.reset(self._token)


def spend(steps: int) -> None:
    """Pay from the active rendering's budget. Raises OverBudget."""
    _active.get().spend(steps)


def charge(value: Any) -> Any:
    """`value`, paid for by its size with all that is nested in it; lazy ones become lists."""
    if type(value) is str:  # nearly always: worth a way of its own
        _active.get().spend(1 + len(value) // CHARS_A_STEP)
        return value
    if isinstance(value, GeneratorType):
        value = list(islice(value, _active.get().left + 1))
    _charge(value)
    return value


def _charge(value: Any) -> None:
    if isinstance(value, (str, bytes)):
        spend(1 + len(value) // CHARS_A_STEP)
    elif isinstance(value, range):
        spend(1 + len(value))
    elif isinstance(value, Mapping):
        spend(1 + len(value))
        for key, entry in value.items():
            _charge(key)
            _charge(entry)
    elif isinstance(value, (list, tuple, set, frozenset)):
        spend(1 + len(value))
        for entry in value:
            _charge(entry)
    elif isinstance(value, Namespace):
        _charge(object.__getattribute__(value, "_Namespace__attrs"))
    else:
        spend(1)


def _multiply(left: Any, right: Any) -> Any:
    for value, times in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(value, (str, bytes, list, tuple)):
            spend(1 + len(value) * max(0, times) // (1 if isinstance(value, (list, tuple)) else 16))
            return charge(left * right)
    _check_bits(_bits(left) + _bits(right))
    return left * right


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(_bits(left) * max(1, right))
    return left**right


def _add(left: Any, right: Any) -> Any:
    charge(left)
    charge(right)
    return left + right


def _modulo(left: Any, right: Any) -> Any:
    if isinstance(left, (str, bytes)):
        _check_format(left, right)
    return left % right


def _check_format(template: str | bytes, *values: Any) -> None:
    """Refuse formats with huge or computed widths; pay for each place a value may be put."""
    text = template if isinstance(template, str) else template.decode("latin-1")
    if _WIDE_FORMAT.search(text):
        raise OverBudget("a format of such width is not allowed in a chat template")
    before = _active.get().left
    charge(values)
    spend((before - _active.get().left) * (text.count("%") + text.count("{")))


def _check_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise OverBudget("numbers of such length are not allowed in a chat template")


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 0


def _check_growth(name: str, value: Any, args: tuple[Any, ...]) -> None:
    """Pay beforehand for operations whose result may be far longer than what they are given."""
    if name in _REFUSED:
        raise OverBudget(f"'{name}' is not allowed in a chat template")
    if name in _PADDINGS or name in _COUNTED:
        _check_padding(value, args)
    elif name == "replace" and isinstance(value, (str, bytes)) and len(args) >= 2:
        old, new = str(args[0]), str(args[1])
        spend((len(value) // max(1, len(old)) + 1) * len(new) // CHARS_A_STEP)
    elif name == "sum" and any(isinstance(arg, (list, tuple)) for arg in args):
        raise OverBudget("lists cannot be summed in a chat template")
    elif name in ("format", "format_map") and isinstance(value, (str, bytes)):
        _check_format(value, *args)


def _check_padding(value: Any, args: tuple[Any, ...]) -> None:
    width = max((abs(arg) for arg in args if isinstance(arg, int)), default=8)
    texts = sum(len(arg) for arg in args if isinstance(arg, str))
    if width > MAX_WIDTH:
        raise OverBudget("a padding of such width is not allowed in a chat template")
    text = value if isinstance(value, str) else ""
    breaks = text.count("\n") + text.count("\t") + 1
    spend((breaks * (width + texts) + len(text)) // CHARS_A_STEP)


def _join_cost(separator: Any, values: Any) -> None:
    if isinstance(separator, str) and isinstance(values, (str, list, tuple)):
        spend(len(separator) * len(values) // CHARS_A_STEP)


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or test that pays for what it is given and for what it returns."""
    skipped = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def paid(*args: Any, **kwargs: Any) -> Any:
        given = [charge(arg) for arg in args[skipped:]]
        named = {key: charge(entry) for key, entry in kwargs.items()}
        value, rest = (given[0] if given else None), (*given[1:], *named.values())
        _check_growth(name, value, rest)
        if name == "join":
            _join_cost(rest[0] if rest else "", value)
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
        return _filtered(node, "paid") if node.items else node

    def visit_Tuple(self, node: nodes.Tuple) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, "paid") if node.items and node.ctx == "load" else node

    def visit_Dict(self, node: nodes.Dict) -> nodes.Node:
        self.generic_visit(node)
        return _filtered(node, "paid") if node.items else node

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
    return node if isinstance(node, nodes.Const) else _filtered(node, "paid")


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
    charge(values)
    return "".join(map(str, values))


class GuardedEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox with the budget in every place where work can grow."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self, **options: Any) -> None:
        # No folding of constants at compile time: it would run operations outside the budget.
        super().__init__(optimized=False, finalize=charge, **options)
        self.binop_table |= {"+": _add, "*": _multiply, "**": _power, "%": _modulo}
        del self.globals["lipsum"]

    def seal(self) -> None:
        """Put the meter on all filters and tests; call it once, after adding one's own."""
        for table in (self.filters, self.tests):
            for name, function in list(table.items()):
                table[name] = _guarded(name, function)
        self.filters |= {"paid": charge, "paid_loop": _paid_loop, "paid_concat": _paid_concat}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        metered = _Meter().visit(tree)
        assert isinstance(metered, nodes.Template)
        return metered

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: B902, N805
        given = [charge(arg) for arg in args]
        named = {key: charge(entry) for key, entry in kwargs.items()}
        name, owner = getattr(__obj, "__name__", ""), getattr(__obj, "__self__", None)
        if isinstance(owner, (str, bytes, int)):
            charge(owner)
            _check_growth(name, owner, (*given, *named.values()))
            if name == "join" and given:
                _join_cost(owner, given[0])
        elif name in ("format", "format_map"):  # wrapped by the sandbox: the text is in the closure
            _check_format(_format_text(__obj), *given, *named.values())
        result = super().call(__context, __obj, *given, **named)
        return result if isinstance(result, GeneratorType) else charge(result)


def _format_text(wrapped: Any) -> str | bytes:
    original = getattr(wrapped, "__wrapped__", None)
    text = getattr(original, "__self__", "")
    return text if isinstance(text, (str, bytes)) else ""
