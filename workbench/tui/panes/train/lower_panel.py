"""Below the charts of the Train pane: samples, notes or the worker's log, one of them shown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical

from workbench.run.events import Sampled
from workbench.tui.panes.train.training_text import answer_lines, prompts_of
from workbench.tui.widgets.log_view import LogView
from workbench.tui.widgets.row_list import RowList, TextLines, wrapped

SAMPLES, NOTES, LOG = "answers", "events", "log"  # the ids of the three
TITLES = {SAMPLES: "Samples", NOTES: "Notes", LOG: "Log"}
KEYS = {SAMPLES: "a", NOTES: "e", LOG: "w"}


class LowerPanel(Vertical):
    """Samples for the fixed prompts, notes and warnings, and the log; `shown` names the visible."""

    DEFAULT_CSS = """
    LowerPanel > RowList { height: 1fr; display: none; }
    LowerPanel > .-shown { display: block; }
    """

    def __init__(self) -> None:
        super().__init__(id="lower")
        self.shown = SAMPLES
        self.prompt = -1  # the one whose answers are shown; -1: all of them
        self._samples: Sequence[Sampled] = ()
        self._note_count = 0

    def compose(self) -> ComposeResult:
        yield TextLines(SAMPLES)
        yield TextLines(NOTES)
        yield LogView(LOG)

    @property
    def log_view(self) -> LogView:
        """The worker's log."""
        return self.query_one(LogView)

    def tell(self, samples: Sequence[Sampled], notes: Sequence[Text], width: int) -> None:
        """Show the run's samples and notes, `width` columns wide."""
        self._samples, self._note_count = samples, len(notes)
        self.query_one(f"#{SAMPLES}", TextLines).tell(answer_lines(samples, self.prompt, width))
        lines = notes or [Text(" No notes or warnings.", "dim")]
        self.query_one(f"#{NOTES}", TextLines).tell(wrapped(lines, width))

    def forget(self) -> None:
        """There is no run: nothing is counted in the title."""
        self._samples, self._note_count = (), 0

    def show(self, name: str) -> None:
        """Make one of the three visible."""
        self.shown = name
        for widget in self.query(RowList):
            widget.set_class(widget.id == name, "-shown")
        if name == LOG:
            self.log_view.tick()

    def next_prompt(self) -> None:
        """Show the answers to the next prompt alone, after the last those to all."""
        count = len(prompts_of(self._samples))
        self.prompt = self.prompt + 1 if self.prompt + 1 < count else -1
        self.query_one(f"#{SAMPLES}", TextLines).cursor = 0

    def focus_shown(self) -> None:
        """Give the focus to what is visible."""
        self.query_one(f"#{self.shown}").focus(scroll_visible=False)

    def copied(self) -> tuple[str, str] | None:
        """What the clipboard gets of the part that has the focus, and its name; None without."""
        log = self.log_view
        if log.has_focus:
            return log.row(log.cursor).plain, "the line of the log"
        if self.shown != LOG and self.query_one(f"#{self.shown}").has_focus:
            lines = [line.plain for line in self.query_one(f"#{self.shown}", TextLines).lines]
            return "\n".join(lines), f"the {TITLES[self.shown].lower()}"
        return None

    def title(self) -> Text:
        """The names of the three with their keys and counts, and what can be done now."""
        log, asked = self.log_view, len(prompts_of(self._samples))
        counts = {
            SAMPLES: f" {self.prompt + 1} of {asked}" if 0 <= self.prompt < asked else "",
            NOTES: f" {self._note_count}" if self._note_count else "",
            LOG: f" +{log.unseen} new" if log.unseen else "",
        }
        text = Text()
        for name, title in TITLES.items():
            style = "bold" if name == self.shown else "dim"
            text.append(f" {KEYS[name]} ", "bold dim").append(f"{title}{counts[name]}  ", style)
        if self.shown == LOG:
            text.append("following" if log.following else "f to follow", "dim")
        elif self.shown == SAMPLES and asked:
            others = {-1: "a: show one", asked - 1: "a: show all"}
            text.append(others.get(self.prompt, "a: show the next"), "dim")
        return text
