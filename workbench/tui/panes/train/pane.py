"""A run's training: curves, metrics, samples, notes and the worker's log."""

from __future__ import annotations

import os
import time
from collections.abc import Set
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from workbench.run.folder import RunFolder
from workbench.tui.actions import Action
from workbench.tui.chart.chart import Chart
from workbench.tui.chart.columns import Line
from workbench.tui.chart.curves import StageCurves
from workbench.tui.chart.plot import BLOCKS, glyphs_for
from workbench.tui.pane import Pane
from workbench.tui.panes.train import training_text
from workbench.tui.panes.train.curve_lines import (
    FIGURES,
    LOSS,
    NORM,
    RATE,
    metric_lines,
    next_smoothing,
)
from workbench.tui.panes.train.lower_panel import LOG, NOTES, SAMPLES, LowerPanel
from workbench.tui.runs.follower import RunFollower
from workbench.tui.widgets.bar import Bar

ACTIONS = (
    Action("train.stop", "s", "Stop", "Stop at the next safe point; save a checkpoint."),
    Action("train.resume", "r", "Resume", "Resume the run where it stopped."),
    Action("train.checkpoint", "c", "Checkpoint", "Save a checkpoint now."),
    Action("train.smoother", "right_square_bracket", "Smoother", "Smooth the loss more."),
    Action("train.rougher", "left_square_bracket", "Less smooth", "Smooth the loss less.", False),
    Action("train.log_y", "l", "Log scale", "Toggle the logarithmic y axis."),
    Action("train.crosshair", "x", "Crosshair", "Read values off the curves; arrow keys move it."),
    Action("train.zoom_in", "plus,equals_sign,i", "Zoom in", "Zoom in on the curves."),
    Action("train.zoom_out", "minus,o", "Zoom out", "Zoom out.", False),
    Action("train.left", "left", "Left", "Move the crosshair or view left.", False),
    Action("train.right", "right", "Right", "Move the crosshair or view right.", False),
    Action("train.reset", "0", "Reset", "Show the whole curve, without crosshair.", False),
    Action("train.figure", "v", "Metric", "Choose the metric to plot: loss, speed and others."),
    Action("train.stage", "t", "Stage", "Show the next training stage."),
    Action(
        "train.answers",
        "a",
        "Samples",
        "Show samples; again: one prompt over time.",
        False,
    ),
    Action("train.events", "e", "Notes", "Show notes and warnings of the run.", False),
    Action("train.log", "w", "Log", "Show the worker log.", False),
    Action("train.wide", "b", "Layout", "Show the chart, the lower panel, or both.", False),
    Action("train.find", "slash", "Search", "Search the log."),
    Action("train.next_match", "n", "Next match", "Go to the next match in the log."),
    Action("train.previous_match", "N", "Previous match", "Go to the previous match.", False),
    Action("train.follow", "f", "Follow", "Follow the end of the log."),
    Action("train.marks", "full_stop", "Dots/blocks", "Draw curves with dots or blocks.", False),
    Action("train.save_curves", "C", "Save", "Save the chart (SVG, PNG) or its data (CSV).", False),
)


DRAW_EVERY_S = 0.5
SMALL_CHARTS_WIDTH = 96
PIN_STYLES = ("pin-1", "pin-2", "pin-3")


class TrainPane(Pane):
    """The current run as it trains; pinned runs are drawn over it."""

    ID = "train"
    HELP = (
        "The current run's training: losses in nats per token over optimizer steps, with small "
        "charts of the learning rate and gradient norm; below, samples for the fixed prompts, "
        "notes and warnings, or the worker log."
    )
    ACTIONS = ACTIONS
    DEFAULT_CSS = """
    TrainPane #head { background: $surface; }
    TrainPane #charts { height: 2fr; min-height: 6; }
    TrainPane #small { width: 35; padding-left: 1; display: none; }
    TrainPane.-wide #small { display: block; }
    TrainPane #lower-head { background: $surface; }
    TrainPane #lower { height: 1fr; min-height: 3; }
    TrainPane.-big #lower, TrainPane.-big #lower-head { display: none; }
    TrainPane.-below #charts { display: none; }
    TrainPane.-low #lower { height: 4; min-height: 2; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.stage = ""
        self.figure = FIGURES[0]
        self._newest = ""  # the stage that trained last, when it was looked at last
        self._drawn_at = 0.0
        self._waiting = False

    def compose(self) -> ComposeResult:
        yield Bar("head")
        yield Bar("figures")
        yield Bar("pace")
        with Horizontal(id="charts"):
            yield Chart(id="main")
            with Vertical(id="small"):
                yield Chart("learning rate", "rate")
                yield Chart("gradient norm", "norm")
        yield Bar("lower-head")
        yield LowerPanel()

    def on_mount(self) -> None:
        self.query_one("#main", Chart).lines = self.main_lines
        self.query_one("#rate", Chart).lines = lambda: metric_lines(self.curves, RATE, 0.0)
        self.query_one("#norm", Chart).lines = lambda: metric_lines(self.curves, NORM, 0.0)
        self.query_one("#main", Chart).log_y = self.screen_app.memory.log_y
        self._take_glyphs()
        self._show_lower(self._lower.shown)
        self.run_chosen()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= SMALL_CHARTS_WIDTH, "-wide")
        self.set_class(self.size.height < 18, "-low")
        self.call_after_refresh(self.draw)

    def focus_first(self) -> None:
        self.query_one("#main").focus(scroll_visible=False)

    # What there is to show

    @property
    def followed(self) -> RunFollower | None:
        """The current run's state and curves."""
        run = self.screen_app.current
        return self.screen_app.followed(run) if run else None

    @property
    def curves(self) -> StageCurves | None:
        """Those of the stage that is shown."""
        followed = self.followed
        return followed.curves.get(self.stage) if followed else None

    def main_lines(self) -> list[Line]:
        """What the large chart draws now."""
        weight = self.screen_app.memory.smoothing
        lines = metric_lines(self.curves, self.figure, weight)
        if not lines or self.figure != LOSS:
            return lines
        pinned = (self._pinned(run, style, weight) for run, style in self._others())
        return [*(line for line in pinned if line is not None), *lines]

    def run_chosen(self) -> None:
        if not self.is_mounted or self.followed is None:
            if self.is_mounted:
                self.draw()
            return
        self._newest = self.stage = self.followed.trained_stage
        self._lower.log_view.read(self.followed.run.log_file)
        self.draw()

    def runs_changed(self, changed: Set[Path]) -> None:
        shown = {run.path for run in self.screen_app.pinned}
        if self.followed:
            shown.add(self.followed.run.path)
        if not shown & changed:
            return
        rest = self._drawn_at + DRAW_EVERY_S - time.monotonic()
        if rest <= 0:
            self.draw()
        elif not self._waiting:
            self._waiting = True
            self.set_timer(rest, self._draw_late)

    def ticked(self) -> None:
        if self.is_mounted and self._lower.shown == LOG:
            self._lower.log_view.tick()
            self._head_lower()

    def draw(self) -> None:
        """Everything anew; what has not changed is not written."""
        self._drawn_at = time.monotonic()
        followed = self.followed
        if followed and (followed.trained_stage != self._newest or not self.stage):
            self._newest = self.stage = followed.trained_stage
        self._draw_bars(followed)
        for chart in self.query(Chart):
            chart.planned_end = self.curves.steps if self.curves else 0
            chart.empty = training_text.why_empty(followed)
            chart.redraw()
        if followed:
            stage = followed.state.stages.get(self.stage)
            samples = stage.samples if stage else ()
            self._lower.tell(samples, training_text.notes(followed), self.size.width - 2)
        else:
            self._lower.forget()
        self._head_lower()

    def copied(self) -> tuple[str, str]:
        if below := self._lower.copied():
            return below
        rows = [self.query_one(f"#{name}", Bar).text.plain.strip() for name in ("figures", "pace")]
        return ("\n".join(rows), "the metrics") if any(rows) else ("", "")

    def allows(self, name: str) -> bool:
        followed = self.followed
        if followed is None:
            return name == "wide"
        if name in ("stop", "checkpoint"):
            return followed.at_work
        if name == "resume":
            return not followed.at_work
        if name in ("find", "next_match", "previous_match", "follow"):
            return self._lower.shown == LOG
        if name == "stage":
            return len(followed.curves) > 1
        if name == "save_curves":
            return self.curves is not None
        return True

    # Actions

    def action_stop(self) -> None:
        self.screen_app.steer.stop(self._run)

    def action_resume(self) -> None:
        self.screen_app.steer.resume(self._run)

    def action_checkpoint(self) -> None:
        self.screen_app.steer.checkpoint(self._run)

    def action_smoother(self) -> None:
        self._smooth(1)

    def action_rougher(self) -> None:
        self._smooth(-1)

    def action_log_y(self) -> None:
        memory = self.screen_app.memory
        memory.log_y = not memory.log_y
        self._main.log_y = memory.log_y
        self.draw()

    def action_crosshair(self) -> None:
        if self._main.view.crosshair is None:
            self._main.move_crosshair(0)
        else:
            self._main.view.crosshair = None
        self._look()

    def action_zoom_in(self) -> None:
        self._main.view.zoom(0.5)
        self._look()

    def action_zoom_out(self) -> None:
        self._main.view.zoom(2.0)
        self._look()

    def action_left(self) -> None:
        self._move(-1)

    def action_right(self) -> None:
        self._move(1)

    def action_reset(self) -> None:
        self._main.view.reset()
        self._look()

    def action_figure(self) -> None:
        self.figure = FIGURES[(FIGURES.index(self.figure) + 1) % len(FIGURES)]
        self._main.heading = "" if self.figure == LOSS else self.figure
        self._look()

    def action_stage(self) -> None:
        names = list(self.followed.curves) if self.followed else []
        if self.stage in names:
            self.stage = names[(names.index(self.stage) + 1) % len(names)]
            self.draw()

    def action_answers(self) -> None:
        """All prompts; again: the next one alone, with its answers over time."""
        if self._lower.shown == SAMPLES:
            self._lower.next_prompt()
        self._show_lower(SAMPLES)
        self.draw()

    def action_events(self) -> None:
        self._show_lower(NOTES)

    def action_log(self) -> None:
        self._show_lower(LOG)

    def action_wide(self) -> None:
        """The chart alone, then what is below alone, then both again."""
        chart, below = self.has_class("-big"), self.has_class("-below")
        self.set_class(not chart and not below, "-big")
        self.set_class(chart, "-below")
        if chart:  # what is hidden cannot have the focus
            self._lower.focus_shown()
        else:
            self.focus_first()
        self.call_after_refresh(self.draw)

    def action_find(self) -> None:
        from workbench.tui.dialogs.dialog import Entry

        wanted = self._lower.log_view.wanted
        self.app.push_screen(Entry("Search the log for", wanted), self._find)

    def action_next_match(self) -> None:
        self._find(self._lower.log_view.wanted)

    def action_previous_match(self) -> None:
        self._find(self._lower.log_view.wanted, -1)

    def action_follow(self) -> None:
        self._lower.log_view.follow()
        self._head_lower()

    def action_marks(self) -> None:
        memory = self.screen_app.memory
        memory.marks = "dots" if self._main.glyphs is BLOCKS else "blocks"
        self._take_glyphs()
        self._look()

    def action_save_curves(self) -> None:
        from workbench.tui.chart.file_export import ask

        assert self.curves is not None, "allows() let it through without curves"
        stem = f"{self._run.name}-{self.stage.replace(':', '-')}"
        ask(self.screen_app, stem, self._picture, self.curves)

    def on_chart_looked(self) -> None:
        self._look()

    # Inside

    @property
    def _lower(self) -> LowerPanel:
        return self.query_one(LowerPanel)

    @property
    def _main(self) -> Chart:
        return self.query_one("#main", Chart)

    @property
    def _run(self) -> RunFolder:
        assert self.followed is not None, "allows() let it through without a run"
        return self.followed.run

    def _draw_late(self) -> None:
        self._waiting = False
        self.draw()

    def _draw_bars(self, followed: RunFollower | None) -> None:
        head, line = self.query_one("#head", Bar), self.query_one("#figures", Bar)
        if followed is None:
            head.show(Text(" No run selected. Press 1 for the list of runs; n there starts one."))
            line.show(Text(""))
            self.query_one("#pace", Bar).show(Text(""))
            return
        head.show(training_text.head(followed))
        line.show(training_text.figures(followed, self.stage))
        self.query_one("#pace", Bar).show(training_text.pace(followed, self.stage))

    def _others(self) -> list[tuple[RunFolder, str]]:
        app = self.screen_app
        found = zip(app.pinned, PIN_STYLES, strict=False)
        return [(run, style) for run, style in found if run != app.current]

    def _pinned(self, run: RunFolder, style: str, weight: float) -> Line | None:
        followed = self.screen_app.followed(run)
        stage = self.stage if self.stage in followed.curves else followed.trained_stage
        curves = followed.curves.get(stage)
        return Line(run.name, curves.train, style, weight) if curves else None

    def _smooth(self, by: int) -> None:
        memory = self.screen_app.memory
        memory.smoothing = next_smoothing(memory.smoothing, by)
        self.say(f"smoothing {memory.smoothing:g}")
        self.draw()

    def _move(self, by: int) -> None:
        if self._main.view.crosshair is not None:
            self._main.move_crosshair(by)
        else:
            self._main.view.pan(by / 8)
        self._look()

    def _look(self) -> None:
        """The small charts show the same window as the large one."""
        for chart in self.query(Chart):
            chart.view = self._main.view
            chart.redraw()

    def _show_lower(self, name: str) -> None:
        self.remove_class("-big")
        self._lower.show(name)
        self._head_lower()
        self.refresh_bindings()
        if self.has_focus_within and not self._main.has_focus:
            self._lower.focus_shown()

    def _head_lower(self) -> None:
        self.query_one("#lower-head", Bar).show(self._lower.title())

    def _take_glyphs(self) -> None:
        glyphs = glyphs_for(self.screen_app.memory.marks, os.environ.get("TERM", ""))
        for chart in self.query(Chart):
            chart.glyphs = glyphs

    def _picture(self) -> str:
        """The large chart as it is seen now, as SVG."""
        from workbench.tui.chart.svg import picture

        quantity = "loss, nats per token" if self.figure == LOSS else self.figure
        title, window = f"{self._run.name}, {self.stage}", self._main.view.window
        return picture(self.main_lines(), window, title, quantity, self._main.log_y)

    def _find(self, part: str | None, step: int = 1) -> None:
        if part and not self._lower.log_view.find(part, step):
            self.say(f"'{part}' is not in the log", "warning")
        self._head_lower()
