"""A data set: its rows, each as the model will see it, and what is wrong with them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical

from workbench.text import one_line
from workbench.tui import editor
from workbench.tui.actions import Action
from workbench.tui.pane import Pane
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.datarows import DataRows, Findings
from workbench.tui.widgets.rowview import RowView
from workbench.tui.widgets.textlines import TextLines

if TYPE_CHECKING:
    from workbench.dataset.rows import Place, Row
    from workbench.tui.dataview.reading import DataReading
    from workbench.tui.dataview.selection import Selection, Wanted
    from workbench.tui.dataview.sources import Source

FIRST_PRESET = "quickstart"
LOOK_EVERY_S = 1.0
WIDE = 120
EMPTY = (
    "No data set is open.",
    "",
    "o  opens a source of the preset that the Preset pane shows.",
    "O  opens a file, folder or glob by its path.",
)


class DataPane(Pane):
    """Rows above (or left), the row under the cursor below (or right)."""

    ID = "data"
    HELP = (
        "A data set row by row. Below stands the row as the chat template of the preset renders "
        "it: what is learnt is bold, what is only read is dim, control tokens are reversed, and "
        "what the sequence length cuts off is struck out."
    )
    ACTIONS = (
        Action("data.look", "enter", "Read", "Scroll through the row's text; the same key back."),
        Action("data.open", "o", "Open", "Open a source of the preset, or its prompts."),
        Action("data.open_path", "O", "Path", "Open a file, folder or glob by its path."),
        Action("data.find", "slash", "Find", "Show only rows that hold a regular expression."),
        Action("data.category", "c", "Category", "Show only the rows of a category."),
        Action("data.only_findings", "x", "Only !", "Show only rows with a fault or a note."),
        Action("data.clear", "escape", "All", "Show all rows again.", False),
        Action("data.findings", "f", "Findings", "Faults, notes and duplicates, file:line."),
        Action("data.figures", "s", "Figures", "Counts by category, lengths in tokens."),
        Action("data.editor", "e", "$EDITOR", "Open your editor at the line under the cursor."),
        Action("data.bounds", "b", "Tokens", "Underline every second token.", False),
        Action("data.reload", "r", "Reload", "Read the data again.", False),
    )
    DEFAULT_CSS = """
    DataPane #heads { color: $text-muted; }
    DataPane #split { height: 1fr; }
    DataPane #list, DataPane #detail { height: 1fr; }
    DataPane #split { layout: vertical; }
    DataPane.-wide #split { layout: horizontal; }
    DataPane.-wide #list { width: 5fr; }
    DataPane.-wide #detail { width: 4fr; border-left: vkey $panel; }
    DataPane.-alone #list { display: none; }
    DataPane #findings { display: none; }
    DataPane.-findings #findings { display: block; }
    DataPane.-findings DataRows, DataPane.-findings #heads { display: none; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.reading: DataReading | None = None
        self.selection: Selection | None = None
        self.source: Source | None = None
        self.view = "row"
        self._drawn: tuple[int, int, bool] = (-1, -1, False)
        self._looked_at = 0.0
        self._scanning = False

    def compose(self) -> ComposeResult:
        yield Bar("head")
        with Vertical(id="split"):
            with Vertical(id="list"):
                yield Bar("heads")
                yield DataRows("rows")
                yield Findings("findings")
            yield RowView("detail")

    def on_mount(self) -> None:
        self.query_one("#head", Bar).show(Text(" looking for data ...", "dim"))
        path, preset = self.screen_app.memory.data, self._preset
        if path:
            self.read(path, preset=preset)
        else:
            self._with_sources(lambda found: self._open(found[0]) if found else self.draw())

    def on_unmount(self) -> None:
        if self.reading:
            self.reading.stop()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= WIDE, "-wide")
        self.call_after_refresh(self.draw)

    def focus_first(self) -> None:
        self._list.focus(scroll_visible=False)

    def ticked(self) -> None:
        reading = self.reading
        if reading is None:
            return
        if (len(reading.rows), len(reading.findings), reading.done) != self._drawn:
            self.draw()
        self.query_one("#heads", Bar).show(Text(self.query_one(DataRows).heads()))
        self._scan()
        now = time.monotonic()
        if reading.done and now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            if reading.changed_on_disk():
                self.say(f"{one_line(str(reading.path))} changed on disk and is read again")
                self.action_reload()

    def allows(self, name: str) -> bool:
        if name in ("open", "open_path"):
            return True
        reading, selection = self.reading, self.selection
        if reading is None or selection is None:
            return False
        match name:
            case "category":
                return bool(set(reading.categories) - {""})
            case "clear":
                return not selection.wanted.everything or self.view != "row"
            case "only_findings" | "findings":
                return bool(reading.findings)
            case "look" | "bounds":
                return self.view == "row" and bool(len(selection))
            case "editor":
                return self._place() is not None
        return True

    def copied(self) -> tuple[str, str]:
        row = self.query_one(DataRows).chosen
        if self.view == "findings":
            return "\n".join(map(str, self.query_one(Findings).findings)), "the findings"
        if row is None:
            return "", ""
        text = row.text or "\n\n".join(f"{m.role}:\n{m.content}" for m in row.messages)
        return text, f"the row at {row.place}"

    # Reading

    def read(self, path: str, format: str = "auto", preset: str = "", answers: bool = True) -> None:
        """Open a file, folder or glob; its first rows are there with the next poll."""
        from workbench.tui.dataview.reading import DataReading
        from workbench.tui.dataview.selection import Wanted
        from workbench.tui.dataview.sources import Source

        if self.reading:
            self.reading.stop()
        self.source = Source("", path, format, answers, preset or self._preset)
        self.reading = DataReading(Path(path), format, answers=answers).start()
        self.screen_app.memory.data = path
        self._select(Wanted() if self.selection is None else self.selection.wanted)
        self._view.read(self.reading, self.source.preset)
        self.set_timer(0.05, self.ticked)

    def _with_sources(self, then: Callable[[list[Source]], None]) -> None:
        def work() -> list[Source]:
            from workbench.tui.dataview.sources import sources_of

            return sources_of(self._preset)

        self.screen_app.in_background(work, then)

    def _select(self, wanted: Wanted) -> None:
        from workbench.tui.dataview.selection import Selection

        assert self.reading is not None
        self.selection = Selection(self.reading, wanted)
        self.draw()
        self._scan()

    def _scan(self) -> None:
        """Look at more rows for the filter, and go on soon while there are any."""
        selection = self.selection
        if selection is None:
            return
        if selection.advance():
            self.draw()
        if selection.behind and not self._scanning:
            self._scanning = True
            self.set_timer(0.005, self._scan_on)

    def _scan_on(self) -> None:
        self._scanning = False
        self._scan()

    # Drawing

    def draw(self) -> None:
        """Everything anew; what has not changed is not written."""
        reading, selection = self.reading, self.selection
        if reading is None or selection is None:
            self.query_one("#head", Bar).show(Text(" No data"))
            self._view.tell("", [Text(line) for line in EMPTY])
            return
        self._drawn = (len(reading.rows), len(reading.findings), reading.done)
        rows = self.query_one(DataRows)
        rows.show(selection)
        self.query_one(Findings).show(reading.findings)
        self.query_one("#head", Bar).show(self._head(reading, selection))
        self._look()
        self.refresh_bindings()

    def _head(self, reading: DataReading, selection: Selection) -> Text:
        text = Text(" ").append(one_line(reading.path.name, 40), "bold")
        text.append(f"  {reading.kinds}  ")
        count = f"{len(reading.rows):,} rows"
        if not selection.wanted.everything:
            count = f"{len(selection):,} of {count} {one_line(selection.wanted.told(), 40)}"
        text.append(count, "" if selection.wanted.everything else "yellow")
        if reading.trouble:
            text.append(f"  {one_line(reading.trouble, 200)}", "red")
        elif not reading.read:
            text.append("  reading ...", "yellow")
        elif not reading.done:
            text.append("  looking for duplicates ...", "yellow")
        faults = sum(fault.fatal for fault in reading.faults)
        if faults:
            text.append(f"  ✗ {faults:,}", "red")
        notes = len(reading.findings) - faults
        if notes:
            text.append(f"  ! {notes:,}", "yellow")
        return text.append(f"  {one_line(str(reading.path), 200)}", "dim")

    def _look(self) -> None:
        """Show what belongs to the cursor."""
        if self.view == "figures":
            self._view.show_figures()
            return
        finding = self.query_one(Findings).chosen if self.view == "findings" else None
        if finding is None:
            self._view.show_row(self.query_one(DataRows).chosen)
        elif row := self._row_at(finding.place):
            self._view.show_row(row)
        else:
            self._view.show_finding(finding)

    def on_rows_moved(self, message: DataRows.Moved) -> None:
        if message.rows.id in ("rows", "findings"):
            self._look()
            self.refresh_bindings()

    # Actions

    def action_look(self) -> None:
        text = self._view.query_one(TextLines)
        (self._list if text.has_focus else text).focus()

    def action_open(self) -> None:
        from workbench.tui.dialogs.picker import Picker

        def then(found: list[Source]) -> None:
            names = [(source.name, source.path) for source in found]
            by_name = {source.name: source for source in found}
            question = f"Which source of {self._preset}?"
            self.app.push_screen(
                Picker(question, names), lambda name: self._open(by_name[name]) if name else None
            )

        self._with_sources(then)

    def action_open_path(self) -> None:
        from workbench.tui.dialogs.entry import Entry

        shown = str(self.reading.path) if self.reading else ""
        question = "Path of a file, folder or glob"
        self.app.push_screen(Entry(question, shown), lambda path: self.read(path) if path else None)

    def action_find(self) -> None:
        from workbench.tui.dataview.selection import pattern_fault
        from workbench.tui.dialogs.entry import Entry

        entry = Entry(
            "Show rows that hold (regular expression)", self._wanted.pattern, pattern_fault
        )
        self.app.push_screen(entry, lambda typed: self._filter(pattern=typed))

    def action_category(self) -> None:
        from workbench.tui.dialogs.picker import Picker

        assert self.reading is not None
        found = self.reading.categories.most_common()
        names = [(name, f"{count:,} rows") for name, count in found if name]
        self.app.push_screen(
            Picker("Which category?", names), lambda name: self._filter(category=name)
        )

    def action_only_findings(self) -> None:
        self._filter(with_finding=not self._wanted.with_finding)

    def action_clear(self) -> None:
        from workbench.tui.dataview.selection import Wanted

        if self.view != "row":
            self._show(self.view)
        else:
            self._select(Wanted())

    def action_findings(self) -> None:
        self._show("findings")

    def action_figures(self) -> None:
        self._show("figures")

    def action_bounds(self) -> None:
        self._view.bounds = not self._view.bounds
        self._look()

    def action_reload(self) -> None:
        if self.source:
            source = self.source
            self.read(source.path, source.format, source.preset, source.answers)

    def action_editor(self) -> None:
        place = self._place()
        assert place is not None, "allows() let it through without a place"
        path, line = place
        editor.edit(self.app, Path(path), max(1, line))

    # Inside

    @property
    def _view(self) -> RowView:
        return self.query_one(RowView)

    @property
    def _list(self) -> DataRows | Findings:
        if self.view == "findings":
            return self.query_one(Findings)
        return self.query_one(DataRows)

    @property
    def _preset(self) -> str:
        return self.screen_app.memory.preset or FIRST_PRESET

    @property
    def _wanted(self) -> Wanted:
        assert self.selection is not None
        return self.selection.wanted

    def _open(self, source: Source) -> None:
        self.read(source.path, source.format, source.preset, source.answers)

    def _filter(self, **changes: str | bool | None) -> None:
        from dataclasses import replace

        if None not in changes.values():
            self.query_one(DataRows).cursor = 0
            self._select(replace(self._wanted, **changes))  # type: ignore[arg-type]

    def _show(self, view: str) -> None:
        self.view = "row" if self.view == view else view
        self._view.forget()
        self.set_class(self.view == "findings", "-findings")
        alone = self.view == "figures" and not self.has_class("-wide")
        self.set_class(alone, "-alone")
        (self._view.query_one(TextLines) if alone else self._list).focus()
        self.draw()

    def _row_at(self, place: Place) -> Row | None:
        """The row that was read there, if there is one."""
        rows = self.reading.rows if self.reading else []
        return next((row for row in rows if row.place == place), None)

    def _place(self) -> tuple[str, int] | None:
        if self.view == "findings":
            finding = self.query_one(Findings).chosen
            return (finding.place.path, finding.place.line) if finding else None
        row = self.query_one(DataRows).chosen
        return (row.place.path, row.place.line) if row else None
