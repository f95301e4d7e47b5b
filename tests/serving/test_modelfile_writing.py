"""The Modelfile: what is set is in it, what it cannot hold or keep is said."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from workbench.serving.modelfile import ModelfileParameters, modelfile, read_modelfile
from workbench.serving.template_turns import renderer
from workbench.tokenization.chat_template import ChatTemplate, built_in

NUMBERED = "{% for m in messages %}<|{{ m.role }} {{ loop.index }}|>{{ m.content }}{% endfor %}"
TRIMMED = "{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}{% endfor %}"
SPECIAL = ["<|im_end|>", "<|im_start|>", "<bos>"]


def test_the_file_says_what_was_set() -> None:
    made = modelfile(
        "blop-q4_k_m.gguf",
        renderer(ChatTemplate(built_in("chatml"))),
        parameters=ModelfileParameters(temperature=0.2, top_k=40, num_ctx=4096, seed=42),
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
    made = modelfile("a.gguf", render, parameters=ModelfileParameters(), added_bos="<bos>")
    told = "Ollama starts each chat with <bos>, but training did not"
    assert (told in made.warnings) is said and "<bos>" not in made.text


def test_a_template_with_turns_of_its_own_is_left_out_with_a_warning() -> None:
    render = renderer(ChatTemplate(NUMBERED))
    made = modelfile("a.gguf", render, parameters=ModelfileParameters())
    assert "TEMPLATE" not in made.text
    assert made.warnings == (
        "TEMPLATE is omitted: the chat template cannot be expressed for Ollama: "
        "the text between its messages depends on more than their roles "
        "(first in a conversation of 3 turns)",
    )


def test_a_text_that_cannot_be_quoted_is_left_out_and_said() -> None:
    made = modelfile(
        "a.gguf", None, parameters=ModelfileParameters(), system='a"""\nb', stops=['"']
    )
    assert "SYSTEM" not in made.text and "SYSTEM is omitted" in made.warnings[0]
    assert 'PARAMETER stop """""""\n' in made.text, "a quote alone is fine in three"


def test_what_ollama_create_drops_is_said_and_ours_keeps_it(tmp_path: Path) -> None:
    system = "Prix\u00a0: 5\u202f€, 👩\u200d💻 café\u00a0!\ttab\n"
    made = modelfile(
        "a.gguf", None, parameters=ModelfileParameters(), system=system, stops=["\u200b"]
    )
    assert made.warnings == (
        "`ollama create` drops U+200B ZERO WIDTH SPACE from PARAMETER stop; "
        "`workbench ollama` keeps it",
        "`ollama create` drops U+00A0 NO-BREAK SPACE (x2), U+202F NARROW NO-BREAK SPACE, "
        "U+200D ZERO WIDTH JOINER from SYSTEM; `workbench ollama` keeps it",
    )
    path = tmp_path / "Modelfile"
    path.write_bytes(made.text.encode())
    assert read_modelfile(path).system == system


@pytest.mark.parametrize(("source", "kept"), [(TRIMMED, "Be kind."), (None, "  Be kind.\n")])
def test_a_system_prompt_is_trimmed_as_the_template_does_it(
    source: str | None, kept: str, tmp_path: Path
) -> None:
    """Ollama trims nothing inside quotes, and its templates cannot: the text itself is trimmed."""
    render = renderer(ChatTemplate(source or built_in("chatml")))
    made = modelfile("a.gguf", render, parameters=ModelfileParameters(), system="  Be kind.\n")
    (tmp_path / "Modelfile").write_bytes(made.text.encode())
    assert read_modelfile(tmp_path / "Modelfile").system == kept


def test_a_date_that_is_fixed_is_the_day_of_the_export(tmp_path: Path) -> None:
    render = renderer(ChatTemplate("{{ strftime_now('%A') }} " + TRIMMED))
    made = modelfile("a.gguf", render, parameters=ModelfileParameters(), today=date(2025, 12, 3))
    assert "Wednesday" in made.text
    assert made.warnings[0].startswith("TEMPLATE has a fixed date, 2025-12-03")
