"""Components about one thing: cards, descriptions, forms, inputs."""

from recipes.programs.context import Words, el, template, text
from recipes.programs.nodes import (
    Element,
    Program,
    Quote,
    Show,
    Unpack,
)
from recipes.words import cap, join_words, with_article


@template
def card(w: Words) -> Program:
    names = w.some(2, 2, 3)
    head = el("h2", Show(f"@.{w.entity}.{names[0]}"))
    rest = (el("p", Show(f"@.{w.entity}.{n}")) for n in names[1:])
    wording = w.pick(
        f"a card for {w.one} with the {join_words(names)}",
        f"{w.one} card with {join_words(names)}",
        f"the {join_words(names)} of {w.one} in a card",
        f"the {join_words(names)} of {w.one}",
    )
    must = tuple(f"{w.entity}.{n}" for n in names)
    return Program(f"{w.title}Card", wording, must, el("div", head, *rest, class_=Quote("card")))


@template
def unpacked_card(w: Words) -> Program:
    names = w.some(2, 2, 3)
    head = el("h3", Show(names[0]))
    rest = (el("p", Show(n)) for n in names[1:])
    wording = w.pick(
        f"the {join_words(names)} of {w.one} using destructuring",
        f"{w.one} with {join_words(names)}, taken out of the attributes by destructuring",
    )
    take = Unpack(tuple(names), f"@.{w.entity}")
    must = (w.entity, *names)
    return Program(f"{w.title}View", wording, must, el("div", head, *rest), body=(take,))


@template
def description_list(w: Words) -> Program:
    names = w.some(2, 3)
    pairs = [(el("dt", text(cap(n))), el("dd", Show(f"@.{w.entity}.{n}"))) for n in names]
    wording = w.pick(
        f"the details of {w.one}: {join_words(names)}",
        f"the {join_words(names)} of {w.one} as a description list",
    )
    must = tuple(f"{w.entity}.{n}" for n in names)
    root = el("dl", *(node for pair in pairs for node in pair))
    return Program(f"{w.title}Details", wording, must, root)


@template
def form(w: Words) -> Program:
    names = w.some(1, 2, 2, 3)
    kind = Quote("text")
    inputs = [el("input", type=kind, name=Quote(n), value=f"@.{w.entity}.{n}") for n in names]
    button = el("button", text("Save"), type=Quote("submit"))
    wording = w.pick(
        f"a form to edit the {join_words(names)} of {w.one}",
        f"an edit form for {w.one} with {join_words(names)}",
        f"a form for {w.one} with inputs for {join_words(names)}",
    )
    must = ("<form", *(f"{w.entity}.{n}" for n in names))
    return Program(f"{w.title}Form", wording, must, el("form", *inputs, button))


@template
def search_form(w: Words) -> Program:
    field = el("input", type=Quote("search"), placeholder=Quote(f"Search {w.many}"))
    field = Element(field.tag, field.attrs, (("input", "@.onInput"),))
    button = el("button", text("Search"), type=Quote("submit"))
    wording = w.pick(
        f"a search form for {w.many}",
        f"a form to search {w.many}",
        f"a search box and a button to find {w.many}",
    )
    return Program(f"{w.title}Search", wording, (w.many, "<form"), el("form", field, button))


@template
def checkbox(w: Words) -> Program:
    name, value, label, wording = w.rng.choice(
        (
            ("Checkbox", "@.checked", "@.label", "a checkbox and its label"),
            ("Checkbox", "@.checked", "@.label", "a checkbox with a label"),
            (
                f"{w.title}Checkbox",
                f"@.{w.entity}.checked",
                f"@.{w.entity}.label",
                f"a checkbox for {w.one} and its label",
            ),
            (
                f"{w.title}Checkbox",
                f"@.{w.entity}.checked",
                f"@.{w.entity}.label",
                f"{w.one} checkbox with a label",
            ),
        )
    )
    root = el("label", el("input", type=Quote("checkbox"), checked=value), Show(label))
    return Program(name, wording, (value.replace("@.", ""), label.replace("@.", "")), root)


@template
def text_input(w: Words) -> Program:
    name, kind = w.field(), w.pick("text", "number", "password", "date", "search", "email")
    field = el("input", type=Quote(kind), name=Quote(name), value=f"@.{name}")
    wording = w.pick(
        f"{with_article(kind)} input for the {name} with a label",
        f"a labelled {kind} input for the {name}",
        f"a label and {with_article(kind)} input for the {name}",
    )
    root = el("label", Show("@.label"), field)
    return Program(f"{cap(name)}Input", wording, (f".{name}", kind, "<input"), root)


@template
def text_area(w: Words) -> Program:
    name = w.field()
    field = el("textarea", name=Quote(name), value=f"@.{name}")
    wording = w.pick(
        f"a text area for the {name} with a label",
        f"a labelled text area for the {name}",
        f"a label and a textarea for the {name}",
    )
    root = el("label", Show("@.label"), field)
    return Program(f"{cap(name)}Area", wording, (f".{name}", "<textarea"), root)
