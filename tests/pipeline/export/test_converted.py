"""What llama.cpp's converter wrote is compared and quantized like our own files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.pipeline.export.conversions import CONVERTS, CONVERTS_WRONGLY, REFUSES, program
from tests.pipeline.export.helpers import save_adapter, save_base
from workbench.core.errors import Interrupted, RunFailed
from workbench.pipeline.export.converted import base_gguf, export_converted
from workbench.pipeline.export.gguf_logits import GgufLogits
from workbench.pipeline.export.merge_whole import whole_model, write_whole
from workbench.pipeline.export.reference_logits import write_reference
from workbench.pipeline.export.stage import Callbacks
from workbench.pipeline.export.tokenizer_files import read_tokenizer
from workbench.pipeline.export.vocabulary_check import Sample
from workbench.pipeline.models.weights import Weights

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
CHAT = "<|im_start|>user\nWhat is it?<|im_end|>\n<|im_start|>assistant\nA loan.<|im_end|>\n"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    folder = tmp_path_factory.mktemp("made")
    base = save_base(folder / "base", "llama-bias")
    return Weights(base, (save_adapter(base, folder / "adapter"),))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_types_are_written_compared_and_nothing_else_is_left(
    weights: Weights, tmp_path: Path
) -> None:
    heard = list[str]()
    out = tmp_path / "export"
    result = export_converted(
        weights,
        weights.base,
        out,
        name="made",
        formats=["q4_0", "f32"],
        converter=program(tmp_path, CONVERTS),
        merged=True,
        samples=[Sample(CHAT, read_tokenizer(weights.base).ids(CHAT))],
        callbacks=Callbacks(
            on_file=lambda file, elapsed_s: heard.append(file.type),
            on_parity=lambda parity, verdict: heard.append(f"{parity.type}={verdict.passed}"),
        ),
        threads=1,
    )
    assert heard == ["f32", "q4_0", "f16=True", "f32=True", "q4_0=True"]
    assert names(out) == ["made-f32.gguf", "made-q4_0.gguf", "merged", "parity.json"]
    assert [file.type for file in result.files] == ["q4_0", "f32"]
    exact = next(one.parity for one in result.parity if one.parity.type == "f32")
    assert exact.kl_mean < 1e-6, "merged in float32, the file is the trained model"
    told = json.loads((out / "parity.json").read_text())["files"]
    assert told[0]["reference"]["layers"] == 2 and told[0]["vocabulary"]["mismatches"] == 0


def test_a_file_that_is_not_the_model_fails_the_run(weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="the f16 file differs from the trained model: mean KL"):
        export_converted(
            weights,
            weights.base,
            tmp_path / "export",
            name="made",
            formats=["f16"],
            converter=program(tmp_path, CONVERTS_WRONGLY),
            threads=1,
        )
    assert names(tmp_path / "export") == ["made-f16.gguf", "parity.json"]


def test_a_converter_that_refuses_leaves_nothing(weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(RunFailed, match="Model X is not supported"):
        export_converted(
            weights,
            weights.base,
            tmp_path / "export",
            name="made",
            formats=["q8_0"],
            converter=program(tmp_path, REFUSES),
            threads=1,
        )
    assert names(tmp_path / "export") == []


def test_a_model_larger_than_memory_is_written_and_said_not_to_be_compared(
    weights: Weights, tmp_path: Path
) -> None:
    result = export_converted(
        weights,
        weights.base,
        tmp_path / "export",
        name="made",
        formats=["f16"],
        converter=program(tmp_path, CONVERTS),
        threads=1,
        memory_bytes=1000,
    )
    assert result.parity == () and "were not compared" in result.warnings[0]


def test_a_stop_leaves_no_part(weights: Weights, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        export_converted(
            weights,
            weights.base,
            tmp_path / "export",
            name="made",
            formats=["f16"],
            converter=program(tmp_path, CONVERTS),
            callbacks=Callbacks(should_stop=lambda: True),
            threads=1,
        )
    assert names(tmp_path / "export") == []


def test_the_base_alone_for_a_comparison(weights: Weights, tmp_path: Path) -> None:
    target = tmp_path / "base-q8_0.gguf"
    base_gguf(weights.base, weights.base, target, "q8_0", program(tmp_path, CONVERTS), 1)
    assert names(tmp_path) == ["base-q8_0.gguf", "convert_hf_to_gguf.py"]
    with GgufLogits(target, context=16) as native:
        assert np.isfinite(native.logits([5, 6, 7])).all()


def test_the_merged_folder_is_the_trained_model_in_the_bases_words(
    weights: Weights, tmp_path: Path
) -> None:
    write_whole(weights, weights.base, tmp_path / "merged", card="# Made\n")
    base = json.loads((weights.base / "config.json").read_bytes())
    made = json.loads((tmp_path / "merged" / "config.json").read_bytes())
    assert {k: v for k, v in made.items() if base.get(k) != v}.keys() <= {"vocab_size"}
    assert (tmp_path / "merged" / "README.md").read_text() == "# Made\n"
    known = whole_model(weights, weights.base)
    probes = [list(range(3, 40))]
    rows, layers = known.rows, known.layers
    (one,) = write_reference(weights, probes, tmp_path / "a", rows=rows, layers=layers)
    merged = Weights(tmp_path / "merged")
    (two,) = write_reference(merged, probes, tmp_path / "b", rows=rows, layers=layers)
    assert np.abs(np.load(one) - np.load(two)).max() < 1e-4
    stored = load_file(tmp_path / "merged" / "model.safetensors")
    assert {str(one.dtype) for one in stored.values()} == {"float32"}, "as the base is stored"
