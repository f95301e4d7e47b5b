"""Sizes of well-known models, so that their memory is told before anything is downloaded."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from workbench.architectures.shape import ModelShape, shape_of


def known_shape(base: str) -> ModelShape:
    """The shape of the model of that hub id. Raises KeyError for one that is not listed."""
    return shape_of(_known()[base])


def known_config(base: str) -> dict[str, Any]:
    """What that model's config.json says of its sizes. Raises KeyError for one not listed."""
    return dict(_known()[base])


@cache
def _known() -> dict[str, dict[str, Any]]:
    text = files("workbench.architectures").joinpath("known_models.toml").read_text("utf-8")
    return tomllib.loads(text)
