"""Requests for a program, in many phrasings, with or without a name for it.

`language` is the word put before "component": "Blop", "React", nothing, or anything else.
"""

from dataclasses import replace
from random import Random

from recipes.programs import details, elements, functions, lists
from recipes.programs.context import TEMPLATES, words_for
from recipes.programs.nodes import Program
from recipes.words import cap, invented

__all__ = ["details", "elements", "functions", "lists", "named", "request", "sample"]

_ASK = (
    "Write",
    "Write",
    "Write",
    "Create",
    "Make",
    "Build",
    "Generate",
    "Please write",
    "Give me",
    "I need",
    "Show me",
    "Can you write",
    "Implement",
)
_SHOWS = ("shows", "displays", "renders", "shows", "displays", "renders", "outputs", "creates")
_SUFFIXES = (
    "Card List Panel View Box Page Item Row Table Form Widget Summary Overview Section Block Menu "
    "Header Info Preview Display Grid Entry Screen Details Badge Link Message Component"
).split()
_PREFIXES = "My Big Small Simple Main New Full Mini Basic Smart Fancy Quick".split()
_VERBS = "get compute make read build list select check take".split()


def sample(rng: Random, entities: tuple[str, ...], invented_share: float = 0.0) -> Program:
    """A random program about one of the entities (or a made-up word)."""
    words = words_for(rng, entities, invented_share)
    make = rng.choice(TEMPLATES)
    return replace(make(words), topic=words.entity)


def named(rng: Random, program: Program, entity: str, invented_share: float = 0.0) -> Program:
    """The program under a name that its request has to mention."""
    base = invented(rng) if rng.random() < invented_share else entity
    if program.is_component:
        choices: tuple[str, ...] = (
            program.name,
            cap(base) + rng.choice(_SUFFIXES),
            cap(base) + rng.choice(_SUFFIXES),
            rng.choice(_PREFIXES) + cap(base),
            rng.choice(_PREFIXES) + cap(base) + rng.choice(_SUFFIXES),
        )
    else:
        choices = (program.name, rng.choice(_VERBS) + cap(base), rng.choice(_VERBS) + cap(base))
    name = rng.choice(choices)
    if name in {part for names in program.imports for part in names.names}:
        name = f"My{name}"
    kept = (part for part in program.must_contain if part != program.name)
    return replace(program, name=name, must_contain=(name, *kept))


def _article(words: str) -> str:
    return "an" if words[:1].lower() in "aeio" else "a"


def request(rng: Random, program: Program, language: str, tell_name: bool) -> str:
    """One sentence that asks for the program."""
    kind = "component" if program.is_component else "function"
    if program.is_component and rng.random() < 0.2:
        kind = "function"
    shows = rng.choice(_SHOWS) if program.is_component else rng.choice(("returns", "gives back"))
    called = rng.choice((" named ", " called ", " named ")) + program.name if tell_name else ""
    task = f"{rng.choice(('that', 'that', 'that', 'which'))} {shows} {program.wording}"
    ask = rng.choice(_ASK)
    end = "?" if ask.startswith("Can") else rng.choice((".", ".", ".", ""))
    form = rng.random()
    noun = f"{language} {kind}" if language else kind
    if not tell_name and form < 0.06:
        return rng.choice(
            (
                f"{cap(program.wording)} as {_article(noun)} {noun}",
                f"{cap(noun)}: {program.wording}",
            )
        )
    if not language or form < 0.75:
        if tell_name and rng.random() < 0.15:
            return f"{ask} the {noun} {program.name} {task}{end}"
        return f"{ask} {_article(noun)} {noun}{called} {task}{end}"
    if form < 0.88:
        return f"{ask} {_article(kind)} {kind}{called} in {language} {task}{end}"
    lead = rng.choice((f"In {language},", f"Using {language},", f"In the {language} language,"))
    return f"{lead} {ask[0].lower() + ask[1:]} {_article(kind)} {kind}{called} {task}{end}".replace(
        "i need", "I need"
    )
