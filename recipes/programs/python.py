"""A function (not a component) in Python."""

import re

from recipes.programs.nodes import (
    Concat,
    Do,
    Expr,
    If,
    Let,
    Loop,
    Op,
    Program,
    Quote,
    Return,
    Set,
    Statement,
)


def snake(name: str) -> str:
    """`findUser` as `find_user`."""
    return re.sub(r"([A-Z])", lambda found: "_" + found.group(1).lower(), name)


def expr(value: Expr) -> str:
    """The expression in Python."""
    match value:
        case Quote(text):
            return f'"{text}"'
        case Op(left, op, right):
            return f"{expr(left)} {op} {expr(right)}"
        case Concat(parts):
            inner = (p if i % 2 == 0 else "{" + p + "}" for i, p in enumerate(parts))
            return f'f"{"".join(inner)}"'
        case str():
            value = re.sub(r"([\w.]+)\.length", r"len(\1)", value)
            return value.replace("null", "None").replace(".push(", ".append(")
    raise TypeError(f"no Python for {value!r}")


def statement(step: Statement, depth: int) -> list[str]:
    """The statement as lines of Python."""
    pad = "    " * depth
    match step:
        case Let(name, value, _) | Set(name, value):
            return [f"{pad}{name} = {expr(value)}"]
        case Do(value):
            return [pad + expr(value)]
        case Return(value):
            return [f"{pad}return {expr(value)}"]
        case Loop(item, items, body):
            return [f"{pad}for {item} in {expr(items)}:", *_steps(body, depth + 1)]
        case If(test, body):
            return [f"{pad}if {expr(test)}:", *_steps(body, depth + 1)]
    raise TypeError(f"no Python for {step!r}")


def _steps(body: tuple[Statement, ...], depth: int) -> list[str]:
    return [line for step in body for line in statement(step, depth)]


def render(program: Program) -> str:
    """The function as Python source, without a newline at the end."""
    head = f"def {snake(program.name)}({', '.join(program.params)}):"
    return "\n".join([head, *_steps(program.body, 1)])
