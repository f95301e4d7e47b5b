"""A preset as a form: every key explained and checked as it is typed; then start a run with it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Input

from workbench.tui.actions import Action
from workbench.tui.panes.preset.dry_run import DraftDryRun
from workbench.tui.panes.preset.field_list import Branches, Fields
from workbench.tui.styled_text import styled
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.row_list import TextLines, wrapped

if TYPE_CHECKING:
    from workbench.tui.panes.preset.draft import EditAttempt, KeyPath
    from workbench.tui.panes.preset.outline import Entry

FIRST = "quickstart"
WIDE = 110
VIEWS = ("key", "faults", "changes", "plan")
TITLES = {"key": "preset key", "faults": "errors", "changes": "changes", "plan": "run plan"}


class PresetPane(DraftDryRun):
    """The draft of one preset; the file changes when it is saved."""

    ID = "preset"
    HELP = (
        "Edit a preset as a form: sections on the left, keys on the right, a key's description "
        "below. ✗ marks an error, * an unsaved change; dim values are defaults. A run started here "
        "uses the current values, saved or not."
    )
    ACTIONS = (
        Action("preset.edit", "enter", "Edit", "Edit the value; it is checked as you type."),
        Action("preset.start", "r", "Start run", "Start a run with the current values."),
        Action("preset.save", "w", "Save", "Save changes; keeps comments and order."),
        Action("preset.open", "o", "Open", "Open another preset."),
        Action("preset.undo", "u", "Undo", "Undo the last change."),
        Action("preset.redo", "U", "Redo", "Redo the last undone change.", False),
        Action("preset.plan", "p", "Plan", "Count rows, steps and memory, as --dry-run does."),
        Action("preset.faults", "f", "Errors", "Show invalid and conflicting values."),
        Action("preset.next_fault", "n", "Next error", "Go to the next key with an error."),
        Action("preset.changes", "c", "Changes", "Show changes from the file.", False),
        Action("preset.default", "d", "Reset", "Reset the key to its default.", False),
        Action("preset.editor", "e", "Editor", "Edit the TOML text in $EDITOR."),
        Action("preset.add", "a", "Add", "Add a data source, stage or guard.", False),
        Action("preset.open_file", "O", "Open file", "Open a preset file by path.", False),
        Action("preset.save_as", "W", "Save as", "Save the preset to another file.", False),
        Action("preset.sections", "left,h", "Sections", "Go to the section list.", False),
        Action("preset.keys", "right,l", "Keys", "Go to the keys of the section.", False),
        Action("preset.leave", "escape", "Cancel", "Discard the edited value.", False, False),
    )
    DEFAULT_CSS = """
    PresetPane #form { height: 1fr; min-height: 6; }
    PresetPane Branches { width: 24; border-right: vkey $panel; }
    PresetPane #below { height: 8; }
    PresetPane.-tall #below { height: 14; }
    PresetPane #told { width: 1fr; }
    PresetPane #typed { display: none; background: $panel; height: 1; padding: 0 1; }
    PresetPane.-typing #typed { display: block; }
    PresetPane #beside { width: 1fr; display: none; border-left: vkey $panel; }
    PresetPane.-wide #beside { display: block; }
    PresetPane #estimate { background: $surface; padding: 0 1; }
    PresetPane .title { background: $surface; }
    PresetPane TextLines { height: 1fr; padding: 0 1; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view = "key"
        self._section_drawn: KeyPath | None = None

    def compose(self) -> ComposeResult:
        yield Bar("head")
        with Horizontal(id="form"):
            yield Branches("sections")
            yield Fields("fields")
        yield Bar("estimate")
        with Horizontal(id="below"):
            with Vertical(id="told"):
                title = Bar("title")
                title.add_class("title")
                yield title
                yield Input(id="typed", compact=True, select_on_focus=True)
                yield TextLines("about")
            with Vertical(id="beside"):
                title = Bar("beside-title")
                title.add_class("title")
                yield title
                yield TextLines("more")

    def on_mount(self) -> None:
        self.query_one("#head", Bar).show(styled(" loading the preset ...", "dim"))
        self.read_preset(self.screen_app.memory.preset or FIRST)

    def on_resize(self) -> None:
        self.set_class(self.size.width >= WIDE, "-wide")
        self.set_class(self.size.height >= 30, "-tall")
        if self.draft:
            self.call_after_refresh(self.draw)

    def focus_first(self) -> None:
        self.query_one(Branches).focus(scroll_visible=False)

    def allows(self, name: str) -> bool:
        typing = self.has_class("-typing")
        if name == "leave" or typing:
            return typing and name == "leave"
        draft = self.draft
        if draft is None:
            return name in ("open", "open_file")
        if draft.now.trouble:
            return name in ("open", "open_file", "editor", "undo", "redo", "faults")
        match name:
            case "undo":
                return draft.can_undo
            case "redo":
                return draft.can_redo
            case "save":
                return draft.dirty
            case "next_fault":
                return bool(draft.now.faults)
            case "edit" | "default":
                return self.entry is not None
        return True

    def copied(self) -> tuple[str, str]:
        return (self.draft.text, "the preset's TOML") if self.draft else ("", "")

    # Drawing

    def opened(self) -> None:
        self.view = "key"
        self.query_one(Branches).cursor = 0

    def estimated(self) -> None:
        self.query_one("#estimate", Bar).show(self.summary)
        if self.draft is not None and self._section_drawn is not None:
            self._draw_told()

    def draw(self) -> None:
        """Everything anew from the draft."""
        from workbench.tui.panes.preset import form_text, outline

        draft = self.draft
        if draft is None:
            return
        self.query_one("#head", Bar).show(form_text.head(draft))
        faulty = [outline.section_of_fault(fault.path)[0] for fault in draft.now.faults]
        changed = [path[:-1] for path in draft.changed()]
        branches = [] if draft.now.trouble else outline.branches(draft)
        self.query_one(Branches).show(branches, _and_above(changed), _and_above(faulty))
        self._draw_fields()
        self.refresh_bindings()

    def _draw_fields(self) -> None:
        from workbench.tui.panes.preset import outline

        assert self.draft is not None
        section = self._section_drawn = self._section_chosen
        found = [] if section is None else outline.entries(self.draft, section)
        self.query_one(Fields).show(found)
        self._draw_told()

    def _draw_told(self) -> None:
        from workbench.tui.panes.preset import form_text

        draft, entry = self.draft, self.entry
        if draft is None:
            return
        wide = self.has_class("-wide")
        shown = "key" if wide or self.has_class("-typing") else self.view
        at_fault = bool(draft.now.faults or draft.now.trouble)
        more = self.view if self.view != "key" else "faults" if at_fault else "plan"
        about, width = self.query_one("#about", TextLines), self._about_width
        if shown == "key" and entry and self.has_class("-typing"):
            attempt = draft.attempt(entry.path, self.query_one("#typed", Input).value)
            about.tell(form_text.attempted(attempt.refused, attempt.told, entry, width))
        elif shown == "key" and not draft.now.trouble:
            about.tell(form_text.explained(entry, width) if entry else [])
        else:
            about.tell(self._lines("faults" if shown == "key" else shown))
        name = entry.key if entry and shown == "key" else TITLES[shown]
        self.query_one("#title", Bar).show(styled(f" {name}", "bold"))
        self.query_one("#beside-title", Bar).show(styled(f" {TITLES[more]}", "bold"))
        self.query_one("#more", TextLines).tell(self._lines(more))

    def _lines(self, view: str) -> list[Text]:
        from workbench.tui.panes.preset import form_text

        assert self.draft is not None
        if view == "changes":
            return form_text.change_lines(self.draft)
        if view == "plan":
            wide = self.has_class("-wide")
            box = self.query_one("#more" if wide else "#about", TextLines)
            return wrapped(self.plan, max(20, box.size.width - 3))
        return form_text.fault_lines(self.draft)

    @property
    def entry(self) -> Entry | None:
        return self.query_one(Fields).entry

    @property
    def _section_chosen(self) -> KeyPath | None:
        sections = self.query_one(Branches)
        return sections.branches[sections.cursor].path if sections.branches else None

    @property
    def _about_width(self) -> int:
        return max(20, self.query_one("#about", TextLines).size.width - 3)

    def on_row_list_moved(self, message: Fields.Moved) -> None:
        if self.draft is None:
            return
        if message.rows.id == "sections":
            if self._section_chosen != self._section_drawn:
                self.query_one(Fields).cursor = 0
                self._draw_fields()
        elif message.rows.id == "fields":
            self._draw_told()

    def on_row_list_chosen(self, message: Fields.Chosen) -> None:
        if message.rows.id == "fields":
            self.action_edit()

    # Typing a value

    def action_edit(self) -> None:
        fields, entry = self.query_one(Fields), self.entry
        if not fields.has_focus or entry is None:
            fields.focus()
            return
        if entry.field.kind == "switch" and not entry.faults:
            self._take(entry, "false" if entry.value else "true")
            return
        self.add_class("-typing")
        typed = self.query_one("#typed", Input)
        typed.value = entry.typed
        typed.focus()
        self._draw_told()
        self.refresh_bindings()

    def on_input_changed(self, event: Input.Changed) -> None:
        if self.has_class("-typing"):
            self._draw_told()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        entry = self.entry
        if entry and self._take(entry, event.value):
            self.action_leave()

    def on_key(self, event: events.Key) -> None:
        """Up and down go through the choices of the value that is being typed."""
        if self.has_class("-typing") and event.key in ("up", "down"):
            event.stop()
            self._turn(1 if event.key == "down" else -1)

    def action_leave(self) -> None:
        self.remove_class("-typing")
        self.query_one(Fields).focus()
        self.draw()

    def action_default(self) -> None:
        assert self.draft is not None
        if self.entry:
            self._make(self.entry, self.draft.without(self.entry.path))

    def _turn(self, step: int) -> None:
        from workbench.tui.panes.preset.outline import choices_of

        typed, entry = self.query_one("#typed", Input), self.entry
        choices = choices_of(entry.field) if entry else []
        if choices:
            here = choices.index(typed.value) if typed.value in choices else -min(step, 0)
            typed.value = choices[(here + step) % len(choices)]
            typed.cursor_position = len(typed.value)

    def _take(self, entry: Entry, typed: str) -> bool:
        """Make the change; False, with the reason in the status bar, when it is refused."""
        assert self.draft is not None
        return self._make(entry, self.draft.attempt(entry.path, typed))

    def _make(self, entry: Entry, attempt: EditAttempt) -> bool:
        assert self.draft is not None
        if attempt.refused:
            self.say(f"{entry.key}: {attempt.refused}", "error")
            return False
        self.draft.change(attempt.text)
        self.draw()
        if attempt.told:
            self.say(f"{entry.key}: {attempt.told}", "warning")
        else:
            self.say("")
        return True

    # Views and places

    def action_plan(self) -> None:
        assert self.draft is not None
        if self.view != "plan":
            flags = [f"--set {shlex.quote(flag)}" for flag in self.draft.overrides()]
            self.screen_app.say_command("--preset", self.called(), *flags, "--dry-run")
            self.count_if_new()
        self._show("plan")

    def action_faults(self) -> None:
        self._show("faults")

    def action_changes(self) -> None:
        self._show("changes")

    def action_next_fault(self) -> None:
        from workbench.tui.panes.preset.outline import section_of_fault

        assert self.draft is not None
        here = self.entry.path if self.entry else ()
        places = [section_of_fault(fault.path) for fault in self.draft.now.faults]
        keys = [key for _, key in places]
        turn = keys.index(here) + 1 if here in keys else 0
        self.go_to(*places[turn % len(places)])

    def action_sections(self) -> None:
        self.query_one(Branches).focus()

    def action_keys(self) -> None:
        self.query_one(Fields).focus()

    def _show(self, view: str) -> None:
        self.view = "key" if self.view == view else view
        self._draw_told()

    def go_to(self, section: KeyPath, key: KeyPath) -> None:
        sections, fields = self.query_one(Branches), self.query_one(Fields)
        paths = [branch.path for branch in sections.branches]
        if section in paths:
            sections.cursor = paths.index(section)
            self._draw_fields()
        keys = [entry.path for entry in fields.entries]
        if key in keys:
            fields.point_at(keys.index(key))
        fields.focus()
        self._draw_told()


def _and_above(paths: list[KeyPath]) -> set[object]:
    """The sections and all around them."""
    return {path[:end] for path in paths for end in range(1, len(path) + 1)} | {
        path for path in paths if path == ()
    }
