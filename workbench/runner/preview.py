"""The token preview of a preset, with the tokenizer, template, stop tokens and limits of a run.

The base is the bundled one, a local folder, or one in the Hub's cache on this machine; nothing is
downloaded and no model is loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from workbench.core.errors import UserError
from workbench.core.files import read_json_object
from workbench.dataset.rows import RowKind, raise_faults
from workbench.objectives import objective_for, objective_of
from workbench.objectives.base import Objective
from workbench.preset.loader import load
from workbench.preset.rules import needs_chat_template
from workbench.preset.schema import Model, Preset, TrainStage
from workbench.runner.preflight import local_base
from workbench.tokenization.chat_format import check_template
from workbench.tokenization.chat_template import ChatTemplate, resolve_chat_template
from workbench.tokenization.named_templates import read_templates
from workbench.tokenization.preview import Limit, TokenPreview
from workbench.tokenization.tokenizer import BackendTokenizer, from_backend

END_OF_TEXT = "<|endoftext|>"


def load_preview(preset_name: str, overrides: Sequence[str] = ()) -> TokenPreview:
    """How the preset of that name or path reads rows, with `SECTION.KEY=VALUE` overrides.

    Raises UserError where that is not known.
    """
    loaded = load(preset_name, overrides)
    base = local_base(loaded.preset.model) or _cached_base(loaded.preset.model)
    if base is None:
        hint = "a run downloads it; until then, no tokens are shown"
        raise UserError(
            f"the base model {loaded.preset.model.base} is not downloaded yet", hint=hint
        )
    return preview_of(loaded.preset, base, loaded.name, loaded.path.parent)


def preview_of(preset: Preset, base: Path, name: str, folder: Path) -> TokenPreview:
    """The preview of a preset whose base lies in that folder."""
    import tokenizers

    try:
        backend = tokenizers.Tokenizer.from_file(str(base / "tokenizer.json"))
    except Exception as error:  # noqa: BLE001 - the library raises nothing more exact
        raise UserError(f"no tokenizer can be loaded: {error}", path=base) from None
    config = read_json_object(base / "tokenizer_config.json")
    tokenizer = from_backend(backend)
    known = tokenizer.special_tokens
    eos = known.get(_token(config.get("eos_token")))
    template = _template(preset, base, config, folder)
    stops = _stop_ids(base, eos)
    if template is not None:
        stops = _with_own_end(stops, template, tokenizer)
    separator = known.get(END_OF_TEXT, eos if eos is not None else next(iter(stops), 0))
    return TokenPreview(
        name,
        tokenizer,
        template,
        stops,
        separator,
        preset.data.system,
        {kind: _limit(preset, kind) for kind in get_args(RowKind)},
        {kind: _objective(preset, kind).encoding() for kind in get_args(RowKind)},
    )


def _template(
    preset: Preset, base: Path, config: dict[str, Any], folder: Path
) -> ChatTemplate | None:
    """The preset's template; None for a base without one, which only learns from raw text."""
    own = read_templates(base)
    setting = preset.model.chat_template
    if not own and setting == "auto" and not needs_chat_template(preset):
        return None
    bos, eos = (_token(config.get(f"{which}_token")) for which in ("bos", "eos"))
    return resolve_chat_template(setting, own, bos_token=bos, eos_token=eos, folder=folder)


def _with_own_end(
    stops: tuple[int, ...], template: ChatTemplate, tokenizer: BackendTokenizer
) -> tuple[int, ...]:
    """The stop tokens and the one with which the template itself ends a turn."""
    report = check_template(template, tokenizer)
    raise_faults(report.faults)
    return tuple(dict.fromkeys([*stops, *report.stop_ids]))


def _cached_base(model: Model) -> Path | None:
    """The snapshot of a hub model that lies in the cache, None where its tokenizer does not."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(model.base, "tokenizer.json", revision=model.revision)
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


def _limit(preset: Preset, row_kind: RowKind) -> Limit:
    """That of the first stage that learns such rows, else of the first stage."""
    stages = _stages(preset, row_kind) or preset.train
    return Limit(stages[0].sequence_length, stages[0].on_cut) if stages else Limit()


def _objective(preset: Preset, row_kind: RowKind) -> Objective:
    """That of the first stage that learns such rows, else the first one that could."""
    stages = _stages(preset, row_kind)
    return objective_of(stages[0].objective) if stages else objective_for(row_kind)


def _stages(preset: Preset, row_kind: RowKind) -> list[TrainStage]:
    return [stage for stage in preset.train if objective_of(stage.objective).row_kind == row_kind]


def _stop_ids(base: Path, eos: int | None) -> tuple[int, ...]:
    """Ids that end an answer: the tokenizer's eos and those of the generation config."""
    found = read_json_object(base / "generation_config.json").get("eos_token_id")
    named = found if isinstance(found, list) else [] if found is None else [found]
    ids = [*([] if eos is None else [eos]), *(one for one in named if isinstance(one, int))]
    return tuple(dict.fromkeys(ids))


def _token(value: Any) -> str:
    text = value.get("content") if isinstance(value, dict) else value
    return text if isinstance(text, str) else ""
