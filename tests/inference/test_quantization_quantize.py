"""Files made by llama.cpp in a child: every tensor told of, nothing left behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gguf
import pytest

from tests.inference.helpers import Tiny, write_tiny
from workbench.core.errors import Interrupted, RunFailed, UserError
from workbench.inference import quantization as module
from workbench.inference.quantization import KINDS, Progress, quantize
from workbench.inference.quantize_process import ProgressReporter


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("source") / "tiny.gguf", Tiny(hidden=64))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_tensor_is_told_and_the_file_is_whole(source: Path, tmp_path: Path) -> None:
    heard = list[Progress]()
    target = tmp_path / "out.gguf"
    made = quantize(source, target, KINDS["iq4_nl"], progress=heard.append)
    tensors = gguf.GGUFReader(target).tensors
    assert [at.done for at in heard] == list(range(1, len(tensors) + 1))
    assert {at.tensor for at in heard} == {tensor.name for tensor in tensors}
    kinds = {tensor.tensor_type for tensor in tensors}
    assert gguf.GGMLQuantizationType.IQ4_NL in kinds and names(tmp_path) == ["out.gguf"]
    assert made.bytes == target.stat().st_size
    assert [fallback.got for fallback in made.fallbacks] == ["q8_0"]  # of the head


def test_tensors_that_cannot_have_the_type_are_named(source: Path, tmp_path: Path) -> None:
    made = quantize(source, tmp_path / "out.gguf", KINDS["q3_k_m"])
    fallback = next(f for f in made.fallbacks if f.tensor == "blk.0.ffn_up.weight")
    assert (fallback.columns, fallback.wished) == (64, "q3_K")
    held = {t.name: t.tensor_type.name.lower() for t in gguf.GGUFReader(made.path).tensors}
    assert all(held[f.tensor] == f.got.lower() for f in made.fallbacks)
    assert "64 columns are not a multiple of its block size" in str(fallback)


def test_a_quantized_source_is_refused_unless_asked_for(source: Path, tmp_path: Path) -> None:
    once = quantize(source, tmp_path / "once.gguf", KINDS["q8_0"]).path
    with pytest.raises(
        UserError, match="once.gguf: cannot be converted to q4_0: requantizing .*--again"
    ):
        quantize(once, tmp_path / "twice.gguf", KINDS["q4_0"])
    assert names(tmp_path) == ["once.gguf"]
    assert quantize(once, tmp_path / "twice.gguf", KINDS["q4_0"], again=True).bytes


@pytest.mark.parametrize("kept", [0, 100, 5000, 200_000])
def test_a_source_that_was_cut_short_is_one_line(source: Path, tmp_path: Path, kept: int) -> None:
    short = tmp_path / "short.gguf"
    short.write_bytes(source.read_bytes()[:kept])
    with pytest.raises(UserError, match="short.gguf: cannot be converted to q4_0: .") as caught:
        quantize(short, tmp_path / "out.gguf", KINDS["q4_0"])
    assert "\n" not in str(caught.value) and names(tmp_path) == ["short.gguf"]


def test_a_stop_leaves_nothing(source: Path, tmp_path: Path) -> None:
    asked = list[bool]()

    def begun(_at: Progress) -> None:
        asked.append(True)

    with pytest.raises(Interrupted):
        quantize(
            source,
            tmp_path / "out.gguf",
            KINDS["q4_0"],
            progress=begun,
            should_stop=lambda: bool(asked),
        )
    assert names(tmp_path) == []


@contextmanager
def files_end_at(n_bytes: int) -> Iterator[None]:
    """No file may grow beyond `n_bytes`: a write fails there as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_up_is_one_line(source: Path, tmp_path: Path) -> None:
    with files_end_at(20_000), pytest.raises(RunFailed, match="could not be written completely"):
        quantize(source, tmp_path / "out.gguf", KINDS["q8_0"])
    assert names(tmp_path) == []


def test_a_disk_too_small_is_known_before(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEADER_BYTES", 1 << 60)
    with pytest.raises(RunFailed, match=r"disk full: out\.gguf needs"):
        quantize(source, tmp_path / "out.gguf", KINDS["q8_0"])


def test_a_child_that_dies_is_told(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dies = (sys.executable, "-c", "import os; os.abort()")
    monkeypatch.setattr(module, "CHILD", dies)
    with pytest.raises(RunFailed, match="died .SIGABRT"):
        quantize(source, tmp_path / "out.gguf", KINDS["q8_0"])


def test_a_child_ends_with_its_parent(tmp_path: Path) -> None:
    """Its standard input is a pipe of the parent's; here it is closed at once."""
    command = [*module.CHILD, "/dev/zero", str(tmp_path / "out"), "7"]
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=os.environ
    )
    assert child.stdin is not None
    child.stdin.close()
    assert child.wait(timeout=60) in (0, 1, -signal.SIGKILL)


def test_the_log_is_understood_in_any_pieces(capsys: pytest.CaptureFixture[str]) -> None:
    log = (
        "[   1/   2] token_embd.weight  - [ 64, 9, 1, 1], type = f16, converting to q6_K .. "
        "size = 1 MiB\nwarning: a.weight - ncols 80 not divisible by 32 (required for type q4_0) "
        "-> falling back to f16\n[   2/   2] a.weight - [1], type = f16, size = 1\n"
        "llama_model_quantize_impl: quant size  =     2.50 MiB (5.04 BPW)\n"
    )
    told = []
    for length in (1, 7, len(log)):
        for teller in (ProgressReporter(dry=True), ProgressReporter()):
            for start in range(0, len(log), length):
                teller.hear(2, log[start : start + length])
        told.append(capsys.readouterr().out)
    assert told[0] == told[1] == told[2]
    assert told[0].splitlines() == [
        '{"bytes": 2621440}',
        '{"done": 1, "total": 2, "tensor": "token_embd.weight"}',
        '{"fallback": "a.weight", "columns": 80, "wished": "q4_0", "got": "f16"}',
        '{"done": 2, "total": 2, "tensor": "a.weight"}',
    ]
