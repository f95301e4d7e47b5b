"""The presets of the five projects, as miniatures, from their data to Modelfile and report."""

from pathlib import Path

import pytest

from benchmarks.miniatures import PRESETS, miniature

IN_FOUR_BITS = ("reasoning-topics-qwen", "bbj-qwen2.5-coder-7b", "blop-deepseek-coder-v2-lite")


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_goes_all_the_way(preset: str, tmp_path: Path) -> None:
    ended = miniature(preset, tmp_path)
    assert ended.whole, ended.said
    assert ended.of("parity_measured") and all(e["passed"] for e in ended.of("parity_measured"))
    run = tmp_path / f"{preset}-miniature"
    assert "\nFROM ./" in (run / "export" / "Modelfile").read_text(encoding="utf-8")
    report = (run / "evaluation" / "report.md").read_text(encoding="utf-8")
    assert "| base | tuned |" in report and "## The same prompts before and after tuning" in report
    answered = run / "export" / "answers.md"  # by adapter, merge and files; raw text asks nothing
    assert answered.is_file() == (preset != "speakger-gemma3-270m")
    told = (run / "events.jsonl").read_text(encoding="utf-8")
    assert "random weights" in told
    assert ("trained on the nf4 base model, merged into the full-precision one" in told) == (
        preset in IN_FOUR_BITS
    )
