"""The tokenizer's check before training: by probes, and by what the data holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.export.helpers import backend_json, config_for, save_tokenizer
from tests.pipeline.export.real_kinds import BEYOND, save_kind
from workbench.core.findings import Finding
from workbench.dataset.rows import Message, Place, Row
from workbench.pipeline.export import vocabulary_rows
from workbench.pipeline.export.native_ids import ids_and_ends
from workbench.pipeline.export.tokenizer_files import read_tokenizer
from workbench.pipeline.export.vocabulary_findings import check_vocabulary
from workbench.pipeline.models.candidate import Candidate
from workbench.preset.loader import parse
from workbench.tokenization.chat_template import ChatTemplate

TEMPLATE = ChatTemplate(
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
)
PRESET = """
[model]
base = "embedded:tiny"
{model}
[[data.source]]
path = "data.jsonl"
[[train]]
name = "one"
[export]
{export}
"""


def rows(texts: Sequence[str], copies: int = 1) -> list[Row]:
    """A conversation for each text, on a line of its own."""
    return [
        Row(Place("data.jsonl", i), (Message("user", text), Message("assistant", "Yes.")))
        for i, text in enumerate([*texts] * copies, 1)
    ]


def found(
    folder: Path,
    kind: str,
    data: Sequence[Row],
    *,
    beyond: int = 0,
    template: ChatTemplate | None = TEMPLATE,
    export: str = "",
    model: str = "",
) -> list[Finding]:
    """The findings of a base with that tokenizer; `beyond` of its tokens have no row."""
    save_kind(folder, kind)
    config: Any = config_for("qwen2")
    config.vocab_size = read_tokenizer(folder).highest_id + 1 - beyond
    config.architectures = ["Qwen2ForCausalLM"]
    config.save_pretrained(folder)
    preset = parse(PRESET.format(export=export, model=model), Path("preset.toml")).preset
    candidate = Candidate(folder, preset, tokenizer=folder, template=template, rows=data)
    return list(check_vocabulary(candidate))


def levels(findings: Sequence[Finding]) -> list[str]:
    return [one.level for one in findings]


def test_what_the_data_does_not_hold_is_a_note(tmp_path: Path) -> None:
    findings = found(tmp_path, "qwen", rows(["Hello", "été"]))
    assert levels(findings) == ["note", "note"]
    assert all(str(one).endswith("; no row has it") for one in findings)


def test_rows_that_hold_it_are_counted_and_too_many_refused(tmp_path: Path) -> None:
    data = rows(["Hello"] * 8 + ["e\u0301te\u0301", "<s>old</s>"])
    composing, special, refused = found(tmp_path, "qwen", data)
    assert str(composing).startswith("data.jsonl:9: ") and str(composing).endswith("1 of 10 rows")
    assert str(special).startswith("data.jsonl:10: ") and special.level == "warning"
    assert refused.level == "error"
    assert "2 of 10 rows differently, more than export.max_token_mismatch = 0.01" in str(refused)
    assert "or set export.max_token_mismatch = 0.2)" in str(refused)
    allowed = found(tmp_path, "qwen", data, export="max_token_mismatch = 0.2")
    assert levels(allowed) == ["warning", "warning"]
    few = found(tmp_path, "qwen", rows(["Hello"] * 199 + ["<s>old</s>"]))
    assert levels(few) == ["note", "warning"]


def test_what_may_touch_but_does_not_differ_is_no_warning(tmp_path: Path) -> None:
    (stripping,) = found(tmp_path, "phi3", rows(["Hello ", "x"]), template=None)
    assert stripping.level == "note" and "1 row with it, their ids are equal" in str(stripping)


def test_what_the_template_brings_in_counts_for_every_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vocabulary_rows, "COMPARED_OTHERS", 7)
    monkeypatch.setattr(vocabulary_rows, "COMPARED_HOLDING", 5)
    data = rows(["Hello"] * 30 + ["x "] * 20)
    spaced = ChatTemplate(TEMPLATE.source.replace("<|im_end|>\n", "<|im_end|> "))
    stripping, refused = found(
        tmp_path, "phi4", rows(["Hello"] * 30 + ["x "] * 20), template=spaced
    )
    assert str(stripping).endswith("50 of 50 rows") and refused.level == "error"
    tight = ChatTemplate(TEMPLATE.source.replace("<|im_end|>\n", "<|im_end|>"))
    stripping, refused = found(tmp_path, "phi4", data, template=tight)
    assert str(stripping).startswith("data.jsonl:31: ")
    assert str(stripping).endswith("20 of 50 rows") and refused.level == "error"


def test_a_token_without_a_row_must_not_be_in_the_data(tmp_path: Path) -> None:
    data = rows(["Hello", f"a {BEYOND} b", "<html>x</s>"])
    beyond, ending, literal = found(tmp_path, "gemma", data, beyond=1)
    assert beyond.level == "warning" and f"none for '{BEYOND}'" in str(beyond)
    assert ending.level == "warning" and str(ending).startswith("data.jsonl:3: ")
    assert literal.level == "note"
    added = found(tmp_path, "gemma", data, beyond=1, model='added_tokens = ["<new>"]')
    assert not any(BEYOND in str(one) for one in added), "training gives it a row"
    plain = found(tmp_path, "phi3-added", rows(["a <tool>b"]), beyond=1, template=None)
    assert plain[0].level == "error" and "'<tool>'" in str(plain[0])
    assert "1 row with it (remove it from the data, or list" in str(plain[0])


def test_other_ids_for_no_known_reason_are_an_error(tmp_path: Path) -> None:
    calls: list[int] = []

    def shifted(vocabulary: Any, requests: Any, tokens: Any) -> Any:
        calls.append(len(requests))
        ids, ends = ids_and_ends(vocabulary, requests, tokens)
        return [*ids[:-1], (*ids[-1], 7)], ends

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workbench.pipeline.export.vocabulary_findings.ids_and_ends", shifted)
        wrong = found(tmp_path, "deepseek", rows(["Hello", "there"]))
    assert levels(wrong) == ["error"] and len(calls) == 1
    assert str(wrong[0]).startswith("data.jsonl:2: llama.cpp gives different ids for 1 of 2 ")
    assert "set export.formats = []" in str(wrong[0])


def test_probes_find_out_a_wrong_splitting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "workbench.pipeline.export.gguf_vocabulary.pretokenizer_name", lambda b: "gpt-2"
    )
    wrong = found(tmp_path, "qwen", [])
    assert wrong[0].level == "error" and "llama.cpp (gpt-2) gives different ids on" in str(wrong[0])


def test_documents_need_no_template(tmp_path: Path) -> None:
    documents = [Row(Place("a.txt", 1), text="e\u0301te\u0301"), Row(Place("a.txt", 2), text="x")]
    composing, _, refused = found(tmp_path, "qwen", documents, template=None)
    assert str(composing).endswith("1 of 2 rows") and refused.level == "error"
    save_tokenizer(tmp_path / "none")


def harmony(folder: Path, stop: Sequence[str] = ()) -> list[str]:
    """What is found of a tokenizer of whose three ends llama.cpp takes one off."""
    tokens = {"<|return|>": 0, "<|call|>": 1, "<|end|>": 2}
    values = json.loads(backend_json())
    names = [token["content"] for token in values["added_tokens"]]
    text = json.dumps(values)
    for old, new in zip(names, tokens, strict=True):
        text = text.replace(json.dumps(old), json.dumps(new))
    folder.mkdir()
    (folder / "tokenizer.json").write_text(text)
    config = {"eos_token": "<|return|>", "pad_token": "<|return|>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 0]}))
    model: Any = config_for("qwen2")
    model.architectures = ["Qwen2ForCausalLM"]
    model.save_pretrained(folder)
    text = PRESET.format(export="", model="") + f"[generate]\nstop = {json.dumps(list(stop))}\n"
    preset = parse(text, Path("preset.toml")).preset
    candidate = Candidate(folder, preset, tokenizer=folder, end_of_turn="<|end|>", rows=rows(["a"]))
    return [str(one) for one in check_vocabulary(candidate) if "end responses" in str(one)]


def test_an_end_that_llama_cpp_takes_off_is_said_with_the_way_out(tmp_path: Path) -> None:
    (told,) = harmony(tmp_path / "a")
    assert told == (
        "llama.cpp does not end responses at '<|end|>', at which training ends them "
        "(add '<|end|>' to generate.stop)"
    )
    assert harmony(tmp_path / "b", stop=["<|end|>"]) == []


def test_a_further_end_of_the_base_is_a_note(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 0, 1]}))
    config: Any = config_for("qwen2")
    config.architectures = ["Qwen2ForCausalLM"]
    config.save_pretrained(tmp_path)
    preset = parse(PRESET.format(export="", model=""), Path("preset.toml")).preset
    candidate = Candidate(tmp_path, preset, tokenizer=tmp_path, rows=rows(["a"]))
    found = [one for one in check_vocabulary(candidate) if "end responses" in str(one)]
    assert [(one.level, str(one)) for one in found] == [
        ("note", "llama.cpp does not end responses at '<|im_start|>', as transformers does")
    ]
