"""llama.cpp's own converter, for architectures that the export does not write itself.

`convert_hf_to_gguf.py` runs in a child on a folder in Hugging Face layout, with the Python that
runs workbench and without the network. Invariant: no child outlives this function, and a file
appears under its name when it is whole.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import TimeoutExpired

from workbench.core import files
from workbench.core.errors import Interrupted, RunFailed, UserError
from workbench.core.subprocesses import Process, start_detached
from workbench.core.text import one_line

TYPES = ("f32", "f16", "bf16")  # what it is asked for; all others are quantized from f16
POLL_S = 0.2
STALLED_S = 600.0  # without a byte more in the file or the log
SHOWN = 300
HINT = "use convert_hf_to_gguf.py of the llama.cpp that llama-cpp-python was built from"


def check_converter(path: Path) -> None:
    """Raise UserError unless `path` could be the converter."""
    if not path.is_file():
        raise UserError(f"export.converter: '{path}' is not a file", hint=HINT)
    if path.suffix != ".py":
        raise UserError(f"export.converter: '{path}' is not a Python program", hint=HINT)


def convert(
    converter: Path,
    model: Path,
    target: Path,
    kind: str,
    *,
    vocabulary_only: bool = False,
    progress: Callable[[int], None] = lambda written: None,
    should_stop: Callable[[], bool] = lambda: False,
    stalled_s: float = STALLED_S,
) -> None:
    """Write the `model` (a folder) as the GGUF file `target` of type `kind`, one of `TYPES`.

    `vocabulary_only`: without tensors, so that the folder needs no weights.
    `progress` hears how many bytes there are. Raises RunFailed, with the converter's last words,
    when it fails, stalls or writes nothing, and Interrupted when `should_stop()` says so.
    """
    part = target.with_name(f".{target.name}.part")
    log = target.with_name(f".{target.name}.log.part")
    command = [sys.executable, str(converter), str(model), "--outfile", str(part)]
    try:
        with open(log, "wb") as said:
            child = start_detached(
                [*command, "--outtype", kind, *(["--vocab-only"] if vocabulary_only else [])],
                said,
                folder=target.parent,
                environment={"HF_HUB_OFFLINE": "1"},
            )
            try:
                _wait(child, part, log, progress, should_stop, stalled_s)
            finally:
                child.kill()
                child.wait()
        _require(child.returncode, part, log)
        files.fsync_file(part)
        files.rename(part, target)
    finally:
        part.unlink(missing_ok=True)
        log.unlink(missing_ok=True)
    files.fsync_folder(target.parent)


def _wait(
    child: Process,
    part: Path,
    log: Path,
    progress: Callable[[int], None],
    should_stop: Callable[[], bool],
    stalled_s: float,
) -> None:
    """Return when the child has ended; watch what it writes meanwhile."""
    before, since = (0, 0), time.monotonic()
    while True:
        try:
            child.wait(POLL_S)
            return
        except TimeoutExpired:
            pass
        if should_stop():
            raise Interrupted("the export was stopped; partial files were removed")
        sizes = (_size(part), _size(log))
        if sizes != before:
            before, since = sizes, time.monotonic()
            progress(sizes[0])
        elif time.monotonic() - since > stalled_s:
            raise RunFailed(
                f"export.converter wrote nothing for {stalled_s:.0f} s{_last_line(log)}"
            )


def _require(status: int, part: Path, log: Path) -> None:
    if status:
        raise RunFailed(f"export.converter failed (exit status {status}){_last_line(log)}")
    if not _size(part):
        raise RunFailed(f"export.converter wrote no file{_last_line(log)}")


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return f": {one_line(lines[-1], SHOWN)}" if lines else ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
