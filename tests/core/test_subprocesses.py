"""Child processes are heard to the last word, and end with whoever started them."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from workbench.core import subprocesses
from workbench.core.errors import Interrupted
from workbench.core.subprocesses import (
    ChildDied,
    JsonChild,
    Message,
    exit_reason,
    run_child,
    start_detached,
    start_pipes,
)
from workbench.dataset.browse.record_library import SourceRequest

PACKAGE = Path(__file__).parents[2] / "workbench"
STARTS = {
    "core/subprocesses.py": "owns child processes",
    "checkers/execution.py": "runs untrusted responses",
    "checkers/launcher.py": "isolates them",
    "tui/clipboard.py": "xclip stays in the background and would hold a pipe of ours open",
    "tui/terminal.py": "hands the terminal itself to the editor",
}

START = """
import json, sys, time
from workbench.core.subprocesses import JsonChild
command = [sys.executable, "-P", "-m", "workbench.dataset.browse.search_process"]
child = JsonChild(command, json.loads(sys.argv[1]))
child.listen(lambda message: None)
print(child._process.pid, flush=True)
time.sleep(60)
"""

END = """
import signal, sys
from workbench.core import subprocesses
from workbench.core.errors import UserError
subprocesses.PARENT_ALARM_S = 0.01
def task(request, sender):
    if request["fails"]:
        raise {"user": UserError, "other": ValueError}[request["fails"]]("no")
try:
    subprocesses.run_task(task)
finally:
    print(signal.getitimer(signal.ITIMER_REAL), file=sys.stderr)
"""


@pytest.mark.parametrize("fails", ["", "user", "other"])
def test_its_clock_stands_still_before_the_interpreter_goes(fails: str) -> None:
    """An alarm between the end of the handlers and that of the process would kill it."""
    request = json.dumps({"fails": fails}) + "\n"
    command = [sys.executable, "-c", END]
    ended = subprocess.run(command, input=request, capture_output=True, text=True)
    assert ended.stderr.startswith("(0.0, 0.0)\n")
    assert ended.returncode == (fails == "other")


def test_an_endless_search_does_not_outlive_the_screen(tmp_path: Path) -> None:
    row = {"prompt": "a" * 40 + "!", "completion": "x"}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    source = SourceRequest(str(tmp_path / "rows.jsonl"), "prompt-completion").to_json()
    request = {"source": source, "wanted": {"pattern": "(a+)+$", "category": ""}, "spooled": False}
    command = [sys.executable, "-c", START, json.dumps(request)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        time.sleep(1.0)
        os.kill(child, 0)  # it is at work
        parent.kill()
    end = time.monotonic() + 20
    while time.monotonic() < end and Path(f"/proc/{child}/stat").exists():
        if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.1)
    else:
        assert not Path(f"/proc/{child}").exists()


def python(code: str) -> list[str]:
    return [sys.executable, "-c", "import json, os, signal, sys, time\n" + code]


def test_processes_are_started_in_one_place() -> None:
    texts = {
        path.relative_to(PACKAGE).as_posix(): path.read_text() for path in PACKAGE.rglob("*.py")
    }
    assert {name for name, text in texts.items() if "Popen" in text} == {*list(STARTS)[:2]}
    calls = ("subprocess.run(", "check_output(", "os.system(", "os.spawn", "os.fork")
    found = {name for name, text in texts.items() if any(call in text for call in calls)}
    assert found <= {*STARTS}


def test_messages_come_up_to_the_last_which_says_how_it_went() -> None:
    code = """
for line in sys.stdin: break
print(json.dumps({"asked": json.loads(line), "quiet": os.environ["GGML_NO_BACKTRACE"]}))
print(json.dumps({"problem": os.environ["EXTRA"]}))
"""
    with JsonChild(python(code), {"a": 1}, environment={"EXTRA": "none"}) as child:
        found = list(child.messages())
    assert found == [{"asked": {"a": 1}, "quiet": "1"}, {"problem": "none"}]


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("print('bad', file=sys.stderr); sys.exit(3)", ": bad"),
        ("os.kill(os.getpid(), signal.SIGKILL)", " (SIGKILL)"),
        ("os.write(1, b'{\"done\": 1'); os.kill(os.getpid(), signal.SIGKILL)", " (SIGKILL)"),
    ],
)
def test_one_that_dies_without_its_last_message(code: str, cause: str) -> None:
    with JsonChild(python(code)) as child, pytest.raises(ChildDied) as died:
        list(child.messages())
    assert died.value.cause == cause


def test_one_that_writes_more_errors_than_a_pipe_holds_goes_on() -> None:
    code = """
for n in range(3000): print("x" * 100, file=sys.stderr)
print("last", file=sys.stderr)
print(json.dumps({"done": 1}))
"""
    with JsonChild(python(code)) as child, pytest.raises(ChildDied) as died:
        list(child.messages())
    assert died.value.cause == ": last"


def test_one_that_says_nothing_is_stopped() -> None:
    asked = iter([False, False, True])
    with JsonChild(python("time.sleep(600)")) as child, pytest.raises(Interrupted):
        list(child.messages(lambda: next(asked)))
    assert child._process.returncode == -signal.SIGKILL


def heard(code: str) -> list[Message]:
    messages: list[Message] = []
    ended = threading.Event()

    def take(message: Message) -> None:
        messages.append(message)
        if "end" in message:
            ended.set()

    child = JsonChild(python(code))
    child.listen(take)
    assert ended.wait(60)
    child.stop()
    return messages


def test_a_listener_is_told_how_it_ended(capfd: pytest.CaptureFixture[str]) -> None:
    assert heard("print(json.dumps({'n': 1}))") == [{"n": 1}, {"end": ""}]
    assert heard("print('oh', file=sys.stderr); sys.exit(4)") == [
        {"end": "a helper process ended with exit status 4"}
    ]
    assert "oh\n" in capfd.readouterr().err


def test_nothing_is_heard_after_a_stop() -> None:
    messages: list[Message] = []
    child = JsonChild(python("print(json.dumps({'n': 1}), flush=True); time.sleep(600)"))
    child.listen(messages.append)
    while not messages:
        time.sleep(0.01)
    child.stop()
    child.send({"late": True})
    assert messages == [{"n": 1}]


def test_a_child_is_run_to_its_end() -> None:
    code = "out = sys.stdin.read(); print(out.upper()); print('e', file=sys.stderr); sys.exit(2)"
    assert run_child(python(code), input=b"text") == (2, b"TEXT\n", b"e\n")
    with pytest.raises(TimeoutError, match="did not end within 0.1 s"):
        run_child(python("time.sleep(600)"), timeout_s=0.1)


def test_how_it_ended_in_words() -> None:
    assert exit_reason(-6, b"first\nGGML_ASSERT failed\n\n") == " (SIGABRT): GGML_ASSERT failed"
    assert exit_reason(1, b"no\xff") == ": no\N{REPLACEMENT CHARACTER}"
    assert exit_reason(0, b"") == ""


def test_a_detached_child_writes_into_its_file(tmp_path: Path) -> None:
    code = "print(os.getcwd(), os.getsid(0) == os.getpid(), os.environ['EXTRA'], sys.stdin.read())"
    with open(tmp_path / "log", "wb") as log:
        child = start_detached(python(code), log, folder=tmp_path, environment={"EXTRA": "1"})
    assert child.wait() == 0
    assert (tmp_path / "log").read_text() == f"{tmp_path} True 1 \n"


@pytest.mark.parametrize("by", ["pipe", "kernel"])
def test_a_byte_is_heard_and_the_end_of_the_pipe_ends_it(by: str) -> None:
    code = f"""
from workbench.core.subprocesses import exit_with_parent, send_message
exit_with_parent({by!r}, on_byte=lambda: send_message(asked=True))
time.sleep(600)
"""
    with start_pipes(python(code)) as child:
        assert child.stdin and child.stdout
        child.stdin.write(b"s")
        child.stdin.flush()
        assert json.loads(child.stdout.readline()) == {"asked": True}
        child.stdin.close()
        assert child.wait(60) == 1


CHILD = """
from workbench.core.subprocesses import exit_with_parent
exit_with_parent({by!r})
print(os.getpid(), flush=True)
{work}
"""
PARENT = """
from workbench.core.subprocesses import start_pipes
child = start_pipes(sys.argv[1:], stdout=None)
time.sleep(600)
"""


@pytest.mark.parametrize("by", ["poll", "alarm", "kernel"])
def test_a_parent_that_ended_before_the_child_looked_is_missed(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed parent's child has another parent by the time that it can ask."""
    monkeypatch.setattr(subprocesses.os, "getpid", lambda: 1 << 30)
    with start_pipes(python(CHILD.format(by=by, work="time.sleep(600)"))) as child:
        assert child.wait(60) == 1


@pytest.mark.parametrize(
    ("by", "work"),
    [
        ("pipe", "time.sleep(600)"),
        ("poll", "time.sleep(600)"),
        ("alarm", "import re; re.match('(a+)+$', 'a' * 60 + '!')"),
        ("kernel", "import re; re.match('(a+)+$', 'a' * 60 + '!')"),
    ],
)
def test_it_ends_with_a_killed_parent_whatever_it_does(by: str, work: str) -> None:
    command = [*python(PARENT), *python(CHILD.format(by=by, work=work))]
    with start_pipes(command) as parent:
        assert parent.stdout
        number = int(parent.stdout.readline())
        parent.kill()
        assert parent.stdout.read() == b""  # its end: the child held it, too
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
        _await_reaped(number)
        os.kill(number, 0)


def _await_reaped(number: int) -> None:
    """Its descriptors are closed a moment before it is gone; then somebody must take it."""
    end = time.monotonic() + 20
    while time.monotonic() < end and Path(f"/proc/{number}/stat").exists():
        if Path(f"/proc/{number}/stat").read_text().split()[2] == "Z":
            raise ProcessLookupError
        time.sleep(0.05)
