"""Pairs about Blop's own syntax, with the entity and the fields as blanks to fill.

Each idiom is a list of ways to ask and one answer; `{one}` is an entity, `{many}` its plural,
`{One}` and `{Many}` the same with a capital, `{a}` and `{b}` are fields, `{n}` is a number.
"""

from random import Random

from recipes.blop.pairs import Pair
from recipes.words import FIELDS, cap, plural, with_article

Idiom = tuple[tuple[str, ...], str]

IDIOMS: tuple[Idiom, ...] = (
    (
        (
            "In Blop, re-assign the variable {a} from {n} to {m}.",
            "How do I change the value of {a} from {n} to {m} in Blop?",
            "Write Blop code that sets {a} to {n} and then to {m}.",
        ),
        "{a} = {n}\n{a} := {m}",
    ),
    (
        (
            "In Blop, how does a function re-assign the variable {a} of the outer scope?",
            "Write a Blop function that sets the outer variable {a} to {m}.",
        ),
        "{a} = {n}\n\ndef set{A}() {\n  {a} := {m}\n}",
    ),
    (
        (
            "In Blop, take {a} and {b} out of the object {one} by destructuring.",
            "Write a destructuring assignment in Blop for the {a} and {b} of {art_one}.",
        ),
        "{one} = { {a}: {n}, {b}: {m} }\n{ {a}, {b} } = {one}",
    ),
    (
        (
            "In Blop, destructure {a} as {b} from {art_one}.",
            "How do I rename {a} to {b} while destructuring {art_one} in Blop?",
        ),
        "{one} = { {a}: {n} }\n{ {a} as {b} } = {one}",
    ),
    (
        (
            "Write a for loop in Blop that prints the numbers {n} and {m}.",
            "In Blop, loop over the array [{n}, {m}] and log every value.",
        ),
        "for value in [{n}, {m}] {\n  console.log(value)\n}",
    ),
    (
        (
            "Write a Blop function named log{Many} that logs the {a} of every {one}.",
            "In Blop, write a function log{Many} that loops over {many} and logs their {a}.",
        ),
        "def log{Many}({many}) {\n  for {one} in {many} {\n    console.log({one}.{a})\n  }\n}",
    ),
    (
        (
            "In Blop, loop over the {many} with their index and log both.",
            "Write a Blop function that logs the index and the {a} of every {one}.",
        ),
        "def log{Many}({many}) {\n  for index, {one} in {many} {\n"
        "    console.log(index, {one}.{a})\n  }\n}",
    ),
    (
        (
            "Write a Blop component that numbers the {many} by their index.",
            "Render the {many} in Blop where each item shows its index and its {a}.",
        ),
        "def {One}List(attributes) {\n  <ul>\n    for index, {one} in attributes.{many} {\n"
        "      <li>'Number 'index': '{one}.{a}'.'</li>\n    }\n  </ul>\n}",
    ),
    (
        (
            "Write a while loop in Blop that counts {a} up to {m}.",
            "In Blop, count {a} from 0 to {m} with a while loop.",
        ),
        "{a} = 0\nwhile {a} < {m} {\n  {a} += 1\n}",
    ),
    (
        (
            "Write an async Blop function that loads the {many} from the server.",
            "In Blop, write a function that fetches the {many} and returns the JSON.",
        ),
        "async def load{Many}() {\n  response = await fetch('/api/{many}')\n"
        "  return await response.json()\n}",
    ),
    (
        (
            "Write a Blop function that deletes {art_one} on the server.",
            "In Blop, send a DELETE request for {art_one}.",
        ),
        "async def delete{One}(id) {\n  await fetch('/api/{many}/'id'', { method: 'DELETE' })\n}",
    ),
    (
        (
            "Write a Blop function that loads the {many} and logs an error if it fails.",
            "How do I catch an error in Blop while the {many} are loading?",
        ),
        "async def load{Many}(state) {\n  try {\n    state.{many} = await fetch('/api/{many}')\n"
        "  } catch error {\n    console.log(error)\n  }\n}",
    ),
    (
        (
            "In Blop, use a ternary to show a different text if the {a} of {art_one} is over {n}.",
            "Write a Blop component with an inline condition on the {a} of {art_one}.",
        ),
        "def {One}Text(attributes) {\n  <div>\n"
        "    = if attributes.{one}.{a} > {n} => <p>'High {a}'</p> else <p>'Low {a}'</p>\n"
        "  </div>\n}",
    ),
    (
        (
            "Write a Blop component with if, elseif and else on the {a} of {art_one}.",
            "How do I use elseif in a Blop component that shows the {a} of {art_one}?",
        ),
        "def {One}Level(attributes) {\n  <div>\n    if attributes.{one}.{a} > {m} {\n"
        "      <p>'High'</p>\n    } elseif attributes.{one}.{a} > {n} {\n      <p>'Medium'</p>\n"
        "    } else {\n      <p>'Low'</p>\n    }\n  </div>\n}",
    ),
    (
        (
            "Write a Blop component that gives {art_one} the class selected if it is selected.",
            "How do I set a class by a condition on {art_one} in Blop?",
        ),
        "def {One}Item(attributes) {\n"
        "  <div class={ '{one}': true, 'selected': attributes.{one}.selected }>\n"
        "    = attributes.{one}.{a}\n  </div>\n}",
    ),
    (
        (
            "Write a Blop component that shows the {a} of {art_one} in red.",
            "Use an inline style in Blop to show the {a} of {art_one} in red.",
        ),
        "def {One}Text(attributes) {\n  <p style={ color: 'red' }>attributes.{one}.{a}</p>\n}",
    ),
    (
        (
            "Write a Blop component with a button that logs the {a} of {art_one} on click.",
            "In Blop, log the {a} of {art_one} on click.",
        ),
        "def {One}Button(attributes) {\n"
        "  <button on={ click: () => console.log(attributes.{one}.{a}) }>'Log {a}'</button>\n}",
    ),
    (
        (
            "Write a Blop component with an event handler function for {art_one}.",
            "In Blop, define a click handler inside the component of {art_one}.",
        ),
        "def {One}Button(attributes) {\n  handleClick = (event) => {\n"
        "    event.preventDefault()\n    attributes.onSelect(attributes.{one})\n  }\n"
        "  <button on={ click: handleClick }>'Select {one}'</button>\n}",
    ),
    (
        (
            "Write a Blop component named {One}Box that wraps its children into a div.",
            "How do I render the children of {One}Box in Blop?",
        ),
        'def {One}Box(attributes, children) {\n  <div class="{one}">\n    = children\n  </div>\n}',
    ),
    (
        (
            "Write a Blop component that loads the {many} when it is mounted.",
            "In Blop, use node.mount to load the {many}.",
        ),
        "def {One}Page(attributes, children, node) {\n  { state } = attributes\n"
        "  node.mount(() => {\n    state.load{Many}()\n  })\n  <p>state.{many}.length</p>\n}",
    ),
    (
        (
            "Write a Blop component that logs when {art_one} is unmounted.",
            "In Blop, run code when the component of {art_one} is removed.",
        ),
        "def {One}View(attributes, children, node) {\n  node.unmount(() => {\n"
        "    console.log('{one} removed')\n  })\n  <p>attributes.{one}.{a}</p>\n}",
    ),
    (
        (
            "In Blop, import the component {One}Card and use it for every {one}.",
            "Write a Blop component that renders {One}Card for each of the {many}.",
        ),
        "import { {One}Card } from './{One}Card.blop'\n\ndef {One}List(attributes) {\n  <div>\n"
        "    for {one} in attributes.{many} {\n      <{One}Card {one}={one} />\n    }\n  </div>\n}",
    ),
    (
        (
            "In Blop, import the function load{Many} from the file {many}.blop.",
            "How do I import load{Many} from {many}.blop in Blop?",
        ),
        "import { load{Many} } from './{many}.blop'",
    ),
    (
        (
            "Write a Blop class for {art_one} with a method that returns its {a}.",
            "In Blop, define a class {One} with the method {a}.",
        ),
        "class {One} {\n  def {a}() {\n    return this.{a}Value\n  }\n}",
    ),
    (
        (
            "Write an arrow function in Blop that returns the {a} of {art_one}.",
            "In Blop, define {a}Of as an arrow function that takes {art_one}.",
        ),
        "{a}Of = ({one}) => {one}.{a}",
    ),
    (
        (
            "Write a Blop component with typed attributes that shows the {a} of {art_one}.",
            "How do I annotate the attributes of a Blop component for {art_one} with {a}?",
        ),
        "def {One}View(attributes: object) {\n  <p>attributes.{one}.{a}</p>\n}",
    ),
    (
        (
            "Write a Blop loop over the {many} with the annotation array that shows the {a}.",
            "In Blop, annotate the loop over the {many} as an array and show the {a}.",
        ),
        "def {One}List(attributes) {\n  <ul>\n    for {one} in attributes.{many}: array {\n"
        "      <li>{one}.{a}</li>\n    }\n  </ul>\n}",
    ),
    (
        (
            "Create an object in Blop for {art_one} with {a} {n} and {b} {m}.",
            "In Blop, write {art_one} object with the {a} {n} and the {b} {m}.",
        ),
        "{one} = { {a}: {n}, {b}: {m} }",
    ),
    (
        (
            "Create an array in Blop with two {many} and their {a}.",
            "In Blop, write an array of two {many} that have {art_a}.",
        ),
        "{many} = [\n  { {a}: {n} },\n  { {a}: {m} }\n]",
    ),
    (
        (
            "Write a Blop component that shows {one} text only if the {a} is set.",
            "In Blop, show the {a} of {art_one} if there is one, and nothing else.",
        ),
        "def {One}Text(attributes) {\n  <div>\n    if attributes.{one}.{a} {\n"
        "      <span>attributes.{one}.{a}</span>\n    }\n  </div>\n}",
    ),
    (
        (
            "Write a Blop comment that says to load the {many}.",
            "How do I write a comment about the {many} in Blop?",
        ),
        "{many} = []\n// load the {many}",
    ),
    (
        (
            "Write a Blop function with a default value {n} for {a}.",
            "In Blop, give the parameter {a} of a function the default value {n}.",
        ),
        "def set{A}({a}={n}) {\n  return {a}\n}",
    ),
)


def filled(text: str, entity: str, rng: Random) -> str:
    """The text with its blanks filled; the random stream decides fields and numbers."""
    a, b = rng.sample([field for field in FIELDS if field != entity], 2)
    n, m = sorted(rng.sample(range(1, 100), 2))
    words = {
        "one": entity,
        "many": plural(entity),
        "One": cap(entity),
        "Many": cap(plural(entity)),
        "art_one": with_article(entity),
        "art_a": with_article(a),
        "a": a,
        "A": cap(a),
        "b": b,
        "n": str(n),
        "m": str(m),
    }
    for blank, word in words.items():
        text = text.replace("{" + blank + "}", word)
    return text


def idiom_pairs(rng: Random, entities: tuple[str, ...], per_idiom: int) -> list[Pair]:
    """`per_idiom` pairs of every idiom."""
    out = []
    for questions, answer in IDIOMS:
        for turn in range(per_idiom):
            entity, state = rng.choice(entities), rng.randrange(1 << 30)
            question = questions[turn % len(questions)]
            out.append(
                Pair(filled(question, entity, Random(state)), filled(answer, entity, Random(state)))
            )
    return out
