"""Any saved weights of a run, talked to: equal to transformers and peft, made once, followed."""

from __future__ import annotations

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.export.helpers import save_adapter
from tests.pipeline.export.test_adapter_gguf import divergence, expected
from workbench.console.chat import chat
from workbench.core import files
from workbench.core.errors import UserError
from workbench.core.sampling import SamplingParams
from workbench.inference.chat_model import GgufSource
from workbench.inference.conversation import ChatSettings
from workbench.inference.llama_model import LlamaAdapter, apply_adapter
from workbench.pipeline.export import gguf_cache
from workbench.pipeline.export.checkpoint_process import CheckpointModel, make_ready
from workbench.pipeline.export.gguf_logits import GgufLogits
from workbench.pipeline.models.weights import Weights
from workbench.run.checkpoints import find
from workbench.run.folder import RunFolder
from workbench.runner import checkpoint_model as front
from workbench.runner.checkpoint_model import LatestCheckpoint

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
IDS = list(range(3, 60))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return gguf_cache.models_folder()


def ready(run: RunFolder, name: str, stage: str = "sft", kind: str = "f32") -> CheckpointModel:
    return make_ready(run, stage, name, kind, lambda fields: None)


def logits(gguf: Path, adapter: Path | None) -> np.ndarray:
    with GgufLogits(gguf, context=len(IDS) + 1) as native:
        worn = None if adapter is None else LlamaAdapter(native._c, native._model, adapter)
        apply_adapter(native._c, native._context, worn)
        return native.logits(IDS)


@pytest.mark.parametrize("name", ["best", "last", "final", "step-000006"])
def test_an_adapter_of_any_name_is_the_one_that_was_trained(
    trained_run: RunFolder,
    name: str,
    tmp_path: Path,
) -> None:
    run = trained_run
    made = ready(run, name)
    base = run.training("raw") / "adapters" / "best"
    saved = run.training("sft") / "adapters" / ("last" if name.startswith("step") else name)
    assert made.adapter is not None
    tuned = expected(Weights(base, (saved,)), tmp_path / "tuned")
    assert divergence(tuned, logits(made.base, made.adapter)) < 1e-6


@pytest.mark.parametrize("name", ["best", "step-000003"])
def test_weights_that_were_all_trained_are_a_model_of_their_own(
    trained_run: RunFolder,
    name: str,
    tmp_path: Path,
) -> None:
    run = trained_run
    made = ready(run, name, "raw")
    base = run.training("raw") / "adapters" / "final"
    assert made.adapter is None
    assert divergence(expected(Weights(base), tmp_path / "x"), logits(made.base, None)) < 1e-6


def test_what_no_adapter_file_can_say_is_merged(
    trained_run: RunFolder,
    tmp_path: Path,
) -> None:
    run = trained_run
    base = run.training("raw") / "adapters" / "best"
    dora = save_adapter(base, tmp_path / "dora", use_dora=True)
    saved = run.training("sft") / "adapters" / "best"
    shutil.rmtree(saved)
    shutil.copytree(dora, saved)
    files.seal(saved)
    made = ready(run, "best")
    assert made.adapter is None
    tuned = expected(Weights(base, (saved,)), tmp_path / "tuned")
    assert divergence(tuned, logits(made.base, None)) < 1e-6


def test_a_base_is_made_once_and_told_of(
    trained_run: RunFolder,
    own_cache: Path,
) -> None:
    run = trained_run
    told = list[dict[str, object]]()
    first = make_ready(run, "sft", "best", "q8_0", told.append)
    assert (
        told[-1]["doing"] == "writing the base model as q8_0"
        and told[-1]["done"] == told[-1]["total"]
    )
    told.clear()
    again = make_ready(run, "sft", "step-000006", "q8_0", told.append)
    assert again.base == first.base and told == []
    assert files.sha256(again.base) == again.sha256
    left = {path.name for path in own_cache.iterdir()} - {"lock", "digests.json"}
    assert {Path(name).suffix for name in left} == {".gguf", ".json"}
    (own_cache / first.base.name).unlink()
    assert ready(run, "best", kind="q8_0").sha256 == first.sha256


def test_a_save_that_takes_the_folders_place_meanwhile(
    trained_run: RunFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Training renames a newer folder in while the older one is read."""
    run = trained_run
    saved = run.training("sft") / "adapters" / "best"
    newer = save_adapter(run.training("raw") / "adapters" / "best", tmp_path / "newer", r=2)
    files.seal(newer)
    import workbench.pipeline.export.checkpoint_process as module

    write, seen = module.write_adapter, list[Path]()

    def interrupted(*arguments: object, **options: object) -> object:
        if not seen:
            seen.append(saved)
            shutil.rmtree(saved)
            shutil.move(newer, saved)
        return write(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "write_adapter", interrupted)
    made = ready(run, "best")
    base = run.training("raw") / "adapters" / "best"
    tuned = expected(Weights(base, (saved,)), tmp_path / "tuned")
    assert divergence(tuned, logits(made.base, made.adapter)) < 1e-6


def test_weights_that_are_gone(
    trained_run: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = trained_run
    monkeypatch.setattr("workbench.pipeline.export.checkpoint_process.TRIES", 2)
    with pytest.raises(UserError, match="step-000099: these weights no longer exist"):
        ready(run, "step-000099")


def test_the_oldest_goes_when_the_cache_is_full(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n}.gguf" for n in range(4)]
    for path in paths:
        path.write_bytes(bytes(100))
        path.with_suffix(".json").write_text("{}")
    assert gguf_cache.use(paths[0]) and not gguf_cache.use(tmp_path / "absent.gguf")
    gguf_cache.prune(tmp_path, keep=paths[1], limit_bytes=250)
    assert sorted(path.name for path in tmp_path.glob("*")) == [
        "0.gguf",
        "0.json",
        "1.gguf",
        "1.json",
    ]


def test_following_a_run_in_a_chat(trained_run: RunFolder, tmp_path: Path) -> None:
    """A child makes each ready; the newest answers, and it is said; what fails is said as well."""
    run = trained_run
    first = front.export_checkpoint(run, find(run, "step-000006"), "f32")
    following = LatestCheckpoint(run, "f32", first)
    assert following.newer() is None, "best, last and final are of the same step"

    def newer() -> GgufSource | None:
        found = following.newer()
        return GgufSource(found.base, found.adapter, found.checkpoint.label) if found else None

    source = GgufSource(first.base, first.adapter, "first", first.sha256, newer)
    settings = ChatSettings(SamplingParams(temperature=0, max_tokens=4), context=128)
    lines = iter(["hello", "again", "and again"])
    out = io.StringIO()

    def read(_prompt: str) -> str:
        line = next(lines, None)
        if line is None:
            raise EOFError
        if line == "again":
            save_newer(run, tmp_path)
        return line

    chat({"one": source}, replace(settings, trusted=[first.sha256]), read=read, out=out)
    said = [line for line in out.getvalue().splitlines() if "now using" in line]
    assert said == ["[now using sft/last, step 9]"]


def save_newer(run: RunFolder, tmp_path: Path) -> None:
    """As training does at its next checkpoint: the adapter, then the event."""
    from workbench.run import events
    from workbench.run.log import EventLog

    base = run.training("raw") / "adapters" / "best"
    newer = save_adapter(base, tmp_path / "newer", seed=5)
    with files.whole_folder(run.training("sft") / "adapters" / "last") as folder:
        shutil.copytree(newer, folder, dirs_exist_ok=True)
    log = EventLog(run.events_file)
    log.append(events.CheckpointSaved(step=9, path="step-000009", elapsed_s=0.1), "train:sft")
    log.close()
