"""A program in React-like JavaScript: the embedded base's "common sense"."""

from recipes.programs.nodes import (
    Children,
    Choice,
    Concat,
    Do,
    Each,
    Element,
    Expr,
    If,
    Let,
    Loop,
    Node,
    Op,
    Program,
    Quote,
    Return,
    Set,
    Show,
    Statement,
    Unpack,
    When,
)
from recipes.words import cap

_OPS = {"==": "===", "!=": "!=="}
_ATTRS = {"class": "className", "for": "htmlFor"}


def expr(value: Expr) -> str:
    """The expression in JavaScript."""
    match value:
        case Quote(text):
            return f'"{text}"'
        case Op(left, op, right):
            return f"{expr(left)} {_OPS.get(op, op)} {expr(right)}"
        case Concat(parts):
            return " + ".join(_concat_parts(parts))
        case Choice(test, yes, no):
            return f"{expr(test)} ? {expr(yes)} : {expr(no)}"
    return value.replace("@", "props")


def _concat_parts(parts: tuple[str, ...]) -> list[str]:
    pieces = [f'"{part}"' if i % 2 == 0 else expr(part) for i, part in enumerate(parts)]
    return [piece for piece in pieces if piece != '""']


def _attributes(element: Element) -> str:
    out = ""
    for key, value in element.attrs:
        shown = expr(value) if isinstance(value, Quote) else "{" + expr(value) + "}"
        out += f" {_ATTRS.get(key, key)}={shown}"
    for event, handler in element.events:
        out += f" on{cap(event)}={{{expr(handler)}}}"
    return out


def _inline(node: Node) -> str | None:
    match node:
        case Show(Quote(text)):
            return text
        case Show(value):
            return "{" + expr(value) + "}"
        case Children():
            return "{props.children}"
        case Element(tag, _, _, children):
            attrs = _attributes(node)
            if not children:
                return f"<{tag}{attrs} />"
            inner = _inline(children[0]) if len(children) == 1 else None
            return None if inner is None else f"<{tag}{attrs}>{inner}</{tag}>"
    return None


def _fits(node: Node) -> bool:
    """Whether an element is written on one line: at most one element inside it."""
    if not isinstance(node, Element) or not node.children:
        return True
    child = node.children[0]
    if isinstance(child, Element):
        return node.tag == "li" and not (child.children and isinstance(child.children[0], Element))
    return True


def lines(node: Node, depth: int) -> list[str]:
    """The node as lines inside JSX, indented by two spaces a level."""
    pad = "  " * depth
    short = _inline(node)
    if short is not None and _fits(node):
        return [pad + short]
    match node:
        case Element(tag, _, _, children):
            inner = [line for child in children for line in lines(child, depth + 1)]
            return [f"{pad}<{tag}{_attributes(node)}>", *inner, f"{pad}</{tag}>"]
        case Each(item, items, (When(test, then, ()),)):
            head = f"{pad}{{{expr(items)}.filter(({item}) => {expr(test)}).map(({item}) => ("
            return [head, *_many(then, depth + 1), f"{pad}))}}"]
        case Each(item, items, children):
            head = f"{pad}{{{expr(items)}.map(({item}) => ("
            return [head, *_many(children, depth + 1), f"{pad}))}}"]
        case When(test, then, other):
            if not other:
                return [f"{pad}{{{expr(test)} && (", *_many(then, depth + 1), f"{pad})}}"]
            yes, no = _many(then, depth + 1), _many(other, depth + 1)
            return [f"{pad}{{{expr(test)} ? (", *yes, f"{pad}) : (", *no, f"{pad})}}"]
    raise TypeError(f"no JSX for {node!r}")


def _many(nodes: tuple[Node, ...], depth: int) -> list[str]:
    return [line for node in nodes for line in lines(node, depth)]


def statement(step: Statement, depth: int) -> list[str]:
    """The statement as lines of JavaScript."""
    pad = "  " * depth
    match step:
        case Let(name, value, changes):
            return [f"{pad}{'let' if changes else 'const'} {name} = {expr(value)};"]
        case Unpack(names, source):
            return [f"{pad}const {{ {', '.join(names)} }} = {expr(source)};"]
        case Set(name, value):
            return [f"{pad}{name} = {expr(value)};"]
        case Do(value):
            return [f"{pad}{expr(value)};"]
        case Return(value):
            return [f"{pad}return {expr(value)};"]
        case Loop(item, items, body):
            head = f"{pad}for (const {item} of {expr(items)}) {{"
            return [head, *_steps(body, depth + 1), pad + "}"]
        case If(test, body):
            return [f"{pad}if ({expr(test)}) {{", *_steps(body, depth + 1), pad + "}"]
    raise TypeError(f"no JavaScript for {step!r}")


def _steps(body: tuple[Statement, ...], depth: int) -> list[str]:
    return [line for step in body for line in statement(step, depth)]


def _returned(root: Node, depth: int) -> list[str]:
    pad = "  " * depth
    if isinstance(root, When):
        head = f"{pad}if ({expr(root.test)}) {{"
        yes = [line for node in root.then for line in _returned(node, depth + 1)]
        no = [line for node in root.other for line in _returned(node, depth)]
        return [head, *yes, pad + "}", *(no or [f"{pad}return null;"])]
    if isinstance(root, Each):
        root = Element("div", children=(root,))
    return [f"{pad}return (", *lines(root, depth + 1), f"{pad});"]


def render(program: Program) -> str:
    """The whole program as JavaScript source, without a newline at the end."""
    out = [f'import {{ {", ".join(i.names)} }} from "./{i.module}";' for i in program.imports]
    out += [""] if out else []
    params = "props" if program.is_component else ", ".join(program.params)
    out.append(f"function {program.name}({params}) {{")
    out += _steps(program.body, 1)
    if program.hook:
        out += ["  useEffect(() => {", f"    {expr(program.hook[1])};", "  }, []);"]
    if program.root is not None:
        out += _returned(program.root, 1)
    return "\n".join([*out, "}"])
