"""Chat templates render as in transformers; settings are resolved; failures are one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from tests.dataset.helpers import REFUSES_SYSTEM, STYLES, byte_level_backend, template
from workbench.core.errors import UserError
from workbench.dataset.rows import Message
from workbench.tokenization.chat_template import (
    BUILT_IN,
    ChatTemplate,
    built_in,
    resolve_chat_template,
)

CONTENT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40)
HELPERS = """\
{%- set ns = namespace(count=0) %}
{% for message in messages %}
    {%- if loop.index0 is divisibleby 7 %}{% continue %}{% endif %}
    {%- set ns.count = ns.count + 1 %}
  {{ message | tojson }}{{ message['content'][1:3] ~ '|' ~ ns.count }}
    {%- generation %}{{ message.content | upper }}{% endgeneration %}
    {%- if loop.index > 4 %}{% break %}{% endif %}
    {{- '%s-%s' % (message.role, loop.last) }}{{ message.content.split(' ') | join('·') }}
    {{- {'a': [1, 2], 'b': (1, 'x')} | tojson(indent=2) }}
    {%- macro twice(x) %}{{ x + x }}{% endmacro %}{{ twice(message.role) }}
{% endfor %}
{{ strftime_now('%Y') }}{{ tools is none }}{{ documents is none }}{{ dict(a=1)['a'] }}
{%- for role, group in messages | groupby('role') %}{{ role }}{{ group | length }}{% endfor %}
{{- messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }}
{{- 'yes' if 'system' in messages | map(attribute='role') else 'no' }}{{ range(3) | list }}
{{- '{:>5}'.format('x') }}{{ 2 ** 3 * 'ab' }}{{ missing }}{{ bos_token }}
"""


def theirs(source: str, bos: str, eos: str, messages: list[Message], prompt: bool) -> str:
    """What transformers makes of it."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=byte_level_backend(), chat_template=source, eos_token=eos
    )
    if bos:
        tokenizer.bos_token = bos
    plain = [{"role": m.role, "content": m.content} for m in messages]
    made = tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=prompt)
    assert isinstance(made, str)
    return made


def turns(contents: list[str], system: str = "") -> list[Message]:
    roles = ("user", "assistant") * len(contents)
    found = [Message(role, text) for role, text in zip(roles, contents, strict=False)]
    return [Message("system", system), *found] if system else found


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("prompt", [False, True])
def test_text_equals_that_of_transformers(style: str, prompt: bool) -> None:
    source, bos, eos, _ = STYLES[style]
    system = "" if style in REFUSES_SYSTEM else "Be <b>good</b> & brief."
    messages = turns([" hi 'you' \n", "größer\n\n", "<x> 日本 🦊", "ok"], system)
    if prompt:
        messages = messages[:-1]
    mine = template(style).render(messages, add_generation_prompt=prompt)
    assert mine == theirs(source, bos, eos, messages, prompt)


@settings(max_examples=30, deadline=None)
@given(contents=st.lists(CONTENT, min_size=1, max_size=6), prompt=st.booleans())
def test_every_helper_equals_that_of_transformers(contents: list[str], prompt: bool) -> None:
    messages = turns(contents)
    mine = ChatTemplate(HELPERS, "<s>", "</s>").render(messages, add_generation_prompt=prompt)
    assert mine == theirs(HELPERS, "<s>", "</s>", messages, prompt)


def test_a_template_s_own_complaint_is_the_error() -> None:
    with pytest.raises(UserError, match=r"^gemma: System role not supported$"):
        template("gemma").render(turns(["a"], system="be good"))


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_templates_take_a_conversation(name: str) -> None:
    made = resolve_chat_template(name, None, bos_token="<s>", eos_token="</s>")
    text = made.render(turns(["question", "answer"], system="manners"))
    assert [text.count(word) for word in ("manners", "question", "answer")] == [1, 1, 1]
    assert made.name == name


def test_plain_goes_on_with_what_it_is_given() -> None:
    made = resolve_chat_template("plain", None, bos_token="<s>", eos_token="</s>")
    assert made.render(turns(["<YEAR>1951</YEAR>"]), add_generation_prompt=True) == (
        "<s><YEAR>1951</YEAR>"
    )
    assert made.render(turns(["a", "b", "c"])) == "<s>ab</s>c"


def test_auto_is_the_model_s_own_and_must_exist() -> None:
    assert resolve_chat_template("auto", "{{ 'own' }}").render(turns(["a"])) == "own"
    with pytest.raises(UserError, match="has no chat template.*chatml"):
        resolve_chat_template("auto", None)


def test_a_file_is_found_beside_the_preset(tmp_path: Path) -> None:
    (tmp_path / "mine.jinja").write_text("{{ messages[0].content }}!")
    made = resolve_chat_template("FILE:mine.jinja", None, folder=tmp_path)
    assert made.render(turns(["hey"])) == "hey!"
    with pytest.raises(UserError, match=r"^none.jinja: chat template not found"):
        resolve_chat_template("FILE:none.jinja", None, folder=tmp_path)
    (tmp_path / "latin.jinja").write_bytes(b"\xe9")
    with pytest.raises(UserError, match="not UTF-8"):
        resolve_chat_template("FILE:latin.jinja", None, folder=tmp_path)


def test_an_unknown_name_gets_did_you_mean() -> None:
    with pytest.raises(UserError, match="did you mean 'chatml'"):
        resolve_chat_template("chatlm", None)


def test_a_broken_template_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "bad.jinja").write_text("{{ 1 }}\n{% if %}\n")
    with pytest.raises(UserError) as caught:
        resolve_chat_template(f"FILE:{tmp_path}/bad.jinja", None)
    assert str(caught.value).startswith(f"{tmp_path}/bad.jinja:2: ")


def test_templates_ship_with_the_package() -> None:
    assert all("for message in messages" in built_in(name) for name in BUILT_IN)


def test_messages_reach_the_template_as_plain_values() -> None:
    made = ChatTemplate("{{ messages | tojson }}").render([Message("user", "</script>'")])
    assert json.loads(made) == [{"role": "user", "content": "</script>'"}]


@pytest.mark.parametrize(
    "source", ["{{ 'Time: {}, 12345 {x}'.format(1, x=2) }}", "{{ '100%% 12345 %s: {' % 'a' }}"]
)
def test_ordinary_formats_are_no_bombs(source: str) -> None:
    mine = ChatTemplate(source).render(turns(["a"]))
    assert mine == theirs(source, "", "", turns(["a"]), False)


def test_what_is_set_in_a_generation_block_stays_in_it() -> None:
    """As in transformers, where the block is a macro of its own."""
    source = (
        "{% set x = 'a' %}{% for m in messages %}{% generation %}{% set x = m.role %}{{ x }}"
        "{% endgeneration %}{{ x }}{% endfor %}"
    )
    assert ChatTemplate(source).render([Message("user", "?")]) == "usera"
    ours = ChatTemplate(
        "{% for m in messages %}{% generation %}{{ m.items }}{% endgeneration %}"
        "{{ m.nothing }}{% endfor %}"
    )
    assert "built-in method items" in ours.render([Message("user", "?")]), "a dict's own goes first"
