"""Generated plain text: English about things, HTML, JSON, drills, and small talk.

Everything is made from the words of `recipes.words` and a random stream; nothing is read.
"""

import json
from collections.abc import Callable
from random import Random

from recipes.words import ENTITIES, FIELDS, cap, invented, join_words, plural, with_article


def _thing(rng: Random, share: float = 0.25) -> str:
    return invented(rng) if rng.random() < share else rng.choice(ENTITIES)


def english(rng: Random) -> str:
    """One or two sentences about things and what they have."""
    one, other = _thing(rng), _thing(rng)
    a, b, c = rng.sample(FIELDS, 3)
    many = plural(one)
    return rng.choice(
        (
            f"Every {one} has {with_article(a)}, {with_article(b)} and {with_article(c)}. "
            f"The list of {many} is sorted by {a}.",
            f"The {one} page shows the {a} and the {b} of {with_article(one)}. "
            f"Click on the {a} to open the {one}.",
            f"There are many {many} and few {plural(other)}. Each {one} has its own {a}.",
            f"{cap(with_article(one))} can be edited with a form. The form has an input for the "
            f"{a} and an input for the {b}.",
            f"We keep the {many} in a table with the columns {a}, {b} and {c}.",
            f"To find {with_article(one)}, search by {a} or by {b}. If no {one} is found, "
            f"a message is shown.",
            f"The {one} component takes {a} and {b}. {cap(one)}Card shows them.",
            f"# {cap(many)}\nThis part is about {many}. See {plural(other)} for the {a} of each "
            f"{other}.",
            f"The {a} of this {one} is greater than the {a} of that {other}.",
        )
    )


def html(rng: Random) -> str:
    """A fragment of a page."""
    one, fields = _thing(rng), rng.sample(FIELDS, 3)
    many = plural(one)
    links = "".join(f'  <li><a href="/{many}/{i}">{cap(one)} {i}</a></li>\n' for i in (1, 2))
    cells = "".join(f"<th>{cap(f)}</th>" for f in fields)
    inputs = "".join(
        f'  <label>{cap(f)} <input type="text" name="{f}" /></label>\n' for f in fields[:2]
    )
    return rng.choice(
        (
            f"<h1>{cap(many)}</h1>\n<ul>\n{links}</ul>",
            f"<table>\n  <tr>{cells}</tr>\n</table>",
            f'<form action="/{many}" method="post">\n{inputs}'
            f'  <button type="submit">Save</button>\n</form>',
            f'<div class="card">\n  <h2>{cap(one)}</h2>\n  <p>{cap(fields[0])}: {fields[1]}</p>\n'
            "</div>",
        )
    )


def json_text(rng: Random) -> str:
    """A small JSON object."""
    values: list[Callable[[], object]] = [
        lambda: rng.randint(0, 99),
        lambda: invented(rng),
        lambda: rng.choice(ENTITIES),
        lambda: True,
    ]
    pairs = {field: rng.choice(values)() for field in rng.sample(FIELDS, 3)}
    return json.dumps({_thing(rng): pairs}, indent=2)


def drill(rng: Random) -> tuple[str, str]:
    """A request that is answered by copying words, or by changing them a little."""
    count = rng.randint(1, 8)
    words = [_thing(rng, 0.6) if rng.random() < 0.7 else rng.choice(FIELDS) for _ in range(count)]
    kind = rng.random()
    if kind < 0.45:
        words = [
            cap(w) if rng.random() < 0.2 else plural(w) if rng.random() < 0.2 else w for w in words
        ]
        told = rng.choice((" ", ", ")).join(words)
        return rng.choice(("Repeat: ", "Repeat after me: ", "Say ", "Write: ")) + told, told
    if kind < 0.6:
        return f"Capitals: {' '.join(words)}", " ".join(map(cap, words))
    if kind < 0.75:
        return f"Plurals: {' '.join(words)}", " ".join(map(plural, words))
    if kind < 0.9:
        fields = words[1:] or ["name"]
        return (
            f"Fields of {words[0]}: {join_words(fields)}",
            " ".join(f"{words[0]}.{field}" for field in fields),
        )
    return f"Join: {' '.join(words)}", "".join(map(cap, words))


def small_talk(rng: Random) -> tuple[str, str]:
    """A question that is answered in English."""
    one, a, b = _thing(rng, 0.5), *rng.sample(FIELDS, 2)
    word = cap(invented(rng))
    return rng.choice(
        (
            (
                rng.choice(("Hello", "Hi", "Hello!", "Good morning")),
                "Hello! I can write small web components.",
            ),
            ("Who are you?", "I am a small language model that writes code."),
            ("What can you do?", "I can write components and functions in JavaScript and Python."),
            ("Thank you", "You are welcome!"),
            (
                "What is React?",
                "React is a JavaScript library for building user interfaces out of components.",
            ),
            ("What is JSX?", "JSX is a way to write HTML inside JavaScript."),
            ("What is HTML?", "HTML is the language that web pages are written in."),
            ("What is Python?", "Python is a programming language that is easy to read."),
            (
                f"What is {word}?",
                f"{word} is a JavaScript library for web pages. It is used with "
                "React to show data.",
            ),
            (
                f"What is the {word} language?",
                f"The {word} language is a set of JavaScript tools "
                "for web pages. It is used with React to show data.",
            ),
            (
                f"Tell me about {word}.",
                f"{word} is a JavaScript library for web pages. It is used "
                "with React to show data.",
            ),
            (
                f"What is {with_article(one)}?",
                f"{cap(with_article(one))} is a thing that has {with_article(a)} and "
                f"{with_article(b)}.",
            ),
            (
                f"Which fields does {with_article(one)} have? It has {a} and {b}.",
                f"{cap(with_article(one))} has the fields {a} and {b}.",
            ),
        )
    )
