"""Components that show many things: lists, tables, galleries, menus."""

from recipes.programs.context import Words, el, template, text
from recipes.programs.nodes import Concat, Each, Element, Op, Program, Quote, Show, When
from recipes.words import FLAGS, cap, join_words, plural, with_article

_LINKS = (("profiles", "url"), ("pages", "url"), ("details", "link"), ("websites", "website"))


def _each(w: Words, *children: Element | When) -> Each:
    return Each(w.entity, f"@.{w.many}", children)


def _item(w: Words, name: str) -> Element:
    return el("li", Show(f"{w.entity}.{name}"))


@template
def list_of_links(w: Words) -> Program:
    place, key = w.rng.choice(_LINKS)
    name = w.pick("name", "name", "title", "label")
    link = el("a", Show(f"{w.entity}.{name}"), href=f"{w.entity}.{key}")
    wording = w.pick(
        f"a list of {w.many} with links to their {place}",
        f"a list of {w.many} linking to their {place}",
        f"links to the {place} of all {w.many}",
    )
    wording += "" if name == "name" else f" using the {name}"
    must = (w.many, f"{w.entity}.{key}", f"{w.entity}.{name}")
    return Program(f"{w.title}List", wording, must, el("ul", _each(w, el("li", link))))


@template
def list_of_fields(w: Words) -> Program:
    name = w.field()
    tag, kind = w.rng.choice((("ul", "list"), ("ul", "bullet list"), ("ol", "numbered list")))
    wording = w.pick(
        f"a {kind} of {w.many} with their {name}",
        f"a {kind} of {w.many} and the {name} of each {w.entity}",
        f"the {name} of every {w.entity} in a {kind}",
        f"a {kind} with the {name} of all {w.many}",
    )
    must = (w.many, f"{w.entity}.{name}")
    return Program(f"{w.title}List", wording, must, el(tag, _each(w, _item(w, name))))


@template
def rows(w: Words) -> Program:
    names = w.some(2, 2, 3)
    cells = tuple(el("span", Show(f"{w.entity}.{n}")) for n in names)
    wording = w.pick(
        f"the {join_words(names)} of each {w.entity} in a row",
        f"a row with the {join_words(names)} for every {w.entity}",
        f"all {w.many} as rows with {join_words(names)}",
        f"a loop over the {w.many} with {join_words(names)}",
    )
    must = (w.many, *(f"{w.entity}.{n}" for n in names))
    row = el("div", *cells, class_=Quote("row"))
    return Program(f"{w.title}Rows", wording, must, el("div", _each(w, row)))


@template
def headed_items(w: Words) -> Program:
    head, body = w.some(2)
    item = el("article", el("h3", Show(f"{w.entity}.{head}")), el("p", Show(f"{w.entity}.{body}")))
    wording = w.pick(
        f"the {head} and {body} of all {w.many}",
        f"the {head} and {body} of {w.many} with a loop",
        f"an article for each {w.entity} with the {head} and {body}",
        f"each of the {w.many} with its {head} as heading and its {body}",
    )
    must = (w.many, f"{w.entity}.{head}", f"{w.entity}.{body}")
    return Program(f"{w.title}Items", wording, must, el("div", _each(w, item)))


@template
def table(w: Words) -> Program:
    names = w.some(2, 2, 3, 3, 4)
    head = el("tr", *(el("th", text(cap(n))) for n in names))
    row = el("tr", *(el("td", Show(f"{w.entity}.{n}")) for n in names))
    wording = w.pick(
        f"a table of {w.many} with the columns {join_words(names)}",
        f"a table of {w.many} with {join_words(names)}",
        f"{w.many} in a table with {join_words(names)}",
        f"a table with the {join_words(names)} of all {w.many}",
    )
    must = (w.many, "<table", *(f"{w.entity}.{n}" for n in names))
    return Program(f"{w.title}Table", wording, must, el("table", head, _each(w, row)))


@template
def select(w: Words) -> Program:
    name = w.pick("name", "name", "title", "label")
    option = el("option", Show(f"{w.entity}.{name}"), value=f"{w.entity}.id")
    wording = w.pick(
        f"a select with an option for each {w.entity}",
        f"a dropdown to choose {w.one}",
        f"a select to choose one of the {w.many}",
        f"a dropdown of {w.many}",
    )
    wording += "" if name == "name" else f" by {name}"
    must = (w.many, "<select", f"{w.entity}.{name}")
    return Program(f"{w.title}Select", wording, must, el("select", _each(w, option)))


@template
def gallery(w: Words) -> Program:
    picture, name = w.pick("image", "photo", "picture", "thumbnail"), w.pick("name", "title")
    image = el("img", src=f"{w.entity}.{picture}", alt=f"{w.entity}.{name}")
    wording = w.pick(
        f"a gallery with the {picture} of each {w.entity}",
        f"{w.one} gallery showing each {picture}",
        f"a gallery of {w.many} with their {picture}",
    )
    wording += "" if name == "name" else f" and {name}"
    must = (w.many, "<img", f"{w.entity}.{picture}")
    root = el("div", _each(w, image), class_=Quote("gallery"))
    return Program(f"{w.title}Gallery", wording, must, root)


@template
def navigation(w: Words) -> Program:
    link = el("a", Show(f"{w.entity}.label"), href=f"{w.entity}.url")
    wording = w.pick(
        f"a navigation bar with a link for each {w.entity}",
        f"a nav with links to the {w.many}",
        f"a navigation menu of {w.many}",
    )
    must = (w.many, "<nav", f"{w.entity}.url")
    return Program(f"{w.title}Nav", wording, must, el("nav", _each(w, link)))


@template
def list_or_message(w: Words) -> Program:
    name = w.field()
    shown = el("ul", _each(w, _item(w, name)))
    root = When(Op(f"@.{w.many}.length", "==", "0"), (el("p", text(f"No {w.many}")),), (shown,))
    wording = w.pick(
        f"a list of {w.many} with their {name}, or a message when there are no {w.many}",
        f"the {name} of each {w.entity} in a list, or a message if there are none",
        f"a list of the {name} of all {w.many} or a message if it is empty",
    )
    return Program(f"{w.title}List", wording, (w.many, f"{w.entity}.{name}", "length"), root)


@template
def flagged_items(w: Words) -> Program:
    name, flag = w.field(), w.pick(*FLAGS)
    test = When(f"{w.entity}.{flag}", (_item(w, name),))
    wording = w.pick(
        f"a list with the {name} of the {flag} {w.many}",
        f"only the {flag} {w.many} with their {name}",
        f"the {name} of each {w.entity} that is {flag}",
    )
    must = (w.many, f"{w.entity}.{flag}", f"{w.entity}.{name}")
    return Program(f"{w.title}List", wording, must, el("ul", _each(w, test)))


@template
def nested(w: Words) -> Program:
    group = w.pick("group", "section", "team", "category", "department")
    group = "section" if group == w.entity else group
    name = w.field()
    inner = el("ul", Each(w.entity, f"{group}.{w.many}", (_item(w, name),)))
    each = Each(
        group, f"@.{plural(group)}", (el("section", el("h3", Show(f"{group}.name")), inner),)
    )
    wording = w.pick(
        f"the {name} of the {w.many} grouped by {group}",
        f"a list of {w.many} with their {name} for each {group}",
        f"every {group} with the {name} of its {w.many}",
    )
    must = (plural(group), f"{group}.{w.many}", f"{w.entity}.{name}")
    return Program(f"{w.title}{cap(plural(group))}", wording, must, el("div", each))


@template
def choice_in_list(w: Words) -> Program:
    name, flag = w.field(), w.pick(*FLAGS)
    yes, no = el("strong", Show(f"{w.entity}.{name}")), el("span", Show(f"{w.entity}.{name}"))
    item = el("li", When(f"{w.entity}.{flag}", (yes,), (no,)))
    wording = w.pick(
        f"a list with the {name} of all {w.many}, in bold if {flag}",
        f"the {name} of each {w.entity}, bold when it is {flag}",
    )
    must = (w.many, f"{w.entity}.{flag}", f"{w.entity}.{name}")
    return Program(f"{w.title}List", wording, must, el("ul", _each(w, item)))


@template
def buttons(w: Words) -> Program:
    verb = w.pick("delete", "edit", "open", "select", "remove")
    name = w.pick("name", "title", "label")
    handler = f"{w.entity}.on{cap(verb)}"
    button = el("button", text(cap(verb)), events=(("click", handler),))
    item = el("li", el("span", Show(f"{w.entity}.{name}")), button)
    wording = w.pick(
        f"a list of {w.many} with their {name} and {with_article(verb)} button",
        f"the {name} of each {w.entity} with a button to {verb} it",
    )
    must = (w.many, handler, f"{w.entity}.{name}")
    return Program(f"{w.title}List", wording, must, el("ul", _each(w, item)))


@template
def labelled_values(w: Words) -> Program:
    name, unit = w.some(2)
    line = Show(
        Concat((f"{cap(name)}: ", f"{w.entity}.{name}", f", {unit}: ", f"{w.entity}.{unit}", "."))
    )
    wording = w.pick(
        f"a line with the {name} and the {unit} of each {w.entity} as text",
        f"for each {w.entity} a line of text with the {name} and the {unit}",
    )
    must = (w.many, f"{w.entity}.{name}", f"{w.entity}.{unit}")
    return Program(f"{w.title}Lines", wording, must, el("div", _each(w, el("p", line))))
