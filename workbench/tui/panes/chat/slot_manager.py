"""The models of a chat: one or two, of a run, saved weights or a file; or the newest weights.

The models belong to the chat's own thread: its jobs, one after the other, open, close and exchange
them, so that only one thread uses a model.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from workbench.core.errors import UserError
from workbench.run.checkpoints import saved_last_ns
from workbench.run.folder import RunFolder
from workbench.tui.panes.chat.conversation_text import ConversationFiles, settings_of_model
from workbench.tui.panes.chat.model_list import Model, all_models, base_of, file_model, newest_model
from workbench.tui.panes.chat.model_slot import ModelSlot

Job = Callable[[], None]


class ChatThread:
    """Begins with its first job. `faulty` is called, in the thread, with what a job raises."""

    def __init__(self, faulty: Callable[[Exception], None]) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._faulty = faulty
        self._thread: threading.Thread | None = None

    def do(self, job: Job) -> None:
        """Do it after what is to be done already."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="chat", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def end(self, limit_s: float) -> None:
        """No more jobs; wait for those there are, but not longer than so many seconds."""
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join(limit_s)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 - told to the person
                self._faulty(error)


FOLLOW_EVERY_S = 1.0
A_FILE = "a file ..."


class SlotManager(ConversationFiles):
    """Opens and closes the sides. The pane that shows them gives `side_opened` and `draw`."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.thread = ChatThread(lambda error: self.app.call_from_thread(self._faulty, error))

    @property
    def busy(self) -> bool:
        """Whether a model is being opened or is answering."""
        return any(side.busy for side in self.sides)

    def sides_changed(self) -> None:
        """Sides came or went: nothing that was drawn holds."""

    def side_opened(self) -> None:
        """A model is being opened."""

    def draw(self) -> None:
        """Show what is new."""

    def talk_to(self, model: Model) -> None:
        """Open a model in the place of those that are open; its run's settings come with it."""
        self.settings = settings_of_model(model)
        self._close_from(0)
        self._open_side(model)
        self.screen_app.say_command("chat", *model.words)

    def action_follow(self) -> None:
        if self.follows:
            for side in self.sides:
                side.stay()
            self.draw()
            return
        run = self.run_to_follow
        assert run is not None, "allows() let it through without saved weights"
        self.talk_to(newest_model(run))

    @property
    def follows(self) -> bool:
        """Whether a side takes up newer weights."""
        return any(side.follows for side in self.sides)

    @property
    def run_to_follow(self) -> RunFolder | None:
        """The run of the model that is open, else the current one, once it has saved weights."""
        run = self.sides[0].model.run if self.sides else self.screen_app.current
        return run if run and saved_last_ns(run) else None

    def look_for_newer(self) -> None:
        """Let the sides look for newer weights, while nothing is asked."""
        if self.busy:
            return
        for side in self.sides:
            if side.follows:
                self.thread.do(partial(self._take_up, side))

    def _take_up(self, side: ModelSlot) -> None:
        """In the chat's thread."""
        if side.follow():
            self.app.call_from_thread(self._took_up, side)

    def _took_up(self, side: ModelSlot) -> None:
        self.screen_app.say(f"{side.model.name}: now using {side.label}")
        self.draw()

    def action_models(self) -> None:
        self._pick("Chat with which model?", self.talk_to)

    def action_compare(self) -> None:
        if len(self.sides) == 2:
            self._close_from(1)
            self.draw()
            return
        run = self.sides[0].model.run
        if run:
            try:
                base = base_of(run)
            except UserError:
                base = None
            if base and base.path != self.sides[0].model.path:
                self._second(base)
                self.screen_app.say_command("chat", run.name, "--compare", "base")
                return
        self._pick("Compare with which model?", self._second)

    def action_second(self) -> None:
        self._close_from(1)
        self._pick("Compare with which model?", self._second)

    def _second(self, model: Model) -> None:
        if self.sides[0].exchanges:
            self.sides[0].restart()
            self.say("started a new conversation with both models")
        self._open_side(model)

    def _open_side(self, model: Model) -> None:
        assert self.settings is not None
        settings, log = self.settings, self.screen_app.state_folder / "llama.log"
        side = ModelSlot(model)
        self.sides.append(side)
        self.set_class(len(self.sides) == 2, "-two")
        self.add_class("-open")
        self.sides_changed()
        self.thread.do(lambda: side.open(settings, log))
        self.side_opened()

    def _close_from(self, number: int) -> None:
        for side in self.sides[number:]:
            side.cancel()
            self.thread.do(side.close)
        del self.sides[number:]
        self.set_class(len(self.sides) == 2, "-two")
        self.sides_changed()

    def _pick(self, question: str, use: Callable[[Model], None]) -> None:
        from workbench.tui.dialogs.dialog import Entry
        from workbench.tui.dialogs.picker import Picker

        models = {model.name: model for model in all_models(self.screen_app.watching.runs)}
        choices = [(model.name, model.about) for model in models.values()]

        def of_file(path: str | None) -> None:
            if path:
                self.screen_app.guarded(lambda: use(file_model(path)))

        def picked(name: str | None) -> None:
            if name == A_FILE:
                self.app.push_screen(Entry("Path to a .gguf file", "", _file_fault), of_file)
            elif name:
                self.screen_app.guarded(lambda: use(models[name]))

        choices += [(A_FILE, "any GGUF file, by path")]
        self.app.push_screen(Picker(question, choices), picked)

    def _faulty(self, error: Exception) -> None:
        self.screen_app.say_error(error)


def _file_fault(typed: str) -> str:
    if not typed.endswith(".gguf"):
        return "the name must end in .gguf"
    return "" if Path(typed).expanduser().is_file() else "file not found"
