"""Small components: buttons, links, badges, messages, dialogs, wrappers, pages."""

from recipes.programs.context import Words, el, template, text
from recipes.programs.nodes import (
    Children,
    Choice,
    Concat,
    Element,
    Import,
    Let,
    Op,
    Program,
    Quote,
    Show,
    When,
)
from recipes.words import FLAGS, cap, with_article

_STATES = (
    ("active", "inactive"),
    ("open", "closed"),
    ("done", "pending"),
    ("online", "offline"),
    ("paid", "unpaid"),
    ("public", "private"),
)


@template
def button(w: Words) -> Program:
    verb = w.pick(*"delete save edit open close share archive print send buy".split())
    handler = f"on{cap(verb)}"
    wording = (
        w.pick(
            f"a button to {verb} {w.one}",
            f"a {verb} {w.entity} button",
            f"a button that can {verb} {w.one}",
        )
        .replace("a edit", "an edit")
        .replace("a open", "an open")
        .replace("a archive", "an archive")
    )
    root = el("button", text(f"{cap(verb)} {w.entity}"), events=(("click", f"@.{handler}"),))
    return Program(f"{cap(verb)}{w.title}", wording, ("<button", handler, w.entity), root)


@template
def figure(w: Words) -> Program:
    picture, name = w.pick("image", "photo", "picture", "thumbnail"), w.pick("name", "title")
    image = el("img", src=f"@.{w.entity}.{picture}", alt=f"@.{w.entity}.{name}")
    wording = w.pick(
        f"the {picture} of {w.one} with the {name} as caption",
        f"a figure with the {picture} and {name} of {w.one}",
    )
    root = el("figure", image, el("figcaption", Show(f"@.{w.entity}.{name}")))
    must = ("<img", f"{w.entity}.{picture}", f"{w.entity}.{name}")
    return Program(f"{w.title}Figure", wording, must, root)


@template
def link(w: Words) -> Program:
    name = w.pick("name", "title", "label", "caption")
    wording = w.pick(
        f"a link to {w.one} with its {name}",
        f"a link with the {name} of {w.one}",
        f"the {name} of {w.one} as a link",
    )
    root = el("a", Show(f"@.{w.entity}.{name}"), href=f"@.{w.entity}.url")
    must = ("<a", f"{w.entity}.url", f"{w.entity}.{name}")
    return Program(f"{w.title}Link", wording, must, root)


@template
def loading(w: Words) -> Program:
    name = w.field()
    shown = el("p", Show(f"@.{w.entity}.{name}"))
    wording = w.pick(
        f"the {name} of {w.one} or a loading message",
        f"a loading message or the {name} of {w.one}",
        f"a loading message until the {name} of {w.one} is there",
    )
    root = el("div", When("@.loading", (el("p", text("Loading...")),), (shown,)))
    return Program(f"{w.title}Panel", wording, (f"{w.entity}.{name}", "loading"), root)


@template
def flagged_detail(w: Words) -> Program:
    name, flag = w.field(), w.pick(*FLAGS)
    wording = w.pick(
        f"the {name} of {w.one} if it is {flag}",
        f"the {name} of {w.one} only when the {w.entity} is {flag}",
        f"the {name} if {w.one} is {flag}",
    )
    shown = (el("p", Show(f"@.{w.entity}.{name}")),)
    must = (f"{w.entity}.{flag}", f"{w.entity}.{name}")
    return Program(f"{w.title}View", wording, must, el("div", When(f"@.{w.entity}.{flag}", shown)))


@template
def compared(w: Words) -> Program:
    name, bound = w.field(), str(w.rng.choice((0, 1, 5, 10, 18, 20, 50, 100)))
    wording = w.pick(
        f"a warning if the {name} of {w.one} is greater than {bound}",
        f"a warning when {w.one} has a {name} over {bound}",
    )
    alert = el("p", text(f"High {name}"), class_=Quote("warning"))
    root = When(Op(f"@.{w.entity}.{name}", ">", bound), (alert,))
    return Program(f"{w.title}Warning", wording, (f"{w.entity}.{name}", f"> {bound}"), root)


@template
def badge(w: Words) -> Program:
    yes, no = w.rng.choice(_STATES)
    wording = w.pick(
        f"a badge that says if {w.one} is {yes} or {no}",
        f"{with_article(yes)} or {no} badge for {w.one}",
        f"whether {w.one} is {yes} or {no} in a badge",
    )
    let = Let("text", Choice(f"@.{w.entity}.{yes}", Quote(cap(yes)), Quote(cap(no))))
    root = el("span", Show("text"), class_=Quote("badge"))
    must = (f"{w.entity}.{yes}", cap(yes), cap(no))
    return Program(f"{w.title}Badge", wording, must, root, body=(let,))


@template
def greeting(w: Words) -> Program:
    name, word = w.field(), w.pick("Hello", "Welcome", "Thanks", "Goodbye", "Hi")
    wording = w.pick(
        f"a {word.lower()} message with the {name} of {w.one}",
        f"a message that says {word.lower()} to the {name} of {w.one}",
        f"{word.lower()} and the {name} of {w.one}",
    )
    root = el("p", Show(Concat((f"{word} ", f"@.{w.entity}.{name}", "!"))))
    return Program(f"{w.title}Message", wording, (word, f"{w.entity}.{name}"), root)


@template
def sentence(w: Words) -> Program:
    first, second = w.some(2)
    wording = w.pick(
        f"a sentence with the {first} and the {second} of {w.one}",
        f"the {first} and the {second} of {w.one} in one sentence",
    )
    parts = ("The ", f"@.{w.entity}.{first}", f" has the {second} ", f"@.{w.entity}.{second}", ".")
    must = (f"{w.entity}.{first}", f"{w.entity}.{second}")
    return Program(f"{w.title}Sentence", wording, must, el("p", Show(Concat(parts))))


@template
def count(w: Words) -> Program:
    wording = w.pick(
        f"the number of {w.many}", f"how many {w.many} there are", f"a count of {w.many}"
    )
    root = el("strong", Show(Concat(("There are ", "count", f" {w.many}."))))
    let = Let("count", f"@.{w.many}.length")
    return Program(f"{w.title}Count", wording, (f"{w.many}.length",), root, body=(let,))


@template
def dialog(w: Words) -> Program:
    name = w.field()
    close = el("button", text("Close"), events=(("click", "@.onClose"),))
    wording = w.pick(
        f"a dialog with the {name} of {w.one} and a close button",
        f"a dialog that shows the {name} of {w.one} and can be closed",
    )
    shown = el("dialog", el("h2", Show(f"@.{w.entity}.{name}")), close)
    must = ("<dialog", f"{w.entity}.{name}", "onClose")
    return Program(f"{w.title}Dialog", wording, must, When("@.open", (shown,)))


@template
def wrapper(w: Words) -> Program:
    tag = w.pick("section", "article", "main", "aside", "div")
    wording = w.pick(
        f"its children in {with_article(tag)} with the class {w.entity}",
        f"{with_article(tag)} with the class {w.entity} around its children",
    )
    root = el(tag, Children(), class_=Quote(w.entity))
    must = (f"<{tag}", f'"{w.entity}"', "children")
    return Program(f"{w.title}Box", wording, must, root, uses_children=True)


@template
def page(w: Words) -> Program:
    name = w.field()
    wording = w.pick(
        f"a page with the {name} of {w.one} as heading and its children",
        f"the {name} of {w.one} as heading above its children",
    )
    root = el("main", el("h1", Show(f"@.{w.entity}.{name}")), Children())
    must = (f"{w.entity}.{name}", "children")
    return Program(f"{w.title}Page", wording, must, root, uses_children=True)


@template
def imported(w: Words) -> Program:
    child = f"{w.title}{w.pick('Card', 'List', 'Form', 'Menu', 'Badge')}"
    plural_child = child.endswith(("List", "Menu"))
    key = w.many if plural_child else w.entity
    used = Element(child, ((key, f"@.{key}"),))
    wording = w.pick(
        f"{w.one} page with the imported {child} component",
        f"the imported {child} in a section",
        f"{w.one} section that uses {child} from another file",
    )
    root = el("section", el("h2", text(cap(w.many))), used)
    must = (child, "import", f".{key}")
    return Program(f"{w.title}Page", wording, must, root, imports=(Import((child,), child),))


@template
def on_mount(w: Words) -> Program:
    name, verb = w.field(), w.pick("load", "fetch", "refresh")
    wording = w.pick(
        f"the {name} of {w.one} and calls {verb}{w.title} when it is mounted",
        f"the {name} of {w.one} and runs {verb}{w.title} on mount",
    )
    root = el("p", Show(f"@.{w.entity}.{name}"))
    hook = ("mount", f"@.{verb}{w.title}()")
    must = (f"{verb}{w.title}()", f"{w.entity}.{name}")
    return Program(f"{w.title}View", wording, must, root, hook=hook)


@template
def field_input(w: Words) -> Program:
    name = w.field()
    field = el("input", value=f"@.{w.entity}.{name}", events=(("input", "@.onChange"),))
    wording = w.pick(
        f"an input for the {name} of {w.one} that calls onChange",
        f"an input to change the {name} of {w.one}",
    )
    root = el("label", text(cap(name)), field)
    return Program(f"{w.title}Input", wording, ("<input", f"{w.entity}.{name}", "onChange"), root)
