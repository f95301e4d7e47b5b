"""Miniatures: every family's true architecture, tokens and template, alike each time."""

import json

import pytest

from tests import tiny
from tests.pipeline.export.real_kinds import save_kind
from workbench.architectures.miniature_config import CARDS
from workbench.core.errors import UserError
from workbench.dataset.rows import Message
from workbench.pipeline.export.gguf_vocabulary import read_vocabulary
from workbench.pipeline.export.tokenizer_files import read_tokenizer
from workbench.pipeline.models.miniature_model import make_miniature, own_tokenizer
from workbench.pipeline.models.tokenizer_loading import load_tokenizer
from workbench.preset.miniature import KINDS
from workbench.tokenization.chat_format import check_template
from workbench.tokenization.chat_template import resolve_chat_template
from workbench.tokenization.tokenizer import from_backend

NAMES = {
    "gemma": "google/gemma-2b-it",
    "gemma2": "google/gemma-2-2b-it",
    "gemma3": "google/gemma-3-270m-it",
    "gemma3-vision": "google/gemma-3-4b-it",
    "qwen2": "Qwen/Qwen2.5-Coder-7B",
    "qwen3": "Qwen/Qwen3-0.6B",
    "qwen3-moe": "Qwen/Qwen3-30B-A3B",
    "llama3": "meta-llama/Llama-3.2-1B-Instruct",
    "smollm2": "HuggingFaceTB/SmolLM2-135M-Instruct",
    "smollm3": "HuggingFaceTB/SmolLM3-3B",
    "tinyllama": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
    "mistral": "mistralai/Mistral-7B-Instruct-v0.3",
    "phi3": "microsoft/Phi-3-mini-4k-instruct",
    "phi4": "microsoft/Phi-4-mini-instruct",
    "deepseek2": "deepseek-ai/DeepSeek-Coder-V2-Lite-Instruct",
}
TALK = [Message("user", "Größe of x = 12?"), Message("assistant", "It is  12.\n")]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


def test_every_kind_has_a_card_and_a_name_here():
    assert set(CARDS) == {kind for _, kind in KINDS} == set(NAMES)


@pytest.mark.parametrize("kind", CARDS)
def test_a_family_can_be_trained_and_exported(kind):
    folder = make_miniature(NAMES[kind])
    config = json.loads((folder / "config.json").read_bytes())
    tokenizer = load_tokenizer(folder)
    assert config["model_type"] == CARDS[kind].model_type
    assert config["eos_token_id"] == tokenizer.eos_token_id
    template = resolve_chat_template(
        "auto",
        tokenizer.chat_template,
        bos_token=tokenizer.bos_token or "",
        eos_token=tokenizer.eos_token or "",
    )
    assert not check_template(template, from_backend(tokenizer.backend_tokenizer)).faults
    text = template.render(TALK)
    assert (
        tokenizer.apply_chat_template(
            [{"role": m.role, "content": m.content} for m in TALK], tokenize=False
        )
        == text
    )
    rows = config.get("text_config", config)["vocab_size"]
    vocabulary = read_vocabulary(read_tokenizer(folder), rows)
    assert vocabulary.eos_token == tokenizer.eos_token
    assert vocabulary.has_bos == bool(CARDS[kind].tokens.bos)


def test_a_base_model_ends_with_its_own_token_an_instruct_model_with_that_of_turns():
    ends = [
        load_tokenizer(make_miniature(f"meta-llama/Llama-3.2-1B{kind}")).eos_token
        for kind in ("-Base", "-Instruct")
    ]
    assert ends == ["<|end_of_text|>", "<|eot_id|>"]


def test_it_is_made_once_and_alike(tmp_path, monkeypatch):
    first = make_miniature("Qwen/Qwen3-0.6B")
    stamp = (first / "config.json").stat().st_mtime_ns
    assert make_miniature("Qwen/Qwen3-0.6B") == first
    assert (first / "config.json").stat().st_mtime_ns == stamp
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    second = make_miniature("Qwen/Qwen3-0.6B")
    assert second != first
    for name in ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_local_model_keeps_its_architecture_and_tokenizer(tmp_path):
    base = tiny.save_base(tmp_path / "base", "gemma2")
    config = json.loads((base / "config.json").read_bytes())
    config |= {"num_hidden_layers": 26, "layer_types": ["sliding_attention"] * 26}
    (base / "config.json").write_text(json.dumps(config))
    made = json.loads((make_miniature(str(base)) / "config.json").read_bytes())
    assert made["architectures"] == ["Gemma2ForCausalLM"]
    assert (made["num_hidden_layers"], made["hidden_size"]) == (4, 256)
    assert made["attn_logit_softcapping"] == 5.0 and made["vocab_size"] == config["vocab_size"]
    assert (make_miniature(str(base)) / "tokenizer.json").read_bytes() == (
        base / "tokenizer.json"
    ).read_bytes()


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="no config.json found"):
        make_miniature(str(tmp_path))


def test_a_model_of_the_hub_keeps_the_tokenizer_that_the_cache_has(tmp_path, monkeypatch):
    name = "google/gemma-3-1b-it"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    trained = make_miniature(name)
    snapshot = tmp_path / "models--google--gemma-3-1b-it" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    save_kind(snapshot, "gemma")
    assert own_tokenizer(name) == snapshot and own_tokenizer("google/gemma-3-4b-it") is None
    made = make_miniature(name)
    assert made != trained and make_miniature(name) == made
    assert (made / "tokenizer.json").read_bytes() == (snapshot / "tokenizer.json").read_bytes()
    config = json.loads((made / "config.json").read_bytes())
    assert config["vocab_size"] % 64 == 0 and config["bos_token_id"] == 2
    assert len(load_tokenizer(made)) <= config["vocab_size"]
    (snapshot / "config.json").write_text('{"text_config": {"vocab_size": 860}}')
    edited = json.loads((snapshot / "tokenizer.json").read_text())
    (snapshot / "tokenizer.json").write_text(json.dumps(edited, indent=1))
    assert json.loads((make_miniature(name) / "config.json").read_bytes())["vocab_size"] == 860
