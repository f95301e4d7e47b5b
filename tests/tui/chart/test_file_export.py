"""Charts in files: every point in the table, the curve where it belongs in the picture."""

from __future__ import annotations

import csv
import math
import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.run.helpers import step, validated
from workbench.core.errors import UserError
from workbench.tui.chart import file_export, svg
from workbench.tui.chart.axes import Range
from workbench.tui.chart.columns import Line
from workbench.tui.chart.curves import StageCurves
from workbench.tui.chart.file_export import Table
from workbench.tui.chart.series import Series

SVG = "{http://www.w3.org/2000/svg}"


def curves() -> StageCurves:
    found = StageCurves()
    for number in range(1, 6):
        found.add_step(step(number, loss=math.nan if number == 3 else 1 / number))
    found.add_validation(validated(4, 0.5))
    return found


def series(*ys: float) -> Series:
    found = Series()
    for number, y in enumerate(ys):
        found.append(number, y)
    return found


def drawn(*lines: Line, log_y: bool = False, title: str = "a run") -> ET.Element:
    window = Range(0.0, max(len(line.series) for line in lines) - 1.0)
    return ET.fromstring(svg.picture(lines, window, title, "loss", log_y))


def words(root: ET.Element) -> str:
    return " | ".join(text.text or "" for text in root.iter(f"{SVG}text"))


def points(root: ET.Element, number: int = 0) -> list[tuple[float, float]]:
    path = list(root.iter(f"{SVG}path"))[number].attrib["d"]
    found = re.findall(r"[ML]([\d.]+) ([-\d.]+)", path)
    return [(float(x), float(y)) for x, y in found]


def test_the_table_has_every_figure_of_every_step() -> None:
    rows = list(csv.DictReader(Table(curves()).text().splitlines()))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["loss"] for row in rows] == ["1.0", "0.5", "nan", "0.25", "0.2"]
    assert [row["validation_loss"] for row in rows] == ["", "", "", "0.5", ""]
    assert {row["learning_rate"] for row in rows} == {"0.001"}
    assert set(rows[0]) > {"gradient_norm", "general_loss", "tokens_per_second"}


def test_the_table_is_that_of_the_moment_when_it_was_asked_for() -> None:
    found = curves()
    table = Table(found)
    found.add_step(step(6))
    assert len(table.text().splitlines()) == 6


def test_a_falling_line_falls_from_corner_to_corner() -> None:
    root = drawn(Line("train", series(3.0, 2.0, 1.0), "train"))
    found = points(root)
    (left, top), (right, bottom) = found[0], found[-1]
    assert left == pytest.approx(svg.LEFT, abs=1) and right == pytest.approx(
        svg.WIDTH - svg.RIGHT, abs=2
    )
    assert top == svg.TOP and bottom == svg.HEIGHT - svg.BOTTOM
    assert "train 1" in words(root) and "optimizer step" in words(root)


def test_a_narrow_peak_between_many_points_is_not_lost() -> None:
    ys = [1.0] * 50_000
    ys[31_234] = 1.9
    root = drawn(Line("train", series(*ys), "train"))
    found = points(root)
    x, y = min(found, key=lambda one: one[1])
    assert y < svg.HEIGHT / 2 and (x - svg.LEFT) / (svg.WIDTH - svg.LEFT - svg.RIGHT) == (
        pytest.approx(31_234 / 50_000, abs=0.002)
    )
    assert len(found) < 4 * svg.WIDTH


def test_nan_is_a_cross_and_breaks_the_line() -> None:
    root = drawn(Line("train", series(3.0, 2.0, math.nan, 2.0, 1.0), "train"))
    path = next(root.iter(f"{SVG}path")).attrib["d"]
    assert words(root).count("✗") == 1 and path.count("M") == 2


def test_smoothing_a_log_scale_and_two_runs() -> None:
    lines = (
        Line("base", series(9.0, 3.0, 1.0), "pin-1"),
        Line("train", series(10.0, 1.0, 0.1), "train", 0.5, "raw"),
    )
    root = drawn(*lines, log_y=True)
    strokes = [path.attrib["stroke"] for path in root.iter(f"{SVG}path")]
    assert strokes == [svg.COLOURS[name] for name in ("raw", "pin-1", "train")]
    assert "log scale" in words(root) and "base 1" in words(root)
    raw = [y for _, y in points(root)]
    middle = min(raw, key=lambda y: abs(y - (raw[0] + raw[-1]) / 2))
    assert middle == pytest.approx((raw[0] + raw[-1]) / 2, abs=1)


def test_names_from_outside_are_text() -> None:
    line = Line("<script>&\x1b[31m", series(2.0, 1.0), "train")
    root = drawn(line, title="</svg>\x1b]0;x\x07")
    assert not list(root.iter("script")) and "<script>&\\x1b[31m" in words(root)
    assert "</svg>\\x1b]0;x\\x07" in words(root)


def test_without_a_point_there_are_axes() -> None:
    text = svg.picture([Line("train", Series(), "train")], Range(0, 1), "none", "loss")
    assert "<path" not in text and "optimizer step" in text


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("a.svg", ""),
        ("A.CSV", ""),
        ("a.txt", "use .svg or .png for the chart"),
        ("a", "use .svg or .png for the chart"),
        ("taken.csv", "already exists"),
        ("nowhere/a.svg", "folder not found: nowhere"),
    ],
)
def test_what_is_wrong_with_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, wanted: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("taken.csv").write_text("")
    found = file_export.fault(name)
    assert wanted in found and bool(wanted) == bool(found)


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """No cairosvg, and no program but those of a test's own folder."""
    monkeypatch.setitem(sys.modules, "cairosvg", None)
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    yield programs


def test_a_png_is_made_by_a_program_that_is_there(no_library: Path, tmp_path: Path) -> None:
    program = no_library / "rsvg-convert"
    program.write_text('#!/bin/sh\nprintf "PNG of "\nread line\necho "$line"\n')
    program.chmod(0o755)
    path = file_export.save(str(tmp_path / "a.png"), lambda: "<svg/>\n")
    assert path.read_bytes() == b"PNG of <svg/>\n"


def test_where_nothing_makes_a_png_it_is_said(no_library: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no program found to convert SVG to PNG .*use .svg"):
        file_export.save(str(tmp_path / "a.png"), lambda: "<svg/>")
    assert not (tmp_path / "a.png").exists()


def test_a_program_that_fails_is_quoted(no_library: Path, tmp_path: Path) -> None:
    program = no_library / "rsvg-convert"
    program.write_text("#!/bin/sh\necho no fonts here >&2\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(UserError, match="rsvg-convert could not create the PNG: no fonts here"):
        file_export.save(str(tmp_path / "a.png"), lambda: "<svg/>\n")
