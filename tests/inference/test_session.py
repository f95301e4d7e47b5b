import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.inference.helpers import Tiny, write_adapter, write_tiny
from workbench.core.errors import UserError
from workbench.core.sampling import SamplingParams
from workbench.dataset.rows import Message
from workbench.inference.decoder import BATCH_TOKENS, SequenceTokens
from workbench.inference.session import Session, common_prefix
from workbench.tokenization.chat_template import ChatTemplate

GREEDY = SamplingParams(temperature=0, max_tokens=40)
ASK = [Message("user", "hello")]


@pytest.fixture
def session(tiny_gguf: Path) -> Iterator[Session]:
    with Session.open(tiny_gguf, context=512) as opened:
        yield opened


@pytest.fixture
def open_tiny(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    sessions: list[Session] = []

    def make(tiny: Tiny, context: int = 512) -> Session:
        path = write_tiny(tmp_path / f"{len(sessions)}.gguf", tiny)
        sessions.append(Session.open(path, context=context))
        return sessions[-1]

    yield make
    for opened in sessions:
        opened.close()


def test_the_model_stops_by_itself(open_tiny: Callable[..., Session]) -> None:
    answer = open_tiny(Tiny(says=b"Helo wrd!")).answer(ASK, GREEDY)
    assert (answer.text, answer.stopped, answer.n_tokens) == ("Helo wrd!", "stop", 10)
    assert answer.elapsed_s > 0 and answer.tokens_per_second > 0


def test_a_stop_text_over_several_tokens_ends_the_answer(open_tiny: Callable[..., Session]) -> None:
    session = open_tiny(Tiny(says=b"abc EOF!d"))
    pieces = list(session.stream(ASK, GREEDY, ["EOF!"]))
    assert "".join(pieces) == "abc "
    assert session.last_answer is not None and session.last_answer.stopped == "stop"
    assert not any("E" in piece for piece in pieces)


def test_a_control_token_is_no_text_and_stops_only_when_named(
    open_tiny: Callable[..., Session],
) -> None:
    session = open_tiny(Tiny(says=b"abc", ending=3))
    unnamed, named = session.answer(ASK, GREEDY), session.answer(ASK, GREEDY, ["<|pad|>"])
    assert (named.text, named.stopped, named.n_tokens) == ("abc", "stop", 4)
    assert unnamed.n_tokens > 4 and "<|pad|>" not in unnamed.text


def test_text_arrives_while_it_is_written(open_tiny: Callable[..., Session]) -> None:
    stream = open_tiny(Tiny(says=b"abc")).stream(ASK, GREEDY)
    assert list(stream) == ["a", "b", "c"]


def test_characters_of_several_tokens_arrive_whole(open_tiny: Callable[..., Session]) -> None:
    text = "é語𐀊"
    stream = open_tiny(Tiny(says=text.encode())).stream(ASK, GREEDY)
    assert [piece for piece in stream if piece] == list(text)


def test_max_tokens_and_the_context_end_an_answer(open_tiny: Callable[..., Session]) -> None:
    session = open_tiny(Tiny(says=b"a", then_stops=False), context=256)
    limited = session.answer(ASK, SamplingParams(temperature=0, max_tokens=7))
    assert (limited.text, limited.stopped, limited.context_full) == ("a" * 7, "length", False)
    full = session.answer(ASK, SamplingParams(temperature=0, max_tokens=4000))
    assert full.stopped == "length" and full.context_full
    assert full.n_tokens + full.prompt_tokens == session.context


def test_a_conversation_beyond_the_context_is_one_line(session: Session) -> None:
    long = [Message("user", "x" * 600)]
    with pytest.raises(UserError, match="has 6[0-9][0-9] tokens, but the context size is 512"):
        session.answer(long, GREEDY)
    assert session.answer(ASK, GREEDY).n_tokens == 40, "the session is still of use"


def test_the_context_is_never_beyond_what_the_model_was_trained_for(
    open_tiny: Callable[..., Session],
) -> None:
    assert open_tiny(Tiny(context=256), context=4096).context == 256


def test_a_second_turn_reads_only_what_is_new(open_tiny: Callable[..., Session]) -> None:
    session = open_tiny(Tiny(says=b"abc"))
    first = session.answer(ASK, GREEDY)
    turns = [*ASK, Message("assistant", first.text), Message("user", "more")]
    second = session.answer(turns, GREEDY)
    assert first.cached_tokens == 0
    assert second.cached_tokens >= first.prompt_tokens + len("abc")
    with Session.open(session.model.path, context=512) as fresh:
        assert fresh.answer(turns, GREEDY).text == second.text


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_the_cache_does_not_change_what_is_said(session: Session, temperature: float) -> None:
    sampling = SamplingParams(temperature=temperature, max_tokens=30, seed=3)
    ask = [Message("user", "hello the one on")]
    alone = session.answer(ask, sampling)
    session.answer([Message("user", "hello something else")], sampling)
    again = session.answer(ask, sampling)
    assert again.cached_tokens > 0 and again.text == alone.text


def test_the_seed_decides_what_is_drawn(session: Session) -> None:
    hot = [SamplingParams(temperature=1.5, seed=seed, max_tokens=30) for seed in (1, 1, 2)]
    texts = [session.answer(ASK, sampling).text for sampling in hot]
    assert texts[0] == texts[1] != texts[2]


def test_temperature_zero_ignores_the_seed(session: Session) -> None:
    cold = [SamplingParams(temperature=0, seed=seed, max_tokens=30) for seed in (1, 2)]
    assert len({session.answer(ASK, sampling).text for sampling in cold}) == 1


def test_a_repeat_penalty_makes_repeats_rarer(session: Session) -> None:
    def distinct(repeat_penalty: float) -> int:
        sampling = SamplingParams(temperature=0, repeat_penalty=repeat_penalty, max_tokens=200)
        return len(set(session.answer(ASK, sampling).text))

    assert distinct(5.0) > distinct(1.0)


def test_cancel_from_another_thread_ends_the_answer(open_tiny: Callable[..., Session]) -> None:
    session = open_tiny(Tiny(says=b"a", then_stops=False, context=4096), context=4096)
    stream = session.stream(ASK, SamplingParams(temperature=0, max_tokens=4000))
    next(stream)
    thread = threading.Thread(target=session.cancel)
    thread.start()
    thread.join()
    assert len(list(stream)) <= 2
    assert session.last_answer is not None and session.last_answer.stopped == "cancelled"
    assert session.answer(ASK, GREEDY).text == "a" * 40, "and the next answer is whole"


def test_cancel_ends_the_reading_of_a_long_prompt(
    open_tiny: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_tiny(Tiny(context=8192), context=8192)
    decoder, chunks = session._decoder, []
    real = decoder.feed

    def feed(feeds: list[SequenceTokens], **options: bool) -> dict[int, int]:
        chunks.append(feeds)
        if len(chunks) == 3:
            session.cancel()
        return real(feeds, **options)

    monkeypatch.setattr(decoder, "feed", feed)
    assert "".join(session.stream([Message("user", "x" * 6000)], GREEDY)) == ""
    assert len(chunks) == 3 and decoder.length(0) == 2 * BATCH_TOKENS
    assert session.last_answer is not None
    assert (session.last_answer.stopped, session.last_answer.n_tokens) == ("cancelled", 0)
    assert session.answer(ASK, GREEDY).n_tokens == 40


def test_a_slow_model_is_stopped_amid_a_token(
    open_tiny: Callable[..., Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.inference.session.SLOW_TOKEN_S", -1.0)  # every model is slow
    session = open_tiny(Tiny(says=b"a", then_stops=False, context=4096), context=4096)
    decoder, calls = session._decoder, []
    real = decoder.feed

    def feed(feeds: list[SequenceTokens], *, abortable: bool = False) -> dict[int, int]:
        calls.append(abortable)
        if len(calls) == 5:
            session.cancel()  # while llama.cpp computes
        return real(feeds, abortable=abortable)

    monkeypatch.setattr(decoder, "feed", feed)
    assert (
        session.answer(ASK, SamplingParams(temperature=0, max_tokens=4000)).stopped == "cancelled"
    )
    assert calls == [True, False, True, True, True], "the first token tells how slow it is"
    assert decoder.length(0) == len(session._fed), "the token that was given up is not counted"
    assert session.answer(ASK, GREEDY).text == "a" * 40


def test_a_stream_left_half_way_leaves_the_session_sound(session: Session) -> None:
    whole = session.answer(ASK, GREEDY).text
    stream = session.stream(ASK, GREEDY)
    next(stream)
    with pytest.raises(RuntimeError, match="already generating a response"):
        session.answer(ASK, GREEDY)
    stream.close()  # type: ignore[attr-defined]
    assert session.answer(ASK, GREEDY).text == whole


def test_a_template_of_ones_own_stands_in(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "bare.gguf", Tiny(template=None, says=b"abc"))
    own = ChatTemplate("{% for m in messages %}{{ m['content'] }}\n{% endfor %}", "", "", "own")
    with Session.open(path, context=256, template=own) as session:
        assert session.answer(ASK, GREEDY).text == "abc"


def test_a_file_that_llama_refuses_is_one_line_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "no.gguf"
    path.write_bytes(b"GGUF" + b"\0" * 40)
    with pytest.raises(UserError, match="llama.cpp cannot open this file: .+") as caught:
        Session.open(path, context=256)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_the_native_log_goes_to_the_file_and_nothing_to_the_screen(
    tiny_gguf: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "native.log"
    with Session.open(tiny_gguf, context=256, log_file=log) as session:
        session.answer(ASK, GREEDY)
    assert "llama.cpp info" in log.read_text(errors="replace")
    assert capfd.readouterr() == ("", "")


def test_common_prefix() -> None:
    assert [common_prefix([1, 2], x) for x in ([], [1], [1, 2, 3], [2])] == [0, 1, 2, 0]


def test_closing_ends_a_stream_that_was_left_half_way(tiny_gguf: Path) -> None:
    session = Session.open(tiny_gguf, context=256)
    stream = session.stream(ASK, GREEDY)
    next(stream)
    session.close()
    assert list(stream) == []


def test_an_adapter_is_put_on_exchanged_and_taken_off(
    session: Session, tiny_gguf: Path, tmp_path: Path
) -> None:
    plain = session.answer(ASK, GREEDY).text
    answers = {}
    for seed in (7, 8):
        path = write_adapter(tmp_path / f"{seed}.gguf", seed=seed)
        session.adapt(path)
        answers[seed] = session.answer(ASK, GREEDY)
        assert session.adapter == path and answers[seed].cached_tokens == 0
        with Session.open(tiny_gguf, context=512, adapter=path) as fresh:
            assert fresh.answer(ASK, GREEDY).text == answers[seed].text
    session.adapt(None)
    assert session.adapter is None and session.answer(ASK, GREEDY).text == plain
    assert len({plain, answers[7].text, answers[8].text}) == 3


def test_a_file_that_is_no_adapter_leaves_all_as_it_was(
    session: Session, tiny_gguf: Path, tmp_path: Path
) -> None:
    session.adapt(write_adapter(tmp_path / "good.gguf"))
    before = session.answer(ASK, GREEDY).text
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + bytes(40))
    wide = write_adapter(tmp_path / "wide.gguf", Tiny(hidden=128))
    for path in (tmp_path / "bad.gguf", wide, tiny_gguf, tmp_path / "absent.gguf"):
        with pytest.raises(UserError, match="llama.cpp cannot use this adapter: .") as told:
            session.adapt(path)
        assert "\n" not in str(told.value) and "no reason" not in str(told.value)
    assert session.answer(ASK, GREEDY).text == before
    with pytest.raises(UserError):
        Session.open(tiny_gguf, context=512, adapter=wide)
