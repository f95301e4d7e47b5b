"""One GGUF made into another of a type of llama.cpp's, by a child process; whole or not at all.

Invariant: until the child has ended well only a `.NAME.part` exists, and whatever is raised it is
removed; a source is never written to.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.core import files
from workbench.core.subprocesses__children import ChildDied, told
from workbench.core.errors import RunFailed, UserError
from workbench.inference.quantization__quantize_types import Kind

CHILD = (sys.executable, "-m", "workbench.inference.quantize_process")
HEADER_BYTES = 16 << 20  # a file's header, at most: llama.cpp tells the tensors' bytes alone


@dataclass(frozen=True)
class Progress:
    """The child is at tensor `done` of `total`, called `tensor`."""

    done: int
    total: int
    tensor: str


@dataclass(frozen=True)
class Fallback:
    """A tensor that could not have its type's format."""

    tensor: str
    wished: str
    got: str
    columns: int

    def __str__(self) -> str:
        return (
            f"{self.tensor}: {self.got} instead of {self.wished}; "
            f"{self.columns} columns are not a multiple of its block size"
        )


@dataclass(frozen=True)
class Quantized:
    """The file that was made."""

    path: Path
    bytes: int
    fallbacks: tuple[Fallback, ...]


def quantize(
    source: Path,
    target: Path,
    kind: Kind,
    *,
    threads: int = 1,
    again: bool = False,
    progress: Callable[[Progress], None] = lambda at: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Quantized:
    """Write `source` as `kind` to `target`; an existing one is replaced.

    `again` allows a source that is quantized already. Raises UserError for a source that llama.cpp
    refuses, RunFailed when the disk is too small or it dies, Interrupted when `stopping()` says so.
    """
    part = target.with_name(f".{target.name}.part")
    options = ["--threads", str(threads), *(["--again"] if again else [])]
    fallbacks = []
    try:
        with closing(_told(source, part, kind, options, stopping)) as lines:
            for fields in lines:
                if "bytes" in fields:
                    needed = fields["bytes"] + HEADER_BYTES
                    files.check_space(target.parent, needed, target.name)
                if "tensor" in fields:
                    progress(Progress(fields["done"], fields["total"], fields["tensor"]))
                if "fallback" in fields:
                    given = [fields[key] for key in ("fallback", "wished", "got", "columns")]
                    fallbacks.append(Fallback(*given))
        files.fsync_file(part)
        files.rename(part, target)
    finally:
        part.unlink(missing_ok=True)
    files.fsync_folder(target.parent)
    return Quantized(target, target.stat().st_size, tuple(fallbacks))


def _told(
    source: Path,
    target: Path,
    kind: Kind,
    options: Sequence[str],
    stopping: Callable[[], bool],
) -> Generator[dict[str, Any], None, None]:
    """What the child tells, line by line; raises when it ends badly."""
    problem = ""
    command = [*CHILD, str(source), str(target), str(kind.number), *options]
    try:
        for fields in told(command, stopping):
            problem = fields.get("problem", "")
            yield fields
    except ChildDied as died:
        raise RunFailed(f"{source}: the quantization process died{died.cause}") from died
    if "iostream error" in problem:
        raise RunFailed(
            f"{target.parent}: the file could not be written completely: is the disk full?"
        )
    if problem:
        hint = "use --again to allow it; quality suffers" if "requantizing" in problem else ""
        raise UserError(f"cannot be converted to {kind.name}: {problem}", path=source, hint=hint)
