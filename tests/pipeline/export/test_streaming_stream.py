"""All files or none: cancel, full disk, damage on the way; memory stays at a slab."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader
from safetensors.numpy import load_file, save_file

from tests.pipeline.export.helpers import export, plan, save_adapter, save_base
from workbench.core import files
from workbench.core.errors import Interrupted, RunFailed, UserError
from workbench.pipeline.export import gguf_writer, row_chunks
from workbench.pipeline.export.streaming import TensorDone, run_export
from workbench.pipeline.models.weights import Weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    folder = tmp_path_factory.mktemp("made")
    base = save_base(folder / "base", "llama")
    return Weights(base, (save_adapter(base, folder / "adapter"),))


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_progress_counts_every_tensor_and_byte(weights: Weights, tmp_path: Path) -> None:
    seen = list[TensorDone]()
    planned = plan(weights, ["f32", "q8_0"])
    out = {kind: tmp_path / f"{kind}.gguf" for kind in ("f32", "q8_0")}
    made = run_export(planned, out, progress=seen.append, threads=2)
    assert [done.done for done in seen] == list(range(1, len(planned.tensors) + 1))
    assert seen[-1].total == len(planned.tensors)
    assert seen[-1].done_bytes == sum(
        int(t.n_bytes) for p in out.values() for t in GGUFReader(p).tensors
    )
    for file in made:
        assert (file.bytes, file.sha256) == (file.path.stat().st_size, files.sha256(file.path))
    assert left_in(tmp_path) == ["f32.gguf", "q8_0.gguf"]


def test_slabs_and_threads_do_not_change_a_byte(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = export(weights, tmp_path, "f32", "q8_0")
    for slab_bytes in (1, 5000):
        monkeypatch.setattr(row_chunks, "SLAB_BYTES", slab_bytes)
        (tmp_path / "small").mkdir(exist_ok=True)
        small = export(weights, tmp_path / "small", "f32", "q8_0")
        for kind, path in whole.items():
            assert _close(path, small[kind]), kind


def _close(one: Path, two: Path) -> bool:
    """The same but for the last bit of float32 sums, which BLAS orders by shape."""
    pairs = zip(GGUFReader(one).tensors, GGUFReader(two).tensors, strict=True)
    return all(
        a.name == b.name
        and (
            np.allclose(a.data, b.data, rtol=0, atol=1e-6)
            if a.data.dtype == np.float32
            else (a.data != b.data).mean() < 1e-3
        )
        for a, b in pairs
    )


def test_a_stop_leaves_nothing(weights: Weights, tmp_path: Path) -> None:
    asked = iter([False] * 5 + [True] * 100)
    out = {kind: tmp_path / f"{kind}.gguf" for kind in ("f16", "q8_0")}
    with pytest.raises(Interrupted):
        run_export(plan(weights, ["f16", "q8_0"]), out, should_stop=lambda: next(asked))
    assert left_in(tmp_path) == []


def test_an_older_file_survives_a_stop(weights: Weights, tmp_path: Path) -> None:
    (tmp_path / "f16.gguf").write_bytes(b"older")
    with pytest.raises(Interrupted):
        run_export(plan(weights, ["f16"]), {"f16": tmp_path / "f16.gguf"}, should_stop=lambda: True)
    assert (tmp_path / "f16.gguf").read_bytes() == b"older"


def test_a_small_disk_is_said_before_any_work(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files.shutil, "disk_usage", lambda path: type("U", (), {"free": 1 << 20}))
    with pytest.raises(RunFailed, match="disk full: the export needs"):
        run_export(plan(weights, ["f16"]), {"f16": tmp_path / "f16.gguf"})
    assert left_in(tmp_path) == []


EXPORT_IN_CHILD = textwrap.dedent("""
    import sys
    from pathlib import Path
    from workbench.pipeline.export.plan import plan_export
    from workbench.pipeline.export.streaming import run_export
    from workbench.pipeline.models.weights import Weights
    base, out = Path(sys.argv[1]), Path(sys.argv[2])
    plan = plan_export(Weights(base), sys.argv[3].split(","), base)
    run_export(plan, {kind.name: out / f"{kind.name}.gguf" for kind in plan.types}, threads=1)
    for line in open("/proc/self/status") if sys.platform == "linux" else ():
        if line.startswith("VmHWM"):
            print(int(line.split()[1]) * 1024)
""")


def in_child(
    base: Path, out: Path, types: str, fault: str = ""
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "WORKBENCH_FAULT": fault}
    command = [sys.executable, "-c", EXPORT_IN_CHILD, str(base), str(out), types]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "fault", ["write:1:enospc", "write:9:enospc", "rename:2:eio", "fsync:1:eio"]
)
def test_a_full_disk_leaves_nothing(fault: str, weights: Weights, tmp_path: Path) -> None:
    child = in_child(weights.base, tmp_path, "f16,q8_0", fault)
    assert child.returncode != 0 and "OSError" in child.stderr
    assert left_in(tmp_path) == []


def test_a_disk_that_fails_behind_the_writer_leaves_nothing(
    weights: Weights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(fd: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(gguf_writer, "FLUSH_BYTES", 1)
    monkeypatch.setattr(gguf_writer, "_to_disk", fails)
    with pytest.raises(OSError, match="the disk is broken"):
        export(weights, tmp_path, "f16", "q8_0")
    assert list(tmp_path.iterdir()) == []


def test_a_kill_leaves_no_file_that_looks_whole(weights: Weights, tmp_path: Path) -> None:
    child = in_child(weights.base, tmp_path, "f16", "write:20:kill")
    assert child.returncode == -9
    assert left_in(tmp_path) == [".f16.gguf.part"]
    files.sweep(tmp_path)
    assert left_in(tmp_path) == []


def test_a_shard_cut_short_under_way_leaves_nothing(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen2")
    planned = plan(Weights(base), ["f16"])
    shard = sorted(base.glob("model-*.safetensors"))[-1]
    shard.write_bytes(shard.read_bytes()[:-100])
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(UserError, match="the file was truncated while it was read"):
        run_export(planned, {"f16": out / "f16.gguf"})
    assert left_in(out) == []


@pytest.mark.parametrize(("value", "said"), [(np.nan, "not a number"), (1e6, "range of f16")])
def test_weights_that_do_not_fit_are_named(value: float, said: str, tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen2", shard="10MB")
    tensors = load_file(base / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][3, 4] = value
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(RunFailed, match=f"model.layers.1.mlp.up_proj.weight.*{said}"):
        run_export(plan(Weights(base), ["f16"]), {"f16": out / "f16.gguf"})
    assert left_in(out) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_memory_stays_at_a_slab(tmp_path: Path) -> None:
    """A model of 0.3 GB in bfloat16, in three types at once."""
    import torch

    base = save_base(
        tmp_path / "base", "qwen2", hidden=1024, layers=24, dtype=torch.bfloat16, shard="100MB"
    )
    assert sum(p.stat().st_size for p in base.glob("*.safetensors")) > 0.3e9
    (tmp_path / "out").mkdir()
    child = in_child(base, tmp_path / "out", "f16,q8_0,q4_k_m")
    assert child.returncode == 0, child.stderr
    assert int(child.stdout) < 250 << 20, f"{int(child.stdout) >> 20} MiB"
