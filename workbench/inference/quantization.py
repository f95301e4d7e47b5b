"""GGUF types by name, and quantization to one of them in a child process; whole or not at all.

Numbers are llama.cpp's `enum llama_ftype`. `bits` is the average size of a weight in a usual
model, for an estimate before there is a plan. Some types this package writes itself; llama.cpp
makes the others of a float file. Invariant: until the child succeeds only a `.NAME.part` exists,
and any exception removes it; a source is never written to.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.core import files
from workbench.core.errors import RunFailed, UserError
from workbench.core.subprocesses import ChildDied, JsonChild
from workbench.core.text import did_you_mean


@dataclass(frozen=True)
class GgufFileType:
    """A type of file. `streamed`: written straight from the weights; else from a float GGUF."""

    name: str
    number: int
    bits: float
    about: str
    streamed: bool = False

    @property
    def is_float(self) -> bool:
        return self.name in ("f32", "f16", "bf16")


KINDS = {
    kind.name: kind
    for kind in (
        GgufFileType("f32", 0, 32.0, "exact; largest files", True),
        GgufFileType("f16", 1, 16.0, "exact for most models; source for quantization", True),
        GgufFileType("bf16", 32, 16.0, "half the size of f32, same range", True),
        GgufFileType("q8_0", 7, 8.5, "nearly indistinguishable from f16", True),
        GgufFileType("q6_k", 18, 6.6, "close to q8_0", True),
        GgufFileType("q5_k_m", 17, 5.7, "between q4_k_m and q6_k", True),
        GgufFileType("q5_k_s", 16, 5.5, "slightly smaller than q5_k_m"),
        GgufFileType("q5_1", 9, 6.0, "older 5-bit format, with an offset"),
        GgufFileType("q5_0", 8, 5.5, "older 5-bit format"),
        GgufFileType("q4_k_m", 15, 4.9, "the usual choice", True),
        GgufFileType("q4_k_s", 14, 4.6, "slightly smaller than q4_k_m", True),
        GgufFileType("iq4_nl", 25, 4.5, "4-bit, non-linear"),
        GgufFileType("iq4_xs", 30, 4.3, "like iq4_nl, smaller"),
        GgufFileType("q4_1", 3, 5.0, "older 4-bit format, with an offset"),
        GgufFileType("q4_0", 2, 4.5, "older 4-bit format, fast on some machines", True),
        GgufFileType("q3_k_l", 13, 4.3, "3-bit, largest mix"),
        GgufFileType("q3_k_m", 12, 3.9, "3-bit: noticeable quality loss"),
        GgufFileType("q3_k_s", 11, 3.5, "3-bit, smallest mix"),
        GgufFileType("iq3_m", 27, 3.7, "3-bit, grid-based"),
        GgufFileType("iq3_s", 26, 3.4, "3-bit, grid-based, smaller"),
        GgufFileType("q2_k", 10, 3.0, "2-bit: last resort"),
    )
}
NEED_IMPORTANCE_MATRIX = (
    *("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m"),
    *("iq3_xxs", "iq3_xs", "q2_k_s"),
)


def kind_named(name: str) -> GgufFileType:
    """The type of that name in any case. Raises UserError for one that cannot be made."""
    lower = name.strip().lower()
    if lower in NEED_IMPORTANCE_MATRIX:
        hint = "q2_k, q3_k_m and iq3_s do not need one"
        raise UserError(
            f"type {lower} needs an importance matrix, which workbench does not create", hint=hint
        )
    if lower not in KINDS:
        raise UserError(f"unknown GGUF type '{name}'", hint=did_you_mean(lower, KINDS))
    return KINDS[lower]


def estimated_bytes(kind: GgufFileType, known: Sequence[tuple[str, int]]) -> int:
    """Bytes that a file of `kind` may have, from (type, bytes) of the model's files; 0: unknown.

    The type with the most bits tells best: the fewer, the more the mixture weighs.
    """
    measured = [(KINDS[name], n_bytes) for name, n_bytes in known if name in KINDS]
    if not measured:
        return 0
    nearest, n_bytes = max(measured, key=lambda pair: pair[0].bits)
    return round(n_bytes * kind.bits / nearest.bits)


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
    kind: GgufFileType,
    *,
    threads: int = 1,
    again: bool = False,
    progress: Callable[[Progress], None] = lambda at: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Quantized:
    """Write `source` as `kind` to `target`; an existing one is replaced.

    `again` allows a source that is quantized already. Raises UserError for a source that llama.cpp
    refuses, RunFailed when the disk is too small or it dies, Interrupted when `should_stop()` is
    true.
    """
    part = target.with_name(f".{target.name}.part")
    options = ["--threads", str(threads), *(["--again"] if again else [])]
    fallbacks = []
    try:
        with closing(_told(source, part, kind, options, should_stop)) as lines:
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
    kind: GgufFileType,
    options: Sequence[str],
    should_stop: Callable[[], bool],
) -> Generator[dict[str, Any], None, None]:
    """What the child tells, line by line; raises when it ends badly."""
    problem = ""
    command = [*CHILD, str(source), str(target), str(kind.number), *options]
    try:
        with JsonChild(command) as child:
            for fields in child.messages(should_stop):
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
