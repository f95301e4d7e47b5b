"""Functions that compute something from a list or an object."""

from recipes.programs.context import Words, template
from recipes.programs.nodes import Concat, Do, If, Let, Loop, Op, Program, Return, Set
from recipes.words import FLAGS, cap, plural


def _loop(w: Words, *steps: Set | If | Do) -> Loop:
    return Loop(w.entity, w.many, steps)


@template
def total(w: Words) -> Program:
    name = w.field()
    add = Set("total", Op("total", "+", f"{w.entity}.{name}"))
    wording = w.pick(
        f"the total {name} of a list of {w.many}", f"the sum of the {name} of all {w.many}"
    )
    body = (Let("total", "0", changes=True), _loop(w, add), Return("total"))
    must = (w.many, f"{w.entity}.{name}", f"total{cap(name)}")
    return Program(f"total{cap(name)}", wording, must, params=(w.many,), body=body)


@template
def find(w: Words) -> Program:
    name = w.field()
    test = If(Op(f"{w.entity}.{name}", "==", name), (Return(w.entity),))
    wording = w.pick(
        f"the {w.entity} with a given {name} from a list of {w.many}",
        f"the first of the {w.many} with the given {name}",
    )
    body = (_loop(w, test), Return("null"))
    must = (w.many, f"{w.entity}.{name}")
    return Program(f"find{w.title}", wording, must, params=(w.many, name), body=body)


@template
def has_any(w: Words) -> Program:
    wording = w.pick(f"true if there are any {w.many}", f"whether a list of {w.many} has any items")
    body = (Return(Op(f"{w.many}.length", ">", "0")),)
    return Program(f"has{cap(w.many)}", wording, (w.many,), params=(w.many,), body=body)


@template
def label(w: Words) -> Program:
    first, second = w.some(2)
    parts = (f"{cap(first)}: ", f"{w.entity}.{first}", f", {second}: ", f"{w.entity}.{second}", ".")
    wording = w.pick(
        f"a label with the {first} and {second} of {w.one}",
        f"the {first} and {second} of {w.one} as text",
    )
    must = (f"{w.entity}.{first}", f"{w.entity}.{second}")
    body = (Return(Concat(parts)),)
    return Program(f"{w.entity}Label", wording, must, params=(w.entity,), body=body)


@template
def highest(w: Words) -> Program:
    name = w.field()
    found = If(Op(f"{w.entity}.{name}", ">", "max"), (Set("max", f"{w.entity}.{name}"),))
    wording = w.pick(
        f"the highest {name} of a list of {w.many}", f"the largest {name} of all {w.many}"
    )
    body = (Let("max", "0", changes=True), _loop(w, found), Return("max"))
    must = (w.many, f"{w.entity}.{name}", "max")
    return Program(f"max{cap(name)}", wording, must, params=(w.many,), body=body)


@template
def collect(w: Words) -> Program:
    name = w.field()
    push = Do(f"result.push({w.entity}.{name})")
    wording = w.pick(
        f"the {name} of each {w.entity} as an array", f"an array with the {name} of all {w.many}"
    )
    body = (Let("result", "[]"), _loop(w, push), Return("result"))
    must = (w.many, f"{w.entity}.{name}", "result")
    return Program(f"{w.entity}{cap(plural(name))}", wording, must, params=(w.many,), body=body)


@template
def keep_flagged(w: Words) -> Program:
    flag = w.pick(*FLAGS)
    test = If(f"{w.entity}.{flag}", (Do(f"result.push({w.entity})"),))
    wording = w.pick(
        f"the {flag} {w.many} as an array", f"an array of the {w.many} that are {flag}"
    )
    body = (Let("result", "[]"), _loop(w, test), Return("result"))
    must = (w.many, f"{w.entity}.{flag}")
    return Program(f"{flag}{cap(w.many)}", wording, must, params=(w.many,), body=body)


@template
def count_flagged(w: Words) -> Program:
    flag = w.pick(*FLAGS)
    test = If(f"{w.entity}.{flag}", (Set("count", Op("count", "+", "1")),))
    wording = w.pick(f"how many {w.many} are {flag}", f"the number of {flag} {w.many}")
    body = (Let("count", "0", changes=True), _loop(w, test), Return("count"))
    must = (w.many, f"{w.entity}.{flag}", "count")
    return Program(f"count{cap(w.many)}", wording, must, params=(w.many,), body=body)


@template
def is_over(w: Words) -> Program:
    name, bound = w.field(), str(w.rng.choice((0, 1, 5, 10, 18, 20, 50, 100)))
    wording = w.pick(
        f"true if the {name} of {w.one} is greater than {bound}",
        f"whether {w.one} has a {name} over {bound}",
    )
    body = (Return(Op(f"{w.entity}.{name}", ">", bound)),)
    must = (f"{w.entity}.{name}", f"> {bound}")
    return Program(f"is{cap(name)}High", wording, must, params=(w.entity,), body=body)


@template
def product_of(w: Words) -> Program:
    first, second = w.some(2)
    wording = w.pick(
        f"the {first} of {w.one} times its {second}",
        f"the {first} multiplied by the {second} of {w.one}",
    )
    body = (Return(Op(f"{w.entity}.{first}", "*", f"{w.entity}.{second}")),)
    must = (f"{w.entity}.{first}", f"{w.entity}.{second}")
    return Program(f"{w.entity}{cap(first)}", wording, must, params=(w.entity,), body=body)
