"""One asking in lines: the prompt, then the answers of the models side by side, or as Markdown.

What data and models wrote goes through `visible`; as lines of a terminal and as a file it can do
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.text import Text

from workbench.core.text import one_line, quantity, visible
from workbench.inference.generation import ENDINGS
from workbench.reports.cases import Case
from workbench.tui.panes.evaluate.model import OtherEvaluation, PromptCases, change
from workbench.tui.styled_text import styled, wrapped

MARKS = {"passed": "✓", "failed": "✗", "unjudged": "·", "unmeasured": "?", None: " "}
STYLES = {"passed": "green", "failed": "bold red", "unmeasured": "yellow"}
WORDS = {
    "passed": "passes",
    "failed": "fails",
    "unjudged": "nothing to check against",
    "unmeasured": "not measured",
}
FINDINGS = {"failed": "red", "unmeasured": "yellow"}
COLUMN_WIDTH = 36
LEAST_FOR_TWO = 50
BETWEEN = " │ "
Block = list[Text]


def lines(
    asked: PromptCases, models: Sequence[str], other: OtherEvaluation | None, width: int
) -> list[Text]:
    """All there is to see of an asking, for a width."""
    first = asked.first
    found = [line for said in first.earlier for line in _earlier(said, width)]
    found += wrapped(f"› {first.prompt}", width, "bold")
    if first.must_contain:
        found += wrapped(f"must contain: {', '.join(first.must_contain)}", width, "cyan")
    columns = max(2 if width >= LEAST_FOR_TWO else 1, width // COLUMN_WIDTH)
    titles = [(name, case) for name in models if (case := asked.cases.get(name))]
    twin = other.against.before.get(first.key) if other else None
    if other and twin:
        titles.append((other.name, twin))
    blocks = len(titles) + bool(first.expected)
    columns = min(columns, blocks)
    room = (width - len(BETWEEN) * (columns - 1)) // columns
    laid = [_answer(name, case, room) for name, case in titles]
    if first.expected:
        laid.append([_title("expected", room), Text(""), *wrapped(first.expected, room, "cyan")])
    for at in range(0, len(laid), columns):
        found.append(Text(""))
        found += beside(laid[at : at + columns], room)
    return found


def beside(blocks: Sequence[Block], width: int) -> list[Text]:
    """The blocks as columns of that width."""
    found = []
    for row in zip_longest(*blocks, fillvalue=Text("")):
        line = Text(no_wrap=True)
        for number, cell in enumerate(row):
            line.append(BETWEEN if number else "", "dim")
            line.append_text(cell)
            if number < len(row) - 1:
                line.append(" " * (width - cell.cell_len))
        found.append(line)
    return found


def title(
    asked: PromptCases, subject: str, other: OtherEvaluation | None, number: int, of: int
) -> Text:
    """Which asking it is: place among those shown, file and line, category, what has changed."""
    first = asked.first
    text = styled(f" {number + 1:,} of {of:,}", "bold")
    text.append(f"  {one_line(asked.group, 30)}", "not bold cyan")
    if first.sample:
        text.append(f"  response {first.sample + 1}", "not bold")
    changed = change(subject, other, asked)
    if changed in CHANGES:
        text.append(f"  {changed}", f"not bold {CHANGES[changed][1]}")
    return text.append(f"  {one_line(first.place, 200)}", "not bold dim")


CHANGES = {"newly passing": ("+", "green"), "newly failing": ("-", "bold red")}


def markdown(asked: PromptCases, models: Sequence[str]) -> str:
    """The asking as a text for an editor or the clipboard."""
    first = asked.first
    parts = [f"# {asked.group}: {first.place}"]
    parts += [f"## {role}\n\n{text}" for role, text in first.earlier]
    parts.append(f"## prompt\n\n{first.prompt}")
    if first.must_contain:
        parts.append(f"must contain: {', '.join(first.must_contain)}")
    if first.expected:
        parts.append(f"## expected\n\n{first.expected}")
    for name in models:
        case = asked.cases.get(name)
        if case:
            found = "\n".join(f"- {line}" for line in (WORDS[case.verdict], *_findings(case)))
            parts.append(f"## {name}\n\n{found}\n\n{case.answer}")
    return visible("\n\n".join(parts)) + "\n"


def _answer(name: str, case: Case, width: int) -> Block:
    block = [_title(name, width, case)]
    style = FINDINGS.get(case.verdict, "dim")
    for line in _findings(case):
        block += wrapped(line, width, style)
    return [*block, Text(""), *wrapped(case.answer, width, "")]


def _title(name: str, width: int, case: Case | None = None) -> Text:
    words = f"{MARKS[case.verdict]} {WORDS[case.verdict]}" if case else ""
    text = styled(one_line(name, max(8, width - len(words) - 2)), "bold underline")
    return text.append(f"  {words}", STYLES.get(case.verdict, "dim") if case else "")


def _findings(case: Case) -> list[str]:
    """Why it passes or fails, a line each; nothing where there is nothing to say."""
    found = [f"not measured: {one_line(case.problem, 400)}"] if case.problem else []
    if case.checker_says:
        found.append(f"checker: {one_line(case.checker_says, 400)}")
    if case.missing:
        found.append(f"missing: {', '.join(case.missing)}")
    if case.measured and case.stopped not in ("", "stop"):
        ending = ENDINGS.get(case.stopped, one_line(case.stopped, 40))
        found.append(f"{ending} after {quantity(case.n_tokens, 'token')}")
    if (perplexity := case.perplexity) is not None:
        found.append(f"perplexity of the expected response: {perplexity:.4g}")
    return found


def _earlier(said: tuple[str, str], width: int) -> list[Text]:
    role, text = said
    return wrapped(f"{role}: {text}", width, "dim")
