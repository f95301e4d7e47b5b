"""Save the chart to a file, in the format of its ending: SVG or PNG as shown, CSV with all numbers.

An installed program or library makes PNG of the SVG; none is bundled. CSV has one line per step, in
the order of the steps. A dialog asks for the name.
"""

from __future__ import annotations

import importlib
import itertools
import math
import shutil
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.core.errors import UserError
from workbench.core.files import write_atomic
from workbench.core.subprocesses import run_child
from workbench.core.text import one_line
from workbench.tui.chart.curves import StageCurves
from workbench.tui.chart.series import Series
from workbench.tui.dialogs.dialog import Entry

if TYPE_CHECKING:
    from workbench.tui.host import Host

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
    try:
        done = run_child(PROGRAM, input=svg.encode(), timeout_s=LIMIT_S)
    except TimeoutError:
        raise UserError(f"{PROGRAM[0]} took longer than {LIMIT_S:g} s", hint=HINT) from None
    if done.returncode or not done.stdout:
        said = one_line(done.stderr.decode(errors="replace"), 200)
        raise UserError(f"{PROGRAM[0]} could not create the PNG: {said}", hint=HINT)
    return done.stdout


Points = list[tuple[float, float]]


class Table:
    """The figures as they are now; `text` may be made in a thread while new ones come in."""

    def __init__(self, curves: StageCurves) -> None:
        self._columns = {
            "loss": _copy(curves.train),
            "validation_loss": _copy(curves.validation),
            "general_loss": _copy(curves.general),
            "learning_rate": _copy(curves.learning_rate),
            "gradient_norm": _copy(curves.gradient_norm),
            "tokens_per_second": _copy(curves.speed),
        }

    def text(self) -> str:
        """The CSV. A field is empty where there is no value, `nan` where it was no number."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield ",".join(["step", *self._columns])
        columns = [_merged(*column) for column in self._columns.values()]
        heads = [next(column, None) for column in columns]
        while found := [head[0] for head in heads if head]:
            step = min(found)
            fields = [f"{step:.0f}"]
            for number, head in enumerate(heads):
                at_step = head is not None and head[0] == step
                fields.append(repr(head[1]) if head and at_step else "")
                if at_step:
                    heads[number] = next(columns[number], None)
            yield ",".join(fields)


def _copy(series: Series) -> tuple[array[float], array[float], array[float]]:
    return series.xs[:], series.ys[:], series.gaps[:]


def _merged(
    xs: array[float], ys: array[float], gaps: array[float]
) -> Iterator[tuple[float, float]]:
    """The points in their order, with what was no number between them."""
    points = zip(xs, ys, strict=True)
    if not gaps:
        return points
    return iter(sorted([*points, *((x, math.nan) for x in gaps)]))


QUESTION = "Save the chart (.svg, .png) or the stage's data (.csv) as"


def ask(host: Host, stem: str, picture: Callable[[], str], curves: StageCurves) -> None:
    """`picture` gives the SVG of what is seen when the name is there."""

    def then(name: str | None) -> None:
        if name:
            drawn = picture()
            text = Table(curves).text if wants_table(name) else lambda: drawn
            host.say(f"saving {one_line(name, 200)} ...")
            host.in_background(lambda: save(name, text), lambda at: host.say(f"saved {at}"))

    host.push_screen(Entry(QUESTION, free_name(stem), fault), then)
