"""The reference of all keys, for the terminal and for the documentation, from the schema alone."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from workbench.preset.fields import FieldInfo, fields, section_of, sections
from workbench.preset.schema import Section
from workbench.preset.toml_text import toml_value

WIDTH = 96
_LISTS = ("data.source", "train", "evaluate.guard")

_HEAD = """\
# Preset reference

<!-- Generated from workbench/preset/ by `python -m workbench.preset.reference`; do not edit. -->

A preset is one TOML file that describes a complete run. `workbench --preset NAME` looks for it in
`./presets` and then among the built-in presets; a path works too. Every key has a default, so a
preset only lists what it changes: at least one `[[data.source]]` with a path and one `[[train]]`.

Unknown keys, values of the wrong type or out of range, and combinations that cannot work are
rejected before anything is loaded, all at once, each with its line:

```
presets/mine.toml:12: train.0.lerning_rate: unknown key (did you mean 'learning_rate'?)
```

## Setting a key for one run

`--set SECTION.KEY=VALUE` overrides the file. It can be repeated; the last one wins.

- VALUE is TOML: `--set train.sft.epochs=2`, `--set 'evaluate.checker=["blop", "-i", "{file}"]'`.
  For a text key, you can omit the quotes: `--set data.source.0.path=mine.txt`.
- Address a table in a list by its index or name: `train.1.learning_rate` or
  `train.sft.learning_rate`.
- The index one past the end adds a table: `--set data.source.1.path=more.txt`.
- Set a whole list at once: `--set 'export.formats=["q8_0"]'`, `--set 'evaluate.guard=[]'`.

`--dry-run` prints every key with its value and origin: default, preset or flag.
`workbench keys [SECTION]` prints the reference below.

Lengths are in tokens and times in seconds unless a key says otherwise. For keys that take a share
or a number of steps, a value below 1 is a share, and 1 or more is a number of steps.
"""


def reference_text(section: str = "") -> str:
    """The keys of a section and of those below it, for a terminal. Raises UserError if none."""
    section_of(section)
    wanted = [(name, model) for name, model in sections() if _is_in(name, section)]
    return "\n".join("\n".join(_text(name, model)) for name, model in wanted).strip() + "\n"


def reference_markdown() -> str:
    """The whole documentation page of the preset: docs/preset.md."""
    parts = [_HEAD, *("\n".join(_markdown(name, model)) for name, model in sections())]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def header(name: str) -> str:
    """How a section begins in TOML: `[model]`, `[[train]]`, `[train.adapter]`."""
    return f"[[{name}]]" if name in _LISTS else f"[{name}]"


def summary(model: type[Section]) -> str:
    """One sentence on what a section is for."""
    return (model.__doc__ or "").strip()


def _text(name: str, model: type[Section]) -> Iterator[str]:
    yield header(name) if name else "Top level"
    yield f"  {summary(model)}\n"
    for field in _values(model):
        yield f"  {field.key} = {toml_value(field.default)}"
        for sentence in (field.description, _type(field)):
            yield from textwrap.wrap(
                sentence, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6
            )
    yield ""


def _markdown(name: str, model: type[Section]) -> Iterator[str]:
    yield f"## `{header(name)}`" if name else "## Top level"
    yield f"\n{summary(model)}\n"
    yield "| key | default | allowed | meaning |\n|---|---|---|---|"
    for field in _values(model):
        cells = (
            f"`{field.key}`",
            f"`{toml_value(field.default)}`",
            field.allowed,
            field.description,
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _values(model: type[Section]) -> list[FieldInfo]:
    return [field for field in fields(model) if not field.is_table]


def _type(field: FieldInfo) -> str:
    return f"Takes {field.allowed}."


def _is_in(name: str, section: str) -> bool:
    return not section or name == section or name.startswith(f"{section}.")


if __name__ == "__main__":
    print(reference_markdown(), end="")
