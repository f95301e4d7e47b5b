"""Pitfalls 3, 6, 12 and 13: what the weights and files that come out of training are."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFReader, TokenType
from transformers import AutoModelForCausalLM, GenerationConfig

from tests.pipeline.training.helpers import stage_settings
from tests.pipeline.training.pitfalls.families import ROWS, Home, logits
from workbench.core.sampling import SamplingParams
from workbench.inference.llama_model import LlamaModel
from workbench.inference.prompt_tokens import model_chat_template, prompt_ids
from workbench.objectives.base import SamplePrompt
from workbench.pipeline.export.gguf_logits import GgufLogits
from workbench.pipeline.export.merged_safetensors import write_merged
from workbench.pipeline.export.parity import log_softmax
from workbench.pipeline.export.plan import plan_export
from workbench.pipeline.export.stage import ExportResult, export_stage
from workbench.pipeline.export.vocabulary_check import HARD, Sample
from workbench.pipeline.models.weights import Weights
from workbench.pipeline.training.sample_generation import SampleSettings, generate_samples
from workbench.preset.schema import Model
from workbench.tokenization.conversations import encode_prompt

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

QUICK = {"max_steps": 6, "evaluate_every": 0.0, "save_every": 0.0}


def test_03_padding_never_becomes_an_end(home: Home) -> None:
    """The tokenizer pads with the stop token; what is saved ends at what the base ended at."""
    result, _ = home.train(settings=stage_settings(**QUICK, adapter={"kind": "full"}))
    merged = home.root / "merged"
    write_merged(plan_export(result.weights, ["f32"], home.tokenizer_folder), merged)
    before = GenerationConfig.from_pretrained(home.base)
    for folder in (result.weights.base, merged):
        saved = GenerationConfig.from_pretrained(folder)
        assert saved.eos_token_id == before.eos_token_id == [home.stop]
        assert saved.pad_token_id == before.pad_token_id == 0
        assert saved.pad_token_id not in saved.eos_token_id


def test_03_answers_side_by_side_are_those_of_one_at_a_time(home: Home) -> None:
    asking = SampleSettings(
        SamplingParams(temperature=0.0, max_tokens=8),
        lambda ids: " ".join(map(str, ids)),
        stop_ids=[home.stop],
        pad_id=home.stop,
    )
    prompts = [
        SamplePrompt("", encode_prompt(row.messages[:1], home.template, home.backend))
        for row in ROWS[2:5]
    ]
    assert len({len(prompt.ids) for prompt in prompts}) == 3
    model = home.model()
    together = generate_samples(model, prompts, asking)
    assert together == [generate_samples(model, [prompt], asking)[0] for prompt in prompts]


def exported(
    home: Home, weights: Weights, *formats: str, quantization: str = "none"
) -> ExportResult:
    encoded = home.encode(ROWS)
    samples = [
        Sample(home.template.render(row.messages), tuple(plain(home, row.messages))) for row in ROWS
    ]
    assert len(encoded) == len(samples)
    return export_stage(
        weights,
        home.tokenizer_folder,
        home.root / "export",
        name="made",
        formats=formats,
        chat_template=home.template.source,
        end_of_turn=home.backend.decode([home.stop]),
        samples=samples,
        threads=1,
        quantization=quantization,
    )


def plain(home: Home, messages: Any) -> list[int]:
    return home.backend.encode(home.template.render(messages))[0]


def test_06_the_first_token_stands_once_wherever_it_is_asked(home: Home) -> None:
    """Rows, evaluation, chat and llama.cpp itself: of a template that writes BOS and a tokenizer
    that adds it, of neither for Qwen."""
    bos = home.backend.bos_id
    assert (bos is None) == (home.family.shape == "qwen2")
    path = exported(home, Weights(home.base), "f16").files[0].path
    messages = ROWS[0].messages[:3]
    asked = encode_prompt(messages, home.template, home.backend)
    model = LlamaModel(path)
    assert prompt_ids(model, model_chat_template(model), messages) == asked
    model.close()
    with GgufLogits(path) as native:
        text = home.template.render(messages, add_generation_prompt=True)
        bare = text.removeprefix(home.template.bos_token)
        assert native.ids(bare, add_special=True) == asked
        assert native.ids(text) == asked
    rows = [encoded.ids for encoded in home.encode(ROWS)]
    for ids in [*rows, asked]:
        assert ids.count(bos) == (bos is not None) and (bos is None or ids[0] == bos)


def test_12_merged_weights_are_those_that_were_trained(home: Home) -> None:
    """Of an adapter that was trained, so B is not zero; read back from the disk."""
    probe = plain(home, ROWS[0].messages)
    for number, adapter in enumerate(({}, {"rslora": True}, {"kind": "dora"})):
        name = f"run-{number}"
        home.train(name, settings=stage_settings(**QUICK, adapter=adapter))
        weights = home.trained(name)
        merged = home.root / f"merged-{number}"
        write_merged(plan_export(weights, ["f32"], home.tokenizer_folder), merged)
        again = AutoModelForCausalLM.from_pretrained(merged, attn_implementation="eager").eval()
        ours, theirs = logits(again, probe), logits(home.model(*weights.adapters), probe)
        assert divergence(theirs, ours) <= 1e-9, adapter
        scale = float(theirs.abs().max())
        assert float((ours - theirs).abs().max()) <= 5e-6 * max(1.0, scale), adapter
        base = logits(home.model(), probe)
        assert divergence(theirs, base) > 1e-6, "the adapter does something"


def divergence(p: torch.Tensor, q: torch.Tensor) -> float:
    """Mean Kullback-Leibler divergence of q from p, in nats, over all positions."""
    one, two = log_softmax(p.numpy()), log_softmax(q.numpy())
    return float((np.exp(one) * (one - two)).sum(-1).mean())


def test_13_the_gguf_has_training_s_ids_and_template(home: Home) -> None:
    home.train(settings=stage_settings(**QUICK))
    result = exported(home, home.trained(), "f32", "f16")
    for one, limit in zip(result.parity, (1e-5, 1e-5), strict=True):
        assert one.verdict.passed and one.parity.ids_equal and one.parity.kl_mean <= limit
    reader = GGUFReader(result.files[0].path)
    told = {name: field.contents() for name, field in reader.fields.items()}
    size = len(home.tokenizer)
    tokens, types = told["tokenizer.ggml.tokens"], told["tokenizer.ggml.token_type"]
    rows = home.model().get_input_embeddings().weight.shape[0]
    assert len(tokens) == rows > size, "padded to a token for each row"
    assert types[home.stop] == TokenType.CONTROL and set(types[size:]) == {TokenType.UNUSED}
    assert told["tokenizer.chat_template"] == home.template.source
    assert told["tokenizer.ggml.eos_token_id"] == home.tokenizer.eos_token_id
    assert bool(told["tokenizer.ggml.add_bos_token"]) == (home.backend.bos_id is not None)
    with GgufLogits(result.files[0].path) as native:
        for text in (unicodedata.normalize("NFC", text) for text in HARD):  # Qwen's own composes
            assert native.ids(text) == home.backend.encode(text)[0], text


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_12_an_adapter_of_a_quantized_base_is_merged_into_the_full_one(
    home: Home, quantization: str
) -> None:
    """And how far that is from what was trained is measured: the price of the few bits."""
    model = Model.model_validate({"device": "cpu", "quantization": quantization})
    home.train(settings=stage_settings(**QUICK), model=model)
    result = exported(home, home.trained(), "f16", quantization=quantization)
    (judged,) = result.parity
    assert judged.verdict.passed and judged.parity.kl_mean <= 1e-5, "the file is the full base's"
    assert result.coarse and result.coarse.type == quantization
    told = json.loads((home.root / "export" / "parity.json").read_text())["files"][0]
    assert told["trained_on"]["kl_mean"] == result.coarse.kl_mean
    apart = {"nf4": (1e-3, 3.0), "int8": (1e-7, 0.1)}[quantization]
    assert apart[0] < result.coarse.kl_mean < apart[1]
