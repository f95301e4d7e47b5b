"""The GPU's benchmark, the whole way on a CPU; without a card it says so and measures nothing."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from benchmarks import gpu_estimate
from benchmarks.gpu_estimate import Measured, main, random_base, told
from workbench.architectures.shape import known_config, shape_of
from workbench.pipeline.models.miniature_model import shrink_config

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
BASE = "Qwen/Qwen2.5-Coder-7B"


def test_without_a_card_it_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and "no CUDA device" in err


def test_the_smoke_way_trains_and_writes_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "figures.json"
    assert main(["--smoke", "--steps", "3", "--folder", str(tmp_path), "--json", str(file)]) == 0
    figures = {figure["name"]: figure for figure in json.loads(file.read_text())}
    assert figures["speed"]["ours"] > 0 and "3 steps" in figures["speed"]["note"]
    assert figures["memory at the peak"]["ours"] > 0 < figures["memory by estimate"]["ours"]
    assert figures["estimate off by"]["goal"] is None, "a smoke test proves nothing of a card"
    assert not list(tmp_path.glob("gpu-estimate-*")), "the random base is gone"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stage", "sfd"], "no training stage 'sfd' (did you mean 'sft'?)"),
        (["--preset", "quickstart"], "the sizes of embedded:tiny are not known"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--smoke", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_an_estimate_too_far_off_misses_the_goal() -> None:
    near = Measured("card", 50, 1000.0, 9_500_000_000, 500_000_000, 10_900_000_000)
    assert near.off_percent == pytest.approx(9.0)
    for found, met in ((near, True), (Measured("card", 50, 1.0, 10**10, 0, 8 * 10**9), False)):
        assert [figure.met for figure in told(found, smoke=False)][-1] is met


def test_the_random_base_has_every_weight_of_its_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_estimate, "SHARD_BYTES", 1 << 20)
    config = {**shrink_config(known_config(BASE)), "vocab_size": 512}
    base = random_base(config, BASE, tmp_path / "base", torch.device("cpu"))
    shards = sorted(base.glob("*.safetensors"))
    assert len(shards) > 1
    count = 0
    for shard in shards:
        with safe_open(shard, "pt") as file:
            tensors = [file.get_tensor(name) for name in file.keys()]  # noqa: SIM118
        count += sum(t.numel() for t in tensors if t.dim() > 1)
    shape = shape_of(config)
    norms = shape.hidden * (2 * shape.layers + 1)
    assert count == shape.parameters - norms
