"""What is kept of a chat: the conversation as a file, an answer put right as a row."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from workbench.tui.panes.chat.model_list import Model
from workbench.tui.panes.chat.model_slot import Side
from workbench.tui.pane import Pane

if TYPE_CHECKING:
    from workbench.console.chat import Settings
    from workbench.dataset.rows import Message


class KeepingPane(Pane):
    """Holds the sides and their settings; the pane that shows them does the talking."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.sides: list[Side] = []
        self.settings: Settings | None = None

    def action_save(self) -> None:
        from workbench.tui.dialogs.dialog__tui_dialogs_entry import Entry

        name = self.sides[0].model.name.replace(" ", "-")

        def then(typed: str | None) -> None:
            if typed:
                self.screen_app.guarded(lambda: self._save(Path(typed).expanduser()))

        self.app.push_screen(Entry("Save the conversation as (.md or .json)", f"{name}.md"), then)

    def action_correct(self) -> None:
        from workbench.tui.dialogs.correction__tui_corrections import correct

        side = self.sides[0]
        last = side.last
        assert last is not None, "allows() let it through without an answer"
        asked = self._messages(side)[:-1]
        correct(self.screen_app, asked, last.answer, rejected=last.answer, said_by=side.name)

    def _save(self, path: Path) -> None:
        from workbench.inference.transcript import Transcript, save

        assert self.settings is not None
        said = []
        for number, side in enumerate(self.sides):
            target = path if not number else path.with_stem(f"{path.stem}-{side.model.path.stem}")
            settings = self.settings.sampling.as_dict()
            save(Transcript(side.name, tuple(self._messages(side)), settings), target)
            said.append(str(target))
        self.say(f"saved {' and '.join(said)}")

    def _messages(self, side: Side) -> list[Message]:
        from workbench.dataset.rows import ASSISTANT, SYSTEM, USER, Message

        assert self.settings is not None
        system = self.settings.system
        messages = [Message(SYSTEM, system)] if system else []
        for one in side.exchanges:
            messages += [Message(USER, one.question), Message(ASSISTANT, one.answer)]
        return messages


def settings_of_model(model: Model) -> Settings:
    """How the model's run asks: its sampling, its stop texts, its system prompt."""
    from workbench.inference.conversation__chat_from_preset import settings_of
    from workbench.preset.loader import load

    return settings_of(load(str(model.run.preset_file)).preset if model.run else None)
