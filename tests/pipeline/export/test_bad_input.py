"""The export stage on what cannot be exported: one line, and nothing left in the folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.export.helpers import save_adapter, save_base
from workbench.core import files
from workbench.core.errors import Interrupted, RunFailed, UserError, WorkbenchError
from workbench.pipeline.export.output_files import ExportProgress
from workbench.pipeline.export.stage import Callbacks, export_stage
from workbench.pipeline.models.weights import Weights


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base, an adapter of it, and an adapter of a wider model."""
    folder = tmp_path_factory.mktemp("made")
    base = save_base(folder / "base", "qwen2")
    save_adapter(base, folder / "adapter")
    save_adapter(save_base(folder / "wide", "qwen2", hidden=128), folder / "other")
    return folder


def shards(folder: Path) -> list[Path]:
    return sorted((folder / "base").glob("model-*.safetensors"))


def missing_shard(folder: Path) -> None:
    shards(folder)[2].unlink()


def cut_shard(folder: Path) -> None:
    path = shards(folder)[2]
    path.write_bytes(path.read_bytes()[:-100])


def missing_layer(folder: Path) -> None:
    _config(folder, num_hidden_layers=3)


def unknown_architecture(folder: Path) -> None:
    _config(folder, architectures=["NovelForCausalLM"])


def wrong_adapter(folder: Path) -> None:
    shutil.rmtree(folder / "adapter")
    shutil.copytree(folder / "other", folder / "adapter")


def half_an_adapter(folder: Path) -> None:
    (folder / "adapter" / "adapter_model.safetensors").unlink()


def adapter_without_configuration(folder: Path) -> None:
    (folder / "adapter" / "adapter_config.json").write_text("{")


def one_text_twice(folder: Path) -> None:
    path = folder / "base" / "tokenizer.json"
    values = json.loads(path.read_text())
    values["added_tokens"][1]["content"] = values["added_tokens"][0]["content"]
    path.write_text(json.dumps(values))


def unsupported_tokenizer(folder: Path) -> None:
    path = folder / "base" / "tokenizer.json"
    values = json.loads(path.read_text())
    values["pre_tokenizer"] = {"type": "Whitespace"}
    path.write_text(json.dumps(values))


def _config(folder: Path, **changes: object) -> None:
    path = folder / "base" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


TABLE: list[tuple[Callable[[Path], None], str]] = [
    (missing_shard, "this file of the model is missing"),
    (cut_shard, "the file is truncated"),
    (missing_layer, "no tensor of layer 2, config.json says 3 layers"),
    (unknown_architecture, "architecture NovelForCausalLM cannot be written as GGUF"),
    (wrong_adapter, "but the adapter is for"),
    (half_an_adapter, "adapter_model.safetensors: this file of the model is missing"),
    (adapter_without_configuration, "not an adapter configuration"),
    (one_text_twice, "<|endoftext|>"),
    (unsupported_tokenizer, "Whitespace"),
]


def export(folder: Path, out: Path, *formats: str, **options: object) -> None:
    weights = Weights(folder / "base", (folder / "adapter",))
    export_stage(
        weights,
        folder / "base",
        out,
        name="made",
        formats=formats or ("f16", "iq4_nl"),
        merged=True,
        threads=1,
        **options,  # type: ignore[arg-type]
    )


def check_one_line(error: WorkbenchError, out: Path) -> None:
    assert "\n" not in str(error) and len(str(error)) < 600
    assert list(out.iterdir()) == []


@pytest.mark.parametrize(("spoil", "said"), TABLE, ids=lambda value: getattr(value, "__name__", ""))
def test_what_cannot_be_exported(
    made: Path, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    folder, out = tmp_path / "made", tmp_path / "out"
    shutil.copytree(made, folder)
    spoil(folder)
    with pytest.raises(UserError) as told:
        export(folder, out)
    assert said in str(told.value)
    check_one_line(told.value, out)


def test_a_disk_that_cannot_take_all_of_it(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The F16 and the merged model would fit; what llama.cpp makes of the F16 would not."""
    folder = made
    asked = list[int]()
    monkeypatch.setattr(files, "check_space", lambda place, needed, what: asked.append(needed))
    export(folder, tmp_path / "out")
    free = asked[0] - 1
    monkeypatch.undo()
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, free))  # type: ignore[attr-defined]
    with pytest.raises(RunFailed, match="disk full: the export needs") as told:
        export(folder, tmp_path / "second")
    check_one_line(told.value, tmp_path / "second")


@pytest.mark.parametrize("phase", ["write", "quantize", "compare", "merge"])
def test_a_stop_in_any_phase_leaves_no_part(made: Path, tmp_path: Path, phase: str) -> None:
    seen = list[str]()
    calls = Callbacks(
        doing=lambda at: _note(seen, at), should_stop=lambda: bool(seen) and seen[-1] == phase
    )
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        export(made, out, callbacks=calls)
    left = sorted(path.name for path in out.iterdir())
    whole = ["made-f16.gguf", "made-iq4_nl.gguf"]
    expected = {
        "write": [],
        "quantize": whole[:1],
        "compare": whole,
        "merge": [*whole, "parity.json"],
    }
    assert left == expected[phase]


def _note(seen: list[str], at: ExportProgress) -> None:
    seen.append(at.doing.partition(" ")[0])
