"""A run's export: tensors as they go, the files with their parity, the Modelfile, how to go on."""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path
from typing import cast

from rich.text import Text
from textual.app import ComposeResult
from textual.timer import Timer

from workbench.core.text import visible
from workbench.run.export_requests import MERGED, ExportRequest
from workbench.run.folder import RunFolder
from workbench.run.state import RunState
from workbench.tui.actions import Action
from workbench.tui.pane import Pane
from workbench.tui.panes.export import file_table
from workbench.tui.panes.export.ollama_upload import OllamaUpload
from workbench.tui.panes.export.progress import head, way_line
from workbench.tui.runs.follower import RunFollower
from workbench.tui.widgets.bar import Bar
from workbench.tui.widgets.row_list import RowList, TextLines

TAKING_EVERY_S = 0.3


class FileRows(RowList):
    """The exported files, one a line."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.files: Sequence[file_table.ExportedFile] = ()

    def show(self, files: Sequence[file_table.ExportedFile]) -> None:
        """Draw these, where they are others."""
        if list(files) != list(self.files):
            self.files = files
            self.changed(len(files))

    def row(self, index: int) -> Text:
        line = Text(" ").append_text(file_table.row(self.files[index]))
        return Text(line.plain) if index == self.cursor and self.has_focus else line


class ExportPane(Pane):
    """The current run's model files."""

    ID = "export"
    HELP = (
        "The current run's export, from the adapter to the Modelfile: each GGUF type with its "
        "size, the tensors stored in a fallback type, and the distance from the trained model (KL "
        "divergence in nats; top-1 is the share of positions with the same most likely token). x "
        "exports another type; existing files are kept."
    )
    ACTIONS = (
        Action("export.chat", "enter", "Chat", "Chat with the selected model."),
        Action("export.another", "x", "Export", "Export another GGUF type."),
        Action("export.ollama", "o", "Ollama", "Create the model in Ollama, or cancel."),
        Action("export.modelfile", "m", "Modelfile", "Show the Modelfile, or the next steps."),
        Action("export.resume", "r", "Resume", "Resume a run that has not exported yet."),
        Action("export.lower", "tab", "Scroll", "Switch between the table and the text.", False),
    )
    DEFAULT_CSS = """
    ExportPane #heads { color: $text-muted; }
    ExportPane FileRows { height: 1fr; max-height: 10; }
    ExportPane #title { background: $surface; }
    ExportPane #text { height: 2fr; padding: 0 1; }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.shows_modelfile = False
        self._taking: OllamaUpload | None = None
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Bar("head")
        yield Bar("way")
        yield Bar("heads")
        yield FileRows("files")
        yield Bar("title")
        yield TextLines("text")

    def on_mount(self) -> None:
        self.query_one("#heads", Bar).show(Text(f" {file_table.COLUMNS}"))
        self.draw()

    def on_unmount(self) -> None:
        if self._taking:
            self._taking.let_go()

    @property
    def followed(self) -> RunFollower | None:
        """The current run's state."""
        run = self.screen_app.current
        return self.screen_app.followed(run) if run else None

    @property
    def chosen(self) -> file_table.ExportedFile | None:
        """The file under the cursor."""
        rows = self.query_one(FileRows)
        return rows.files[rows.cursor] if rows.files else None

    def run_chosen(self) -> None:
        if self.is_mounted:
            self.draw()

    def runs_changed(self, changed: Set[Path]) -> None:
        if self.followed and self.followed.run.path in changed:
            self.draw()

    def allows(self, name: str) -> bool:
        followed = self.followed
        if followed is None:
            return False
        if name == "resume":
            return not followed.at_work and followed.state.status != "done"
        if name == "another":
            return not followed.at_work and trained(followed.state)
        has_modelfile = (followed.run.export / file_table.MODELFILE).is_file()
        if name == "modelfile":
            return self.shows_modelfile or has_modelfile
        if name == "ollama":
            return self._taking is not None or (has_modelfile and self._has_file)
        return self._has_file

    @property
    def _has_file(self) -> bool:
        return self.chosen is not None and bool(self.chosen.path)

    def copied(self) -> tuple[str, str]:
        followed = self.followed
        if followed is None:
            return "", ""
        if self.shows_modelfile:
            return file_table.modelfile(followed.run), "the Modelfile"
        return "\n".join(file_table.go_on(followed.run, followed.state)), "the commands"

    def draw(self) -> None:
        """Everything anew; what has not changed is not written."""
        followed, text = self.followed, self.query_one("#text", TextLines)
        files = file_table.exported(followed.run, followed.state) if followed else []
        self.query_one(FileRows).show(files)
        self.query_one("#head", Bar).show(head(followed) if followed else Text(""))
        self.query_one("#way", Bar).show(way_line(followed.state) if followed else Text(""))
        if followed and self.shows_modelfile:
            lines = visible(file_table.modelfile(followed.run)).split("\n")
            text.tell([Text(line) for line in lines])
        elif followed and files:
            text.tell(file_table.lower_lines(followed.run, followed.state))
        else:
            text.tell([Text(line) for line in file_table.why_empty(followed)])
        title = file_table.MODELFILE if self.shows_modelfile else self._place()
        self.query_one("#title", Bar).show(Text(f" {visible(title)}", "bold"))
        self.refresh_bindings()

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        if message.rows.id == "files":
            self.draw()

    async def on_row_list_chosen(self, message: RowList.Chosen) -> None:
        if message.rows.id == "files":
            await self.action_chat()

    async def action_chat(self) -> None:
        from workbench.tui.panes.chat.model_list import exported_model
        from workbench.tui.panes.chat.pane import ChatPane

        chosen, followed = self.chosen, self.followed
        assert chosen is not None and followed is not None, "allows() let it through"
        pane = cast(ChatPane, await self.screen_app.go("chat"))
        run = followed.run
        pane.talk_to(exported_model(run, run.path / chosen.path, chosen.type))

    def action_another(self) -> None:
        from workbench.tui.dialogs.picker import Picker

        assert self.followed is not None, "allows() let it through without a run"
        run = self.followed.run

        def then(name: str | None) -> None:
            if name:
                merged = name == MERGED
                request = ExportRequest(() if merged else (name,), merged)
                self.screen_app.steer.export(run, request)

        hint = "same as: workbench export RUN --type T"
        choices = file_table.choices(run, self.followed.state)
        self.app.push_screen(Picker(f"Export {run.name} as which type?", choices, hint), then)

    def action_ollama(self) -> None:
        """The model under the cursor; its name is asked for. Once more: end it."""
        from workbench.tui.dialogs.dialog import Entry

        if self._taking:
            self._taking.stop()
            self._watch_taking()
            return
        followed, chosen = self.followed, self.chosen
        assert followed is not None and chosen is not None, "allows() let it through"
        run = followed.run

        def then(name: str | None) -> None:
            if name:
                self.screen_app.guarded(lambda: self._take(run, name, chosen.type))

        question = f"Ollama name for {run.name} {chosen.type}"
        self.app.push_screen(Entry(question, name_in_ollama(run), fault_of_name), then)

    def _take(self, run: RunFolder, name: str, kind: str) -> None:
        log = self.screen_app.state_folder / "ollama.log"
        self._taking = OllamaUpload(run, name, kind, log)
        self.screen_app.say_command("ollama", run.name, "--name", name, "--type", kind)
        self._timer = self.set_interval(TAKING_EVERY_S, self._watch_taking)

    def _watch_taking(self) -> None:
        """Say how far it is, and in the end how it went."""
        taking = self._taking
        if taking is None:
            return
        words = taking.poll()
        if words:
            self.screen_app.say(f"Ollama: {words}   press o to cancel")
            return
        self._taking = None
        if self._timer:
            self._timer.stop()
        self.refresh_bindings()
        if taking.problem:
            self.screen_app.say(taking.problem, "warning" if taking.stopped else "error")
        else:
            self.screen_app.say(f"{taking.said}: ollama run {taking.name}")

    def action_modelfile(self) -> None:
        self.shows_modelfile = not self.shows_modelfile
        self.draw()

    def action_resume(self) -> None:
        assert self.followed is not None, "allows() let it through without a run"
        self.screen_app.steer.resume(self.followed.run)

    def action_lower(self) -> None:
        text = self.query_one("#text", TextLines)
        (self.query_one(FileRows) if text.has_focus else text).focus()

    def _place(self) -> str:
        if self.chosen is None or self.followed is None:
            return ""
        return str(self.followed.run.path / self.chosen.path) if self.chosen.path else ""


def name_in_ollama(run: RunFolder) -> str:
    """What the preset calls the model in Ollama, else the run's name."""
    from workbench.preset.loader import load

    return load(str(run.preset_file)).preset.ollama.name or run.name


def fault_of_name(typed: str) -> str:
    """What is wrong with a name for Ollama, "" when it can be taken."""
    from workbench.preset.outputs import OLLAMA_NAME

    return (
        ""
        if OLLAMA_NAME.fullmatch(typed)
        else "use a name such as gemma-blop or me/gemma-blop:q8_0"
    )


def trained(state: RunState) -> bool:
    """Whether all training stages that the run has begun are done, and there is one."""
    stages = [stage for stage in state.stages.values() if stage.name.startswith("train:")]
    return bool(stages) and all(stage.status in ("done", "skipped") for stage in stages)
