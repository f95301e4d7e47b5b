import math

import pytest

from workbench.core.errors import UserError
from workbench.core.sampling import SamplingParams


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("min_p", 1.5),
        ("repeat_penalty", 0.0),
        ("seed", -1),
        ("seed", 2**32),
        ("max_tokens", 0),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(key: str, value: float) -> None:
    with pytest.raises(UserError, match=f"^{key} = "):
        SamplingParams(**{key: value})  # type: ignore[arg-type]


def test_the_borders_are_allowed() -> None:
    edge = SamplingParams(
        temperature=0, top_k=0, top_p=1.0, min_p=0.0, seed=2**32 - 1, max_tokens=1
    )
    assert edge.greedy


def test_settings_typed_by_a_person() -> None:
    changed = SamplingParams().with_text("temperature", "0.7").with_text("top_k", "5")
    assert (changed.temperature, changed.top_k) == (0.7, 5)
    with pytest.raises(UserError, match="did you mean 'temperature'"):
        SamplingParams().with_text("temprature", "1")
    with pytest.raises(UserError, match="top_k = '1.5' is not a whole number"):
        SamplingParams().with_text("top_k", "1.5")
    with pytest.raises(UserError, match="out of range"):
        SamplingParams().with_text("top_p", "2")
