"""The event log: nothing whole is ever lost, nothing torn is ever taken for an event."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.run.helpers import step
from workbench.run import events
from workbench.run.event_lines import MAX_LINE_BYTES, Record, line_seq, parse_line, to_line
from workbench.run.log import EventLog, EventReader, read, skim

NOTE = events.Note(message="füñ ☃ \u2028 \x1b[31m", level="warning")


def write(path: Path, count: int) -> None:
    log = EventLog(path)
    for number in range(1, count + 1):
        log.append(step(number), "train:sft")
    log.close()


def test_what_is_appended_is_read(tmp_path: Path) -> None:
    log = EventLog(tmp_path / "e", now=lambda: "2026-01-01T00:00:00.000Z")
    first = log.append(NOTE, "prepare")
    second = log.append(step(1), "train:sft")
    log.close()
    assert read(tmp_path / "e") == [first, second]
    assert [record.seq for record in (first, second)] == [1, 2]
    assert first.time == "2026-01-01T00:00:00.000Z" and first.stage == "prepare"


def test_numbering_goes_on_in_the_next_life(tmp_path: Path) -> None:
    write(tmp_path / "e", 3)
    write(tmp_path / "e", 2)
    assert [record.seq for record in read(tmp_path / "e")] == [1, 2, 3, 4, 5]


def test_torn_at_every_byte_of_the_last_event_then_appended_to(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    write(whole, 3)
    data = whole.read_bytes()
    last = data[:-1].rindex(b"\n") + 1
    for cut in range(last, len(data)):
        torn = tmp_path / f"cut{cut}"
        torn.write_bytes(data[:cut])
        log = EventLog(torn)
        log.append(NOTE)
        log.close()
        reader = EventReader(torn)
        records = reader.poll()
        complete_but_for_newline = cut == len(data) - 1
        expected = [1, 2, 3, 4] if complete_but_for_newline else [1, 2, 3]
        assert [record.seq for record in records] == expected, cut
        assert records[-1].event == NOTE
        assert reader.damaged == (0 if complete_but_for_newline or cut == last else 1)


def test_single_byte_flips_lose_at_most_their_own_line(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    write(whole, 20)
    data = bytearray(whole.read_bytes())
    original = {record.seq: record for record in read(whole)}
    choose = random.Random(5)
    for n in range(200):
        at, bit = choose.randrange(len(data)), 1 << choose.randrange(8)
        flipped = bytearray(data)
        flipped[at] ^= bit
        path = tmp_path / f"flip{n}"
        path.write_bytes(flipped)
        records = read(path)
        untouched = [record for record in records if original.get(record.seq) == record]
        assert len(untouched) >= 18, (at, bit)  # a flipped newline joins two lines
        log = EventLog(path)
        added = log.append(NOTE)
        log.close()
        assert read(path)[-1] == added


def test_megabytes_of_damage_do_not_restart_the_numbering(tmp_path: Path) -> None:
    path = tmp_path / "e"
    write(path, 3)
    with open(path, "ab") as file:
        file.write(b"x" * (5 << 20) + b"\n")
    log = EventLog(path)
    assert log.append(NOTE).seq == 4
    log.close()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[1]",
        b"null",
        b'{"seq":1}',
        b'{"seq":"1","kind":"note"}',
        b'{"seq":true,"kind":"note"}',
        b'{"seq":1,"kind":["note"]}',
        b'{"seq":1,"kind":"note","stage":{}}',
        b'{"seq":1,"kind":"note","time":7}',
        b"[" * 100_000,
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_event_is_refused(line: bytes) -> None:
    for read_line in (parse_line, line_seq):
        with pytest.raises(ValueError):
            read_line(line)


def test_foreign_lines_are_counted_and_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "e"
    write(path, 1)
    with open(path, "ab") as file:
        file.write(b'hello\n{"seq":9,"kind":"from_the_future"}\n\n')
    reader = EventReader(path)
    assert len(reader.poll()) == 1
    assert reader.damaged == 1


def test_a_full_disk_leaves_a_log_that_goes_on(tmp_path: Path) -> None:
    """In a child, through the fault seam: the third write fails, the fourth succeeds."""
    path = tmp_path / "e"
    code = """
import sys
from pathlib import Path
from workbench.run import events
from workbench.run.log import EventLog
log = EventLog(Path(sys.argv[1]))
for n in range(5):
    try:
        log.append(events.Note(message=str(n)))
    except OSError as error:
        print(n, error.errno)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env=_environment(WORKBENCH_FAULT="write:3:enospc"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "2 28\n"
    assert [(r.seq, r.event.fields()["message"]) for r in read(path)] == [
        (1, "0"),
        (2, "1"),
        (3, "3"),
        (4, "4"),
    ]


def test_a_short_write_is_finished_or_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`os.write` may take only a part (a disk nearly full) without an exception."""
    import os

    from workbench.core import files

    real, taken = os.write, []

    def stingy(fd: int, data: bytes) -> int:
        taken.append(len(data))
        return real(fd, bytes(data)[:7]) if len(taken) < 4 else 0

    log = EventLog(tmp_path / "e")
    monkeypatch.setattr(files.os, "write", stingy)
    with pytest.raises(OSError, match="No space"):
        log.append(NOTE)
    monkeypatch.undo()
    assert (tmp_path / "e").stat().st_size == 21
    assert log.append(NOTE).seq == 1
    log.close()
    assert [record.seq for record in read(tmp_path / "e")] == [1]


def test_a_reader_sees_an_unfinished_line_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "e"
    write(tmp_path / "source", 2)
    data = (tmp_path / "source").read_bytes()
    reader, seen = EventReader(path), []
    assert reader.poll() == []  # an absent log is an empty one
    for byte in range(len(data)):
        with open(path, "ab") as file:
            file.write(data[byte : byte + 1])
        seen += [record.seq for record in reader.poll()]
        assert len(seen) == data[: byte + 1].count(b"\n")
    assert seen == [1, 2] and reader.damaged == 0


def test_tailing_while_a_writer_writes(tmp_path: Path) -> None:
    path, count = tmp_path / "e", 3000
    writer = threading.Thread(target=write, args=(path, count))
    reader, seen = EventReader(path), []
    writer.start()
    while writer.is_alive():
        seen += reader.poll()
    seen += reader.poll()
    assert [record.seq for record in seen] == list(range(1, count + 1))


def test_a_replaced_or_shortened_log_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "e"
    write(path, 5)
    reader = EventReader(path)
    assert len(reader.poll()) == 5 and not reader.restarted
    write(tmp_path / "other", 3)
    (tmp_path / "other").replace(path)
    assert len(reader.poll()) == 3 and reader.restarted
    path.write_bytes(b"")
    assert reader.poll() == [] and reader.restarted
    assert reader.poll() == [] and not reader.restarted


def test_a_log_that_cannot_be_read_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "e").mkdir()  # root may read anything but a folder
    reader = EventReader(tmp_path / "e")
    assert reader.poll() == [] and reader.trouble
    (tmp_path / "e").rmdir()
    write(tmp_path / "e", 1)
    assert len(reader.poll()) == 1 and not reader.trouble


def test_nan_is_null_in_the_log_and_nan_again_in_the_reader() -> None:
    for value in (math.nan, math.inf, -math.inf):
        line = to_line(Record(1, "", "", step(1, loss=value)))
        json.loads(line, parse_constant=lambda name: pytest.fail(name))
        record = parse_line(line)
        assert record and isinstance(record.event, events.Step) and math.isnan(record.event.loss)
    figures = events.Evaluated(model="m", figures={"a": math.nan, "b": [math.inf, 1.5]})
    assert json.loads(to_line(Record(1, "", "", figures)))["figures"] == {
        "a": None,
        "b": [None, 1.5],
    }


VALUES = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=3000) | st.booleans(),
    lambda inner: st.lists(inner, max_size=50) | st.dictionaries(st.text(), inner, max_size=50),
    max_leaves=60,
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.text(max_size=400), VALUES, max_size=80), st.text(max_size=9000))
def test_any_event_is_one_short_line_of_strict_json(figures: dict[str, object], text: str) -> None:
    for event in (
        events.Evaluated(model=text, figures=figures),
        events.Sampled(step=1, prompt=text, answer=text + "\ud800\n", stopped=True),
    ):
        line = to_line(Record(7, "t", "s", event))
        assert len(line) <= MAX_LINE_BYTES and line.endswith(b"\n") and line.count(b"\n") == 1
        json.loads(line, parse_constant=lambda name: pytest.fail(name))
        assert parse_line(line) is not None


def test_a_long_text_is_cut_and_a_short_one_beside_it_is_not() -> None:
    event = events.Sampled(step=1, prompt="short", answer="x" * 10_000, stopped=False)
    fields = json.loads(to_line(Record(1, "", "", event)))
    assert fields["prompt"] == "short" and fields["answer"].endswith("x…")


def test_a_step_takes_little_room() -> None:
    numbers = {"loss": 1.2345678901234567, "learning_rate": 0.00012345678901234}
    event = step(99_999, 100_000, tokens_per_second=7912.123456789, **numbers)
    assert len(to_line(Record(123_456, "2026-11-21T10:22:04.120Z", "train:sft", event))) <= 420


def test_skim_tells_as_much_as_lists_need(tmp_path: Path) -> None:
    path = tmp_path / "e"
    log = EventLog(path)
    log.append(events.RunStarted(pid=1, host="h", version="0", stages=["train:sft"]))
    log.append(events.StageStarted(title='a "kind":"step" in a text'), "train:sft")
    for number in range(1, 40):
        log.append(step(number, 40), "train:sft")
    log.append(events.RunStopped(reason="asked"))
    log.close()
    with open(path, "ab") as file:
        file.write(b'{"seq":99,"kind":"step"')  # torn
    kinds = [record.event.kind for record in skim(path)]
    assert kinds == ["run_started", "stage_started", "step", "run_stopped"]
    assert skim(path)[2].event == step(39, 40)
    assert skim(tmp_path / "absent") == []


@pytest.mark.slow
def test_a_million_events_tailed(tmp_path: Path) -> None:
    """None missing, none double, in order, while they are written."""
    path, count = tmp_path / "e", 1_000_000
    writer = threading.Thread(target=write, args=(path, count))
    reader, last = EventReader(path), 0
    writer.start()
    alive = True
    while alive:
        alive = writer.is_alive()
        for record in reader.poll():
            assert record.seq == last + 1
            last = record.seq
    assert last == count and reader.damaged == 0


def _environment(**extra: str) -> dict[str, str]:
    import os

    return {**os.environ, **extra}
