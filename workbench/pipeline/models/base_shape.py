"""A base's shape for the memory estimate and for its adapters' targets.

Of the families that the export knows, config.json is enough; only others cost the import of torch
and of the model's module.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from workbench.architectures.shape import ModelShape, shape_of
from workbench.bases.architecture import EXPORTED, architecture_of
from workbench.bases.targets import Matrix
from workbench.core.errors import UserError


def read_shape(config: Path) -> ModelShape | None:
    """The shape that a `config.json` describes; None where it describes none that is known.

    The matrices are the model's own where its family is not known to the estimate.
    """
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError):
        values = json.loads(config.read_bytes())
        known = () if architecture_of(values) in EXPORTED else _own_matrices(config.parent)
        return shape_of(values, known)
    return None


def _own_matrices(base: Path) -> list[Matrix]:
    """Those of the base model in that folder, none where transformers cannot make it."""
    from workbench.pipeline.models.structure import base_matrices

    try:
        return base_matrices(base)
    except UserError:
        return []
