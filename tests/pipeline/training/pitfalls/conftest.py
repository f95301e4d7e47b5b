"""`home`: a run's folder with a base of each family, which is made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipeline.training.pitfalls.families import FAMILIES, Home, save


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bases")
    return {name: save(folder / name, family) for name, family in FAMILIES.items()}


@pytest.fixture(params=list(FAMILIES))
def home(request: pytest.FixtureRequest, bases: dict[str, Path], tmp_path: Path) -> Home:
    return Home(tmp_path, bases[request.param], FAMILIES[request.param])
