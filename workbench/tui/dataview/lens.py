"""A row as training will see it: rendered by the chat template, cut into tokens, each marked.

The very functions that prepare the training do it (`workbench.dataset`), with the tokenizer.json
of the preset's base. Needs no model, and of the libraries only `tokenizers`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench.dataset.prepare import with_system
from workbench.dataset.rows import Fault, Row
from workbench.dataset.template import ChatTemplate, template_for
from workbench.dataset.tokenize import Encoded, by_turn, encode_row, encode_text
from workbench.dataset.tokenizer import BackendTokenizer, from_backend
from workbench.errors import UserError
from workbench.preflight import local_base
from workbench.preset.load import load
from workbench.preset.schema import Preset

END_OF_TEXT = "<|endoftext|>"
NO_LIMIT = 1 << 30
MAX_CHARS = 20_000
INCOMPLETE = "\ufffd"


@dataclass(frozen=True)
class Piece:
    """The text of one token, or of a few that only together make a character."""

    text: str
    trained: bool
    special: bool
    beyond: bool  # behind what the sequence length has room for


@dataclass(frozen=True)
class Shown:
    """A row's tokens. `told` says what a person should know of it."""

    pieces: tuple[Piece, ...]
    tokens: int
    trained: int
    limit: int
    told: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lens:
    """How one preset reads rows. `limits` are the sequence lengths of conversations and texts."""

    preset: str
    tokenizer: BackendTokenizer
    template: ChatTemplate
    stop_ids: tuple[int, ...]
    separator_id: int
    system: str
    limits: dict[str, int]

    def look(self, row: Row) -> Shown:
        """The row's tokens. Raises UserError for one that cannot be trained on."""
        told: list[str] = []
        whole = self._encoded(row, told)
        limit = self.limits[row.kind]
        kept = limit if row.kind == "chat" else NO_LIMIT
        if whole.length > limit and row.kind == "chat":
            told.append(f"cut: {whole.length - limit} tokens too many for {limit}")
        elif len(whole.ids) > limit:
            told.append(f"{-(-len(whole.ids) // limit)} sequences of {limit} tokens")
        if whole.retokenized:
            told.append("a token spans the seam between prompt and answer")
        if whole.special_in_text:
            told.append("the name of a control token in the text stays text")
        pieces = tuple(self._pieces(whole.ids, whole.trained, kept))
        return Shown(pieces, len(whole.ids), whole.n_trained, limit, tuple(told))

    def count(self, row: Row) -> int:
        """The row's length in tokens, 0 for one that cannot be trained on."""
        try:
            return len(self._encoded(row, []).ids)
        except UserError:
            return 0

    def _encoded(self, row: Row, told: list[str]) -> Encoded:
        if row.kind == "text":
            return self._encoded_text(row, told)
        (row,) = with_system([row], self.system)
        found = encode_row(row, self.template, self.tokenizer, NO_LIMIT, self.stop_ids)
        if isinstance(found, Fault) and found.code == "rewrites":
            told.append("each turn becomes a row of its own; this is the last")
            last = by_turn(row)[-1]
            found = encode_row(last, self.template, self.tokenizer, NO_LIMIT, self.stop_ids)
        if isinstance(found, Fault):
            raise UserError(found.message, hint=found.hint)
        return found

    def _encoded_text(self, row: Row, told: list[str]) -> Encoded:
        if len(row.text) > MAX_CHARS:
            told.append(f"the first {MAX_CHARS:,} of {len(row.text):,} characters")
            row = replace(row, text=row.text[:MAX_CHARS])
        (found,) = encode_text(row, self.tokenizer, NO_LIMIT, self.separator_id)
        return found

    def _pieces(self, ids: Sequence[int], trained: Sequence[bool], limit: int) -> Iterator[Piece]:
        """Token by token; the one before goes along, as some decoders drop a leading space."""
        special = set(self.tokenizer.special_tokens.values())
        before: list[int] = []
        open_ids: list[int] = []
        for number, token in enumerate(ids):
            open_ids.append(token)
            known = self.tokenizer.decode(before)
            text = self.tokenizer.decode([*before, *open_ids])[len(known) :]
            whole = not text.endswith(INCOMPLETE) or len(open_ids) == 4
            if whole or number + 1 == len(ids):
                yield Piece(text, trained[number], token in special, number >= limit)
                before, open_ids = open_ids, []


def lens_of(preset_name: str) -> Lens:
    """How the preset of that name or path reads rows. Raises UserError where that is not known."""
    loaded = load(preset_name)
    base = local_base(loaded.preset.model)
    if base is None:
        hint = "a run fetches it; until then no tokens are shown"
        raise UserError(f"the base {loaded.preset.model.base} is not here", hint=hint)
    return lens_from(loaded.preset, base, loaded.name, loaded.path.parent)


def lens_from(preset: Preset, base: Path, name: str, folder: Path) -> Lens:
    """The lens of a preset whose base lies in that folder."""
    import tokenizers

    try:
        backend = tokenizers.Tokenizer.from_file(str(base / "tokenizer.json"))
    except Exception as error:  # noqa: BLE001 - the library raises nothing more exact
        raise UserError(f"no tokenizer can be loaded: {error}", path=base) from None
    config = _json(base / "tokenizer_config.json")
    bos, eos = (_token(config.get(f"{which}_token")) for which in ("bos", "eos"))
    tokenizer = from_backend(backend)
    known = tokenizer.special_tokens
    template = template_for(
        preset.model.chat_template,
        _own_template(base, config),
        bos_token=bos,
        eos_token=eos,
        folder=folder,
    )
    stops = _stop_ids(base, known.get(eos))
    separator = known.get(END_OF_TEXT, known.get(eos, stops[0] if stops else 0))
    limits = {"chat": _limit(preset, "sft"), "text": _limit(preset, "pretrain")}
    return Lens(name, tokenizer, template, stops, separator, preset.data.system, limits)


def _limit(preset: Preset, objective: str) -> int:
    """The sequence length of the first stage that learns such rows, else of the first stage."""
    fitting = [stage for stage in preset.train if stage.objective == objective]
    stages = fitting or preset.train
    return stages[0].sequence_length if stages else NO_LIMIT


def _own_template(base: Path, config: dict[str, Any]) -> str | None:
    beside = base / "chat_template.jinja"
    if beside.is_file():
        return beside.read_text("utf-8")
    found = config.get("chat_template")
    return found if isinstance(found, str) else None


def _stop_ids(base: Path, eos: int | None) -> tuple[int, ...]:
    """Ids that end an answer: the tokenizer's eos and those of the generation config."""
    found = _json(base / "generation_config.json").get("eos_token_id")
    named = found if isinstance(found, list) else [] if found is None else [found]
    ids = [*([] if eos is None else [eos]), *(one for one in named if isinstance(one, int))]
    return tuple(dict.fromkeys(ids))


def _token(value: Any) -> str:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else ""


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
