"""Hostile templates: one line, at once, in little memory, and nothing of Python reached."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from workbench.core.errors import UserError
from workbench.dataset.rows import Message
from workbench.tokenization.chat_template import ChatTemplate

MESSAGES = [Message("user", "hello there"), Message("assistant", "hi")]
DOUBLING = (
    "{% set ns = namespace(a=START) %}{% for i in range(60) %}{% set ns.a = STEP %}{% endfor %}"
)


def doubling(start: str, step: str) -> str:
    return DOUBLING.replace("START", start).replace("STEP", step) + "{{ ns.a }}"


TWICE = "{% for a in range(99999) %}{% for b in range(99999) %}"
BOMBS = {
    "nested loops": TWICE + "{% endfor %}{% endfor %}",
    "long string": "{{ 'A' * (10 ** 10) }}",
    "long list": "{{ [1] * 10 ** 10 }}",
    "wide range": "{{ range(10 ** 9) | list | length }}",
    "loop of ranges": "{% for a in range(99999) %}{{ range(99999) | list | length }}{% endfor %}",
    "doubling by plus": doubling("'aa'", "ns.a + ns.a"),
    "doubling by tilde": doubling("'aa'", "ns.a ~ ns.a"),
    "doubling by join": doubling("'aa'", "[ns.a, ns.a] | join"),
    "doubling by replace": doubling("'aa'", "ns.a.replace('a', 'aa')"),
    "doubling by format": doubling("'aa'", "'%s%s' % (ns.a, ns.a)"),
    "doubling by str.format": doubling("'aa'", "'{0}{0}'.format(ns.a)"),
    "doubling lists": doubling("[1]", "[ns.a, ns.a]"),
    "doubling tuples": doubling("(1,)", "(ns.a, ns.a)"),
    "doubling dicts": doubling("{}", "{'a': ns.a, 'b': ns.a}"),
    "doubling namespaces": doubling("1", "namespace(a=[ns.a], b=[ns.a])"),
    "recursion": "{% macro f(n) %}{{ f(n + 1) }}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}",
    "recursive loop": "{% for x in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    "center": "{{ 'x'.center(10 ** 10) }}",
    "center filter": "{{ 'x' | center(10 ** 10) }}",
    "indent": "{{ 'x\\n' | indent(10 ** 9) }}",
    "zfill": "{{ 'x'.zfill(10 ** 9) }}",
    "expandtabs": "{{ '\\t'.expandtabs(10 ** 9) }}",
    "ljust by keyword": "{{ 'x' | center(width=10 ** 10) }}",
    "percent width": "{{ '%1000000000d' | format(1) }}",
    "percent star": "{{ '%*d' % (10 ** 9, 1) }}",
    "format width": "{{ '{:1000000000}'.format(1) }}",
    "format nested width": "{{ '{:{}}'.format(1, 10 ** 9) }}",
    "format_map width": "{{ '{a:1000000000}'.format_map({'a': 1}) }}",
    "batch": "{{ [1] | batch(10 ** 9, 'x') | list }}",
    "slice": "{{ [1] | slice(10 ** 9) | list }}",
    "round": "{{ 1.5 | round(10 ** 9, 'ceil') }}",
    "power": "{{ (10 ** 5) ** (10 ** 5) }}",
    "squares": doubling("10", "ns.a * ns.a"),
    "to_bytes": "{{ (5).to_bytes(10 ** 10, 'big') }}",
    "translate": "{{ 'aaa'.translate({97: 'b' * 1000}) }}",
    "replace nothing": "{{ ('a' * 100000).replace('', 'b' * 100000) }}",
    "replace filter": "{{ ('a' * 100000) | replace('', 'b' * 100000) }}",
    "join": "{{ ('a' * 100000).join(range(99999) | map('string')) }}",
    "join filter": "{{ range(99999) | join('x' * 10 ** 5) }}",
    "sum of lists": "{{ (range(9999) | batch(2)) | sum(start=[]) }}",
    "tojson": "{{ messages | tojson(indent=10 ** 9) }}",
    "long output": "{% for a in range(99999) %}{{ 'x' * 1000 }}{% endfor %}",
    "long block": "{% set x %}{% for a in range(99999) %}"
    + "y" * 5000
    + "{% endfor %}{% endset %}",
    "comparisons": "{% set a = 'x' * 100000 %}{% for i in range(99999) %}"
    "{% if a == a ~ 'y' %}{% endif %}{% endfor %}",
    "searches": "{% set a = 'x' * 100000 %}{% for i in range(99999) %}"
    "{% if 'y' in a %}{% endif %}{% endfor %}",
    "slices": "{% set a = 'x' * 100000 %}{% for i in range(99999) %}"
    "{% set b = a[1:] %}{% endfor %}",
    "tests": "{% set a = 'x' * 100000 %}{% for i in range(99999) %}"
    "{% if a is upper %}{% endif %}{% endfor %}",
    "generators": "{{ range(99999) | map('string') | map('center', 10000) | join | length }}",
    "parentheses": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "long source": "x" * (2 << 20),
    "long sum": "{{ " + "+".join(["1"] * 20_000) + " }}",
}
BREAKOUTS = {
    "class walk": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "lipsum": "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "cycler": "{{ cycler.__init__.__globals__.os }}",
    "attribute filter": "{{ ('a' | attr('__class__')).mro() }}",
    "init of a dict": "{{ messages[0].__init__.__globals__ }}",
    "changing the messages": "{{ messages.append(1) }}",
    "environment": "{{ self._TemplateReference__context.environment.globals }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}{{ os }}",
    "namespace class": "{{ namespace(__class__=1) }}",
    "namespace attribute": "{% set ns = namespace() %}{% set ns.__class__ = 1 %}",
    "format attribute": "{{ '{0.__class__.__init__.__globals__}'.format(messages).x.y }}",
    "map attribute": "{{ messages | map(attribute='__class__') | first + 1 }}",
    "helper globals": "{{ raise_exception.__globals__.os.system('id') }}",
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_one_line(name: str) -> None:
    start = time.process_time()
    with pytest.raises(UserError) as caught:
        ChatTemplate(BOMBS[name], name="model").render(MESSAGES)
    assert time.process_time() - start < 5
    assert "\n" not in str(caught.value) and str(caught.value).startswith("model:")


@pytest.mark.parametrize("name", BREAKOUTS)
def test_a_breakout_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UserError) as caught:
        ChatTemplate(BREAKOUTS[name], name="model").render(MESSAGES)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["doubling by plus", "batch", "long output", "join filter"])
def test_a_bomb_takes_little_memory(name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(UserError):
            ChatTemplate(BOMBS[name]).render(MESSAGES)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < 200 << 20


def test_long_conversations_are_within_the_budget() -> None:
    source = (
        "{% for m in messages %}{% for other in messages[:loop.index] %}{% endfor %}"
        "{{ m.role ~ m.content | trim }}{% endfor %}"
    )
    messages = [Message("user", "x" * 20_000), Message("assistant", "y" * 20_000)] * 300
    assert len(ChatTemplate(source).render(messages)) > 12_000_000


def test_the_same_template_fails_at_the_same_place() -> None:
    counting = TWICE + "x{% endfor %}{% endfor %}"
    said = {_complaint(ChatTemplate(counting)) for _ in range(3)}
    assert len(said) == 1


def _complaint(template: ChatTemplate) -> str:
    with pytest.raises(UserError) as caught:
        template.render(MESSAGES)
    return str(caught.value)
