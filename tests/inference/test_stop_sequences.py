import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.errors import UserError
from workbench.inference.stop_sequences import TextStream, first_stop, longest_partial_stop

TEXT = st.text(alphabet="ab<|im_end>é語🧪", max_size=40)
STOPS = st.lists(st.text(alphabet="ab<|im_end>é", min_size=1, max_size=6), max_size=3)


def run(pieces: list[bytes], stop: list[str]) -> tuple[str, bool]:
    stream = TextStream(stop)
    shown = "".join(stream.push(piece) for piece in pieces)
    return shown + stream.finish(), stream.stopped


def cut(raw: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(raw), *(c % (len(raw) + 1) for c in cuts)})
    return [raw[a:b] for a, b in zip(edges, edges[1:], strict=False)]


@settings(deadline=None)
@given(TEXT, STOPS, st.lists(st.integers(0, 200)))
def test_output_does_not_depend_on_how_tokens_cut_the_bytes(
    text: str, stop: list[str], cuts: list[int]
) -> None:
    by_byte = [bytes([b]) for b in text.encode()]
    assert run(cut(text.encode(), cuts), stop) == run(by_byte, stop)


@settings(deadline=None)
@given(TEXT, STOPS, st.lists(st.integers(0, 200)))
def test_output_ends_before_the_stop_text_that_is_complete_first(
    text: str, stop: list[str], cuts: list[int]
) -> None:
    shown, stopped = run(cut(text.encode(), cuts), stop)
    ends = [(text.find(s) + len(s), text.find(s)) for s in stop if s in text]
    assert stopped == bool(ends)
    assert shown == (text[: min(ends)[1]] if ends else text)


@settings(deadline=None)
@given(TEXT, STOPS)
def test_what_is_shown_early_is_never_taken_back(text: str, stop: list[str]) -> None:
    stream, seen, final = TextStream(stop), "", run([text.encode()], stop)[0]
    for byte in text.encode():
        seen += stream.push(bytes([byte]))
        assert final.startswith(seen)


def test_a_stop_text_over_three_tokens_is_never_shown() -> None:
    stream = TextStream(["<|im_end|>"])
    assert stream.push(b"done <|im") == "done "
    assert stream.push(b"_en") == ""
    assert stream.push(b"d|> more") == ""
    assert stream.stopped and stream.push(b"later") == "" and stream.finish() == ""


def test_a_beginning_that_became_nothing_is_shown_after_all() -> None:
    stream = TextStream(["<|im_end|>"])
    assert stream.push(b"a <|im") == "a "
    assert stream.push(b"age") == "<|image"
    assert stream.finish() == ""


def test_a_character_in_four_tokens_appears_when_it_is_whole() -> None:
    stream = TextStream()
    assert [stream.push(bytes([b])) for b in "🧪".encode()] == ["", "", "", "🧪"]


def test_bytes_that_are_no_utf8_become_the_replacement_character() -> None:
    assert run([b"a\xff", b"b\xe8\xaa"], []) == ("a\ufffdb\ufffd", False)


def test_an_empty_stop_text_is_refused() -> None:
    with pytest.raises(UserError, match="empty stop string"):
        TextStream(["x", ""])


def test_of_two_stop_texts_that_end_together_the_longer_counts() -> None:
    assert first_stop("x<|end|>", ["|>", "<|end|>"]) == 1
    assert first_stop("nothing", ["|>"]) is None
    assert longest_partial_stop("ab<|", ["<|im", "b"]) == 2
    assert longest_partial_stop("", ["<|im"]) == 0
