"""A data set: its rows, each as the model will see it, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from workbench.core.text import one_line, quantity
from workbench.tui import terminal
from workbench.tui.actions import Action
from workbench.tui.pane import Pane
from workbench.tui.panes.data.row_table import DataRows, Findings
from workbench.tui.panes.data.row_view import RowView
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.row_list import TextLines

if TYPE_CHECKING:
    from workbench.dataset.rows import Fault
    from workbench.tui.panes.data.model import DataModel
    from workbench.tui.panes.data.preset_sources import NamedSource
    from workbench.tui.panes.data.row_filter import FilteredRows, RowFilter

FIRST_PRESET = "quickstart"
AT_ONCE_S = 0.02
WIDE = 120
EMPTY = (
    "No dataset is open.",
    "",
    "o  Open a data source of the preset in the Preset pane.",
    "O  Open a file, folder or glob by path.",
)


class DataPane(Pane):
    """Rows above (or left), the row under the cursor below (or right)."""

    ID = "data"
    HELP = (
        "Browse a dataset of any size row by row. The detail view shows the row as the preset's "
        "chat template renders it: trained tokens are bold with a bar next to them, context is "
        "dim, special tokens are reversed, and truncated tokens are struck out."
    )
    ACTIONS = (
        Action("data.look", "enter", "View", "Scroll the row's text; press again to return."),
        Action("data.open", "o", "Open", "Open a data source or prompt file of the preset."),
        Action("data.open_path", "O", "Open path", "Open a file, folder or glob by path."),
        Action("data.find", "slash", "Filter", "Show only rows that match a regular expression."),
        Action("data.category", "c", "Category", "Show only rows of one category."),
        Action("data.only_findings", "x", "Flagged", "Show only rows with findings."),
        Action("data.row", "number_sign", "Go to row", "Go to a row by number.", False),
        Action("data.clear", "escape", "Show all", "Stop the search, or clear the filter.", False),
        Action("data.findings", "f", "Findings", "List all findings with file:line."),
        Action("data.figures", "s", "Stats", "Show row counts, splits and token lengths."),
        Action("data.editor", "e", "Editor", "Open $EDITOR at the current line."),
        Action("data.bounds", "b", "Token bounds", "Show token boundaries by underlining.", False),
        Action("data.reload", "r", "Reload", "Reload the data.", False),
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

    class RowCame(Message):
        """A row is there that was to be drawn before it was read."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.reading: DataModel | None = None
        self.selection: FilteredRows | None = None
        self.named: NamedSource | None = None
        self.view = "row"
        self._drawn = (-1, -1)
        self._back_to = 0  # the row to show once it is known

    def compose(self) -> ComposeResult:
        yield Bar("head")
        with Vertical(id="split"):
            with Vertical(id="list"):
                yield Bar("heads")
                yield DataRows("rows")
                yield Findings("findings")
            yield RowView("detail")

    def on_mount(self) -> None:
        self.query_one("#head", Bar).show(Text(" loading data ...", "dim"))
        if path := self.screen_app.memory.data:
            self.read(path)
        else:
            self._with_sources(lambda found: self._open(found[0]) if found else self.draw())

    def on_unmount(self) -> None:
        if self.reading is not None:
            self.reading.stop()

    def on_resize(self) -> None:
        self.set_class(self.size.width >= WIDE, "-wide")
        self.call_after_refresh(self.draw)

    def focus_first(self) -> None:
        self._list.focus(scroll_visible=False)

    def ticked(self) -> None:
        reading, selection = self.reading, self.selection
        if reading is None or selection is None:
            return
        if reading.replaced:
            name = one_line(Path(reading.source.path).name, 80)
            self.say(f"{name} changed on disk; reloading")
            self.action_reload()
        elif selection.generation != reading.generation:
            self._select(selection.wanted)  # the file has grown
        elif (reading.version, len(selection)) != self._drawn or selection.busy:
            self.draw()

    def allows(self, name: str) -> bool:
        if name in ("open", "open_path"):
            return True
        reading, selection = self.reading, self.selection
        if reading is None or selection is None:
            return False
        match name:
            case "category":
                return bool(set(reading.found.categories) - {""})
            case "clear":
                return not selection.wanted.everything or self.view != "row"
            case "only_findings" | "findings":
                return bool(reading.found.findings)
            case "look" | "bounds":
                return self.view == "row" and bool(len(selection))
            case "row":
                return self.view == "row" and len(selection) > 1
            case "editor":
                return self._place() is not None
        return True

    def copied(self) -> tuple[str, str]:
        from workbench.dataset.rows import Row

        if self.view == "findings":
            return "\n".join(map(str, self.query_one(Findings).findings)), "the findings"
        row = self.query_one(DataRows).chosen
        if row is None:
            return "", ""
        if not isinstance(row, Row):
            return str(row), "the finding"
        text = row.text or "\n\n".join(f"{m.role}:\n{m.said}" for m in row.messages)
        return text, f"the row at {row.place}"

    # Reading

    def read(self, path: str) -> None:
        """Open a file, folder or glob; its first rows are there at once."""
        from workbench.dataset.browse.record_library import SourceRequest
        from workbench.tui.panes.data.preset_sources import NamedSource

        self.query_one(DataRows).cursor = 0
        self._open(NamedSource("", SourceRequest(path), self._preset))

    def _open(self, named: NamedSource) -> None:
        from workbench.tui.panes.data.model import DataModel
        from workbench.tui.panes.data.row_filter import RowFilter

        if self.reading is not None:
            self.reading.stop()
        self.named = named
        self.reading = DataModel(named.source, self._row_came).start()
        self.screen_app.memory.data = named.source.path
        self._view.read(self.reading, named.preset)
        self._select(RowFilter() if self.selection is None else self.selection.wanted)
        self.set_timer(AT_ONCE_S, self._first_rows)

    def _first_rows(self) -> None:
        """Draw as soon as there is something."""
        self.ticked()
        if self.reading is not None and not (len(self.reading) or self.reading.indexed):
            self.set_timer(AT_ONCE_S, self._first_rows)

    def _row_came(self) -> None:
        """In the thread that reads rows: draw one that was late now, not at the next poll."""
        self.post_message(self.RowCame())

    def on_data_pane_row_came(self) -> None:
        if self.screen.is_current:  # else a dialog, with it the whole screen, was drawn again
            self.ticked()

    def _with_sources(self, then: Callable[[list[NamedSource]], None]) -> None:
        def work() -> list[NamedSource]:
            from workbench.tui.panes.data.preset_sources import sources_of

            return sources_of(self._preset)

        self.screen_app.in_background(work, then)

    def _select(self, wanted: RowFilter) -> None:
        from workbench.tui.panes.data.row_filter import FilteredRows

        assert self.reading is not None
        if self.selection is not None:
            self.selection.stop()
        self.selection = FilteredRows(self.reading, wanted)
        self.draw()

    # Drawing

    def draw(self) -> None:
        """Everything anew; what has not changed is not written."""
        from workbench.tui.panes.data.summary_text import heading

        reading, selection = self.reading, self.selection
        if reading is None or selection is None:
            self.query_one("#head", Bar).show(Text(" No data"))
            self._view.tell("", [Text(line) for line in EMPTY])
            return
        self._drawn = (reading.version, len(selection))
        rows = self.query_one(DataRows)
        if len(selection) > self._back_to or reading.indexed:
            rows.show(selection)
            rows.cursor, self._back_to = self._back_to or rows.cursor, 0
        self.query_one("#heads", Bar).show(Text(rows.heads()))
        self.query_one(Findings).show(reading.found.findings, reading.found.left_out)
        self.query_one("#head", Bar).show(heading(reading, selection))
        self._look()
        self.refresh_bindings()

    def _look(self) -> None:
        """Show what belongs to the cursor."""
        if self.view == "figures":
            self._view.show_figures()
            return
        rows = self.query_one(DataRows)
        reading = None if rows.selection is None else rows.selection.reading
        number = rows.chosen_number
        finding = self.query_one(Findings).chosen if self.view == "findings" else None
        if finding is not None:
            reading, number = self.reading, self._number_of(finding)
        if reading is None or number is None:
            self._view.show_row(None) if finding is None else self._view.show_finding(finding)
        else:
            self._view.show_row(reading.entry(number), reading.left_out(number))

    def on_row_list_moved(self, message: DataRows.Moved) -> None:
        if message.rows.id in ("rows", "findings"):
            self._look()
            self.refresh_bindings()

    # Actions

    def action_look(self) -> None:
        text = self._view.query_one(TextLines)
        (self._list if text.has_focus else text).focus()

    def action_open(self) -> None:
        from workbench.tui.dialogs.picker import Picker

        def then(found: list[NamedSource]) -> None:
            names = [(named.name, named.source.path) for named in found]
            by_name = {named.name: named for named in found}
            question = f"Open which source of {self._preset}?"
            self.app.push_screen(
                Picker(question, names), lambda name: self._open(by_name[name]) if name else None
            )

        self._with_sources(then)

    def action_open_path(self) -> None:
        from workbench.tui.dialogs.dialog import Entry

        shown = "" if self.reading is None else self.reading.source.path
        question = "Path to a file, folder or glob"
        self.app.push_screen(Entry(question, shown), lambda path: self.read(path) if path else None)

    def action_find(self) -> None:
        from workbench.dataset.browse.search_process import pattern_fault
        from workbench.tui.dialogs.dialog import Entry

        entry = Entry(
            "Show rows matching (regular expression)", self._wanted.pattern, pattern_fault
        )
        self.app.push_screen(entry, lambda typed: self._filter(pattern=typed))

    def action_category(self) -> None:
        from workbench.tui.dialogs.picker import Picker

        assert self.reading is not None
        found = self.reading.found.categories.most_common()
        names = [(name, quantity(count, "row")) for name, count in found if name]
        self.app.push_screen(
            Picker("Show which category?", names), lambda name: self._filter(category=name)
        )

    def action_only_findings(self) -> None:
        self._filter(with_finding=not self._wanted.with_finding)

    def action_row(self) -> None:
        from workbench.tui.dialogs.dialog import Entry

        count = len(self.selection or ())

        def check(typed: str) -> str:
            fault = _row_fault(typed, count)
            if not fault and self._wanted.everything:
                self._read_ahead(_row_index(typed))
            return fault

        self.app.push_screen(Entry(f"Go to row (1 to {count:,})", "", check), self._go)

    def action_clear(self) -> None:
        from workbench.tui.panes.data.row_filter import RowFilter

        if self.view != "row":
            self._show(self.view)
        elif self.selection is not None and self.selection.busy:
            self.selection.stop()
            self.draw()
        else:
            self._select(RowFilter())

    def action_findings(self) -> None:
        self._show("findings")

    def action_figures(self) -> None:
        self._show("figures")

    def action_bounds(self) -> None:
        self._view.bounds = not self._view.bounds
        self._look()

    def action_reload(self) -> None:
        self._back_to = self.query_one(DataRows).cursor
        if self.named:
            self._open(self.named)

    def action_editor(self) -> None:
        place = self._place()
        assert place is not None, "allows() let it through without a place"
        path, line = place
        terminal.edit(self.app, Path(path), max(1, line))

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
    def _wanted(self) -> RowFilter:
        assert self.selection is not None
        return self.selection.wanted

    def _go(self, typed: str | None) -> None:
        index = _row_index(typed or "")
        if index is not None:
            self.query_one(DataRows).cursor = index

    def _read_ahead(self, index: int | None) -> None:
        """Have the rows ready that `_go` will show: those up to it, or those from it on."""
        if index is not None and self.reading is not None:
            rows = self.query_one(DataRows)
            first = index - rows.size.height if index > rows.cursor else index
            self.reading.ahead(first, first + rows.size.height)

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

    def _number_of(self, finding: Fault) -> int | None:
        """The row in which it was found, None for what concerns a whole file."""
        assert self.reading is not None
        at = self.query_one(Findings).cursor
        path, line = self.reading.found.places[at]
        key = self.reading.key(path, line) if line else None
        return None if key is None else self.reading.number_of(key)

    def _place(self) -> tuple[str, int] | None:
        found = self._list.chosen
        return (found.place.path, found.place.line) if found else None


def _row_index(typed: str) -> int | None:
    """The row's number from 0, None where nothing is typed."""
    digits = typed.replace(",", "").strip()
    return int(digits) - 1 if digits else None


def _row_fault(typed: str, count: int) -> str:
    digits = typed.replace(",", "").strip()
    if not digits:
        return ""
    return (
        ""
        if digits.isdecimal() and 1 <= int(digits) <= count
        else f"enter a number from 1 to {count:,}"
    )
