"""A base's weights read in a thread, while the modules that make a model of them are imported.

Importing keeps one core busy, and reading with widening to float32 waits for memory: together they
take as long as the longer one. Only what is exact is done here, the values that transformers would
make of the same file; it asks for them where it would open that file, and reads itself what it does
not find. Whatever is out of the ordinary is left to it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from workbench.bases.listing import weight_files
from workbench.core.errors import UserError

NARROW = ("BF16", "F16")  # what float32 holds exactly, as a file names it
LEFT_ALONE = ("quantization_config", "text_config")  # read otherwise than as it lies there
Weights = dict[str, Tensor]


class WeightPrefetch:
    """The weights of one folder's files as float32, being read."""

    def __init__(self, paths: list[Path]) -> None:
        pool = ThreadPoolExecutor(1, thread_name_prefix="weights")
        self._reading = {str(path): pool.submit(_read, path) for path in paths}
        pool.shutdown(wait=False)

    @contextmanager
    def given(self) -> Iterator[None]:
        """Within, transformers finds them in memory. Nothing is kept here after that."""
        from transformers import modeling_utils

        opens = getattr(modeling_utils, "safe_open", None)
        if opens is None:  # another version, which reads in another way
            yield
            return

        def opened(path: Any, *arguments: Any, **named: Any) -> Any:
            file = opens(path, *arguments, **named)
            reading = self._reading.pop(str(path), None)
            return file if reading is None else _File(file, reading)

        modeling_utils.safe_open = opened
        try:
            yield
        finally:
            modeling_utils.safe_open = opens
            self._reading.clear()


class _File:
    """An open file of weights, of which some are read already; each of these is given once."""

    def __init__(self, file: Any, reading: Future[Weights]) -> None:
        self._file, self._reading = file, reading

    def get_slice(self, name: str) -> Any:
        read = {} if self._reading.exception() else self._reading.result()
        return read.pop(name) if name in read else self._file.get_slice(name)

    def __exit__(self, *error: Any) -> None:
        self._file.__exit__(*error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def prefetch_weights(base: Path, dtype: torch.dtype, quantization: str) -> WeightPrefetch | None:
    """Begin to read the weights that a model of that format will take; None for none of float32.

    Of other formats the files are only asked for, so that they come from the disk meanwhile.
    """
    paths = _files(base)
    if quantization == "none" and dtype == torch.float32:
        return WeightPrefetch(paths)
    _ask_for(paths)
    return None


def _files(base: Path) -> list[Path]:
    """The files of weights; none for those that transformers reads its own way."""
    try:
        config = json.loads((base / "config.json").read_bytes())
        if any(key in config for key in LEFT_ALONE):
            return []
        return [base / name for name in weight_files(base)]
    except (OSError, ValueError, TypeError, UserError):
        return []


def _read(path: Path) -> Weights:
    found: Weights = {}
    with safe_open(path, framework="pt") as file:
        for name in file.keys():  # noqa: SIM118 - it is no dictionary
            part = file.get_slice(name)
            # Experts are put together by transformers one after the other: all of them, read
            # already, would stand beside what they become.
            if part.get_dtype() in NARROW and ".experts." not in name:
                found[name] = part[...].to(torch.float32)
    return found


def _ask_for(paths: list[Path]) -> None:
    """Have the system read the files into its cache; where it cannot, they are read when needed."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in paths:
        try:
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
        except OSError:
            return
