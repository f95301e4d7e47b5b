"""The file side of the preset's form: open, save, follow, edit by hand, and start a run."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.core.errors import UserError
from workbench.objectives import OBJECTIVES
from workbench.tui import terminal
from workbench.tui.pane import Pane

if TYPE_CHECKING:
    from workbench.tui.panes.preset.draft import Draft, KeyPath
    from workbench.tui.panes.preset.outline import Entry

LOOK_EVERY_S = 1.0


class DraftFile(Pane):
    """Holds the draft; the pane that shows it says how it is drawn and which key is meant."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.draft: Draft | None = None
        self._looked_at = 0.0
        self._told_of = ""

    @property
    def entry(self) -> Entry | None:
        """The key under the cursor."""
        raise AssertionError("the form has one")

    def draw(self) -> None:
        """Everything anew from the draft."""

    def opened(self) -> None:
        """Another preset was opened; it is drawn next."""

    def go_to(self, section: KeyPath, key: KeyPath) -> None:
        """Put the cursor on a key."""

    def ticked(self) -> None:
        now = time.monotonic()
        if self.draft and now - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = now
            self._look_at_disk(self.draft)

    def action_open(self) -> None:
        from workbench.preset.lookup import list_presets
        from workbench.tui.dialogs.picker import Picker

        self.app.push_screen(Picker("Open which preset?", list_presets()), self._leave_for)

    def action_open_file(self) -> None:
        from workbench.tui.dialogs.dialog import Entry

        self.app.push_screen(Entry("Path to the preset's TOML file"), self._leave_for)

    def action_undo(self) -> None:
        assert self.draft is not None
        self.draft.undo()
        self.draw()

    def action_redo(self) -> None:
        assert self.draft is not None
        self.draft.redo()
        self.draw()

    def action_save(self) -> None:
        from workbench.tui.dialogs.dialog import Confirm

        assert self.draft is not None
        if _is_shipped(self.draft.path):
            self.action_save_as()
        elif self.draft.changed_on_disk() is not None:
            question = f"{self.draft.path} has changed on disk. Overwrite it?"
            self.app.push_screen(Confirm(question), lambda yes: self._save() if yes else None)
        else:
            self._save()

    def action_save_as(self) -> None:
        from workbench.tui.dialogs.dialog import Entry

        assert self.draft is not None
        where = Path("presets") if Path("presets").is_dir() else Path()
        name = str(where / self.draft.path.name)

        def then(path: str | None) -> None:
            if path:
                self.screen_app.guarded(lambda: self._save(Path(path).expanduser().absolute()))

        self.app.push_screen(Entry("Save the preset as", name, _file_fault), then)

    def action_editor(self) -> None:
        assert self.draft is not None
        line = self._line()
        if not self.draft.dirty:
            terminal.edit(self.app, self.draft.path, line)
            self._look_at_disk(self.draft)
        else:
            self._edit_a_copy(self.draft, line)
        self.draw()

    def action_add(self) -> None:
        from workbench.tui.dialogs.dialog import Entry
        from workbench.tui.dialogs.picker import Picker

        def typed(kind: str, first: str | None) -> None:
            if first:
                self.screen_app.guarded(lambda: self._add(kind, first))

        def then(kind: str | None) -> None:
            if kind == "train":
                kinds = [(one.name, one.title) for one in OBJECTIVES.values()]
                self.app.push_screen(Picker("Train on what?", kinds), lambda o: typed(kind, o))
            elif kind:
                question = "Path to the file, folder or glob"
                self.app.push_screen(Entry(question), lambda path: typed(kind, path))

        tables = [
            ("data.source", "another file, folder or glob with examples"),
            ("train", "another training stage, after the others"),
            ("evaluate.guard", "prompts that must not get worse"),
        ]
        self.app.push_screen(Picker("Add which section?", tables), then)

    def action_start(self) -> None:
        from workbench.preset.loader import load

        draft = self.draft
        assert draft is not None
        wanted, flags = draft.loaded(), draft.overrides()
        try:
            same = load(str(draft.path), flags).preset == wanted.preset
        except UserError:
            same = False
        if not same:
            raise UserError(
                "these changes cannot be passed as --set flags", hint="press w to save them first"
            )
        self.screen_app.steer.start(self.called(), *flags)

    def read_preset(self, name: str) -> None:
        """Open the preset called so, in the background: the first reading loads the schema."""

        def work() -> Draft:
            from workbench.tui.panes.preset.draft import Draft

            return Draft.open(name)

        self.screen_app.in_background(work, self._opened)

    def _opened(self, draft: Draft) -> None:
        self.draft = draft
        self.screen_app.memory.preset = self.called()
        self.opened()
        self.draw()

    def _leave_for(self, name: str | None) -> None:
        from workbench.tui.dialogs.dialog import Confirm

        if not name:
            return
        if self.draft and self.draft.dirty:
            question = f"Discard unsaved changes to {self.draft.path.name}?"
            self.app.push_screen(
                Confirm(question), lambda yes: self.read_preset(name) if yes else None
            )
        else:
            self.read_preset(name)

    def _save(self, path: Path | None = None) -> None:
        assert self.draft is not None
        self.draft.save(path)
        self.screen_app.memory.preset = self.called()
        self.draw()
        self.say(f"saved {self.draft.path}")

    def _add(self, kind: str, first: str) -> None:
        from workbench.preset.loader import dotted
        from workbench.tui.panes.preset.outline import NEW_TABLES

        assert self.draft is not None
        above = tuple(kind.split("."))
        number = len(self.draft.now.said(above, []))
        section: KeyPath = (*above, number)
        attempt = self.draft.attempt((*section, NEW_TABLES[kind]), first)
        if attempt.refused:
            raise UserError(f"{dotted(section)}: {attempt.refused}")
        self.draft.change(attempt.text)
        self.draw()
        self.go_to(section, (*section, NEW_TABLES[kind]))

    def _edit_a_copy(self, draft: Draft, line: int) -> None:
        """What is not saved is edited in a file of its own and comes back as one change."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / draft.path.name
            copy.write_text(draft.text, encoding="utf-8")
            terminal.edit(self.app, copy, line)
            draft.change(copy.read_text(encoding="utf-8"))

    def _look_at_disk(self, draft: Draft) -> None:
        """Follow the file when somebody else has changed it; never over what is not saved."""
        text = draft.changed_on_disk()
        if text is None or text == self._told_of:
            return
        if draft.dirty:
            self._told_of = text
            self.say(
                f"{draft.path.name} has changed on disk; your unsaved changes were kept", "warning"
            )
            return
        draft.reload(text)
        self.draw()
        self.say(f"{draft.path.name} changed on disk and was reloaded; press u to undo")

    def _line(self) -> int:
        """The line of the text where the cursor's key stands, or the fault."""
        assert self.draft is not None
        trouble, entry = self.draft.now.trouble, self.entry
        if trouble:
            return trouble.line or 1
        return (self.draft.now.places.line(entry.path) if entry else 1) or 1

    def called(self) -> str:
        """How the command line would call the preset: by its name where that means this file."""
        from workbench.preset import lookup

        assert self.draft is not None
        path = self.draft.path
        try:
            return path.stem if lookup.find(path.stem) == path else str(path)
        except UserError:
            return str(path)


def _is_shipped(path: Path) -> bool:
    """Whether the file came with the workbench, and the person works elsewhere."""
    from workbench.preset.lookup import shipped_root

    return path.is_relative_to(shipped_root()) and not Path.cwd().is_relative_to(shipped_root())


def _file_fault(typed: str) -> str:
    if not typed.endswith(".toml"):
        return "the name must end in .toml"
    folder = Path(typed).expanduser().parent
    return "" if folder.is_dir() else f"folder not found: {folder}"
