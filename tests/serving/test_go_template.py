"""Jinja templates as Go templates: the same prompt on every conversation, or a reason why not."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serving.go import execute
from workbench.serving.go_template import COMPUTED, GoTemplate, NotLinear, go_template
from workbench.serving.modelfile_values import dropped, quoted
from workbench.serving.template_turns import Message, Renderer, proof_conversations, renderer
from workbench.tokenization.chat_template import ChatTemplate, built_in

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
TODAY = date(2025, 12, 3)
SPECIAL = [
    "<|end_of_text|>",
    "<|im_end|>",
    "<|im_start|>",
    "<end_of_turn>",
    "<|eot_id|>",
    "<bos>",
    "</s>",
]


LLAMA32 = """\
{{- bos_token }}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}{%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}{%- set date_string = "26 Jul 2024" %}{%- endif %}
{%- endif %}
{%- set said = messages[0]['content'] | trim if messages[0]['role'] == 'system' else '' %}
{%- set rest = messages[1:] if messages[0]['role'] == 'system' else messages %}
{{- '<|start_header_id|>system<|end_header_id|>\n\n' }}
{{- 'Today Date: ' + date_string + '\n\n' + said + '<|eot_id|>' }}
{%- for m in rest %}
{{- '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' + m['content'] | trim }}
{{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"""
GRANITE33 = """\
{%- if messages[0]['role'] == 'system' %}
{%- set system, rest = messages[0]['content'], messages[1:] %}
{%- else %}{%- set rest = messages %}
{%- set system = "Cutoff: April 2024.\nToday's date: " + strftime_now('%B %d, %Y') + '.' %}
{%- endif %}
{{- '<|start_of_role|>system<|end_of_role|>' + system + '<|end_of_text|>\n' }}
{%- for m in rest %}
{{- '<|start_of_role|>' + m['role'] + '<|end_of_role|>' + m['content'] + '<|end_of_text|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_of_role|>assistant<|end_of_role|>' }}{% endif %}"""
NEMO = """\
{%- if messages[0]['role'] == 'system' %}
{%- set system_message, rest = messages[0]['content'], messages[1:] %}
{%- else %}{%- set rest = messages %}{%- endif %}
{{- bos_token }}
{%- for message in rest %}
    {%- if message['role'] == 'user' %}
        {%- if loop.last and system_message is defined %}
            {{- '[INST]' + system_message + '\n\n' + message['content'] + '[/INST]' }}
        {%- else %}{{- '[INST]' + message['content'] + '[/INST]' }}{%- endif %}
    {%- else %}{{- message['content'] + eos_token }}{%- endif %}
{%- endfor %}"""
DAYS = "{{ strftime_now('%-d/%m/%y %% %b %Y-%m-%d') }} " + BRACES
JOINERS = "{% for m in messages %}<\u00a0{{ m.role }}\u200d\r>{{ m.content }}{% endfor %}"
OPEN = "{% for m in messages %}{ {{- '\"\"\"\\n{' + m.content + '}' }}{% endfor %}"


def of(source: str, bos: str = "", added_bos: str = "") -> tuple[GoTemplate, Renderer]:
    render = renderer(ChatTemplate(source, bos_token=bos, eos_token="</s>"))
    made = go_template(render, special_tokens=SPECIAL, added_bos=added_bos, today=TODAY)
    return made, render


def why_not(source: str) -> str:
    with pytest.raises(NotLinear) as caught:
        of(source)
    return str(caught.value)


TEMPLATES = {
    "chatml": (built_in("chatml"), "", "<|im_end|>"),
    "llama3": (built_in("llama3"), "<bos>", "<|eot_id|>"),
    "gemma": (built_in("gemma"), "<bos>", "<end_of_turn>"),
    "gemma3": (GEMMA3, "<bos>", "<end_of_turn>"),
    "default-system": (DEFAULT_SYSTEM, "", "<|im_end|>"),
    "alpaca": (built_in("alpaca"), "", "</s>"),
    "plain": (built_in("plain"), "<bos>", "</s>"),
    "braces": (BRACES, "", ""),
    "mistral-nemo": (NEMO, "<bos>", "</s>"),
    "llama3.2": (LLAMA32, "<bos>", "<|eot_id|>"),
    "granite3.3": (GRANITE33, "", "<|end_of_text|>"),
    "days": (DAYS, "", ""),
    "joiners": (JOINERS, "", ""),
    "open": (OPEN, "", ""),
}


@pytest.mark.parametrize("day", ["2024-02-09", "2031-12-25"])
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_go_text_gives_the_prompt_of_the_jinja(name: str, day: str) -> None:
    source, bos, stop = TEMPLATES[name]
    made, render = of(source, bos, added_bos=bos)
    assert (stop in made.stops) == bool(stop)
    assert "{{-" not in made.text and "-}}" not in made.text
    assert quoted(made.text) is not None and not dropped(made.text)
    on_day = render.at(date.fromisoformat(day).strftime)
    with_system = not any("does not support system prompts" in note for note in made.notes)
    for talk in proof_conversations(with_system):
        assert execute(made.text, talk, day) == on_day(talk, True).removeprefix(bos)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_date_is_computed_and_said(name: str) -> None:
    made, _ = of(*TEMPLATES[name][:2], added_bos=TEMPLATES[name][1])
    dated = name in ("llama3.2", "granite3.3", "days")
    assert (COMPUTED in made.notes) == dated == ("currentDate" in made.text)


@pytest.mark.parametrize(
    "source",
    [
        "{{ strftime_now('%A') }} " + BRACES,
        "{{ strftime_now('%Y') | int + 1 }} " + BRACES,
        "{% if strftime_now('%d') == '03' %}third{% endif %} " + BRACES,
    ],
)
def test_a_date_that_ollama_cannot_compute_is_fixed_and_said(source: str) -> None:
    made, render = of(source)
    assert made.notes[0].startswith("TEMPLATE has a fixed date, 2025-12-03: Ollama cannot compute")
    on_day = render.at(TODAY.strftime)
    for talk in proof_conversations(True):
        assert execute(made.text, talk) == on_day(talk, True)


def test_a_system_prompt_in_the_last_turn_of_any_conversation() -> None:
    made, render = of(NEMO, "<bos>", added_bos="<bos>")
    talk: list[Message] = [{"role": "system", "content": "Be kind."}]
    for i in range(6):
        talk.append({"role": "user", "content": f"ask {i}"})
        text = execute(made.text, talk)
        assert text == render(talk, True).removeprefix("<bos>")
        assert text.endswith(f"[INST]Be kind.\n\nask {i}[/INST]") and text.count("kind") == 1
        talk.append({"role": "assistant", "content": f"say {i}"})


@settings(deadline=None)
@given(
    contents=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\u2983")), max_size=7
    ),
    system=st.booleans(),
)
def test_any_conversation_gives_the_prompt_of_chatml(contents: list[str], system: bool) -> None:
    made, render = of(DEFAULT_SYSTEM)
    roles = (["system"] if system else []) + ["user", "assistant"] * 4
    talk = [{"role": r, "content": c} for r, c in zip(roles, [*contents, "x"], strict=False)]
    if talk[-1]["role"] == "user":
        assert execute(made.text, talk) == render(talk, True)


def test_an_unfinished_answer_goes_on_where_it_ends() -> None:
    made, _ = of(built_in("chatml"))
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hel"}]
    assert execute(made.text, talk).endswith("Hel")


def test_the_reason_why_a_template_is_none() -> None:
    roles = "the text between its messages depends on more than their roles"
    assert why_not(NUMBERED) == f"{roles} (first in a conversation of 3 turns)"
    fifth = "{% for m in messages %}{{ m.content }}{{ '5' if loop.index == 5 }}{% endfor %}"
    assert why_not(fifth) == f"{roles} (first in a conversation of 3 turns)"
    replaced = "{% for m in messages %}{{ m.content | replace('def', '') }}{% endfor %}"
    assert why_not(replaced).startswith(roles)
    assert why_not("{{ raise_exception('no') }}") == "it fails on a plain conversation: no"
    assert why_not("{{ messages[-1].content }}") == "it leaves out or repeats a message"
    reversed_ = "{% for m in messages | reverse %}{{ m.content }}{% endfor %}"
    assert why_not(reversed_) == "it reorders messages"
    last = "{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}" + (
        "{% for m in messages if m.role == 'system' %}{{ m.content }}{% endfor %}"
    )
    assert why_not(last).startswith("a system prompt changes more than its own turn")


def test_what_is_lost_is_said() -> None:
    trimming = "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}{% endfor %}"
    made, _ = of(trimming)
    assert made.trims == ("system", "user", "assistant")
    assert made.notes == (
        "the template trims system, user and assistant messages; Ollama passes them on as they are",
    )
    answers = BRACES.replace(
        "m.content", "(m.content | trim if m.role == 'assistant' else m.content)"
    )
    assert of(answers)[0].trims == ("assistant",)
    no_system = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}"
        "<|{{ m.role }}|>{{ m.content }}{% endfor %}"
    )
    assert any("does not support system prompts" in note for note in of(no_system)[0].notes)
    thoughts = BRACES.replace("m.content", "m.content.split('</think>')[-1].lstrip('\\n')")
    assert "removes thinking from earlier responses" in of(thoughts)[0].notes[-1]
