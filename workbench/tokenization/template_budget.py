"""A rendering's budget: what each value and operation of a template costs, and what is refused.

A step is a loop turn, call, filter or test; one more is paid for each element or 16 characters that
it reads or makes. What is only handed on costs its length (`charge`); what is made, printed,
compared or joined costs all that is nested in it (`charge_deep`). Operations that make much out of
little pay for their result before it exists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sized
from contextvars import ContextVar
from itertools import chain, islice
from types import GeneratorType
from typing import Any

from jinja2.exceptions import SecurityError
from jinja2.utils import Namespace

BASE_STEPS = 300_000
CHARS_A_STEP = 16
MAX_WIDTH = 10_000
MAX_BITS = 100_000

_PADDINGS = {"center", "ljust", "rjust", "zfill", "expandtabs", "indent", "wordwrap", "truncate"}
_COUNTED = {"batch", "slice", "round", "tojson"}
_REFUSED = {"translate", "to_bytes"}
# `%99999d`, `%*d`, `{:99999}`, `{:{}}`
_WIDE_FORMAT = re.compile(
    r"%(\([^)]*\))?[#0\- +]*(\d*\.)?(\*|\d{5,})|\{[^{}]*:[^{}]*(\d{5,}|\{)",
)


class BudgetExceeded(SecurityError):
    """The template asked for more work than any chat template needs."""


class Budget:
    """Steps left of one rendering."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def spend(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise BudgetExceeded("the chat template loops endlessly or produces unlimited text")


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
    """`value`, paid for by its length; lazy ones become lists."""
    if type(value) is str:  # nearly always: worth a way of its own
        budget = _active.get()
        budget.left -= 1 + len(value) // CHARS_A_STEP
        if budget.left < 0:
            budget.spend(0)  # says so
        return value
    if isinstance(value, GeneratorType):
        value = list(islice(value, _active.get().left + 1))
    spend(1 + _length(value))
    return value


def charge_deep(value: Any) -> Any:
    """`value`, paid for by its size with all that is nested in it; lazy ones become lists."""
    value = charge(value)
    if type(value) is str:
        return value
    budget = _active.get()
    nested = list(_entries(value))
    while nested:
        entry = nested.pop()
        budget.spend(1 + _length(entry))
        nested.extend(_entries(entry))
    return value


def _length(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value) // CHARS_A_STEP
    return len(value) if isinstance(value, Sized) else 0


def _entries(value: Any) -> Iterable[Any]:
    if isinstance(value, (str, int)):
        return ()
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if isinstance(value, Mapping):
        return chain(value.keys(), value.values())
    if isinstance(value, Namespace):
        return (object.__getattribute__(value, "_Namespace__attrs"),)
    return ()


def multiply(left: Any, right: Any) -> Any:
    for value, times in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(value, (str, bytes, list, tuple)):
            unit = 1 if isinstance(value, (list, tuple)) else CHARS_A_STEP
            spend(1 + len(value) * max(0, times) // unit)
            return left * right
    _check_bits(_bits(left) + _bits(right))
    return left * right


def power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(_bits(left) * max(1, right))
    return left**right


def add(left: Any, right: Any) -> Any:
    if type(left) is str and type(right) is str:
        spend(2 + len(left) // CHARS_A_STEP + len(right) // CHARS_A_STEP)
        return left + right
    charge(left)
    charge(right)
    return left + right


def modulo(left: Any, right: Any) -> Any:
    if isinstance(left, (str, bytes)):
        check_format(left, right)
    return left % right


def check_format(template: str | bytes, *values: Any) -> None:
    """Refuse formats with huge or computed widths; pay for each place a value may be put."""
    text = template if isinstance(template, str) else template.decode("latin-1")
    if _WIDE_FORMAT.search(text.replace("%%", "")):
        raise BudgetExceeded("such a wide format is not allowed in a chat template")
    before = _active.get().left
    charge_deep(values)
    spend((before - _active.get().left) * (text.count("%") + text.count("{")))


def _check_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise BudgetExceeded("such long numbers are not allowed in a chat template")


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 0


def check_growth(name: str, value: Any, args: tuple[Any, ...]) -> None:
    """Pay beforehand for operations whose result may be far longer than what they are given."""
    if name in _REFUSED:
        raise BudgetExceeded(f"'{name}' is not allowed in a chat template")
    if name in _PADDINGS or name in _COUNTED:
        _check_padding(value, args)
    elif name == "replace" and isinstance(value, (str, bytes)) and len(args) >= 2:
        old, new = str(args[0]), str(args[1])
        spend((len(value) // max(1, len(old)) + 1) * len(new) // CHARS_A_STEP)
    elif name == "sum" and any(isinstance(arg, (list, tuple)) for arg in args):
        raise BudgetExceeded("summing lists is not allowed in a chat template")
    elif name in ("format", "format_map") and isinstance(value, (str, bytes)):
        check_format(value, *args)


def _check_padding(value: Any, args: tuple[Any, ...]) -> None:
    width = max((abs(arg) for arg in args if isinstance(arg, int)), default=8)
    texts = sum(len(arg) for arg in args if isinstance(arg, str))
    if width > MAX_WIDTH:
        raise BudgetExceeded("such wide padding is not allowed in a chat template")
    text = value if isinstance(value, str) else ""
    breaks = text.count("\n") + text.count("\t") + 1
    spend((breaks * (width + texts) + len(text)) // CHARS_A_STEP)


def join_cost(separator: Any, values: Any) -> None:
    if isinstance(separator, str) and isinstance(values, Sized):
        spend(len(separator) * len(values) // CHARS_A_STEP)
