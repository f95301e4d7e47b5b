"""A program in Blop. The language's own compiler accepts everything that this module writes."""

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


def expr(value: Expr) -> str:
    """The expression in Blop."""
    match value:
        case Quote(text):
            return f"'{text}'"
        case Op(left, op, right):
            return f"{expr(left)} {op} {expr(right)}"
        case Concat(parts):
            pieces = (f"'{p}'" if i % 2 == 0 else expr(p) for i, p in enumerate(parts))
            return "".join(pieces)
        case Choice(test, yes, no):
            return f"if {expr(test)} => {expr(yes)} else {expr(no)}"
    return value.replace("@", "attributes")


def _attributes(element: Element) -> str:
    out = ""
    for key, value in element.attrs:
        out += f' {key}="{value.text}"' if isinstance(value, Quote) else f" {key}={expr(value)}"
    if element.events:
        pairs = ", ".join(f"{event}: {expr(handler)}" for event, handler in element.events)
        out += f" on={{ {pairs} }}"
    return out


def _inline(node: Node) -> str | None:
    match node:
        case Show(Choice()):
            return None
        case Show(value):
            return expr(value)
        case Element(tag, _, _, children):
            attrs = _attributes(node)
            if not children:
                return f"<{tag}{attrs} />"
            inner = _inline(children[0]) if len(children) == 1 else None
            return None if inner is None else f"<{tag}{attrs}>{inner}</{tag}>"
    return None


def _fits(node: Element) -> bool:
    if not node.children:
        return True
    child = node.children[0]
    if isinstance(child, Element):
        return node.tag == "li" and not (child.children and isinstance(child.children[0], Element))
    return True


def lines(node: Node, depth: int) -> list[str]:
    """The node as lines, indented by two spaces a level."""
    pad = "  " * depth
    match node:
        case Show(value):
            return [f"{pad}= {expr(value)}"]
        case Children():
            return [f"{pad}= children"]
        case Element(tag, _, _, children):
            short = _inline(node)
            if short is not None and _fits(node):
                return [pad + short]
            return [f"{pad}<{tag}{_attributes(node)}>", *_many(children, depth), f"{pad}</{tag}>"]
        case Each(item, items, children):
            head = f"{pad}for {item} in {expr(items)} {{"
            return [head, *_many(children, depth), pad + "}"]
        case When(test, then, other):
            out = [f"{pad}if {expr(test)} {{", *_many(then, depth)]
            out += [pad + "} else {", *_many(other, depth)] if other else []
            return [*out, pad + "}"]
    raise TypeError(f"no Blop for {node!r}")


def _many(nodes: tuple[Node, ...], depth: int) -> list[str]:
    return [line for node in nodes for line in lines(node, depth + 1)]


def statement(step: Statement, depth: int) -> list[str]:
    """The statement as lines of Blop."""
    pad = "  " * depth
    match step:
        case Let(name, value, _):
            return [f"{pad}{name} = {expr(value)}"]
        case Unpack(names, source):
            return [f"{pad}{{ {', '.join(names)} }} = {expr(source)}"]
        case Set(name, value):
            return [f"{pad}{name} := {expr(value)}"]
        case Do(value):
            return [pad + expr(value)]
        case Return(value):
            return [f"{pad}return {expr(value)}"]
        case Loop(item, items, body):
            return [f"{pad}for {item} in {expr(items)} {{", *_steps(body, depth + 1), pad + "}"]
        case If(test, body):
            return [f"{pad}if {expr(test)} {{", *_steps(body, depth + 1), pad + "}"]
    raise TypeError(f"no Blop for {step!r}")


def _steps(body: tuple[Statement, ...], depth: int) -> list[str]:
    return [line for step in body for line in statement(step, depth)]


def _params(program: Program) -> str:
    if not program.is_component:
        return ", ".join(program.params)
    if program.hook:
        return "attributes, children, node"
    return "attributes, children" if program.uses_children else "attributes"


def render(program: Program) -> str:
    """The whole program as Blop source, without a newline at the end."""
    out = [f"import {{ {', '.join(i.names)} }} from './{i.module}.blop'" for i in program.imports]
    out += [""] if out else []
    out.append(f"def {program.name}({_params(program)}) {{")
    out += _steps(program.body, 1)
    if program.hook:
        event, called = program.hook
        out += [f"  node.{event}(() => {{", f"    {expr(called)}", "  })"]
    if program.root is not None:
        out += lines(program.root, 1)
    return "\n".join([*out, "}"])
