"""The corpus of the embedded base: seeded, without Blop, each renderer in its language."""

import ast
from itertools import islice
from random import Random

import pytest

from recipes.programs import blop, jsx, python
from recipes.programs.context import TEMPLATES, Template, words_for
from recipes.programs.prompts import named, request, sample
from recipes.tiny.corpus import documents
from recipes.words import INVENTED_HELD, TRAIN, invented, plural, with_article
from workbench.checkers.blop import check


def test_the_same_seed_gives_the_same_documents() -> None:
    assert list(islice(documents(3), 50)) == list(islice(documents(3), 50))
    assert list(islice(documents(3), 50)) != list(islice(documents(4), 50))


def test_no_document_knows_blop() -> None:
    for document in islice(documents(5), 2_000):
        text = (document.head + document.tail).lower()
        assert "blop" not in text
        assert not any(word in text for word in INVENTED_HELD)


@pytest.mark.parametrize("make", TEMPLATES, ids=lambda make: make.__name__)
def test_each_template_in_each_language(make: Template) -> None:
    for seed in range(8):
        program = make(words_for(Random(seed), TRAIN, invented_share=0.3))
        in_blop, in_jsx = blop.render(program), jsx.render(program)
        assert check(in_blop) is None
        assert check(in_jsx) is not None
        for part in program.must_contain:
            assert part in in_blop and part in in_jsx
        if not program.is_component:
            assert check(python.render(program)) is not None
            ast.parse(python.render(program))


def test_a_request_tells_the_name_it_asks_for() -> None:
    rng = Random(1)
    for _ in range(200):
        program = sample(rng, TRAIN)
        program = named(rng, program, program.topic)
        assert program.name in request(rng, program, "Blop", tell_name=True)
        assert program.must_contain[0] == program.name
        assert check(blop.render(program)) is None


def test_words() -> None:
    assert [plural(w) for w in ("city", "box", "dish", "toy", "shelf")] == [
        "cities",
        "boxes",
        "dishes",
        "toys",
        "shelves",
    ]
    assert with_article("order") == "an order" and with_article("user") == "a user"
    rng = Random(2)
    assert not {invented(rng) for _ in range(5_000)} & set(INVENTED_HELD)
