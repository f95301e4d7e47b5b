import os
import random
import struct
import subprocess
import sys
from pathlib import Path

import gguf
import pytest

from tests.inference.helpers import Tiny, write_tiny
from workbench.core import files
from workbench.core.errors import UserError
from workbench.core.subprocesses import run_child
from workbench.inference import gguf_check
from workbench.inference.gguf_check import read_gguf_info, verify_loadable
from workbench.inference.gguf_header import BLOCKS, read_header

# Imports once, then opens each file in a fork: an abort ends the fork only.
OPEN_EACH = """
import os, sys
from pathlib import Path
from workbench.inference.llama_library import library
from workbench.inference.gguf_open_process import try_load
library()
for name in sys.argv[1:]:
    pid = os.fork()
    if pid == 0:
        os.close(2)
        os._exit(1 if try_load(Path(name)) else 0)
    print(os.waitpid(pid, 0)[1])
"""
# What the screen does with a file that the child could open, file after file in one process.
TALK_TO_EACH = """
import sys
from pathlib import Path
from workbench.core.sampling import SamplingParams
from workbench.inference.session import Session
from workbench.dataset.rows import Message
from workbench.core.errors import WorkbenchError
for name in sys.argv[1:]:
    try:
        with Session.open(Path(name), context=256) as session:
            session.answer([Message("user", "hello the one " * 9)], SamplingParams(max_tokens=20))
        print("answered")
    except WorkbenchError as error:
        print(repr(str(error)))
"""


def test_facts_about_a_model(tiny_gguf: Path) -> None:
    info = read_gguf_info(tiny_gguf)
    assert (info.architecture, info.name, info.layers, info.context) == ("qwen2", "tiny", 2, 1024)
    assert info.vocabulary == 266 and info.embedding == 64
    assert info.chat_template is not None and "im_start" in info.chat_template
    assert info.parameters == sum(int(t.n_elements) for t in gguf.GGUFReader(tiny_gguf).tensors)


def test_the_header_agrees_with_the_gguf_package(tiny_gguf: Path) -> None:
    header, reader = read_header(tiny_gguf), gguf.GGUFReader(tiny_gguf)
    assert header.metadata == {
        key: field.contents() for key, field in reader.fields.items() if "GGUF." not in key
    }
    assert [(t.name, t.shape, t.n_bytes) for t in header.tensors] == [
        (t.name, tuple(int(n) for n in t.shape), int(t.n_bytes)) for t in reader.tensors
    ]


def test_block_sizes_agree_with_the_gguf_package() -> None:
    known = {int(kind): sizes for kind, sizes in gguf.GGML_QUANT_SIZES.items()}
    assert {kind: sizes for kind, sizes in BLOCKS.items() if known.get(kind) != sizes} == {}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "too short"),
        (b"PK\3\4" + b"\0" * 60, "not a GGUF file"),
        (b"GGUF" + struct.pack("<I", 9) + b"\0" * 60, "version 9 is not 2 or 3"),
        (b"GGUF" + struct.pack(">I", 3) + b"\0" * 60, "big-endian"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**63, 0), "too many"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**40), "too many"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 2**62), "a key of"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 60_000), "ends inside its header"),
        (b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<I", 77), "type 77"),
        (
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"a" + struct.pack("<IIQ", 9, 4, 2**40),
            "items",
        ),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 0), "general.architecture is missing"),
    ],
)
def test_a_bad_header_is_one_line(tmp_path: Path, raw: bytes, message: str) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(raw)
    with pytest.raises(UserError, match=message) as caught:
        read_gguf_info(path)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in [("pipe", "not a file"), (".", "not a file"), ("none", "file not found")]:
        with pytest.raises(UserError, match=message):
            read_gguf_info(tmp_path / name)


def test_a_file_cut_short_says_what_it_lacks(tiny_gguf: Path, tmp_path: Path) -> None:
    whole = tiny_gguf.read_bytes()
    path = tmp_path / "cut.gguf"
    for share in (0.01, 0.3, 0.9):
        path.write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(UserError, match="it is truncated: tensor|it ends inside its header"):
            read_gguf_info(path)


def test_two_tokens_with_one_text_are_refused(tiny_gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "twice.gguf"
    heon = tiny_gguf.read_bytes().replace(b"\x02\0\0\0\0\0\0\0ll", b"\x02\0\0\0\0\0\0\0he", 1)
    path.write_bytes(heon)
    with pytest.raises(UserError, match="two tokens have the same text"):
        read_gguf_info(path)


def mutations(raw: bytes, n: int) -> list[bytes]:
    """Damage to the header: bytes flipped, numbers made huge, pieces cut out or doubled."""
    chance = random.Random(7)
    end = raw.index(b"token_embd.weight") + 1500
    made = []
    for number in range(n):
        at = chance.randrange(4, end)
        size = chance.choice([1, 4, 8])
        patch = [
            bytes(chance.randrange(256) for _ in range(size)),
            b"\xff" * size,
            b"\0" * size,
            struct.pack("<q", chance.choice([-1, 2**31, 2**62, 1])),
        ][number % 4]
        made.append(raw[:at] + patch + raw[at + len(patch) :])
        if number % 10 == 9:
            made[-1] = raw[:at] + raw[at + size :]
    return made


@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_mutated_headers_never_kill_the_process_that_asks(
    tiny_gguf: Path, tmp_path: Path, count: int
) -> None:
    """Refused by header or child, or talked to: as the screen takes a file nobody knows."""
    passed = []
    for number, raw in enumerate(mutations(tiny_gguf.read_bytes(), count)):
        path = tmp_path / f"{number}.gguf"
        path.write_bytes(raw)
        try:
            read_gguf_info(path)
            passed.append(str(path))
        except UserError as error:
            assert "\n" not in str(error)
    assert count // 20 < len(passed) < count * 4 // 5, "some are refused by the header, not all"
    statuses = _said(OPEN_EACH, passed)
    opened = [path for path, status in zip(passed, statuses, strict=True) if status == "0"]
    said = _said(TALK_TO_EACH, opened)
    died = sum(status not in ("0", "256") for status in statuses)
    print(f"{count} headers: {len(passed)} get past ours; of these the child opens {len(opened)}")
    print(f"and dies of {died}; {said.count('answered')} of those that it opens answer")
    assert "answered" in said


def _said(program: str, paths: list[str]) -> list[str]:
    """A line each, from one process that lives to the end."""
    done = subprocess.run(
        [sys.executable, "-c", program, *paths], capture_output=True, text=True, timeout=280
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == len(paths), done.stderr[-3000:]
    return lines


def test_a_child_opens_what_nobody_vouches_for(tiny_gguf: Path) -> None:
    assert verify_loadable(tiny_gguf).architecture == "qwen2"


def test_a_file_whose_digest_is_trusted_needs_no_child(
    tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_check, "_try_in_child", lambda *_: "a child was asked")
    assert verify_loadable(tiny_gguf, trusted={files.sha256(tiny_gguf)})
    with pytest.raises(UserError, match="a child was asked"):
        verify_loadable(tiny_gguf, trusted={"another"})


def test_llamas_refusal_in_the_child_is_one_line(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "odd.gguf", Tiny())
    raw = path.read_bytes().replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_xx.weight")
    path.write_bytes(raw)
    with pytest.raises(UserError, match="llama.cpp cannot open this file.*blk.1.ffn_up") as caught:
        verify_loadable(path)
    assert "\n" not in str(caught.value)


def test_a_child_that_dies_is_one_line(tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os, sys; print('GGML_ASSERT failed', file=sys.stderr); os.abort()"
    monkeypatch.setattr(
        gguf_check,
        "run_child",
        lambda _command, timeout_s: run_child([sys.executable, "-c", code], timeout_s=timeout_s),
    )
    with pytest.raises(UserError, match=r"crashes on this file \(SIGABRT\): GGML_ASSERT failed"):
        verify_loadable(tiny_gguf)


def test_a_child_that_hangs_is_one_line(tiny_gguf: Path) -> None:
    with pytest.raises(UserError, match=r"could not open this file within 0.01 s"):
        verify_loadable(tiny_gguf, timeout_s=0.01)
