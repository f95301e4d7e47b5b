"""Small presets, and a strategy that draws any preset the schema takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from workbench.core.errors import UserErrors
from workbench.preset.fields import FieldInfo, fields
from workbench.preset.loader import LoadedPreset, parse
from workbench.preset.schema import Preset, Section

MINIMAL = """\
[[data.source]]
path = "a.txt"

[[train]]
name = "sft"
"""

FILE = Path("presets/mine.toml")

TEXTS: dict[str, st.SearchStrategy[Any]] = {
    "base": st.sampled_from(["embedded:tiny", "google/gemma-2b-it", "./mine", "C:\\models\\ä"]),
    "revision": st.sampled_from(["main", "v1.0", "0123abc"]),
    "chat_template": st.sampled_from(["auto", "chatml", "FILE:a b.jinja"]),
    "name": st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True),
    "separator": st.sampled_from(["", "<DOC_SEP>", "***"]),
    "checker_suffix": st.sampled_from(["", ".py", ".blop"]),
}
LISTS: dict[str, st.SearchStrategy[Any]] = {
    "checker": st.sampled_from([[], ["{python}", "-m", "x", "{file}"], ["a", 'b"{file}"']]),
    "baselines": st.sampled_from([[], ["base"], ["ollama:x", "openai:http://h/v1#m", "r.gguf"]]),
    "prompts": st.sampled_from(["auto", [], ["a", "FILE:b.jsonl"]]),
    "extensions": st.lists(st.integers(1, 1000), max_size=2),
    "betas": st.sampled_from([[0.9, 0.999], [0.0, 0.5]]),
    "targets": st.sampled_from(["all-linear", "attention", ["q_proj"], ["a.b", "c"]]),
    "suffixes": st.sampled_from([[], [".py"], [".bbj", ".src"]]),
    "source": st.lists(st.one_of(st.integers(-1, 3), st.sampled_from(["a", "b"])), max_size=3),
}
MAPS: dict[str, st.SearchStrategy[Any]] = {
    "fields": st.dictionaries(st.sampled_from(["prompt", "text"]), st.text(min_size=1), max_size=2),
    "placeholders": st.dictionaries(st.from_regex(r"[A-Z_]+", fullmatch=True), st.text()),
}
STEPS = st.one_of(st.floats(0, 1, exclude_max=True), st.integers(1, 1000))


def loaded(text: str, *overrides: str) -> LoadedPreset:
    """The preset that `text` holds."""
    return parse(text, FILE, overrides)


def refused(text: str, *overrides: str) -> list[str]:
    """The lines in which `text` is refused."""
    try:
        parse(text, FILE, overrides)
    except UserErrors as errors:
        return [str(error) for error in errors.errors]
    raise AssertionError("not refused")


def presets() -> st.SearchStrategy[Preset]:
    """Any preset that the schema takes; its combinations may still be refused."""
    return tables(Preset).map(Preset.model_validate)


@st.composite
def tables(draw: st.DrawFn, section: type[Section]) -> dict[str, Any]:
    """Parsed TOML for a section: some of its keys, with values that they take."""
    known = {field.key: field for field in fields(section)}
    chosen = draw(st.lists(st.sampled_from(list(known)), unique=True, max_size=6))
    return {key: draw(values(known[key])) for key in chosen}


def values(field: FieldInfo) -> st.SearchStrategy[Any]:
    """Values that a key takes."""
    match field.kind:
        case "table":
            assert field.section
            return tables(field.section)
        case "tables":
            assert field.section
            return st.lists(tables(field.section), max_size=3)
        case "switch":
            return st.booleans()
        case "map":
            return MAPS[field.key]
        case "choice":
            return st.sampled_from(field.choices)
        case "integer" | "number":
            return (
                STEPS if field.key in ("warmup", "evaluate_every", "save_every") else _number(field)
            )
        case "list" if field.choices:
            return st.lists(st.sampled_from(field.choices), unique=True, max_size=3)
        case "text":
            return TEXTS.get(field.key, _text())
    return LISTS.get(field.key, st.lists(_text(min_size=1), unique=True, max_size=3))


def _text(min_size: int = 0) -> st.SearchStrategy[str]:
    return st.text(min_size=min_size, max_size=20).filter(lambda t: not t.startswith("hub:"))


def _number(field: FieldInfo) -> st.SearchStrategy[Any]:
    low = field.at_least if field.at_least is not None else field.above
    high = field.at_most if field.at_most is not None else field.below
    high = 1e6 if high is None else high
    assert low is not None
    if field.kind == "integer":
        return st.integers(int(low), int(high))
    return st.floats(
        low, high, exclude_min=field.above is not None, exclude_max=field.below is not None
    )
