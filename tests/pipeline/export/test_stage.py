from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.export.helpers import save_adapter, save_base
from workbench import architectures
from workbench.core.errors import Interrupted, RunFailed, UserError
from workbench.pipeline.export.parity import Parity, Verdict
from workbench.pipeline.export.plan import plan_export
from workbench.pipeline.export.stage import Callbacks, export_stage
from workbench.pipeline.export.vocabulary_check import Sample
from workbench.pipeline.models.weights import Weights

CHAT = "<|im_start|>user\nWhat is it?<|im_end|>\n<|im_start|>assistant\nA loan.<|im_end|>\n"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    folder = tmp_path_factory.mktemp("made")
    base = save_base(folder / "base", "qwen2", layers=3)
    return Weights(base, (save_adapter(base, folder / "adapter"),))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "parity.json").read_text())
    return found


def test_the_whole_stage(weights: Weights, tmp_path: Path) -> None:
    plan = plan_export(weights, ["f16"], weights.base)
    sample = Sample(CHAT, plan.tokenizer.ids(CHAT))
    heard = list[str]()
    calls = Callbacks(
        on_plan=lambda plan, foreseen: heard.append("plan " + " ".join(foreseen.bytes)),
        on_file=lambda file, elapsed_s: heard.append(file.type),
        on_parity=lambda parity, verdict: heard.append(f"{parity.type}={verdict.passed}"),
    )
    result = export_stage(
        weights,
        weights.base,
        tmp_path,
        name="made",
        formats=["f16", "Q8_0"],
        chat_template="{{ messages }}",
        merged=True,
        samples=[sample],
        callbacks=calls,
        threads=1,
    )
    assert heard == ["plan f16 q8_0", "f16", "q8_0", "f16=True", "q8_0=True"]
    assert names(tmp_path) == ["made-f16.gguf", "made-q8_0.gguf", "merged", "parity.json"]
    assert {path.name for path in result.artefacts} >= {"made-f16.gguf", "config.json"}
    assert all(path.is_file() for path in result.artefacts)
    written = report(tmp_path)
    assert [file["type"] for file in written["files"]] == ["f16", "q8_0"]
    first = written["files"][0]
    assert first["reference"]["layers"] == first["reference"]["model_layers"] == 3
    assert first["vocabulary"]["mismatches"] == 0 and first["positions"] > len(sample.ids)


def test_a_quantized_file_alone_is_proved_by_a_twin(weights: Weights, tmp_path: Path) -> None:
    result = export_stage(weights, weights.base, tmp_path, name="made", formats=["q8_0"], threads=1)
    assert names(tmp_path) == ["made-q8_0.gguf", "parity.json"]
    assert [file.type for file in result.files] == ["q8_0"]
    assert [one.parity.type for one in result.parity] == ["f16", "q8_0"]


def test_a_model_too_large_for_memory_is_measured_by_its_first_layers(
    weights: Weights, tmp_path: Path
) -> None:
    export_stage(
        weights,
        weights.base,
        tmp_path,
        name="made",
        formats=["f32", "iq4_nl"],
        threads=1,
        memory_bytes=1,
    )
    entries = {entry["type"]: entry for entry in report(tmp_path)["files"]}
    assert list(entries) == ["f16", "f32", "iq4_nl"]
    for entry in entries.values():
        assert (entry["reference"]["layers"], entry["reference"]["model_layers"]) == (2, 3)
    assert entries["f32"]["kl_mean"] < 1e-6 < entries["iq4_nl"]["kl_mean"] < 0.3
    assert names(tmp_path) == ["made-f32.gguf", "made-iq4_nl.gguf", "parity.json"]


def test_a_wrong_file_fails_the_run_in_one_line(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = dataclasses.replace(architectures.FAMILIES["Qwen2ForCausalLM"], permute=True)
    monkeypatch.setitem(architectures.FAMILIES, "Qwen2ForCausalLM", wrong)
    with pytest.raises(
        RunFailed, match="parity check failed: the f16 file differs from the trained model"
    ) as caught:
        export_stage(weights, weights.base, tmp_path, name="made", formats=["q8_0"], threads=1)
    assert "\n" not in str(caught.value)
    assert report(tmp_path)["files"][0]["passed"] is False
    assert not list(tmp_path.glob("*twin*")) and not list(tmp_path.glob("tmp-*"))


def test_other_ids_fail_before_any_weight_is_read(weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="gives different ids on 1 of"):
        export_stage(
            weights,
            weights.base,
            tmp_path,
            name="made",
            formats=["f16"],
            samples=[Sample(CHAT, (1, 2, 3))],
        )
    assert names(tmp_path) == []


def test_a_stop_during_parity_keeps_the_files(weights: Weights, tmp_path: Path) -> None:
    asked = {"stop": False}

    def on_parity(parity: Parity, verdict: Verdict) -> None:
        asked["stop"] = True

    calls = Callbacks(on_parity=on_parity, should_stop=lambda: asked["stop"])
    with pytest.raises(Interrupted):
        export_stage(
            weights,
            weights.base,
            tmp_path,
            name="made",
            formats=["f16", "q8_0"],
            callbacks=calls,
            threads=1,
        )
    assert names(tmp_path) == ["made-f16.gguf", "made-q8_0.gguf"]


def test_parity_can_be_left_out(weights: Weights, tmp_path: Path) -> None:
    result = export_stage(
        weights, weights.base, tmp_path, name="made", formats=["q4_0"], parity=False
    )
    assert names(tmp_path) == ["made-q4_0.gguf"] and result.parity == ()


def test_what_an_earlier_kill_left_is_swept(weights: Weights, tmp_path: Path) -> None:
    (tmp_path / ".made-f16.gguf.part").write_bytes(b"half")
    (tmp_path / "tmp-merged").mkdir()
    export_stage(weights, weights.base, tmp_path, name="made", formats=["f16"], parity=False)
    assert names(tmp_path) == ["made-f16.gguf"]


def test_an_unknown_type_is_refused_before_any_work(weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="unknown GGUF type 'q3_k'"):
        export_stage(weights, weights.base, tmp_path, name="made", formats=["q3_k"])
    assert names(tmp_path) == []


def test_adapter_merge_and_files_answer_side_by_side(weights: Weights, tmp_path: Path) -> None:
    plan = plan_export(weights, ["f16"], weights.base)
    question = CHAT[: CHAT.index("A loan.")]
    ids, asked = (plan.tokenizer.ids(text) for text in (CHAT, question))
    heard = list[str]()
    result = export_stage(
        weights,
        weights.base,
        tmp_path,
        name="made",
        formats=["f32", "q4_0"],
        samples=[Sample(CHAT, ids, asked)],
        callbacks=Callbacks(on_answers=heard.append),
        threads=1,
    )
    page = (tmp_path / "answers.md").read_text(encoding="utf-8")
    said = [part.split("\n\n")[1] for part in page.split("\n**")[1:]]
    assert [part.split("**")[0] for part in page.split("\n**")[1:]] == [
        "adapter",
        "peft's merge",
        "f32",
        "q4_0",
    ]
    assert said[0] == said[1] == said[2] != said[3], "four bits cost a random model its words"
    summary, _, place = heard[0].rpartition(" ")
    assert "<|im_start|>" in page and len(heard) == 1 and summary in page
    assert place == f"({tmp_path.name}/answers.md)"
    assert "peft's merge same as the adapter, f32 same as the adapter, q4_0 " in heard[0]
    assert tmp_path / "answers.md" not in result.artefacts, "a later export writes it anew"


def test_it_is_said_why_no_responses_are_compared(weights: Weights, tmp_path: Path) -> None:
    ids = plan_export(weights, ["f16"], weights.base).tokenizer.ids(CHAT)
    heard = list[str]()
    export_stage(
        weights,
        weights.base,
        tmp_path,
        name="made",
        formats=["f16"],
        samples=[Sample(CHAT, ids, ids * 200)],
        callbacks=Callbacks(on_answers=heard.append),
        threads=1,
    )
    assert not (tmp_path / "answers.md").exists()
    assert len(heard) == 1 and heard[0].startswith("no responses of model and files compared: ")
