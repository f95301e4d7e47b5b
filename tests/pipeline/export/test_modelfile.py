from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.pipeline.export.go import execute
from workbench.dataset.template import ChatTemplate, built_in
from workbench.pipeline.export.go_template import (
    GoTemplate,
    Message,
    Render,
    go_template,
    proof_conversations,
    quoted,
    renderer,
)
from workbench.pipeline.export.modelfile import Parameters, modelfile

GEMMA3 = """\
{{ bos_token }}
{%- set first = messages[0].content + '\n\n' if messages[0].role == 'system' else '' %}
{%- for m in (messages[1:] if first else messages) %}
{{- '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' }}
{{- (first if loop.first else '') + m.content + '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"""
DEFAULT_SYSTEM = """\
{%- if messages[0].role != 'system' %}
{{- '<|im_start|>system\nYou are Q.<|im_end|>\n' }}
{%- endif %}
{%- for m in messages %}
{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"""
NUMBERED = "{% for m in messages %}<|{{ m.role }} {{ loop.index }}|>{{ m.content }}{% endfor %}"
BRACES = "{% for m in messages %}{{ '{{' + m.role + '}}' + m.content + '}}' }}{% endfor %}"
SPECIAL = ["<|im_end|>", "<|im_start|>", "<end_of_turn>", "<|eot_id|>", "<bos>", "</s>"]


def of(source: str, bos: str = "", added_bos: str = "") -> tuple[GoTemplate | None, Render]:
    render = renderer(ChatTemplate(source, bos_token=bos, eos_token="</s>"))
    return go_template(render, special_tokens=SPECIAL, added_bos=added_bos), render


TEMPLATES = {
    "chatml": (built_in("chatml"), "", "<|im_end|>"),
    "llama3": (built_in("llama3"), "<bos>", "<|eot_id|>"),
    "gemma": (built_in("gemma"), "<bos>", "<end_of_turn>"),
    "gemma3": (GEMMA3, "<bos>", "<end_of_turn>"),
    "default-system": (DEFAULT_SYSTEM, "", "<|im_end|>"),
    "alpaca": (built_in("alpaca"), "", "</s>"),
    "plain": (built_in("plain"), "<bos>", "</s>"),
    "braces": (BRACES, "", ""),
}


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_go_text_gives_the_prompt_of_the_jinja(name: str) -> None:
    source, bos, stop = TEMPLATES[name]
    made, render = of(source, bos, added_bos=bos)
    assert made is not None
    assert (stop in made.stops) == bool(stop)
    assert "{{-" not in made.text and "-}}" not in made.text
    with_system = not any("does not support system prompts" in note for note in made.notes)
    for talk in proof_conversations(with_system):
        assert execute(made.text, talk) == render(talk, True).removeprefix(bos)


@settings(deadline=None)
@given(
    contents=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\u2983")), max_size=7
    ),
    system=st.booleans(),
)
def test_any_conversation_gives_the_prompt_of_chatml(contents: list[str], system: bool) -> None:
    made, render = of(DEFAULT_SYSTEM)
    assert made is not None
    roles = (["system"] if system else []) + ["user", "assistant"] * 4
    talk = [{"role": r, "content": c} for r, c in zip(roles, [*contents, "x"], strict=False)]
    if talk[-1]["role"] == "user":
        assert execute(made.text, talk) == render(talk, True)


def test_an_unfinished_answer_goes_on_where_it_ends() -> None:
    made, _ = of(built_in("chatml"))
    assert made is not None
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hel"}]
    assert execute(made.text, talk).endswith("Hel")


def test_a_template_that_looks_at_positions_is_no_go_template() -> None:
    assert of(NUMBERED)[0] is None


def test_a_template_that_strips_thoughts_is_no_go_template() -> None:
    def render(messages: Sequence[Message], generate: bool) -> str:
        shown = [m["content"].replace("def", "") for m in messages]
        return "\n".join(shown)

    assert go_template(render) is None


def test_a_template_that_raises_is_no_go_template() -> None:
    assert of("{{ raise_exception('no') }}")[0] is None


def test_what_is_lost_is_said() -> None:
    made, _ = of("{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}{% endfor %}")
    assert made is not None and any("trim" in note for note in made.notes)
    no_system = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}"
        "<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    )
    made, _ = of(no_system)
    assert made is not None and any(
        "does not support system prompts" in note for note in made.notes
    )


def test_the_file_says_what_was_set() -> None:
    made = modelfile(
        "blop-q4_k_m.gguf",
        renderer(ChatTemplate(built_in("chatml"))),
        parameters=Parameters(temperature=0.2, top_k=40, num_ctx=4096, seed=42),
        stops=["END"],
        system="Answer in Blop.",
        special_tokens=SPECIAL,
        comment="made by workbench",
    )
    lines = made.text.splitlines()
    assert lines[:2] == ["# made by workbench", "FROM ./blop-q4_k_m.gguf"]
    for line in ("PARAMETER temperature 0.2", "PARAMETER top_k 40", "PARAMETER num_ctx 4096"):
        assert line in lines
    assert 'PARAMETER stop "END"' in lines and 'PARAMETER stop "<|im_end|>"' in lines
    assert 'SYSTEM "Answer in Blop."' in lines
    assert "top_p" not in made.text and made.warnings == ()
    assert made.stops == ("END", "<|im_end|>")


@pytest.mark.parametrize(("written", "said"), [("<bos>", False), ("", True)])
def test_a_beginning_that_training_did_not_have_is_said(written: str, said: bool) -> None:
    render = renderer(ChatTemplate(built_in("llama3"), bos_token=written))
    made = modelfile("a.gguf", render, parameters=Parameters(), added_bos="<bos>")
    told = "Ollama starts each chat with <bos>, but training did not"
    assert (told in made.warnings) is said and "<bos>" not in made.text


def test_a_template_with_turns_of_its_own_is_left_out_with_a_warning() -> None:
    render = renderer(ChatTemplate(NUMBERED))
    made = modelfile("a.gguf", render, parameters=Parameters())
    assert "TEMPLATE" not in made.text
    assert made.warnings == (
        "the chat template cannot be expressed for Ollama; TEMPLATE is omitted",
    )


@pytest.mark.parametrize(
    ("text", "value"),
    [("a", '"a"'), ("a\\n", '"a\\n"'), ("a\nb", '"""a\nb"""'), ('a"b', '"""a"b"""')],
)
def test_quotes_are_those_of_ollama(text: str, value: str) -> None:
    assert quoted(text) == value


def test_text_that_cannot_be_quoted_is_left_out_and_said() -> None:
    assert quoted('a"""b') is None and quoted('a"') is None
    made = modelfile("a.gguf", None, parameters=Parameters(), system='"""')
    assert "SYSTEM" not in made.text and "SYSTEM is omitted" in made.warnings[0]
