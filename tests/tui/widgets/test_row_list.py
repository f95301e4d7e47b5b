"""The list and the one-line bars by themselves: what is drawn, and where the cursor is."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from rich.text import Text
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from workbench.tui.pane_list import PANES
from workbench.tui.styled_text import fit, same, styled
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.pane_tabs import PaneTabs
from workbench.tui.widgets.row_list import RowList, wrapped


class Numbers(RowList):
    """Each row in a style of its whole text, without spans."""

    def row(self, index: int) -> Text:
        return Text(f"row {index}", "bold red")


class Bare(App[None]):
    """The widgets, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.pressed: list[str] = []

    def on_pane_tabs_pressed(self, message: PaneTabs.Pressed) -> None:
        self.pressed.append(message.pane_id)

    def compose(self) -> ComposeResult:
        yield PaneTabs("tabs")
        yield Bar("bar")
        yield Numbers("rows")


def alone(story: Callable[[Pilot[None], Bare], Awaitable[None]]) -> None:
    async def live() -> None:
        app = Bare()
        async with app.run_test(size=(60, 12)) as pilot:
            await pilot.pause()
            await story(pilot, app)

    asyncio.run(live())


def lines(app: Bare) -> list[str]:
    return [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]


def test_a_row_keeps_the_style_of_its_text() -> None:
    async def story(pilot: Pilot[None], app: Bare) -> None:
        rows = app.query_one(Numbers)
        rows.changed(5)
        style = next(iter(rows.render_line(1))).style
        assert style is not None and style.bold and style.color is not None
        assert style.color.name == "red"

    alone(story)


def test_the_cursor_is_in_view_right_after_the_rows_changed() -> None:
    async def story(pilot: Pilot[None], app: Bare) -> None:
        rows = app.query_one(Numbers)
        rows.changed(1000)
        rows.cursor = 700
        await pilot.pause()
        assert "row 700" in "\n".join(lines(app))

    alone(story)


def test_a_line_too_long_for_a_bar_ends_in_an_ellipsis() -> None:
    async def story(pilot: Pilot[None], app: Bare) -> None:
        app.query_one(Bar).show(Text("word " * 40))
        app.query_one("#bar", Bar).show(Text("word " * 40))
        await pilot.pause()
        line = lines(app)[1]
        assert line.endswith("…") and len(line) == 60

    alone(story)


def test_lines_that_differ_in_their_whole_style_are_not_the_same() -> None:
    assert same(styled("x", "red"), styled("x", "red"))
    assert not same(styled("x", "red"), styled("x", "green"))
    assert not same(Text("x", "red"), Text("x", "green"))


@pytest.mark.parametrize(
    "plain", ["", "plain → words", "words " * 30, "漢字" * 30, "a\tb é ✗", "x" * 20]
)
@pytest.mark.parametrize("width", [1, 2, 20, 90])
def test_a_line_is_brought_to_a_width_as_rich_does_it(plain: str, width: int) -> None:
    quick, careful = (styled("! ", "yellow").append(plain, "green") for _ in range(2))
    fit(quick, width)
    careful.truncate(width, overflow="ellipsis", pad=True)
    assert same(quick, careful) and quick.plain == careful.plain


def test_the_tabs_take_the_width_that_the_terminal_has_now() -> None:
    async def story(pilot: Pilot[None], app: Bare) -> None:
        app.query_one(PaneTabs).tell({"runs"}, "runs", "2 running")
        for width in (150, 100):
            await pilot.resize_terminal(width, 12)
            await pilot.pause()
            assert lines(app)[0].endswith("2 running") and len(lines(app)[0]) == width - 1

    alone(story)


def test_a_narrow_terminal_has_a_tab_for_every_pane() -> None:
    async def story(pilot: Pilot[None], app: Bare) -> None:
        tabs = app.query_one(PaneTabs)
        tabs.tell({"runs"}, "runs", "2 running")
        for width in (80, 60, 40):
            await pilot.resize_terminal(width, 12)
            await pilot.pause()
            assert all(f" {spec.key}" in lines(app)[0] for spec in PANES)
            assert "1 Runs" in lines(app)[0] and "…" not in lines(app)[0]
        await pilot.click("#tabs", offset=(lines(app)[0].index("7"), 0))
        assert app.pressed == ["evaluate"]

    alone(story)


def test_short_facts_stay_whole_where_a_line_is_broken() -> None:
    told = "✓ prepare     28 training rows, 4 validation rows  duplicates: 1  findings: 1  0:01"
    for width in range(20, 90):
        lines = [line.plain for line in wrapped([Text(told)], width)]
        assert max(map(len, lines)) <= width and " ".join(lines).split() == told.split()
        if width >= 26:
            assert sum("duplicates: 1" in line for line in lines) == 1
            assert sum("findings: 1" in line for line in lines) == 1
    assert [line.plain for line in wrapped([Text(""), Text("  a b")], 20)] == ["", "  a b"]
