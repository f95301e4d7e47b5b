import io
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.inference.helpers import Tiny, write_tiny
from workbench.console.chat import cancel_on_interrupt, chat, chat_once, messages
from workbench.core.errors import UserError
from workbench.core.sampling import SamplingParams
from workbench.inference.chat_model import GgufSource
from workbench.inference.conversation import ChatSettings, Conversation
from workbench.inference.generation import Completion
from workbench.inference.session import Session

SETTINGS = ChatSettings(SamplingParams(temperature=0, max_tokens=20), context=256)


@pytest.fixture(autouse=True)
def no_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.inference.gguf_check._try_in_child", lambda *_: "")


@pytest.fixture
def models(tmp_path: Path) -> dict[str, GgufSource]:
    return {
        "tuned": GgufSource(write_tiny(tmp_path / "tuned.gguf", Tiny(says=b"Fine."))),
        "base": GgufSource(write_tiny(tmp_path / "base.gguf", Tiny(says=b"Bad\x1b["))),
    }


def typed(*lines: str) -> Callable[[str], str]:
    rest = iter(lines)

    def read(_prompt: str) -> str:
        try:
            return next(rest)
        except StopIteration:
            raise EOFError from None

    return read


def talk(models: dict[str, GgufSource], *lines: str) -> str:
    out = io.StringIO()
    chat(models, SETTINGS, read=typed(*lines), out=out)
    return out.getvalue()


def test_one_answer_for_scripts_and_nothing_else(models: dict[str, GgufSource]) -> None:
    out = io.StringIO()
    chat_once({"tuned": models["tuned"]}, "hello", SETTINGS, out)
    assert out.getvalue() == "Fine.\n"


class Thinker:
    """A talker that begins with an empty reasoning block, as Qwen3 does, and does not end."""

    closed = False
    context, last_answer = 256, None

    def stream(
        self, messages: object, sampling: SamplingParams, stop: object = ()
    ) -> Iterator[str]:
        try:
            yield from ("<think>", "\n\n", "</think>", "\n\n", "Fi", "ne.")
            self.last_answer = Completion("<think>\n\n</think>\n\nFine.", "stop", 6, 0.1, 3)
        finally:
            self.closed = True


def test_an_empty_reasoning_block_is_remembered_and_not_shown() -> None:
    talker = Thinker()
    conversation = Conversation("qwen", talker)  # type: ignore[arg-type]
    assert list(conversation.ask("hello", SamplingParams())) == ["Fi", "ne."]
    assert conversation.turns[1].content == "<think>\n\n</think>\n\nFine."
    given_up = Thinker()
    pieces = Conversation("qwen", given_up).ask("hello", SamplingParams())  # type: ignore[arg-type]
    assert next(pieces) == "Fi" and not given_up.closed
    pieces.close()  # type: ignore[attr-defined]
    assert given_up.closed


def test_a_prompt_from_a_file(models: dict[str, GgufSource], tmp_path: Path) -> None:
    question, out = tmp_path / "question.txt", io.StringIO()
    question.write_text("hello")
    chat_once({"tuned": models["tuned"]}, f"FILE:{question}", SETTINGS, out)
    assert out.getvalue() == "Fine.\n"
    with pytest.raises(UserError, match="none.txt: cannot be read"):
        chat_once(models, f"FILE:{tmp_path / 'none.txt'}", SETTINGS, out)


def test_two_answers_for_scripts_carry_names(models: dict[str, GgufSource]) -> None:
    out = io.StringIO()
    chat_once(models, "hello", SETTINGS, out)
    assert out.getvalue() == "# tuned\nFine.\n# base\nBad\x1b[\n"


def test_a_terminal_never_gets_an_escape_sequence(models: dict[str, GgufSource]) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    out = Screen()
    chat_once({"base": models["base"]}, "hello", SETTINGS, out)
    assert out.getvalue() == "Bad\\x1b[\n"


def test_a_talk(models: dict[str, GgufSource]) -> None:
    shown = talk({"tuned": models["tuned"]}, "hello", "", "again")
    assert shown.count("Fine.\n[6 tokens, ") == 2
    assert "stopped on its own]" in shown


def test_compare_asks_both_and_can_be_switched_off(models: dict[str, GgufSource]) -> None:
    shown = talk(models, "hello", "/compare", "hello")
    assert shown.count("--- tuned\nFine.\n") == 1
    assert shown.count("--- base\nBad\\x1b[\n") == 1
    assert shown.count("Fine.") == 2
    alone = talk({"tuned": models["tuned"]}, "/compare")
    assert "there is no second model (start with --compare base)" in alone


def test_commands(models: dict[str, GgufSource], tmp_path: Path) -> None:
    target = tmp_path / "talk.json"
    shown = talk(
        {"tuned": models["tuned"]},
        "/set temperature 0.5",
        "/set top_k=3",
        "/set tempratur 1",
        "/system Be brief.",
        "/frobnicate",
        "hello",
        f"/save {target}",
        "/save",
        "/help",
        "/quit",
        "never read",
    )
    assert "temperature = 0.5, top_k = 3" in shown
    assert "did you mean 'temperature'?" in shown
    assert "unknown command '/frobnicate'" in shown
    assert "/save needs a file" in shown and "/system" in shown
    saved = json.loads(target.read_text())
    assert [m["role"] for m in saved["messages"]] == ["system", "user", "assistant"]
    assert saved["sampling"]["top_k"] == 3


def test_the_tokens_of_an_answer_and_what_else_was_likely(models: dict[str, GgufSource]) -> None:
    shown = talk(models, "/tokens", "hello", "/tokens 2", "/tokens x", "/tokens 99")
    assert shown.count("no response to inspect yet") == 2
    tuned, base = shown.rpartition("--- base\n")[0].rpartition("--- tuned\n")[2], shown
    lines = tuned.splitlines()
    assert len(lines) == len("Fine.") + 1, "and the token that ends it"
    assert [line.split()[1] for line in lines[:5]] == [f"'{letter}'" for letter in "Fine."]
    assert all(line.count("%") == 3 for line in lines) and "'<|im_end|>'" in lines[-1]
    assert "'\\x1b'" in base and "\x1b" not in shown
    assert shown.count("use 1 to 50 alternatives") == 2


def test_a_new_conversation_forgets(models: dict[str, GgufSource], tmp_path: Path) -> None:
    target = tmp_path / "talk.json"
    talk({"tuned": models["tuned"]}, "hello", "/new", "hi", f"/save {target}")
    saved = json.loads(target.read_text())["messages"]
    assert [m["content"] for m in saved] == ["hi", "Fine."]


def test_too_long_a_message_is_one_line_and_the_talk_goes_on(models: dict[str, GgufSource]) -> None:
    shown = talk({"tuned": models["tuned"]}, "x" * 900, "hello")
    assert "but the context size is 256" in shown and "Fine." in shown
    assert "Traceback" not in shown


def test_lines_that_end_in_a_backslash_are_one_message() -> None:
    assert list(messages(typed("one\\", "two", "three"), print)) == ["one\ntwo", "three"]


def test_ctrl_c_gives_up_the_line() -> None:
    def read() -> Iterator[str]:
        yield "half\\"
        raise KeyboardInterrupt

    lines = read()
    answers: list[Callable[[], str]] = [lambda: next(lines), lambda: next(lines), lambda: "whole"]

    def typed_with_interrupt(_prompt: str) -> str:
        if not answers:
            raise EOFError
        return answers.pop(0)()

    assert list(messages(typed_with_interrupt, print)) == ["whole"]


def test_ctrl_c_ends_the_answer_and_keeps_it(tmp_path: Path) -> None:
    endless = write_tiny(tmp_path / "endless.gguf", Tiny(says=b"a", then_stops=False))
    with Session.open(endless, context=1024) as session, cancel_on_interrupt(session):
        conversation = Conversation("m", session)
        stream = conversation.ask("go", SamplingParams(temperature=0, max_tokens=900))
        next(stream)
        os.kill(os.getpid(), signal.SIGINT)
        rest = "".join(stream)
    assert conversation.last_answer.stopped == "cancelled" and len(rest) < 800
    assert conversation.turns[-1].content == conversation.last_answer.text


def test_typed_lines_are_kept_for_the_next_talk(
    models: dict[str, GgufSource], tmp_path: Path
) -> None:
    history = tmp_path / "history"
    chat({"tuned": models["tuned"]}, SETTINGS, read=typed(), out=io.StringIO(), history=history)
    assert history.exists()


def test_a_reader_that_went_away_is_not_masked(models: dict[str, GgufSource]) -> None:
    class Gone(io.StringIO):
        def flush(self) -> None:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        chat_once({"tuned": models["tuned"]}, "hello", SETTINGS, Gone())
