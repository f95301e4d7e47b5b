"""Templates by name: read as transformers reads them, chosen as it chooses."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from tests.dataset.helpers import byte_level_backend
from workbench.core.errors import UserError
from workbench.dataset.rows import Message
from workbench.tokenization.chat_template import ChatTemplate, resolve_chat_template
from workbench.tokenization.named_templates import read_templates, write_templates

TURNS = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
DEFAULT = TURNS + "{% if add_generation_prompt %}[assistant]{% endif %}"
TOOL_USE = "{{ tools | map(attribute='name') | join(',') }};" + DEFAULT
RAG = "rag;" + DEFAULT
NAMED = {"default": DEFAULT, "tool_use": TOOL_USE, "rag": RAG}
TALK = [Message("user", "hi"), Message("assistant", "ho"), Message("user", "?")]
TOOLS: list[dict[str, Any]] = [{"name": "find"}, {"name": "count"}]


def saved(folder: Path, form: str) -> Path:
    """A tokenizer's folder with `NAMED` in one of the forms that models have."""
    folder.mkdir()
    byte_level_backend().save(str(folder / "tokenizer.json"))
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast"}
    entries = [{"name": name, "template": source} for name, source in NAMED.items()]
    if form == "files":
        config["chat_template"] = "not this one"
        write_templates(NAMED, folder)
    elif form == "list":
        config["chat_template"] = entries
    elif form == "text":
        config["chat_template"] = DEFAULT
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("form", ["files", "list", "text"])
def test_the_text_is_that_of_transformers(form: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", form)
    theirs = PreTrainedTokenizerFast.from_pretrained(folder)
    own = read_templates(folder)
    assert own == (theirs.chat_template if form != "text" else {"default": theirs.chat_template})
    ours = resolve_chat_template("auto", own)
    plain = [message.to_template() for message in TALK]
    for tools in ([], TOOLS):
        for asking in (False, True):
            wanted = theirs.apply_chat_template(
                plain, tools=tools or None, tokenize=False, add_generation_prompt=asking
            )
            assert ours.render(TALK, asking, tools) == wanted
    assert ours.render(TALK, tools=TOOLS).startswith("find,count;") == (form != "text")


def test_one_of_them_is_taken_by_name(tmp_path: Path) -> None:
    own = read_templates(saved(tmp_path / "model", "list"))
    rag = resolve_chat_template("auto:rag", own)
    assert rag.render(TALK, tools=TOOLS).startswith("rag;[user]") and rag.by_name == {
        "default": RAG
    }
    with pytest.raises(UserError, match="no chat template named 'rug' .did you mean 'rag'"):
        resolve_chat_template("auto:rug", own)
    with pytest.raises(UserError, match="the model has no chat template"):
        resolve_chat_template("auto:rag", {})


def test_no_default_one_is_said_with_the_names() -> None:
    with pytest.raises(UserError, match="none is named 'default' .*auto:tool_use, auto:rag"):
        resolve_chat_template("auto", {"tool_use": TOOL_USE, "rag": RAG})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    made = resolve_chat_template("auto", NAMED)
    write_templates(made.by_name, tmp_path)
    assert read_templates(tmp_path) == NAMED
    assert pickle.loads(pickle.dumps(made)) == made


def test_a_processor_s_template_comes_last(tmp_path: Path) -> None:
    (tmp_path / "chat_template.json").write_text(json.dumps({"chat_template": DEFAULT}))
    assert read_templates(tmp_path) == {"default": DEFAULT}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": RAG}))
    assert read_templates(tmp_path) == {"default": RAG}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (3, "neither a text nor a list"),
        ([{"name": "default"}], "neither a text nor a list"),
        ([{"name": "../x", "template": ""}], "'../x' is not a valid name"),
    ],
)
def test_what_is_no_template_is_refused_in_one_line(entry: Any, said: str, tmp_path: Path) -> None:
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": entry}))
    with pytest.raises(UserError, match=said):
        read_templates(tmp_path)


def test_the_template_for_tools_must_be_one_too() -> None:
    with pytest.raises(UserError, match="the model's chat template:1"):
        resolve_chat_template("auto", {"default": DEFAULT, "tool_use": "{% if %}"})
    assert ChatTemplate(DEFAULT, others=(("rag", "{% if %}"),)).render(TALK)
