"""The Modelfile has what the run's tokenizer asks for: its stops, and no second beginning."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.export.helpers import save_tokenizer
from workbench.pipeline.package import write_modelfile
from workbench.preset.loader import load
from workbench.run.folder import RunFolder
from workbench.tokenization.chat_template import ChatTemplate

PRESET = Path(__file__).parents[2] / "presets" / "smollm2-135m.toml"
TALK = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}"
    "{% if m.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.mark.parametrize(
    ("kind", "eos", "opens"), [("pieces", "<eos>", ""), ("gpt-2", "<|im_end|>", "<|im_start|>")]
)
def test_what_llama_cpp_begins_with_is_written_once(
    kind: str, eos: str, opens: str, tmp_path: Path
) -> None:
    """`pieces` begins every text with <bos> by itself; the other template writes its own."""
    run = RunFolder(tmp_path)
    run.export.mkdir()
    save_tokenizer(run.tokenizer, kind)
    template = ChatTemplate(TALK, "<bos>" if kind == "pieces" else opens, eos)
    path, warnings = write_modelfile(load(str(PRESET)).preset, run, run.export / "x.gguf", template)
    text = path.read_text(encoding="utf-8")
    assert "<bos>" not in text and text.count(opens or "[user]") >= 1
    assert f'PARAMETER stop "{eos}"' in text.splitlines()
    assert not any("is omitted" in warning for warning in warnings)
