"""The form's words: the head line, a key explained, the faults, the changes, the plan of steps."""

from __future__ import annotations

import textwrap
from typing import Any

from rich.text import Text

from workbench.core.text import one_line, quantity, visible
from workbench.preset.loader import LoadedPreset, dotted
from workbench.preset.toml_text import toml_value
from workbench.runner import dry_run
from workbench.tui.panes.preset.draft import Draft, told
from workbench.tui.panes.preset.outline import Entry, choices_of, summary
from workbench.tui.styled_text import styled

SHOWN = 200


def head(draft: Draft) -> Text:
    """Which preset, where it lies, and how it stands."""
    text = Text(" ").append(one_line(draft.path.stem, 30), "bold")
    if draft.now.trouble:
        text.append("  invalid TOML", "bold red")
    faults, changed = len(draft.now.faults), len(draft.changed())
    if faults:
        text.append(f"  {quantity(faults, 'error')}", "red")
    if draft.dirty:
        text.append(f"  {quantity(changed, 'change')} unsaved", "yellow")
    text.append(f"  {one_line(str(draft.path), SHOWN)}", "dim")
    return text


def explained(entry: Entry, width: int) -> list[Text]:
    """What a key means, what it takes, who set it, and what is wrong with it."""
    lines = [styled(fault, "red") for fault in entry.faults]
    lines += [Text(line) for line in _wrapped(entry.field.description, width)]
    lines += [styled(line, "dim") for line in _wrapped(f"Takes {summary(entry.field)}.", width)]
    if entry.changed and not entry.new:
        lines.append(styled(f"Saved value: {one_line(toml_value(entry.on_disk), SHOWN)}", "yellow"))
    elif not entry.said:
        lines.append(styled("Not set; using the default.", "dim"))
    return lines


def attempted(refused: str, told: str, entry: Entry, width: int) -> list[Text]:
    """What stands under a value while it is typed."""
    lines = [styled(f"✗ {line}", "bold red") for line in _wrapped(refused, width - 2)]
    lines += [styled(f"! {line}", "yellow") for line in _wrapped(told, width - 2)]
    if len(choices_of(entry.field)) > 1:
        hint = "Press Up or Down to cycle through the choices."
        lines += [styled(line, "dim") for line in _wrapped(hint, width)]
    keys = "Enter accept   Esc cancel"
    return [*lines, *explained(entry, width)[len(entry.faults) :], styled(keys, "dim")]


def fault_lines(draft: Draft) -> list[Text]:
    """Every fault with its key, or that there is none."""
    if draft.now.trouble:
        return [
            styled(visible(str(draft.now.trouble)), "red"),
            styled("Press e to edit the file.", "dim"),
        ]
    lines = []
    for fault in draft.now.faults:
        line = draft.now.places.line(fault.path)
        where = f"line {line}  " if line else ""
        lines.append(styled(f"✗ {where}{dotted(fault.path)}: {one_line(told(fault), 400)}", "red"))
    return lines or [styled("No errors: this preset is ready to run.", "green")]


def change_lines(draft: Draft) -> list[Text]:
    """What differs from the file."""
    before, now = draft.on_disk.values(), draft.now.values()
    lines = []
    for path in draft.changed():
        old = one_line(toml_value(before[path]), 60) if path in before else "(new)"
        lines.append(Text(f"* {dotted(path)}: {old} → {one_line(toml_value(now[path]), 100)}"))
    for path in before.keys() - now.keys():
        lines.append(Text(f"* {dotted(path)}: removed"))
    if draft.dirty and not lines:
        lines.append(Text("Only comments or formatting differ from the file."))
    return lines or [styled("No changes.", "dim")]


def plan_lines(loaded: LoadedPreset, found: dict[str, Any]) -> list[Text]:
    """The counts of `workbench.runner.dry_run.run_dry_run`, one line a stage."""
    prompts = quantity(found["prompts"], "evaluation prompt")
    lines = [
        Text(
            f"{quantity(found['rows'], 'row')}: {found['train_rows']:,} for training, "
            f"{found['validation_rows']:,} for validation; {prompts}"
        )
    ]
    for stage in loaded.preset.train:
        told = dry_run.stage_lines(found, stage.name)
        lines += [Text(f"{stage.name}  {told[0]}"), *(Text(f"  {line}") for line in told[1:])]
    formats = ", ".join(loaded.preset.export.formats) or "nothing"
    lines.append(Text(f"export  {formats}"))
    if "unknown" in found:
        lines.append(styled(one_line(str(found["unknown"]), SHOWN), "yellow"))
    lines += [styled(one_line(str(note), SHOWN), "dim") for note in found["notes"]]
    return lines


def plan_summary(loaded: LoadedPreset, found: dict[str, Any]) -> Text:
    """`63 + 336 steps  about 2:50  762 MiB of 22.6 GiB free`, red where that is too little."""
    style = "bold red" if dry_run.is_too_large(found) else ""
    return styled(
        dry_run.estimate_summary(found, [stage.name for stage in loaded.preset.train]), style
    )


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(visible(text), max(20, width)) if text else []
