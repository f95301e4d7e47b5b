"""Checks of a base that every run makes, with or without an export; `checking` runs them.

To add one, write the function and its line in `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from workbench.findings import Finding
from workbench.pipeline.base_files import check_files
from workbench.pipeline.candidate import Candidate, Check, When


def check_folder(candidate: Candidate) -> Iterable[Finding]:
    """A folder that is no base model, or one stored in a way that cannot be trained."""
    check_files(candidate.base, candidate.preset.model.base, weights=False)
    return ()


CHECKS: Mapping[When, Mapping[str, Check]] = {
    When.CONFIG: {"files": check_folder},
    When.TOKENIZER: {},
    When.WEIGHTS: {},
}
