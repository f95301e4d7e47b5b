"""Small texts in many notations: settings, SQL, markup without quotes, Go, shell, and so on.

What they are for: every mark on the keyboard is learnt in some sense or other. A mark that never
occurs in training is as good as every other such mark to the model, and tuning then has to begin
by telling them apart.
"""

from collections.abc import Callable, Sequence
from random import Random

from recipes.words import ENTITIES, FIELDS, cap, invented, plural

Make = Callable[[str, Sequence[str], Sequence[str]], str]  # entity, fields, values


def _settings(one: str, fields: Sequence[str], values: Sequence[str]) -> str:
    lines = (f"{f}={v}" for f, v in zip(fields, values, strict=True))
    return "\n".join([f"[{one}]", *lines])


def _sql(one: str, fields: Sequence[str], values: Sequence[str]) -> str:
    tests = " AND ".join(f"{f} = '{v}'" for f, v in zip(fields[1:], values[1:], strict=True))
    return f"SELECT {fields[0]} FROM {plural(one)} WHERE {tests};"


def _insert(one: str, fields: Sequence[str], values: Sequence[str]) -> str:
    quoted = ", ".join(f"'{v}'" for v in values)
    return f"INSERT INTO {plural(one)} ({', '.join(fields)}) VALUES ({quoted});"


def _dict(one: str, fields: Sequence[str], values: Sequence[str]) -> str:
    pairs = ", ".join(f"'{f}': '{v}'" for f, v in zip(fields, values, strict=True))
    return f"{one} = {{{pairs}}}"


def _call(one: str, fields: Sequence[str], values: Sequence[str]) -> str:
    named = ", ".join(f"{f}='{v}'" for f, v in zip(fields, values, strict=True))
    return f"{one} = {cap(one)}({named})\nprint('{one}', {one}.{fields[0]})"


def _bare_html(one: str, fields: Sequence[str], values: Sequence[str]) -> str:
    inputs = (f"<input type=text name={f} value={v}>" for f, v in zip(fields, values, strict=True))
    return "\n".join([f"<form action=/{plural(one)} method=post>", *inputs, "</form>"])


def _single_html(one: str, fields: Sequence[str], values: Sequence[str]) -> str:
    return f"<p class='{one}'><a href='/{plural(one)}/{values[0]}'>{fields[0]}</a></p>"


def _address(one: str, fields: Sequence[str], values: Sequence[str]) -> str:
    query = "&".join(f"{f}={v}" for f, v in zip(fields, values, strict=True))
    return f"/api/{plural(one)}?{query}"


def _node(one: str, fields: Sequence[str], values: Sequence[str]) -> str:
    lines = (
        f"const {f} = {one}.attributes.{f} || '{v}';" for f, v in zip(fields, values, strict=True)
    )
    return "\n".join(lines)


def _require(one: str, fields: Sequence[str], values: Sequence[str]) -> str:
    first = f"const {one} = require('./{plural(one)}.js');"
    return f"{first}\nconst {values[0]} = require('../{fields[0]}');"


def _go(one: str, fields: Sequence[str], values: Sequence[str]) -> str:
    lines = (f"{f} := {one}.{cap(f)}" for f in fields)
    return "\n".join([*lines, f"{values[0]} := ''"])


def _shell(one: str, fields: Sequence[str], values: Sequence[str]) -> str:
    lines = (f"{f}='{v}'" for f, v in zip(fields, values, strict=True))
    return "\n".join([f"cd ../{plural(one)}", *lines, f"./{one}.sh > {values[0]}.txt"])


def _comment(one: str, fields: Sequence[str], values: Sequence[str]) -> str:
    return (
        f"// the attributes of {plural(one)} are {' and '.join(fields)}\nlet {one} = '{values[0]}';"
    )


def _lua(one: str, fields: Sequence[str], values: Sequence[str]) -> str:
    return (
        f"if {one}.{fields[0]} == '{values[0]}' then\n  return 1\n"
        f"elseif {one}.{fields[1]} == '{values[1]}' then\n  return 2\nelse\n  return 3\nend"
    )


def _style(one: str, fields: Sequence[str], values: Sequence[str]) -> str:
    first = f".{one} {{\n  color: {values[0]};\n  margin: 5px;\n}}"
    return f"{first}\n#{one} > .{fields[0]} {{ width: 100%; }}"


_NOTATIONS: tuple[tuple[str, Make], ...] = (
    ("settings", _settings),
    ("SQL query", _sql),
    ("SQL insert", _insert),
    ("Python dict", _dict),
    ("Python call", _call),
    ("plain HTML form", _bare_html),
    ("HTML link", _single_html),
    ("web address", _address),
    ("list of DOM attributes", _node),
    ("Node import", _require),
    ("Go code", _go),
    ("shell script", _shell),
    ("commented line", _comment),
    ("Lua condition", _lua),
    ("CSS rule", _style),
)


def notation(rng: Random) -> tuple[str, str]:
    """A request for some fields of a thing in a notation, and the text."""
    name, make = rng.choice(_NOTATIONS)
    one = invented(rng) if rng.random() < 0.4 else rng.choice(ENTITIES)
    fields = rng.sample(FIELDS, rng.choice((2, 2, 3)))
    values = [_value(rng) for _ in fields]
    told = ", ".join(f"{f} {v}" for f, v in zip(fields, values, strict=True))
    return f"{cap(name)} for {one}: {told}", make(one, fields, values)


def _value(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.3:
        return str(rng.randint(0, 999))
    return invented(rng) if kind < 0.6 else rng.choice(ENTITIES)
