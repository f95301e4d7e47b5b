"""The command as a child process, with the fake worker in place of the real one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FAKE_WORKER = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))
FRONT = f"""
import sys
from workbench.run import launch
launch.WORKER = {FAKE_WORKER!r}
from workbench.cli import main
sys.exit(main())
"""


def front(*arguments: str, story: str) -> subprocess.Popen[str]:
    """`workbench ARGUMENTS` whose workers tell `story`."""
    return subprocess.Popen(
        [sys.executable, "-c", FRONT, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env={**os.environ, "STORY": story},
    )
