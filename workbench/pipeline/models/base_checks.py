"""Checks of a base that every run makes, with or without an export; `checking` runs them.

To add one, write the function and its line in `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version

from workbench.bases.architecture import (
    EXPORTED,
    USE_CAUSAL,
    architecture_of,
    read_config,
)
from workbench.bases.folder import check_files
from workbench.bases.quantization import stored_quantization
from workbench.core.errors import UserError
from workbench.core.findings import Finding, error
from workbench.core.runtime import garbage_collection_paused
from workbench.estimate.stage import stage_targets
from workbench.pipeline.models.base_shape import read_shape
from workbench.pipeline.models.candidate import Candidate, Check, When
from workbench.preset.training import Adapter


def check_folder(candidate: Candidate) -> Iterable[Finding]:
    """A folder that is no base model, or one stored in a way that cannot be trained."""
    check_files(candidate.base, candidate.preset.model.base, names=candidate.files)
    return ()


def check_stored(candidate: Candidate) -> Iterator[Finding]:
    """A base whose weights are dequantized as they are read: how much memory they take then."""
    stored = stored_quantization(read_config(candidate.base))
    if stored is None or not stored.dequantizes:
        return
    message = f"base model stored quantized ({stored.label}); its weights are dequantized"
    held = candidate.preset.model.quantization
    if held == "none":
        yield Finding("note", message, 'set model.quantization = "nf4" to train on 4-bit weights')
    else:
        yield Finding("note", f"{message} and held as {held} while training")


def check_loadable(candidate: Candidate) -> Iterable[Finding]:
    """A model that the installed transformers cannot load without the model's own code.

    The architectures of the export are known; only others cost the import of transformers.
    """
    config, path = read_config(candidate.base), candidate.base / "config.json"
    if architecture_of(config) in EXPORTED:
        return ()
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    kind, installed = str(config.get("model_type") or ""), version("transformers")
    if kind not in CONFIG_MAPPING_NAMES:
        if "auto_map" in config:
            message = (
                "this model needs Python code of its own (auto_map), which workbench never runs"
            )
            hint = f"use a model that transformers {installed} supports itself"
            raise UserError(message, path=path, hint=hint)
        message = f"transformers {installed} does not support model_type {kind!r}"
        raise UserError(message, path=path, hint="update transformers, or use another base model")
    try:
        loaded = AutoConfig.from_pretrained(candidate.base).get_text_config(decoder=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(f"transformers cannot read it: {reason}", path=path) from error
    if type(loaded) not in AutoModelForCausalLM._model_mapping:
        message = f"transformers {installed} has no causal language model for model_type {kind!r}"
        raise UserError(message, path=path, hint=USE_CAUSAL)
    return ()


def check_targets(candidate: Candidate) -> Iterator[Finding]:
    """A stage whose adapter has targets that this model does not have.

    Of an architecture that is not exported, where that can be; it costs the import of its module.
    """
    known = architecture_of(read_config(candidate.base)) in EXPORTED
    stages = [one for one in candidate.preset.train if known or _names_modules(one.adapter)]
    with garbage_collection_paused():
        shape = read_shape(candidate.base / "config.json") if stages else None
    for stage in stages if shape else ():
        assert shape is not None
        try:
            stage_targets(shape.matrices, stage)
        except UserError as found:
            yield error(found.message, hint=found.hint, path=found.path)


def _names_modules(adapter: Adapter) -> bool:
    """Whether more is asked than all, or the attention, of any model."""
    words = isinstance(adapter.targets, str)
    return adapter.kind == "dora" or bool(adapter.last_layers) or not words


def check_tensors(candidate: Candidate) -> Iterator[Finding]:
    """A weight that is missing or of another shape, a tensor that is not the model's."""
    with garbage_collection_paused():  # the model's module is imported
        from workbench.pipeline.models.base_keys import check_keys, describe

        unused = check_keys(candidate.base)
    if unused:
        yield Finding("note", describe(unused))


CHECKS: Mapping[When, Mapping[str, Check]] = {
    When.CONFIG: {
        "files": check_folder,
        "stored": check_stored,
        "transformers": check_loadable,
        "targets": check_targets,
    },
    When.TOKENIZER: {},
    When.WEIGHTS: {"tensors": check_tensors},
}
