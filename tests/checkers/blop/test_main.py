"""The command: exit status and the one line it says."""

import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "workbench.checkers.blop"]


def run(*arguments: str) -> tuple[int, str]:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_accepted_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "good.blop"
    path.write_text("def A(attributes) {\n  <p>attributes.name</p>\n}\n", encoding="utf-8")
    assert run(str(path)) == (0, "")


def test_refused_with_place_and_reason(tmp_path: Path) -> None:
    path = tmp_path / "bad.blop"
    path.write_text("x = 1\nx = 2\n", encoding="utf-8")
    assert run(str(path)) == (1, f"{path}:2: x is defined twice (use := to change it)\n")


def test_unreadable_file(tmp_path: Path) -> None:
    status, said = run(str(tmp_path / "none.blop"))
    assert status == 2 and said.startswith(str(tmp_path)) and said.count("\n") == 1


def test_without_a_file() -> None:
    assert run() == (2, "usage: python -m workbench.checkers.blop FILE\n")


def test_nothing_heavy_is_imported() -> None:
    code = "import sys, workbench.checkers.blop.__main__ as _; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = done.stdout.split()
    assert not {"torch", "pydantic", "rich"} & set(modules)
    known = ("workbench", "workbench.checkers")
    ours = [m for m in modules if m.startswith("workbench") and m not in known]
    assert all(module.startswith("workbench.checkers.blop") for module in ours)
