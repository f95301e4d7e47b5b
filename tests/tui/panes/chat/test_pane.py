"""Chatting on the screen: the same words from the same model, stopped at once, kept whole."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from tests.inference.helpers import Tiny, write_adapter, write_tiny
from tests.run.helpers import make_run
from tests.tui.helpers import on_screen, text_of, until
from workbench.core.errors import UserError
from workbench.core.sampling import SamplingParams
from workbench.dataset.corrections import append, format_of, keep_pair
from workbench.dataset.rows import Message, Place
from workbench.dataset.sources import read_source
from workbench.inference import gguf_check
from workbench.inference.session import Session
from workbench.inference.transcript import load
from workbench.run import events
from workbench.run.checkpoints import Checkpoint
from workbench.run.folder import RunFolder, runs_root
from workbench.run.log import EventLog
from workbench.runner.checkpoint_model import CheckpointModel
from workbench.tui.app import WorkbenchApp
from workbench.tui.dialogs.correction import Correction
from workbench.tui.dialogs.tokens import TokenRows, Tokens
from workbench.tui.panes.chat.conversation_text import (
    ConversationLines,
    read_sampling,
    sampling_words,
    wrapped,
)
from workbench.tui.panes.chat.model_list import all_models, base_of, first_model, models_of
from workbench.tui.panes.chat.model_slot import Exchange, ModelSlot
from workbench.tui.panes.chat.pane import ChatPane
from workbench.tui.panes.chat.prompt_input import PromptInput
from workbench.tui.panes.chat.slot_manager import FOLLOW_EVERY_S
from workbench.tui.widgets.bar import StatusBar

SAYS = "Helo wrd!"
LONG = SamplingParams(temperature=1.5, max_tokens=900)
TALK = (Message("user", "q?"), Message("assistant", "a\n  b"))
Story = Callable[[Pilot[None], WorkbenchApp, ChatPane], Awaitable[None]]


@pytest.fixture(scope="module")
def ggufs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One that says a sentence and stops, one that never stops."""
    folder = tmp_path_factory.mktemp("models")
    tuned = write_tiny(folder / "tuned.gguf", Tiny(says=SAYS.encode()))
    return tuned, write_tiny(folder / "base.gguf", Tiny(seed=3))


@pytest.fixture
def run(ggufs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(gguf_check, "_try_in_child", lambda path, timeout_s: "")
    made = make_run(
        runs_root(),
        "talks",
        '[data]\nsystem = "be brief"\n[export]\nformats = ["f16"]\n'
        "[generate]\ntemperature = 0\nmax_tokens = 400\n"
        '[[data.source]]\npath = "x"\n[[train]]\nname = "sft"\n',
    )
    (made.export / "talks-f16.gguf").symlink_to(ggufs[0])
    (made.evaluation / "base-f16.gguf").symlink_to(ggufs[1])
    log = EventLog(made.events_file)
    written = events.FileExported(
        type="f16", path="export/talks-f16.gguf", bytes=1, fallbacks=0, elapsed_s=1
    )
    log.append(written, "export")
    log.close()
    return made


def test_models_of_a_run_are_found(run: RunFolder) -> None:
    assert [model.name for model in models_of(run)] == ["talks f16", "talks base-f16"]
    assert first_model(run).name == "talks f16" and base_of(run).name == "talks base-f16"
    assert all_models([run, run])[3].about.endswith("evaluation")
    (run.export / "talks-f16.gguf").unlink()
    with pytest.raises(UserError, match="the model file is missing"):
        first_model(run)


@pytest.mark.parametrize(
    ("name", "before", "format"),
    [
        ("new.jsonl", "", "prompt-completion"),
        ("new.txt", "", "input-output"),
        ("rows.jsonl", '{"prompt": "a", "completion": "b"}', "prompt-completion"),
        ("rows.txt", "## input:\na\n\n## Output\nb", "input-output"),
        (
            "chat.jsonl",
            '{"messages": [{"role": "user", "content": "x"}, '
            '{"role": "assistant", "content": "y"}]}\n',
            "chat",
        ),
    ],
)
def test_a_row_is_appended_as_the_file_writes_its_rows(
    tmp_path: Path, name: str, before: str, format: str
) -> None:
    path = tmp_path / name
    if before:
        path.write_text(before)
    talk = (Message("system", "s"), Message("user", "u"), Message("assistant", "v"), *TALK)
    written = append(path, talk)
    assert written.format == format and path.read_text().startswith(before)
    rows = read_source(path).rows
    assert not read_source(path).fatal and len(rows) == bool(before) + 1
    said = [(m.role, m.content) for m in rows[-1].messages]
    expected = talk if format == "chat" else TALK
    assert said == [(m.role, m.content) for m in expected]
    assert written.left_out == len(talk) - len(expected)
    assert written.place.line == rows[-1].place.line


@pytest.mark.parametrize(
    ("name", "before", "answer"),
    [
        ("rows.txt", "# INPUT\na\n# OUTPUT\nb\n", "x\n# INPUT\ny"),
        ("rows.txt", "", "# OUTPUT"),
        ("rows.json", '[{"prompt": "a", "completion": "b"}]', "x"),
        ("alpaca.jsonl", '{"instruction": "a", "output": "b"}', "x"),
        ("notes.csv", "", "x"),
    ],
)
def test_what_would_spoil_the_file_is_refused_and_leaves_it(
    tmp_path: Path, name: str, before: str, answer: str
) -> None:
    path = tmp_path / name
    if before:
        path.write_text(before)
    with pytest.raises(UserError):
        append(path, (Message("user", "q"), Message("assistant", answer)))
    assert (path.read_text() if path.exists() else "") == before


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=4))
def test_whatever_is_taken_reads_back_the_same(
    tmp_path: Path, talks: list[tuple[str, str]]
) -> None:
    for name in ("rows.jsonl", "rows.txt"):
        path, taken = tmp_path / name, []
        path.unlink(missing_ok=True)
        for question, answer in talks:
            try:
                append(path, (Message("user", question), Message("assistant", answer)))
            except (UserError, UnicodeEncodeError):
                continue
            taken.append((question, answer))
        if taken:
            rows = read_source(path, format_of(path)).rows
            found = [(row.messages[0].content, row.expected) for row in rows]
            if name.endswith("txt"):
                taken = [(q.strip(), a.strip()) for q, a in taken]
                found = [(q.strip(), a.strip()) for q, a in found]
            assert found == taken


def test_the_answers_tokens_are_shown_of_both_models(run: RunFolder) -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: ChatPane) -> None:
        assert not pane.allows("tokens")
        await pilot.press("escape", "b")
        await until(pilot, lambda: len(pane.sides) == 2 and not pane.busy)
        pane.settings = replace(pane.settings, sampling=SamplingParams(temperature=0, max_tokens=5))
        await pilot.press("escape", "i", "h", "enter")
        await until(pilot, lambda: not pane.busy and bool(pane.sides[1].last.note))
        await pilot.press("escape", "t")
        await until(pilot, lambda: isinstance(app.screen, Tokens))
        rows = app.screen.query_one(TokenRows)
        lines = [rows.row(n).plain for n in range(rows.count)]
        assert lines[0].startswith("talks f16") and "base" in lines[6] and len(lines) == 12
        assert [line.split()[1] for line in lines[1:6]] == [f"'{one}'" for one in SAYS[:4]] + ["'"]
        await pilot.press("t")
        assert not isinstance(app.screen, Tokens) and pane.allows("tokens")
        await pilot.press("n")
        assert not pane.allows("tokens"), "nothing is to be seen any more"

    in_chat(story, (120, 40))


def test_pairs_are_kept_beside_the_rows_and_are_no_rows(tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    place = append(rows, TALK, ["corrected", "a\nmodel"]).place
    assert read_source(rows).rows[0].tags == ("corrected", "a model")
    assert keep_pair(place, TALK[:1], "right", "right", "m") is None
    assert keep_pair(place, TALK[:1], "right", " ", "m") is None
    kept = keep_pair(place, TALK[:1], "right", "wrong \ud800", "m")
    assert kept == tmp_path / "rows.jsonl.preferences"
    kept.write_bytes(kept.read_bytes() + b'{"torn')
    keep_pair(place, TALK[:1], "right", "wrong", "m")
    lines = kept.read_bytes().splitlines()
    assert [json.loads(line)["rejected"][0]["content"] for line in (lines[0], lines[2])] == [
        "wrong \ud800",
        "wrong",
    ]
    assert [row.place.path for row in read_source(tmp_path).rows] == [str(rows)]
    rows.with_name("other.jsonl.preferences").mkdir()
    with pytest.raises(UserError, match="row appended, but the rejected response was not saved"):
        keep_pair(Place(str(tmp_path / "other.jsonl"), 1), TALK[:1], "right", "wrong", "m")


def test_sampling_is_read_as_it_is_shown() -> None:
    sampling = SamplingParams(temperature=0.7, seed=9)
    assert read_sampling(sampling_words(sampling), SamplingParams()) == sampling
    assert read_sampling("top_k=3", sampling).top_k == 3
    for typed, fault in (("top_k=x", "whole"), ("nope=1", "unknown"), ("seed", "is not a setting")):
        with pytest.raises(UserError, match=fault):
            read_sampling(typed, sampling)


@given(st.text(max_size=200), st.integers(8, 40))
def test_wrapped_lines_fit_and_lose_only_spaces(text: str, width: int) -> None:
    lines = wrapped(text, width, "")
    assert all(line.cell_len <= width + 1 for line in lines)
    from workbench.core.text import visible

    flat = visible(text).replace("\t", "").replace("\n", "").replace(" ", "")
    assert "".join(line.plain for line in lines).replace(" ", "") == flat


def test_finished_exchanges_are_laid_out_once(run: RunFolder) -> None:
    side = ModelSlot(first_model(run))
    side.exchanges = [Exchange("q", "a", "done"), Exchange("q2", "par")]
    lines, again = ConversationLines(), ConversationLines().of(side, 40)
    first = lines.of(side, 40)
    assert [line.plain for line in first] == [line.plain for line in again]
    side.exchanges[1] = Exchange("q2", "partly")
    assert lines.of(side, 40)[0] is first[0]


def in_chat(story: Story, size: tuple[int, int] = (80, 24)) -> None:
    async def with_pane(pilot: Pilot[None], app: WorkbenchApp) -> None:
        pane = await app.go("chat")
        assert isinstance(pane, ChatPane)
        await until(pilot, lambda: "No model loaded." in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: bool(pane.sides) and not pane.busy)
        await pilot.pause()
        await story(pilot, app, pane)

    on_screen(with_pane, size)


async def ask(pilot: Pilot[None], pane: ChatPane, text: str) -> None:
    pane.query_one(PromptInput).put(text)
    await pilot.press("enter")
    await until(pilot, lambda: not pane.busy)
    await pilot.pause(0.15)


@pytest.mark.parametrize("size", [(60, 20), (80, 24), (160, 48)])
def test_both_models_get_the_same_prompt(run: RunFolder, size: tuple[int, int]) -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: ChatPane) -> None:
        await ask(pilot, pane, "hello")
        assert SAYS in text_of(app) and "stopped on its own" in text_of(app)
        await pilot.press("f3")
        await until(pilot, lambda: not pane.busy and len(pane.sides) == 2)
        await ask(pilot, pane, "again")
        tuned, base = pane.sides
        assert tuned.last and base.last and tuned.last.question == base.last.question == "again"
        with Session.open(base.model.path, context=1024) as session:
            talk = (Message("system", "be brief"), Message("user", "again"))
            assert pane.settings
            plain = session.answer(talk, pane.settings.sampling, ())
        assert base.last.answer == plain.text
        assert "talks base-f16" in text_of(app)
        await pilot.press("f3")
        assert len(pane.sides) == 1

    in_chat(story, size)


def test_escape_stops_an_answer_at_once(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    say = ModelSlot._say

    def slowly(side: ModelSlot, piece: str) -> None:
        time.sleep(0.02)  # as a larger model would
        say(side, piece)

    monkeypatch.setattr(ModelSlot, "_say", slowly)

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: ChatPane) -> None:
        pane.talk_to(base_of(run))
        await until(pilot, lambda: not pane.busy)
        assert pane.settings
        pane.settings = replace(pane.settings, sampling=LONG)
        pane.query_one(PromptInput).put("go on")
        await pilot.press("enter")
        await until(pilot, lambda: pane.sides[0].state == "writing")
        await pilot.press("escape")
        await until(pilot, lambda: not pane.busy)
        assert pane.sides[0].last and "cancelled" in pane.sides[0].last.note

    in_chat(story)


def test_the_end_of_a_long_talk_stays_in_view(run: RunFolder) -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: ChatPane) -> None:
        for number in range(8):
            await ask(pilot, pane, f"question {number}")
            await until(pilot, lambda number=number: f"› question {number}" in text_of(app))  # type: ignore[misc]
        assert "› question 0" not in text_of(app)
        await pilot.press("escape", "g")
        await until(pilot, lambda: "› question 0" in text_of(app))

    in_chat(story)


def test_letters_are_keys_once_the_line_is_left(run: RunFolder) -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: ChatPane) -> None:
        prompt = pane.query_one(PromptInput)
        await pilot.press(*"msq1", "backslash", "enter", "b")
        assert prompt.text == "msq1\nb"
        prompt.put("hello")
        await pilot.press("enter")
        await until(pilot, lambda: not pane.busy)
        await pilot.press("up")
        assert prompt.text == "hello"
        prompt.put("")
        await pilot.press("escape", "p")
        app.screen.query_one(Input).value = "temperature=0.9 max_tokens=5"
        await pilot.press("enter", "s")
        app.screen.query_one(Input).value = "be [bold]loud"
        await pilot.press("enter")
        assert "temperature 0.9" in text_of(app) and "be [bold]loud" in text_of(app)
        await pilot.press("n")
        assert pane.sides[0].exchanges == []

    in_chat(story)


def test_again_takes_another_seed_and_edit_gives_the_question_back(run: RunFolder) -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: ChatPane) -> None:
        await ask(pilot, pane, "hello")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: not pane.busy)
        assert [one.question for one in pane.sides[0].exchanges] == ["hello"]
        await pilot.press("ctrl+g")
        assert pane.query_one(PromptInput).text == "hello" and pane.sides[0].exchanges == []

    in_chat(story)


def test_a_corrected_answer_is_a_row_and_the_talk_a_file(run: RunFolder, tmp_path: Path) -> None:
    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: ChatPane) -> None:
        await ask(pilot, pane, "hello")
        await pilot.press("ctrl+o")
        dialog = app.screen
        assert isinstance(dialog, Correction) and dialog.query_one(TextArea).text == SAYS
        dialog.query_one(TextArea).text = "Hello, world!"
        dialog.query_one("#path", Input).value = "rows.csv"
        await pilot.press("f2")
        assert isinstance(app.screen, Correction) and "unknown file format" in text_of(app)
        dialog.query_one("#path", Input).value = "rows.jsonl"
        await pilot.press("f2")
        row = json.loads((tmp_path / "rows.jsonl").read_text())
        tags = ["corrected", "talks f16"]
        assert row == {"prompt": "hello", "completion": "Hello, world!", "tags": tags}
        pair = json.loads((tmp_path / "rows.jsonl.preferences").read_text())
        assert [m["role"] for m in pair["prompt"]] == ["system", "user"]
        assert pair["chosen"] == [{"role": "assistant", "content": "Hello, world!"}]
        assert pair["rejected"] == [{"role": "assistant", "content": SAYS}]
        assert pair["said_by"] == "talks f16" and pair["row"].endswith("rows.jsonl:1")
        assert "rows.jsonl:1" in app.query_one(StatusBar).line and app.memory.corrections.endswith(
            "rows.jsonl"
        )
        await pilot.press("escape", "w")
        app.screen.query_one(Input).value = "talk.json"
        await pilot.press("enter")
        said = load(tmp_path / "talk.json")
        assert [m.role for m in said.messages] == ["system", "user", "assistant"]
        assert pane.copied() == (SAYS, "the response")

    in_chat(story)


def test_a_file_that_is_no_model_is_told_in_a_line(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\xff" * 100)

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: ChatPane) -> None:
        await pilot.press("escape", "m", *"file", "enter", *"bad.gguf", "enter")
        await until(pilot, lambda: bool(pane.sides) and pane.sides[0].state == "failed")
        await pilot.pause(0.2)
        assert "✗ " in text_of(app) and not pane.busy
        pane.query_one(PromptInput).put("hello")
        await pilot.press("enter")
        await until(pilot, lambda: not pane.busy)

    in_chat(story)


def save(run: RunFolder, name: str, step: int) -> None:
    """As training does: the weights, then the event."""
    folder = run.training("sft") / "adapters" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"step": step}))
    log = EventLog(run.events_file)
    path = f"step-{step:06d}"
    log.append(events.CheckpointSaved(step=step, path=path, elapsed_s=0.1), "train:sft")
    log.close()


@pytest.fixture
def children(
    ggufs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> list[str]:
    """In place of the child that makes weights ready: one adapter a step, on the base's file."""
    asked = list[str]()

    def make(
        run: RunFolder, checkpoint: Checkpoint, kind: str = "q8_0", **_: object
    ) -> CheckpointModel:
        asked.append(checkpoint.label)
        adapter = write_adapter(tmp_path / f"{checkpoint.step}.gguf", seed=checkpoint.step)
        return CheckpointModel(checkpoint, ggufs[1], "", adapter)

    monkeypatch.setattr("workbench.runner.checkpoint_model.export_checkpoint", make)
    return asked


def test_saved_weights_stand_among_the_models(run: RunFolder, children: list[str]) -> None:
    save(run, "last", 20)
    names = ["talks f16", "talks base-f16", "talks newest", "talks sft/last"]
    assert [model.name for model in models_of(run)] == names
    (run.export / "talks-f16.gguf").unlink()
    assert first_model(run).words == ("talks", "--follow"), "nothing is exported any more"

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: ChatPane) -> None:
        pane.talk_to(models_of(run)[-1])
        await until(pilot, lambda: not pane.busy)
        await pilot.pause(0.1)
        assert set(children) == {"sft/last, step 20"} and children[0] in text_of(app)
        assert app.status.line == "workbench chat talks@sft/last"
        await ask(pilot, pane, "hello")
        assert pane.sides[0].last and pane.sides[0].last.note.startswith("sft/last, step 20: ")

    in_chat(story)


def test_the_newest_weights_are_taken_up_between_answers(
    run: RunFolder, children: list[str]
) -> None:
    save(run, "last", 20)

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: ChatPane) -> None:
        await pilot.press("escape", "f")
        await until(pilot, lambda: bool(pane.sides) and pane.follows and not pane.busy)
        await ask(pilot, pane, "hello")
        assert app.status.line == "workbench chat talks --follow"
        side = pane.sides[0]
        save(run, "last", 30)
        await until(pilot, lambda: side.label == "sft/last, step 30")
        await until(pilot, lambda: "now using sft/last, step 30" in app.status.line)
        assert children == ["sft/last, step 20", "sft/last, step 30"], "each is made ready once"
        await ask(pilot, pane, "hello")
        first, second = side.exchanges
        assert second.note.startswith("sft/last, step 30: ") and first.answer != second.answer
        await pilot.press("escape", "f")
        assert not pane.follows
        save(run, "last", 40)
        await pilot.pause(FOLLOW_EVERY_S * 1.5)
        assert side.label == "sft/last, step 30"

    in_chat(story)


def test_any_two_models_are_put_side_by_side(run: RunFolder, children: list[str]) -> None:
    save(run, "last", 20)

    async def story(pilot: Pilot[None], app: WorkbenchApp, pane: ChatPane) -> None:
        await pilot.press("escape", "B", *"last", "enter")
        await until(pilot, lambda: len(pane.sides) == 2 and not pane.busy)
        await ask(pilot, pane, "hello")
        assert [side.model.name for side in pane.sides] == ["talks f16", "talks sft/last"]
        assert all(side.last and side.last.answer for side in pane.sides)

    in_chat(story, (160, 48))
