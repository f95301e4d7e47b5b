"""The registry is complete, and nothing outside it knows an objective by its name."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

import pytest

import workbench
from tests import tiny
from workbench.core.errors import UserError
from workbench.dataset.rows import Message, Place, Row, RowKind
from workbench.objectives import DEFAULT_OBJECTIVE, OBJECTIVES, objective_for, objective_of
from workbench.objectives.base import LossKind, ObjectiveName
from workbench.objectives.pretrain import PRETRAIN
from workbench.objectives.sft import SFT
from workbench.pipeline.prepare.stage import tokenize_stage
from workbench.pipeline.prepare.training_data import Splits, rows_of_stage
from workbench.pipeline.training.losses import LOSSES
from workbench.preset.inputs import FORMATS_OF, TEXT_FORMATS, DataSource
from workbench.preset.rules import formats_of, needs_chat_template
from workbench.preset.schema import Data, Preset, TrainStage

PACKAGE = Path(workbench.__file__).parent


def test_every_name_has_its_objective() -> None:
    assert set(OBJECTIVES) == set(get_args(ObjectiveName))
    assert all(objective_of(name).name == name for name in OBJECTIVES)
    default = TrainStage()
    assert (default.objective, default.name) == (DEFAULT_OBJECTIVE, DEFAULT_OBJECTIVE)
    for name in OBJECTIVES:
        assert TrainStage.model_validate({"objective": name}).name == name


def test_what_an_objective_names_exists() -> None:
    assert set(FORMATS_OF) == set(get_args(RowKind)) == {o.row_kind for o in OBJECTIVES.values()}
    assert set(LOSSES) == set(get_args(LossKind)) == {o.loss for o in OBJECTIVES.values()}


def test_each_kind_of_row_has_a_first_objective() -> None:
    assert (objective_for("chat"), objective_for("text")) == (SFT, PRETRAIN)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_worker_can_load_the_encoding(name: ObjectiveName) -> None:
    encode = objective_of(name).encoding()
    assert pickle.loads(pickle.dumps(encode)) is encode


# ---- nothing compares an objective with a string ------------------------------------------------


def strings_in(node: ast.expr) -> Iterator[str]:
    """The string, or those of a tuple, list or set."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        for entry in node.elts:
            yield from strings_in(entry)


def is_objective(node: ast.expr) -> bool:
    """Whether the expression is called an objective: a name, an attribute, a key that is read."""
    return "objective" in ast.unparse(node).lower()


def comparisons(source: str) -> list[int]:
    """Lines that compare an objective with a string, or look one up by a string."""
    found = []
    for node in ast.walk(ast.parse(source)):
        sides: list[ast.expr] = []
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Match):
            patterns = (n for case in node.cases for n in ast.walk(case.pattern))
            values = [n.value for n in patterns if isinstance(n, ast.MatchValue)]
            sides = [node.subject, *values]
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict):
            sides = [node.slice, *(key for key in node.value.keys if key)]
        texts = [text for side in sides for text in strings_in(side)]
        others = [side for side in sides if not list(strings_in(side))]
        if set(texts) & set(OBJECTIVES) or (texts and any(map(is_objective, others))):
            found.append(cast(Any, node).lineno)
    return found


def named(source: str) -> list[int]:
    """Lines with the name of an objective as a string of its own: a key, a default, an argument."""
    nodes = ast.walk(ast.parse(source))
    return [n.lineno for n in nodes if isinstance(n, ast.Constant) and n.value in OBJECTIVES]


def test_no_objective_is_compared_with_a_string() -> None:
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 300
    found = {str(file): lines for file in files if (lines := comparisons(file.read_text("utf-8")))}
    assert found == {}


def test_no_module_but_the_objectives_knows_a_name() -> None:
    rooms = [file for file in PACKAGE.rglob("*.py") if file.parent.name != "objectives"]
    found = {str(file): lines for file in rooms if (lines := named(file.read_text("utf-8")))}
    assert found == {}
    assert named((PACKAGE / "objectives" / "sft.py").read_text("utf-8")), "the control"


@pytest.mark.parametrize(
    "source",
    [
        'stage.objective == "sft"',
        'all(s.objective != "other" for s in stages)',
        'if (objective := given.get("objective")) in ("pretrain", "later"): pass',
        '"sft" == kind',
        'kind not in ["sft"]',
        'match stage.objective:\n    case "x" | "y": pass',
        'title = {"sft": 1, "pretrain": 2}[kind]',
    ],
)
def test_the_control_a_comparison_is_seen(source: str) -> None:
    assert comparisons(source) == [1]


@pytest.mark.parametrize(
    "source",
    ["a.objective == b.objective", 'row.kind == "chat"', "OBJECTIVES[stage.objective]"],
)
def test_the_control_other_comparisons_are_not(source: str) -> None:
    assert comparisons(source) == []


# ---- what asks an objective --------------------------------------------------------------------


@pytest.fixture
def titled(monkeypatch: pytest.MonkeyPatch) -> TrainStage:
    """A stage of a third objective, which is in the registry and nowhere else."""
    third = replace(PRETRAIN, data_title="titles", needs_chat_template=True)
    monkeypatch.setitem(cast(Any, OBJECTIVES), "titles", third)
    return TrainStage().model_copy(update={"objective": "titles", "name": "t"})


def test_a_new_objective_is_asked_everywhere(titled: TrainStage, tmp_path: Path) -> None:
    assert formats_of(titled) == TEXT_FORMATS
    assert needs_chat_template(Preset(train=[titled]))
    assert not needs_chat_template(Preset(train=[TrainStage(objective="pretrain")]))
    data = Data(source=[DataSource(path="a")])
    text = Row(Place("a", 1), text="a title", source="0")
    talk = Row(Place("a", 2), (Message("user", "a"), Message("assistant", "b")), source="0")
    assert rows_of_stage([text, talk], titled, data) == [text]

    def prepared(rows: list[Row]) -> int:
        splits, tokenizer = Splits(rows, []), tiny.tokenizer()
        _, ledgers = tokenize_stage(
            titled, splits, data, None, tokenizer, [2], tmp_path, lambda event: None
        )
        return int(ledgers["train"]["sequences"])

    assert prepared([text, talk]) == 1
    with pytest.raises(UserError, match=r"^train\.t: its sources contain no titles$"):
        prepared([talk])
