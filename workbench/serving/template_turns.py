"""A chat template taken apart: the literal text before each message, by the roles around it.

A template is linear if the text between two messages depends on their roles alone, but for the
system prompt, which may stand at the start or within the last user's turn. The pieces are read off
by rendering sentinels and then proved: on conversations they were not read from, they must put
together just what the template renders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from workbench.core.errors import UserError
from workbench.dataset import rows
from workbench.tokenization.chat_template import ChatTemplate, Clock

Message = Mapping[str, str]

_MARKS = tuple(f"\u2983sentinel-{i}\u2984" for i in range(4))
_ANSWERS = ("Yes.", "def a(b):\n    return {b}", "Second answer, with \"quotes\" and 'more'.")
_QUESTIONS = ("What is it?", "Line one\nline two", "Third: 1 < 2 & 3 > 2?", "{{ .Content }}")


class NotLinear(Exception):
    """Why a template is not linear, as the end of a sentence."""


@dataclass(frozen=True)
class Renderer:
    """`template` as (messages, add_generation_prompt) -> text, without `bos` at the start.

    `now` stands in for its clock.
    """

    template: ChatTemplate
    bos: str = ""
    now: Clock | None = None

    def __call__(self, messages: Sequence[Message], generate: bool) -> str:
        talk = [rows.Message(m["role"], m["content"]) for m in messages]
        return self.template.render(talk, generate, now=self.now).removeprefix(self.bos)

    def at(self, now: Clock | None) -> Renderer:
        return replace(self, now=now)


def renderer(template: ChatTemplate) -> Renderer:
    """`template` as the function that this module asks for."""
    return Renderer(template)


@dataclass(frozen=True)
class Pieces:
    """The literal text between messages.

    `system` comes before a system message at the start (None: none is written there); the three
    `user` pieces before a user's message: first of all, after a system message, after an answer.
    `assistant` comes before an answer, `generate` after the last user's message. `late` is the text
    around the system prompt where the template puts it before the words of the last user.
    """

    system: str | None
    user_first: str
    user_after_system: str
    user_after_assistant: str
    assistant: str
    generate: str
    late: tuple[str, str] | None = None

    @property
    def takes_system(self) -> bool:
        return self.system is not None or self.late is not None

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt for the answer to the last message."""
        text, previous = "", ""
        said = "\n\n".join(m["content"] for m in messages if m["role"] == "system")
        users = [i for i, message in enumerate(messages) if message["role"] == "user"]
        for i, message in enumerate(messages):
            if message["role"] == "system" and self.system is None:
                continue
            text += self._before(message["role"], previous)
            if self.late and said and i == users[-1]:
                text += self.late[0] + said + self.late[1]
            text, previous = text + message["content"], message["role"]
        return text + (self.generate if previous == "user" else "")

    def _before(self, role: str, previous: str) -> str:
        """The literal text before a message of `role` that follows one of `previous`."""
        if role == "user":
            after = {"system": self.user_after_system, "assistant": self.user_after_assistant}
            return after.get(previous, self.user_first)
        return (self.system or "") if role == "system" else self.assistant

    def changed(self, change: Callable[[str], str]) -> Pieces:
        """The same with `change` made to every text."""
        texts = {name: change(value) for name, value in vars(self).items() if type(value) is str}
        late = (change(self.late[0]), change(self.late[1])) if self.late else None
        return replace(self, **texts, late=late)

    @property
    def texts(self) -> list[str]:
        return [*(t for t in vars(self).values() if type(t) is str), *(self.late or ())]


def read_pieces(render: Renderer) -> Pieces:
    """The pieces of the template. Raises NotLinear; not yet proved."""
    order, (first, assistant, after_assistant, generate) = _split(
        render, ("user", "assistant", "user")
    )
    if order != [0, 1, 2]:
        raise NotLinear("it reorders messages")
    plain = Pieces(None, first, "", after_assistant, assistant, generate)
    try:
        order, texts = _split(render, ("system", "user", "assistant", "user"))
    except _NoSystem:
        return plain
    if order == [0, 1, 2, 3] and texts[2:] == [assistant, after_assistant, generate]:
        return replace(plain, system=texts[0], user_after_system=texts[1])
    before = texts[2].removeprefix(after_assistant)
    late = texts[2].startswith(after_assistant) and texts[:2] == [first, assistant]
    if order == [1, 2, 0, 3] and late and texts[4] == generate:
        return replace(plain, late=(before, texts[3]))
    prove(plain, render)  # or that is the reason
    raise NotLinear("a system prompt changes more than its own turn or the last user's")


class _NoSystem(Exception):
    """The template refuses a system message, or leaves it out."""


def _split(render: Renderer, roles: Sequence[str]) -> tuple[list[int], list[str]]:
    """(order of the messages' contents in the text, the text before each and after the last)."""
    messages = [{"role": r, "content": m} for r, m in zip(roles, _MARKS, strict=False)]
    try:
        text = render(messages, True)
    except UserError as error:
        if roles[0] == "system":
            raise _NoSystem from None
        raise NotLinear(f"it fails on a plain conversation: {error.message}") from None
    counts = [text.count(message["content"]) for message in messages]
    if roles[0] == "system" and counts[0] == 0:
        raise _NoSystem
    if set(counts) != {1}:
        raise NotLinear("it leaves out or repeats a message")
    order = sorted(range(len(messages)), key=lambda i: text.index(_MARKS[i]))
    found = list[str]()
    for i in order:
        before, _, text = text.partition(_MARKS[i])
        found.append(before)
    return order, [*found, text]


def proof_conversations(with_system: bool) -> list[list[Message]]:
    """Conversations of one to four turns, with and without a system message."""
    talks = list[list[Message]]()
    for turns in range(1, 5):
        talk = list[Message]()
        for i in range(turns):
            talk.append({"role": "user", "content": _QUESTIONS[i % 4]})
            talk.append({"role": "assistant", "content": _ANSWERS[i % 3]})
        talks.append(talk[:-1])
    system: Message = {"role": "system", "content": "You are terse.\nAlways."}
    return talks + ([[system, *talk] for talk in talks] if with_system else [])


def prove(pieces: Pieces, render: Renderer) -> None:
    """Raise NotLinear unless both render the same on all conversations of the proof."""
    for talk in proof_conversations(pieces.takes_system):
        if not same(pieces, render, talk):
            turns = sum(message["role"] == "user" for message in talk)
            raise NotLinear(
                "the text between its messages depends on more than their roles "
                f"(first in a conversation of {turns} turn{'s' if turns > 1 else ''})"
            )


def same(pieces: Pieces, render: Renderer, talk: Sequence[Message]) -> bool:
    """Whether both render `talk` the same."""
    try:
        return pieces.render(talk) == render(talk, True)
    except UserError:
        return False
