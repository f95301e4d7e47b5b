"""Verdicts of the real compiler, by a command that the person gives.

Two kinds: `blop -i` is run once for every program, with the file's name after it; a command
that ends in `judge.js` gets all programs at once.
"""

import json
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path


def accepted(command: str, sources: Sequence[str]) -> list[bool]:
    """For each program, whether the compiler accepts it."""
    words = shlex.split(command)
    with tempfile.TemporaryDirectory() as folder:
        if words[-1].endswith("judge.js"):
            words[-1] = str(Path(words[-1]).resolve())
            return _all_at_once(words, sources, folder)
        return [_one(words, source, Path(folder)) for source in sources]


def _all_at_once(words: list[str], sources: Sequence[str], folder: str) -> list[bool]:
    text = json.dumps(list(sources))
    done = subprocess.run(
        words, input=text, stdout=subprocess.PIPE, text=True, cwd=folder, check=True
    )
    return [verdict == "" for verdict in json.loads(done.stdout)]


def _one(words: list[str], source: str, folder: Path) -> bool:
    path = folder / "program.blop"
    path.write_text(source, encoding="utf-8")
    done = subprocess.run([*words, str(path)], capture_output=True, cwd=folder, check=False)
    return done.returncode == 0
