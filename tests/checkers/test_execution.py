"""Checkers run under limits: nothing leaks in, nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from workbench.checkers.execution import CheckItem, Limits, Verdict, check, check_many, find_program
from workbench.core.errors import UserError

PYTHON = "{python}"


def has_namespaces() -> bool:
    code = (
        "from workbench.checkers.launcher import isolate_process; "
        "raise SystemExit(not isolate_process())"
    )
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def run(code: str, answer: str = "", **options: float) -> Verdict:
    return check([PYTHON, "-c", code, "{file}"], answer, **options)  # type: ignore[arg-type]


def test_exit_status_zero_passes() -> None:
    verdict = check([PYTHON, "-m", "py_compile", "{file}"], "x = 1\n", suffix=".py")
    assert verdict.passed and verdict.status == 0 and verdict.reason == ""
    assert 0 < verdict.elapsed_s < 10


def test_another_status_fails_with_the_reason() -> None:
    verdict = check([PYTHON, "-m", "py_compile", "{file}"], "x = = 1\n", suffix=".py")
    assert (verdict.passed, verdict.status) == (False, 1)
    assert verdict.reason == "SyntaxError: invalid syntax"
    first = run(
        "import sys; print('out'); print('answer: bad\\nmore', file=sys.stderr); sys.exit(3)"
    )
    assert (first.status, first.reason) == (3, "answer: bad")
    assert run("print('only out'); exit(1)").reason == "only out"
    assert run("exit(7)").reason == "exit status 7"


def test_what_a_checker_says_is_made_visible_and_names_no_folder() -> None:
    assert run("import sys; sys.exit('\\x1b[31m' + 'x' * 1000)").reason.startswith("\\x1b[31mxx")
    reason = run("import sys; sys.exit(sys.argv[1] + ':1: bad')").reason
    assert reason == "answer:1: bad"
    assert "\ufffd" in run("import os; os.write(2, b'\\xff\\n'); os._exit(1)").reason


def test_it_sees_the_answer_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    code = (
        "import os, sys; assert open(sys.argv[1], newline='').read() == 'größer\\r\\n';"
        "assert os.listdir() == ['answer.x'] and not sys.stdin.read();"
        "assert os.environ['HOME'] == os.getcwd() == os.environ['TMPDIR'];"
        "assert 'HF_TOKEN' not in os.environ"
    )
    verdict = check([PYTHON, "-c", code, "{file}"], "größer\r\n", suffix=".x")
    assert verdict.passed, verdict.reason


def test_placeholders_are_filled_once_and_without_a_shell() -> None:
    code = "import sys; sys.exit('|'.join(sys.argv[1:]))"
    command = [PYTHON, "-c", code, "{prompt}", "{expected}", "{a: 1}", "x{prompt}"]
    verdict = check(command, "", prompt="{file}; $(id)", expected="-rf")
    assert verdict.reason == "{file}; $(id)|-rf|{a: 1}|x{file}; $(id)"


@pytest.mark.parametrize("text", ["a\0b", "x" * 200_000])
def test_a_text_that_no_command_line_takes_fails_with_a_reason(text: str) -> None:
    verdict = check([PYTHON, "-c", "", "{prompt}"], "", prompt=text)
    assert not verdict.passed and verdict.status is None
    assert verdict.reason.endswith(("command line", "the checker cannot receive a NUL character"))


def test_a_lone_surrogate_in_an_answer_is_no_crash() -> None:
    assert run("", "a\ud800b").passed


def test_time_is_limited_and_the_whole_group_killed(tmp_path: Path) -> None:
    late = tmp_path / "late"
    script = f"trap '' TERM HUP; (sleep 2; touch {shlex.quote(str(late))}) & sleep 100"
    verdict = check(["sh", "-c", script], "", timeout_s=1.0)
    assert (verdict.passed, verdict.status) == (False, None)
    assert verdict.reason == "exceeded the time limit of 1 s" and verdict.elapsed_s < 2
    time.sleep(2.5)
    assert not late.exists()


def test_what_a_finished_checker_leaves_running_is_killed(tmp_path: Path) -> None:
    late = tmp_path / "late"
    inner = f"import time; time.sleep(1); open({str(late)!r}, 'w')"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {inner!r}])"
    assert run(code).passed
    time.sleep(1.5)
    assert not late.exists()


def processes() -> set[str]:
    return {name for name in os.listdir("/proc") if name.isdigit()}


def marked(mark: str) -> list[str]:
    """Processes that carry the mark among their arguments."""
    found = []
    for name in processes():
        with contextlib.suppress(OSError):
            if mark.encode() in Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0"):
                found.append(name)
    return found


@pytest.mark.skipif(not has_namespaces(), reason="no namespaces here")
def test_what_leaves_the_process_group_is_killed_too(tmp_path: Path) -> None:
    mark = f"mark-{tmp_path}"
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)", mark]
    code = f"import subprocess; subprocess.Popen({sleeper!r}, start_new_session=True)"
    assert run(code).passed
    assert not marked(mark)


@pytest.mark.skipif(not has_namespaces(), reason="no namespaces here")
def test_a_fork_bomb_is_ended_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    mark = f"mark-{tmp_path}"
    bomb = "import os, time\nfor _ in range(200): os.fork() or time.sleep(60)"
    verdict = check([sys.executable, "-c", bomb, mark], "", timeout_s=30, processes=50)
    assert not verdict.passed and verdict.elapsed_s < 20
    if not os.getuid():  # for others fork itself fails
        assert (verdict.status, verdict.reason) == (125, "more than 50 processes at a time")
    assert not marked(mark)


@pytest.mark.skipif(not has_namespaces(), reason="no namespaces here")
def test_many_processes_one_after_the_other_are_no_flood() -> None:
    many = "i=0; while [ $i -lt 120 ]; do /bin/true; i=$((i+1)); done"
    assert check(["sh", "-c", many], "", timeout_s=60, processes=50).passed


def test_links_lead_nobody_out_of_the_folder(tmp_path: Path) -> None:
    """Neither is what they point at removed with the folder, nor are its permissions changed."""
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o500)
    (kept / "file").write_text("mine")
    code = (
        "import os, sys\n"
        f"os.symlink({str(kept)!r}, 'folder'); os.symlink({str(kept / 'file')!r}, 'file')\n"
        f"os.remove(sys.argv[1]); os.symlink({str(kept / 'file')!r}, sys.argv[1])\n"
        "os.mkdir('deep'); os.symlink('/', 'deep/root'); os.chmod('deep', 0)\n"
        "os.symlink('loop', 'loop')"
    )
    assert run(code, "answer").passed
    assert (kept / "file").read_text() == "mine"
    assert kept.stat().st_mode & 0o777 == 0o500


def test_a_thousand_times_a_megabyte_is_cut_off() -> None:
    code = "import sys\nfor _ in range(1000): sys.stdout.write('x' * (1 << 20))"
    verdict = run(code, timeout_s=20, file_bytes=4 << 20)
    assert not verdict.passed and "File too large" in verdict.reason


def test_endless_output_is_limited() -> None:
    verdict = check(["yes"], "", timeout_s=10, file_bytes=1 << 20)
    assert not verdict.passed and verdict.reason == "wrote more than 1048576 bytes"
    assert verdict.elapsed_s < 5


def test_a_huge_file_is_limited() -> None:
    code = "f = open('big', 'wb')\nwhile True: f.write(bytes(1 << 20))"
    verdict = run(code, timeout_s=10, file_bytes=1 << 20)
    assert not verdict.passed and verdict.elapsed_s < 5


def test_memory_is_limited() -> None:
    verdict = run("x = bytearray(1 << 30)", memory_bytes=256 << 20)
    assert verdict.reason == "MemoryError"
    assert run("x = bytearray(1 << 20)", memory_bytes=256 << 20).passed


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_node_lives_within_the_memory_limit() -> None:
    assert check(["node", "--check", "{file}"], "let x = 1", suffix=".js").passed
    verdict = check(["node", "--check", "{file}"], "let x = = 1", suffix=".js")
    assert not verdict.passed and verdict.reason.startswith("answer.js:1")


def test_a_killed_checker_says_by_what() -> None:
    verdict = run("import os; os.kill(os.getpid(), 11)")
    assert verdict.status == -11 and verdict.reason.startswith("killed by signal 11")


def test_a_missing_program_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="^checker program 'nosuch' is not installed .install it"):
        check(["nosuch", "{file}"], "")
    with pytest.raises(UserError, match="not installed"):
        next(check_many(["nosuch"], [CheckItem("")]))
    plain = tmp_path / "plain"
    plain.write_text("not executable")
    with pytest.raises(UserError):
        find_program([str(plain)])
    with pytest.raises(UserError, match="the checker command has no program"):
        find_program([])
    find_program([PYTHON])


def test_a_program_that_cannot_be_started_fails_with_a_reason(tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    odd.write_text("#!/no/such/interpreter\n")
    odd.chmod(0o755)
    verdict = check([str(odd), "{file}"], "")
    assert not verdict.passed and "No such file" in verdict.reason


def test_a_relative_program_is_meant_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "judge").write_text("#!/bin/sh\nexit 5\n")
    (tmp_path / "judge").chmod(0o755)
    assert check(["./judge", "{file}"], "").status == 5


MEETING = """
import os, sys, time
number, folder = int(open(sys.argv[1]).read()), sys.argv[2]
open(os.path.join(folder, str(number)), "w").close()
for _ in range(400):
    if len(os.listdir(folder)) >= 2:
        sys.exit(number)
    time.sleep(0.02)
sys.exit(99)
"""


def test_many_verdicts_come_in_order_and_several_at_a_time(tmp_path: Path) -> None:
    """Each checker waits until it is not alone: one at a time, the first would give up."""
    items = [CheckItem(str(number)) for number in range(6)]
    command = [PYTHON, "-c", MEETING, "{file}", str(tmp_path)]
    verdicts = list(check_many(command, items, workers=3))
    assert [verdict.status for verdict in verdicts] == [0, 1, 2, 3, 4, 5]


def test_many_take_items_only_as_they_are_needed() -> None:
    taken = 0

    def endless() -> Iterator[CheckItem]:
        nonlocal taken
        while True:
            taken += 1
            yield CheckItem("0")

    verdicts = check_many([PYTHON, "-c", ""], endless(), limits=Limits(5), workers=1)
    assert next(verdicts).passed
    verdicts.close()  # type: ignore[attr-defined]
    assert taken <= 4


def test_no_folder_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run("import os; os.mkdir('d'); os.chmod('d', 0); exit(1)")
    assert os.listdir(tmp_path) == []


def test_the_package_s_own_checkers_can_be_named() -> None:
    assert check([PYTHON, "-c", "import workbench.core.text"], "").passed
    code = "import os, sys; sys.exit('PYTHONPATH' in os.environ)"
    assert check([sys.executable, "-c", code], "").passed
