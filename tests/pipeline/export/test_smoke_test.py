from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.pipeline.export.helpers import PROBES, export, save_base
from workbench.pipeline.export.gguf_logits import GgufLogits
from workbench.pipeline.export.smoke_test import (
    NONE_COMPARED,
    PROMPT_TOKENS,
    TOKENS,
    SmokeTest,
    smoke_answers,
)
from workbench.pipeline.models.weights import Weights


def test_where_answers_part() -> None:
    found = SmokeTest([[1], [2]], [0])
    found.given = {
        "adapter": [[5, 6, 7], [8]],
        "f16": [[5, 6, 7], [8]],
        "q4_0": [[5, 9, 7], [8, 8]],
    }
    assert found.parting() == {"f16": (4, 4), "q4_0": (2, 5)}
    told = (
        "greedy responses to 2 prompts: f16 same as the adapter, q4_0 2 of 5 tokens as the adapter"
    )
    assert found.summary() == told


def test_no_answer_leaves_its_block() -> None:
    found = SmokeTest([[1]], [0])
    found.given = {"adapter": [[2]]}
    page = found.page(lambda ids: "a\n# no heading\n\x1b[31mred")
    assert "\n    # no heading\n" in page and "\x1b" not in page


@pytest.mark.parametrize("stop", [None, 3])
def test_a_greedy_answer_is_the_likeliest_token_each_time(stop: int | None, tmp_path: Path) -> None:
    gguf = export(Weights(save_base(tmp_path / "base", "llama")), tmp_path, "f32")["f32"]
    ids = PROBES[0]
    with GgufLogits(gguf, context=len(ids) + 6) as native:
        answer, wanted = native.greedy(ids, 6, []), list[int]()
        while len(wanted) < 6:
            logits = native.logits([*ids, *wanted])
            wanted.append(int(np.argmax(logits[-1])))
        assert answer == wanted
        if stop is not None:
            assert (
                native.greedy(ids, 6, [wanted[stop - 1]])
                == wanted[: wanted.index(wanted[stop - 1]) + 1]
            )


def test_a_prompt_as_long_as_a_templates_system_prompt_is_put() -> None:
    found = smoke_answers([(), [1] * (PROMPT_TOKENS + 1), [1] * 300, [2], [3]], [0], 1 << 20)
    assert isinstance(found, SmokeTest)
    assert found.prompts == [[1] * 300, [2]] and found.stops == [0]


@pytest.mark.parametrize(
    ("prompts", "stops", "reason"),
    [
        ([[1] * 3000, [1] * 2500], [0], ": the prompts take 2,500 tokens or more, limit 2,048"),
        ([[1] * 9], [], ": no token ends a response"),
    ],
)
def test_there_is_a_reason_where_nothing_is_asked(
    prompts: list[list[int]], stops: list[int], reason: str
) -> None:
    assert smoke_answers(prompts, stops, 4096) == NONE_COMPARED + reason


def test_nothing_is_said_where_there_are_no_prompts() -> None:
    assert smoke_answers([(), ()], [0], 4096) == ""


def test_prompt_and_response_fit_into_the_context() -> None:
    assert isinstance(smoke_answers([[1] * (100 - TOKENS)], [0], 100), SmokeTest)
    assert smoke_answers([[1] * (101 - TOKENS)], [0], 100) == (
        f"{NONE_COMPARED}: the prompts take 77 tokens or more, limit 76"
    )
