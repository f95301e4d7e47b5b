"""A helper process ends with whoever started it, whatever it is at."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workbench.dataset.browse.record_library import SourceRequest

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
