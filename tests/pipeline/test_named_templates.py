"""A base with a template for tools: one choice in the data, the GGUF file, the merged folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import pytest
from safetensors.numpy import load_file
from transformers import AutoTokenizer

from tests import tiny
from workbench.dataset.rows import Message
from workbench.inference.llama_model import LlamaModel
from workbench.inference.prompt_tokens import model_chat_template, prompt_ids
from workbench.pipeline.artifacts import chat_template, run_template
from workbench.pipeline.context import Context
from workbench.pipeline.export.merged_safetensors import write_merged
from workbench.pipeline.export.plan import ExportPlan, plan_export
from workbench.pipeline.export.streaming import run_export
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.prepare.stage import prepare
from workbench.preset.loader import load
from workbench.run import folder
from workbench.runner.frozen_preset import freeze

TOOL_USE = "{% if tools %}<|im_start|>tools\n{{ tools | tojson }}<|im_end|>\n{% endif %}" + (
    tiny.CHATML
)
RAG = "rag " + tiny.CHATML
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}
]
PRESET = """
[model]
base = "{base}"
chat_template = "{template}"
[data]
validation = 0.0
[[data.source]]
path = "{rows}"
[[train]]
sequence_length = 256
[evaluate]
prompts = ""
"""


def rows() -> str:
    talk = [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "say"}]
    plain, with_tools = {"messages": talk}, {"messages": talk, "tools": TOOLS}
    return "\n".join(map(json.dumps, (plain, with_tools))) + "\n"


def prepared(root: Path, template: str = "auto") -> Context:
    base = tiny.save_base(root / "base", "qwen2")
    (base / "chat_template.jinja").unlink()
    config = json.loads((base / "tokenizer_config.json").read_text())
    sources = {"default": tiny.CHATML, "tool_use": TOOL_USE, "rag": RAG}
    config["chat_template"] = [{"name": n, "template": t} for n, t in sources.items()]
    (base / "tokenizer_config.json").write_text(json.dumps(config))
    (root / "rows.jsonl").write_text(rows())
    text = PRESET.format(base=base, rows=root / "rows.jsonl", template=template)
    (root / "mine.toml").write_text(text)
    run = folder.create(root / "runs", "mine")
    freeze(load(str(root / "mine.toml")), run)
    preset = load(str(run.preset_file)).preset
    prepare(preset, run, lambda event: None)
    return Context(run, preset, lambda event: None, lambda: False, lambda: False)


def trained_texts(context: Context) -> list[str]:
    """What each row became, as text."""
    arrays = load_file(context.run.dataset / f"{context.preset.train[0].name}.train.safetensors")
    ends = arrays["offsets"].tolist()
    parts = [arrays["ids"][a:b].tolist() for a, b in zip(ends, ends[1:], strict=False)]
    return [str(tiny.tokenizer().decode(part)) for part in parts]


def plan(context: Context) -> ExportPlan:
    base = Path(json.loads((context.run.path / "base.json").read_text())["path"])
    template = chat_template(context)
    return plan_export(Weights(base), ["f32"], context.run.tokenizer, chat_template=template)


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return prepared(tmp_path_factory.mktemp("named"))


def test_rows_with_tools_are_trained_through_the_template_for_tools(context: Context) -> None:
    texts = trained_texts(context)
    assert sum(text.startswith("<|im_start|>tools\n") for text in texts) == 1
    assert sum(text.startswith("<|im_start|>user\nask") for text in texts) == 1


def test_the_run_keeps_all_of_them(context: Context) -> None:
    found = run_template(context).by_name
    assert found == {"default": tiny.CHATML, "rag": RAG, "tool_use": TOOL_USE}


def test_the_gguf_file_has_them_by_name_and_chat_chooses(context: Context, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    run_export(plan(context), {"f32": path}, threads=1)
    fields = gguf.GGUFReader(path).fields
    names = fields["tokenizer.chat_templates"].contents()
    assert names == ["rag", "tool_use"]
    found = {name: fields[f"tokenizer.chat_template.{name}"].contents() for name in names}
    assert found == {"rag": RAG, "tool_use": TOOL_USE}
    assert fields["tokenizer.chat_template"].contents() == tiny.CHATML
    model = LlamaModel(path)
    try:
        template = model_chat_template(model)
        asked = [Message("user", "ask")]
        for tools in ([], TOOLS):
            ids = prompt_ids(model, template, asked, tools)
            text = b"".join(map(model.piece, ids)).decode()
            assert text == run_template(context).render(asked, True, tools)
            assert ("tools\n" in text) == bool(tools)
    finally:
        model.close()


def test_transformers_chooses_in_the_merged_folder_as_training_did(
    context: Context, tmp_path: Path
) -> None:
    write_merged(plan(context), tmp_path / "merged")
    theirs = AutoTokenizer.from_pretrained(tmp_path / "merged")
    asked = [{"role": "user", "content": "ask"}, {"role": "assistant", "content": "say"}]
    texts = [theirs.apply_chat_template(asked, tools=t, tokenize=False) for t in (None, TOOLS)]
    assert sorted(text.rstrip("\n") for text in texts) == sorted(
        text.rstrip("\n") for text in trained_texts(context)
    )


def test_a_named_one_is_for_all_rows_and_alone(tmp_path: Path) -> None:
    context = prepared(tmp_path, "auto:rag")
    assert all(text.startswith("rag <|im_start|>user") for text in trained_texts(context))
    assert run_template(context).by_name == {"default": RAG}
    assert plan(context).named_templates == {}
