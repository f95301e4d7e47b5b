from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.pipeline.export.helpers import plan, save_adapter, save_base, save_tokenizer
from tests.pipeline.export.test_peft_adapter import merged_by_peft
from workbench.core import files
from workbench.core.errors import Interrupted
from workbench.pipeline.export.merged_safetensors import write_merged
from workbench.pipeline.export.plan import plan_export
from workbench.pipeline.models.weights import Weights

DTYPES = [torch.float32, torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_from_pretrained_reads_the_merged_weights(dtype: torch.dtype, tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen2", dtype=dtype)
    weights = Weights(base, (save_adapter(base, tmp_path / "adapter"),))
    folder = tmp_path / "merged"
    n_bytes = write_merged(
        plan(weights, ["f16"], chat_template="{{ x }}"), folder, shard_bytes=90_000
    )
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    assert n_bytes == sum(path.stat().st_size for path in folder.iterdir())
    assert files.verify(folder) == ""
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == dtype
    for name, expected in merged_by_peft(weights).items():
        got = model.state_dict()[name]
        assert torch.equal(got, torch.from_numpy(expected).to(dtype)) or torch.allclose(
            got.float(), torch.from_numpy(expected), rtol=2**-8, atol=1e-6
        )
    assert len(AutoTokenizer.from_pretrained(folder)) > 500
    assert (folder / "chat_template.jinja").read_text() == "{{ x }}"


def test_a_small_model_is_one_file(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "llama")
    write_merged(plan(Weights(base), ["f16"]), tmp_path / "merged")
    assert (tmp_path / "merged" / "model.safetensors").is_file()
    assert not (tmp_path / "merged" / "model.safetensors.index.json").exists()
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert config["tie_word_embeddings"] is False


def test_a_stop_leaves_nothing_and_keeps_the_older(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "llama")
    planned = plan(Weights(base), ["f16"])
    write_merged(planned, tmp_path / "merged")
    with pytest.raises(Interrupted):
        write_merged(planned, tmp_path / "merged", should_stop=lambda: True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "merged"]
    assert files.verify(tmp_path / "merged") == ""


def test_an_older_run_s_tokenizer_keeps_the_base_s_generation_settings(tmp_path: Path) -> None:
    """A base's own count where the folder of the tokenizer has none."""
    base = save_base(tmp_path / "base", "llama")
    (base / "generation_config.json").write_text('{"eos_token_id": 5}')
    tokenizer = save_tokenizer(tmp_path / "tokenizer")
    write_merged(plan_export(Weights(base), ["f16"], tokenizer), tmp_path / "merged")
    found = json.loads((tmp_path / "merged" / "generation_config.json").read_text())
    assert found == {"eos_token_id": 5}
