"""The chart into a file, by the file's ending: SVG or PNG as it is seen, CSV with all figures.

PNG is made of the SVG by a program or library that is there already; we bring none for it.
"""

from __future__ import annotations

import importlib
import itertools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from workbench.core.errors import UserError
from workbench.core.files import write_atomic
from workbench.core.text import one_line

ENDINGS = (".svg", ".png", ".csv")
PROGRAM = ("rsvg-convert", "--zoom=2", "--format=png")
LIMIT_S = 30.0
HINT = "use .svg, or install rsvg-convert (librsvg) or cairosvg"


def fault(name: str) -> str:
    """What is wrong with the name of the file to write, "" when it can be taken."""
    path = Path(name).expanduser()
    if path.suffix.lower() not in ENDINGS:
        return "use .svg or .png for the chart, .csv for the data"
    if path.exists():
        return f"{path} already exists"
    if not path.parent.is_dir():
        return f"folder not found: {path.parent}"
    return ""


def free_name(stem: str) -> str:
    """`STEM.svg`, numbered where that is taken."""
    numbered = (f"{stem}-{number}.svg" for number in itertools.count(2))
    names = itertools.chain([f"{stem}.svg"], numbered)
    return next(name for name in names if not Path(name).exists())


def wants_table(name: str) -> bool:
    """Whether the name asks for the figures and not for the picture."""
    return Path(name).suffix.lower() == ".csv"


def save(name: str, text: Callable[[], str]) -> Path:
    """Write what `text` gives (CSV, or SVG) and return its path.

    Raises UserError where a PNG is wanted and cannot be made of it.
    """
    path = Path(name).expanduser().absolute()
    made = text()
    write_atomic(path, _png(made) if path.suffix.lower() == ".png" else made)
    return path


def _png(svg: str) -> bytes:
    try:
        cairosvg = importlib.import_module("cairosvg")
    except (ImportError, OSError):  # OSError: the library without the one it is a door to
        return _by_program(svg)
    return bytes(cairosvg.svg2png(svg.encode(), scale=2))


def _by_program(svg: str) -> bytes:
    if shutil.which(PROGRAM[0]) is None:
        raise UserError("no program found to convert SVG to PNG", hint=HINT)
    done = subprocess.run(PROGRAM, input=svg.encode(), capture_output=True, timeout=LIMIT_S)
    if done.returncode or not done.stdout:
        said = one_line(done.stderr.decode(errors="replace"), 200)
        raise UserError(f"{PROGRAM[0]} could not create the PNG: {said}", hint=HINT)
    return done.stdout
