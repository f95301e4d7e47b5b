"""`workbench --preset`: checked first, frozen, started; a stand-in does the work."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.commands.helpers import FAKE_WORKER
from workbench.cli import main
from workbench.core.errors import RunFailed, UserErrors
from workbench.preset.loader import load
from workbench.preset.schema import chosen, stage_names
from workbench.run import launch
from workbench.run.folder import RunFolder
from workbench.runner import preflight
from workbench.runner.frozen_preset import with_absolute_paths

PAIRS = "# INPUT\nWhat is {n} and {n}?\n\n# OUTPUT\nIt is {m}.\n\n"
PRESET = """
[[data.source]]
path = "pairs.txt"
[[train]]
sequence_length = 64
[export]
formats = ["q8_0"]
[evaluate]
prompts = "prompts.jsonl"
checker = ["{python}", "tools/check.py", "{file}"]
[[evaluate.guard]]
name = "general"
prompts = "prompts.jsonl"
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of one's own work: preset, data, a checker."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "WORKER", FAKE_WORKER)
    monkeypatch.setenv("STORY", "done")
    pairs = "".join(PAIRS.format(n=n, m=2 * n) for n in range(30))
    (tmp_path / "pairs.txt").write_text(pairs)
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "What is 40 and 40?"}\n')
    (tmp_path / "mine.toml").write_text(PRESET)
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "check.py").write_text("")
    return tmp_path


def test_a_run_gets_its_folder_and_its_frozen_preset(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--preset", "mine.toml", "--set", "train.0.epochs=7"]) == 0
    out, err = capsys.readouterr()
    run = RunFolder(place / "runs" / "mine")
    assert out == f"{run.path}\n" and "✓ train sft" in err
    preset = load(str(run.preset_file)).preset
    assert preset.train[0].epochs == 7
    assert preset.data.source[0].path == str(place / "pairs.txt")
    assert preset.evaluate.prompts == preset.evaluate.guard[0].prompts
    assert preset.evaluate.prompts == str(place / "prompts.jsonl")
    assert preset.evaluate.checker == ["{python}", str(place / "tools" / "check.py"), "{file}"]


def test_a_frozen_preset_means_the_same_anywhere(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = place / "model"
    shutil.copytree(Path(preflight.embedded_base("embedded:tiny")), model)
    (place / "t.jinja").write_text("{{ messages[0].content }}")
    (place / "old.gguf").write_bytes(b"")
    flags = [
        "model.base=./model",
        "model.chat_template=FILE:t.jinja",
        'evaluate.baselines=["base", "old.gguf", "ollama:x"]',
    ]
    preset = with_absolute_paths(load("mine.toml", flags))
    assert preset.model.base == str(model)
    assert preset.model.chat_template == f"FILE:{place / 't.jinja'}"
    assert preset.evaluate.baselines == ["base", str(place / "old.gguf"), "ollama:x"]
    assert main(["--preset", "mine.toml", *(f"--set={flag}" for flag in flags)]) == 0
    monkeypatch.chdir("/")
    kept = load(str(place / "runs" / "mine" / "preset.toml"))
    assert kept.preset == preset == with_absolute_paths(kept)


def test_json_without_a_terminal(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--preset", "mine.toml", "--name", "x", "--json"]) == 0
    out, err = capsys.readouterr()
    kinds = [json.loads(line)["kind"] for line in out.splitlines()]
    assert err == "" and kinds[0] == "run_started" and kinds[-2:] == ["run_done", "exit"]


def test_stages_are_handed_to_the_worker(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    real = launch.start

    def start(run: RunFolder, stages: list[str], worker: tuple[str, ...]) -> object:
        asked.append(stages)
        return real(run, stages, worker)

    monkeypatch.setattr(launch, "start", start)
    assert main(["--preset", "mine.toml", "--stages", "prepare, train:sft"]) == 0
    assert asked == [["prepare", "train:sft"]]


def test_the_front_knows_the_worker_s_stages(place: Path) -> None:
    from workbench.pipeline.stages import all_stages

    unasked = ["evaluate.prompts=''", "evaluate.guard=[]"]
    for flags in ([], unasked, [*unasked, "export.formats=[]"]):
        preset = load("mine.toml", flags).preset
        assert stage_names(preset) == [stage.name for stage in all_stages(preset)]
    assert chosen("", preset) == [] and chosen("train", preset) == ["train"]


def test_a_taken_name_is_refused_and_the_run_left_alone(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--preset", "mine.toml", "--name", "x"]) == 0
    before = (place / "runs" / "x" / "preset.toml").read_bytes()
    capsys.readouterr()
    assert main(["--preset", "mine.toml", "--name", "x", "--set", "train.0.epochs=9"]) == 2
    assert "workbench resume x" in capsys.readouterr().err
    assert (place / "runs" / "x" / "preset.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["data.source.0.path=absent.txt"], "--set data.source.0.path: 'absent.txt' not found"),
        (["data.source.0.path=empty.txt"], "empty.txt"),
        (["data.source.0.path=half.txt"], "half.txt:1: INPUT without"),
        (["data.source.0.path=latin.txt"], "latin.txt:2:"),
        (["model.base=embedded:tinny"], "--set model.base: unknown embedded model 'tinny'"),
        (["model.base=./tools"], "tools: config.json is missing"),
        (["model.base=./absent"], "--set model.base"),
        (["model.base=a b/c"], "'a b/c' is neither a folder nor a Hub id"),
        (["model.chat_template=FILE:absent.jinja"], "--set model.chat_template"),
        (['evaluate.checker=["blopp", "{file}"]'], "--set evaluate.checker"),
        (["evaluate.prompts=absent.jsonl"], "--set evaluate.prompts"),
        (['evaluate.baselines=["absent.gguf"]'], "--set evaluate.baselines"),
        (["evaluate.guard.0.prompts=empty.txt"], "empty.txt"),
    ],
)
def test_what_can_be_known_is_known_before_anything_is_made(
    place: Path, capsys: pytest.CaptureFixture[str], flags: list[str], told: str
) -> None:
    (place / "empty.txt").write_text("")
    (place / "half.txt").write_text("# INPUT\nWhat?\n\n# INPUT\nAnd?\n# OUTPUT\nSo.\n")
    (place / "latin.txt").write_bytes(b"# INPUT\ncaf\xe9?\n# OUTPUT\nYes.\n")
    assert main(["--preset", "mine.toml", *(f"--set={flag}" for flag in flags)]) == 2
    out, err = capsys.readouterr()
    assert told in err and "Traceback" not in err and out == ""
    assert err.count("\n") == 1
    assert not (place / "runs").exists()


def test_all_faults_are_told_at_once(place: Path) -> None:
    (place / "pairs.txt").write_text("# INPUT\nWhat?\n")
    flags = ["model.base=./tools", 'evaluate.checker=["blopp", "{file}"]']
    with pytest.raises(UserErrors) as caught:
        preflight.check(load("mine.toml", flags), place / "runs")
    assert len(caught.value.errors) == 3


def test_a_disk_without_room_is_said_before_it_is_filled(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load("mine.toml")
    needed = preflight.needed_bytes(loaded)
    assert needed > 64 << 20
    assert preflight.needed_bytes(load("mine.toml", ["export.merged=true"])) > needed
    assert preflight.needed_bytes(load("mine.toml", ["model.base=owner/name"])) == 64 << 20
    monkeypatch.setattr(preflight, "needed_bytes", lambda loaded: 1 << 60)
    with pytest.raises(RunFailed, match="disk full"):
        preflight.check(loaded, place / "not" / "yet" / "runs")


def test_large_data_are_left_to_the_worker(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "pairs.txt").write_text("no pairs at all, " * 10)
    monkeypatch.setattr(preflight, "READ_LIMIT_BYTES", 50)
    preflight.check(load("mine.toml"), place / "runs")


def test_a_folder_that_cannot_be_written_is_one_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "file").write_text("")
    monkeypatch.setenv("WORKBENCH_RUNS", str(place / "file" / "runs"))
    assert main(["--preset", "mine.toml"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_dry_run_tells_values_origins_and_steps_and_writes_nothing(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(place.rglob("*"))
    assert main(["--preset", "mine.toml", "--dry-run", "--set", "train.0.max_steps=7"]) == 0
    out, _ = capsys.readouterr()
    lines = {line.split("  ")[0]: line.split() for line in out.splitlines()}
    assert lines["train.0.max_steps"][-2:] == ["7", "flag"]
    assert lines["train.0.sequence_length"][-2:] == ["64", "preset"]
    assert lines["train.0.learning_rate"][-1] == "default"
    assert "30 rows: 27 for training, 3 for validation" in out
    assert "7 steps," in out and "1 prompt, 2 models" in out
    assert sorted(place.rglob("*")) == before


def test_a_dry_run_tells_how_processes_share_a_step(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--set", "launch.processes=2", "--set", "model.device=cpu"]
    assert main(["--preset", "mine.toml", "--dry-run", *flags]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "1 micro-batch per step, split into parts, for 2 processes" in out
    assert "of memory on each of 2 processes (cpu)" in out


def test_a_dry_run_of_a_base_that_is_not_here_says_so(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--set", "model.base=nobody/nothing", "--stages", "prepare,train"]
    assert main(["--preset", "mine.toml", "--dry-run", *flags]) == 0
    out = capsys.readouterr().out
    assert "steps: known once the base model is downloaded" in out
    assert "not selected; must already be done" in out
    assert "nobody/nothing is not downloaded yet; a run downloads it" in out


def test_detached_under_torchrun_is_refused(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """torchrun takes the first's end for the end of all."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["--preset", "mine.toml", "--detach"]) == 2
    assert "--detach does not work under torchrun (remove it" in capsys.readouterr().err
    assert not (place / "runs").exists()
