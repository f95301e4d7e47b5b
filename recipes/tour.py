"""The pictures of the tour in the README: a real session in tmux, key by key, from nothing.

    python -m recipes.tour docs/tour [FOLDER]

Takes as long as the quickstart's run. Every picture is what the window showed; nothing is drawn.
It needs tmux. Runs, settings and the data set that it makes lie in FOLDER, else in a temporary one.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from recipes.tmux import Tmux

COLUMNS, LINES = 120, 34
RUN_S, LOAD_S = 1800.0, 90.0
PROMPT = "Write a Blop component that shows a list of loans with their amount."
PLACES = ("STATE", "CONFIG", "CACHE")


def main() -> None:
    """Do the whole session; the pictures go into the folder that is named."""
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    if len(sys.argv) > 2:
        Tour(target, Path(sys.argv[2])).go()
        return
    with tempfile.TemporaryDirectory() as folder:
        Tour(target, Path(folder)).go()


class Tour:
    """One session; a method a step, in order, each ending with its picture."""

    def __init__(self, target: Path, folder: Path) -> None:
        self.target, self.folder, self.number = target, folder, 0

    def go(self) -> None:
        """All steps."""
        places = {f"XDG_{kind}_HOME": str(self.folder / kind.lower()) for kind in PLACES}
        environment = {"TERM": "tmux-256color", "COLORTERM": "truecolor", **places}
        with Tmux(
            [sys.executable, "-m", "workbench"],
            columns=COLUMNS,
            lines=LINES,
            folder=self.folder,
            environment={**environment, "WORKBENCH_RUNS": str(self.folder / "runs")},
        ) as self.tmux:
            steps = (self.opened, self.changed, self.watched, self.exported, self.evaluated)
            for step in (*steps, self.compared, self.corrected, self.fed_back):
                step()

    def opened(self) -> None:
        self.tmux.until("No runs yet", LOAD_S)
        self.tmux.keys("n")
        self.tmux.until("Start a run from which preset")
        self.tmux.type("quickstart")
        self.picture("start")
        self.tmux.keys("Escape")

    def changed(self) -> None:
        """The quickstart's preset, with another learning rate for its second stage."""
        self.pane("Preset", "train 1 sft")
        self.down_to("train 1 sft", column=0)
        self.tmux.keys("Right")
        self.down_to("learning_rate ", column=1)
        self.tmux.keys("Enter", *["BSpace"] * 8)
        self.tmux.type("0.0025")
        self.tmux.keys("Enter")
        self.tmux.until(r"1 change unsaved[\s\S]*steps, ", LOAD_S)
        self.picture("preset")

    def watched(self) -> None:
        """Curves and samples, late in the second stage."""
        self.tmux.keys("r")
        self.tmux.until("1 running")
        self.pane("Train", "step")
        self.tmux.until(r"train sft.*\D[678]\d%", RUN_S)
        self.tmux.keys("a")
        self.picture("train")

    def exported(self) -> None:
        self.pane("Export", "adapter")
        self.tmux.until(r"✓ Modelfile", RUN_S)
        self.picture("export")

    def evaluated(self) -> None:
        self.tmux.until(r"workbench \d+\.\d+", RUN_S)  # no run is at work any more
        self.pane("Evaluate", "prompts")
        self.tmux.until("pass rate", LOAD_S)
        self.picture("evaluate")

    def compared(self) -> None:
        """The base beside the tuned model, the same prompt to both."""
        self.pane("Chat", "No model loaded")
        self.tmux.keys("Enter")
        self.tmux.until("Type a message; Enter sends", LOAD_S)
        self.tmux.keys("F3")
        self.tmux.until("base", LOAD_S)
        self.tmux.type(PROMPT)
        self.tmux.keys("Enter")
        self.tmux.until(r"tokens/s[\s\S]*tokens/s", LOAD_S)
        self.picture("chat")

    def corrected(self) -> None:
        """The answer is put right and goes to a data set as a new row."""
        self.tmux.keys("C-o")
        self.tmux.until("What should the response have been")
        self.tmux.keys(*["Down"] * 3, "End", *["Left"] * len("</li>"))
        self.tmux.type("</b>")
        self.tmux.keys(*["Left"] * len("loan.amount</b>"))
        self.tmux.type("<b>")
        self.picture("correct")
        self.tmux.keys("F2")
        self.tmux.until("row appended")
        self.tmux.keys("Escape")

    def fed_back(self) -> None:
        """That data set, as the model will see it in the next run."""
        self.pane("Data", "examples")
        self.tmux.keys("O")
        self.tmux.keys("C-u")
        self.tmux.type("corrections.jsonl")
        self.tmux.keys("Enter")
        self.tmux.until(r"corrections\.jsonl:1\b[\s\S]*trained", LOAD_S)
        self.picture("data")

    def pane(self, title: str, shows: str) -> None:
        """Go to a pane by the digit before its title, and wait for what it shows."""
        found = re.search(rf"(\d) {title}", self.tmux.text())
        assert found, f"no pane {title}"
        self.tmux.keys(found[1])
        self.tmux.until(shows, LOAD_S)

    def down_to(self, line: str, column: int) -> None:
        """Move the cursor of a list from its top down to a line."""
        cells = [re.split(r"[▕▏]", row) for row in self.tmux.text().splitlines()[2:]]
        rows = [row[column] for row in cells if len(row) > column]
        self.tmux.keys(*["Down"] * next(n for n, row in enumerate(rows) if line in row))

    def picture(self, name: str) -> None:
        """Save what the window shows as the next picture."""
        self.number += 1
        self.tmux.picture(self.target / f"{self.number}-{name}.svg", "workbench")


if __name__ == "__main__":
    main()
