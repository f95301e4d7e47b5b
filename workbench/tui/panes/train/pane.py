"""A run's training: curves, metrics, samples, notes and the worker's log."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence, Set
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from workbench.run.events import Sampled
from workbench.run.folder import RunFolder
from workbench.tui.actions import Action
from workbench.tui.chart.chart import Chart
from workbench.tui.chart.columns import Line
from workbench.tui.chart.curves import StageCurves
from workbench.tui.chart.plot import BLOCKS, glyphs_for
from workbench.tui.pane import Pane
from workbench.tui.panes.train import training_text
from workbench.tui.panes.train.training_text import answer_lines, prompts_of
from workbench.tui.runs.follower import RunFollower
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.log_view import LogView
from workbench.tui.widgets.row_list import TextLines, wrapped

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
SMOOTHINGS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
SMALL_CHARTS_WIDTH = 96
FIGURES = ("loss", "general text", "learning rate", "gradient norm", "tokens per second")
LOWER = ("answers", "events", "log")
LOWER_TITLES = {"answers": "Samples", "events": "Notes", "log": "Log"}
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
    TrainPane #lower > RowList { height: 1fr; display: none; }
    TrainPane #lower > .-shown { display: block; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.stage = ""
        self.figure = FIGURES[0]
        self.lower = LOWER[0]
        self.prompt = -1  # the one whose answers are shown; -1: all of them
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
        with Vertical(id="lower"):
            yield TextLines("answers")
            yield TextLines("events")
            yield LogView("log")

    def on_mount(self) -> None:
        self.query_one("#main", Chart).lines = self.main_lines
        self.query_one("#rate", Chart).lines = lambda: self._single("rate")
        self.query_one("#norm", Chart).lines = lambda: self._single("norm")
        self.query_one("#main", Chart).log_y = self.screen_app.memory.log_y
        self._take_glyphs()
        self._show_lower(self.lower)
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
        if self.curves is None:
            return []
        if self.figure != "loss":
            return self._single(self.figure)
        weight = self.screen_app.memory.smoothing
        lines = [self._pinned(run, style, weight) for run, style in self._others()]
        return [
            *(line for line in lines if line is not None),
            Line("train", self.curves.train, "train", weight, "raw"),
            Line("val", self.curves.validation, "validation", dotted=True),
        ]

    def run_chosen(self) -> None:
        if not self.is_mounted or self.followed is None:
            if self.is_mounted:
                self.draw()
            return
        self._newest = self.stage = self.followed.trained_stage
        self.query_one(LogView).read(self.followed.run.log_file)
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
        if self.lower == "log" and self.is_mounted:
            log = self.query_one(LogView)
            log.tick()
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
            width = self.size.width - 2
            self.query_one("#answers", TextLines).tell(self._answers(width))
            notes = training_text.notes(followed) or [Text(" No notes or warnings.", "dim")]
            self.query_one("#events", TextLines).tell(wrapped(notes, width))
        self._head_lower()

    def copied(self) -> tuple[str, str]:
        log = self.query_one(LogView)
        if log.has_focus:
            return log.row(log.cursor).plain, "the line of the log"
        if self.lower != "log" and self.query_one(f"#{self.lower}").has_focus:
            lines = [line.plain for line in self.query_one(f"#{self.lower}", TextLines).lines]
            return "\n".join(lines), f"the {LOWER_TITLES[self.lower].lower()}"
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
            return self.lower == "log"
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
        self._main.heading = "" if self.figure == "loss" else self.figure
        self._look()

    def action_stage(self) -> None:
        names = list(self.followed.curves) if self.followed else []
        if self.stage in names:
            self.stage = names[(names.index(self.stage) + 1) % len(names)]
            self.draw()

    def action_answers(self) -> None:
        """All prompts; again: the next one alone, with its answers over time."""
        if self.lower == "answers":
            count = len(prompts_of(self._samples))
            self.prompt = self.prompt + 1 if self.prompt + 1 < count else -1
            self.query_one("#answers", TextLines).cursor = 0
        self._show_lower("answers")
        self.draw()

    def action_events(self) -> None:
        self._show_lower("events")

    def action_log(self) -> None:
        self._show_lower("log")

    def action_wide(self) -> None:
        """The chart alone, then what is below alone, then both again."""
        chart, below = self.has_class("-big"), self.has_class("-below")
        self.set_class(not chart and not below, "-big")
        self.set_class(chart, "-below")
        kept = f"#{self.lower}" if chart else "#main"  # what is hidden cannot have the focus
        self.query_one(kept).focus(scroll_visible=False)
        self.call_after_refresh(self.draw)

    def action_find(self) -> None:
        from workbench.tui.dialogs.dialog import Entry

        wanted = self.query_one(LogView).wanted
        self.app.push_screen(Entry("Search the log for", wanted), self._find)

    def action_next_match(self) -> None:
        self._find(self.query_one(LogView).wanted)

    def action_previous_match(self) -> None:
        self._find(self.query_one(LogView).wanted, -1)

    def action_follow(self) -> None:
        self.query_one(LogView).follow()
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
    def _samples(self) -> Sequence[Sampled]:
        stage = self.followed.state.stages.get(self.stage) if self.followed else None
        return stage.samples if stage else ()

    def _answers(self, width: int) -> list[Text]:
        return answer_lines(self._samples, self.prompt, width)

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

    def _single(self, name: str) -> list[Line]:
        curves = self.curves
        if curves is None:
            return []
        if name in ("rate", "learning rate"):
            return [Line("now", curves.learning_rate, "rate")]
        if name == "general text":
            return [Line("loss", curves.general, "validation", dotted=True)]
        if name in ("norm", "gradient norm"):
            return [Line("now", curves.gradient_norm, "norm")]
        return [Line("now", curves.speed, "speed")]

    def _smooth(self, by: int) -> None:
        memory = self.screen_app.memory
        nearest = min(SMOOTHINGS, key=lambda weight: abs(weight - memory.smoothing))
        index = max(0, min(len(SMOOTHINGS) - 1, SMOOTHINGS.index(nearest) + by))
        memory.smoothing = SMOOTHINGS[index]
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
        self.lower = name
        self.remove_class("-big")
        for widget in self.query("#lower > RowList"):
            widget.set_class(widget.id == name, "-shown")
        if name == "log":
            self.query_one(LogView).tick()
        self._head_lower()
        self.refresh_bindings()
        if self.has_focus_within and not self._main.has_focus:
            self.query_one(f"#{name}").focus(scroll_visible=False)

    def _head_lower(self) -> None:
        log, notes = (
            self.query_one(LogView),
            training_text.notes(self.followed) if self.followed else [],
        )
        asked = len(prompts_of(self._samples))
        which = f" {self.prompt + 1} of {asked}" if 0 <= self.prompt < asked else ""
        counts = {"answers": which, "events": f" {len(notes)}" if notes else ""}
        counts["log"] = f" +{log.unseen} new" if log.unseen else ""
        text = Text()
        for name, key in zip(LOWER, "aew", strict=True):
            style = "bold" if name == self.lower else "dim"
            text.append(f" {key} ", "bold dim").append(
                f"{LOWER_TITLES[name]}{counts[name]}  ", style
            )
        if self.lower == "log":
            text.append("following" if log.following else "f to follow", "dim")
        elif self.lower == "answers" and asked:
            others = {-1: "a: show one", asked - 1: "a: show all"}
            text.append(others.get(self.prompt, "a: show the next"), "dim")
        self.query_one("#lower-head", Bar).show(text)

    def _take_glyphs(self) -> None:
        glyphs = glyphs_for(self.screen_app.memory.marks, os.environ.get("TERM", ""))
        for chart in self.query(Chart):
            chart.glyphs = glyphs

    def _picture(self) -> str:
        """The large chart as it is seen now, as SVG."""
        from workbench.tui.chart.svg import picture

        quantity = "loss, nats per token" if self.figure == "loss" else self.figure
        title, window = f"{self._run.name}, {self.stage}", self._main.view.window
        return picture(self.main_lines(), window, title, quantity, self._main.log_y)

    def _find(self, part: str | None, step: int = 1) -> None:
        if part and not self.query_one(LogView).find(part, step):
            self.say(f"'{part}' is not in the log", "warning")
        self._head_lower()
