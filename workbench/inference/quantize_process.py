"""Child process: `llama_model_quantize` of one file, told as JSON lines on standard output.

`python -m workbench.inference.quantize_process SOURCE TARGET NUMBER [--threads N] [--again]`

    {"bytes": 2076352}                                            what the tensors will take
    {"done": 3, "total": 38, "tensor": "blk.0.attn_k.weight"}     a tensor begins
    {"fallback": "blk.0.ffn_down.weight", "wished": "q4_K", "got": "q5_0", "columns": 192}
    {"problem": ""}                                               the last line

llama.cpp has no way to be stopped amid its work, and may abort: both end this process alone. It
ends by itself when its standard input is closed, so a killed parent leaves nobody at work.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
from pathlib import Path
from typing import Any

from workbench.core.subprocesses import exit_with_parent, send_message
from workbench.inference.llama_library import LOG, library

BUFFER_BYTES = 64 << 20
MIB = 1 << 20
TENSOR = re.compile(r"^\[ *(\d+)/ *(\d+)\] +(\S+) +- ")
FALLBACK = re.compile(
    r"^warning: (\S+) +- ncols +(\d+) not divisible by +\d+ \(required for type +(\S+)\) "
    r".*-> falling back to +(\S+)"
)
SIZE = re.compile(r"quant size += +([0-9.]+) MiB")


class ProgressReporter:
    """Puts the pieces of llama.cpp's log together again and says what they mean.

    `dry`: the log is that of a trial run, of which only the size counts.
    """

    def __init__(self, *, dry: bool = False) -> None:
        self._dry = dry
        self._line = ""
        self._told = ""

    def hear(self, level: int, text: str) -> None:
        """One piece of the log; a tensor is told of as soon as its name is there."""
        self._line += text
        while "\n" in self._line:
            line, self._line = self._line.split("\n", 1)
            self._tell(line)
        self._tell_tensor(self._line)

    def _tell(self, line: str) -> None:
        self._tell_tensor(line)
        if self._dry:
            if match := SIZE.search(line):
                send_message(bytes=round(float(match[1]) * MIB))
        elif match := FALLBACK.match(line):
            columns = int(match[2])
            send_message(fallback=match[1], columns=columns, wished=match[3], got=match[4])

    def _tell_tensor(self, line: str) -> None:
        match = TENSOR.match(line)
        if match and not self._dry and match[1] != self._told:
            self._told = match[1]
            send_message(done=int(match[1]), total=int(match[2]), tensor=match[3])


def quantize(source: Path, target: Path, number: int, *, threads: int, again: bool) -> str:
    """Do it here and now: `""`, or llama.cpp's reason. Native code may end the process."""
    c = library()
    parameters: Any = c.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread = number, threads
    parameters.allow_requantize, parameters.max_buf_size = again, BUFFER_BYTES
    for dry in (True, False):
        LOG.take_errors()
        LOG.listen(ProgressReporter(dry=dry).hear)
        parameters.dry_run = dry
        names = os.fsencode(source), os.fsencode(target)
        if c.llama_model_quantize(*names, ctypes.byref(parameters)) != 0:
            return _reason(LOG.take_errors())
    return ""


def _reason(errors: list[str]) -> str:
    last = errors[-1].splitlines()[-1] if errors else "llama.cpp gave no reason"
    return last.rpartition("failed to quantize: ")[2].strip()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    parser.add_argument("number", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--again", action="store_true")
    given = parser.parse_args()
    exit_with_parent("pipe")
    options = {"threads": given.threads, "again": given.again}
    send_message(problem=quantize(given.source, given.target, given.number, **options))


if __name__ == "__main__":
    main()
