"""Training objectives by name. Light: what tokenizes is imported when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.objectives.base import Objective, ObjectiveName
from workbench.objectives.pretrain import PRETRAIN
from workbench.objectives.sft import SFT

if TYPE_CHECKING:
    from workbench.dataset.rows import RowKind

# In the order in which forms offer them.
OBJECTIVES: dict[ObjectiveName, Objective] = {one.name: one for one in (SFT, PRETRAIN)}
DEFAULT_OBJECTIVE: ObjectiveName = SFT.name


def objective_of(name: ObjectiveName) -> Objective:
    """The objective that `train.objective` names."""
    return OBJECTIVES[name]


def objective_for(row_kind: RowKind) -> Objective:
    """The first objective that takes rows of that kind."""
    return next(one for one in OBJECTIVES.values() if one.row_kind == row_kind)
