import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.inference.helpers import Tiny, write_tiny
from tests.pipeline.evaluation.helpers import http_server, row
from workbench.core.errors import Interrupted, UserError
from workbench.core.sampling import SamplingParams
from workbench.inference import llama_model
from workbench.pipeline.evaluation.judging import Checker, Guard
from workbench.pipeline.evaluation.questions import GenerationSettings
from workbench.pipeline.evaluation.report_cases import diverse, fenced
from workbench.pipeline.evaluation.result import ReportHeader
from workbench.pipeline.evaluation.stage import EvaluationPlan, evaluate_stage
from workbench.reports.cases import Case
from workbench.reports.evaluation_changes import EarlierEvaluation
from workbench.reports.evaluation_report import read_report

ASKING = GenerationSettings(SamplingParams(temperature=0, max_tokens=12), context=256)
SAYS_TUNED = Checker(
    (sys.executable, "-c", "import sys; sys.exit('T' not in open(sys.argv[1]).read())", "{file}"),
    ".txt",
    "all",
)
ROWS = [
    row("first | prompt", "Tuned.", "seen", ("Tun",)),
    row("second prompt", "Tuned.", "seen", ("Tun",)),
    row("x" * 400, "Tuned.", "seen"),
    row("third prompt", "", "invented", ("Nothing",)),
]


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path | str]:
    return {
        "base": write_tiny(tmp_path / "base.gguf", Tiny(says=b"Base\x1b.")),
        "tuned": write_tiny(tmp_path / "tuned.gguf", Tiny(says=b"Tuned.")),
    }


def evaluate(
    models: dict[str, Path | str], out: Path, plan: EvaluationPlan | None = None, **more: Any
) -> Any:
    plan = plan or EvaluationPlan(ROWS, ASKING, SAYS_TUNED, apart=["invented"])
    return evaluate_stage(models, plan, out, subject="tuned", reference="base", **more)


def test_two_models_before_and_after(models: dict[str, Path | str], tmp_path: Path) -> None:
    seen: list[tuple[str, int, int, Case]] = []
    figures: dict[str, dict[str, Any]] = {}
    result = evaluate(
        models,
        tmp_path / "out",
        about=ReportHeader(
            "Blop", "2026-11-21", "a checker", ["3 rows cut"], ["m.gguf"], ["workbench"]
        ),
        on_answer=lambda *told: seen.append(told),
        on_result=figures.__setitem__,
    )
    assert [(model, done, total) for model, done, total, _ in seen] == [
        (model, n, 4) for model in ("base", "tuned") for n in (1, 2, 3, 4)
    ]
    assert figures["tuned"]["passed"] == 1.0 and figures["base"]["passed"] == 0.0
    assert figures["tuned"]["prompts"] == 3 and figures["tuned"]["not_measured"] == 1
    assert figures["tuned"]["stopped"] == 1.0 and figures["tuned"]["adheres"] == 1.0
    assert result.gains["base"].only_second == 2 and result.passed  # of the headline's prompts
    tuned = result.models["tuned"]
    assert tuned.figures.apart["invented"].adheres.value == 0.0
    assert [case.answer for case in tuned.cases] == ["Tuned.", "Tuned.", "", "Tuned."]


def test_the_test_between_models_leaves_out_what_is_reported_apart(
    models: dict[str, Path | str], tmp_path: Path
) -> None:
    result = evaluate(
        models, tmp_path / "apart", EvaluationPlan(ROWS, ASKING, SAYS_TUNED, apart=["seen"])
    )
    assert result.gains["base"].only_second == 1  # of the four prompts only `invented` is left
    whole = evaluate(models, tmp_path / "whole", EvaluationPlan(ROWS, ASKING, SAYS_TUNED))
    assert whole.gains["base"].only_second == 3


def test_the_report_tells_it_all(models: dict[str, Path | str], tmp_path: Path) -> None:
    result = evaluate(
        models, tmp_path, about=ReportHeader("Blop", notes=["3 rows cut"], files=["m.gguf"])
    )
    text = result.report_markdown.read_text()
    assert "| checker pass rate | 0.000 (0.000 to 0.000) | 1.000 (1.000 to 1.000) |" in text
    assert "**tuned vs. base**: +1.000" in text and "2 newly pass, 0 newly fail" in text
    assert "### first | prompt" in text and "Base\\x1b." in text and "\x1b" not in text
    assert "- 3 rows cut" in text and "`m.gguf`" in text
    assert "## Reported separately" in text and "invented" in text
    assert "## Not measured (2)" in text and "the context size is 256" in text
    value = json.loads(result.report_json.read_text())
    assert value["models"]["tuned"]["headline"]["passed"] == 1.0
    assert value["models"]["base"]["cases"] == "cases/base.jsonl"
    assert len((tmp_path / "cases/base.jsonl").read_text().splitlines()) == 4
    assert value["gains"]["base"]["only_second"] == 2


def test_the_report_names_what_has_changed_since_an_earlier_one(
    models: dict[str, Path | str], tmp_path: Path
) -> None:
    before = {**models, "tuned": write_tiny(tmp_path / "old.gguf", Tiny(says=b"Old."))}
    first = evaluate(before, tmp_path / "before")
    assert first.since is None and "## Compared with" not in first.report_markdown.read_text()
    earlier = [EarlierEvaluation("run-1", read_report(tmp_path / "before"))]
    result = evaluate(models, tmp_path / "now", earlier=earlier)
    section = result.report_markdown.read_text().partition("## Compared with run-1\n\n")[2]
    assert section.startswith(
        "2 newly pass, 0 newly fail on 2 shared prompts; p = 0.5000 (exact McNemar test)"
    )
    assert "Newly passing:\n\n- data/held.jsonl:1: first | prompt\n" in section
    assert "Newly failing:" not in section
    value = json.loads(result.report_json.read_text())["since"]
    assert (value["name"], value["newly_passing"], value["p_value"]) == ("run-1", 2, 0.5)
    told = read_report(tmp_path / "now").since
    assert told.startswith(f"tuned vs. run-1 ({first.about.date}): 2 newly pass, 0 newly fail")


def test_a_second_run_loads_no_model(
    models: dict[str, Path | str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = EvaluationPlan(ROWS[:2], ASKING, SAYS_TUNED)
    first = evaluate(models, tmp_path / "out", short)
    monkeypatch.setattr(llama_model.LlamaModel, "__init__", lambda *_: pytest.fail("loaded"))
    again = evaluate(models, tmp_path / "out", short)
    assert again.models == first.models


def test_a_changed_model_is_asked_again(models: dict[str, Path | str], tmp_path: Path) -> None:
    short = EvaluationPlan(ROWS[:2], ASKING, SAYS_TUNED)
    evaluate(models, tmp_path / "out", short)
    write_tiny(Path(models["tuned"]), Tiny(says=b"other"))
    changed = evaluate(models, tmp_path / "out", short)
    assert changed.models["tuned"].cases[0].answer == "other"


def test_an_interrupted_evaluation_ends_with_the_same_report(tmp_path: Path) -> None:
    rows = [row(f"prompt {n} " + "the " * (n % 7), category=f"c{n % 3}") for n in range(24)]
    models: dict[str, Path | str] = {
        "base": write_tiny(tmp_path / "a.gguf", Tiny(seed=1)),
        "tuned": write_tiny(tmp_path / "b.gguf", Tiny(seed=2)),
    }
    plan = EvaluationPlan(
        rows,
        GenerationSettings(SamplingParams(temperature=1.0, max_tokens=30), context=256),
        samples=2,
    )
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    evaluate(models, whole, plan)
    for stop_after in (3, 25, 40, 70, 100):
        polls = iter(range(10**6))
        try:
            evaluate(models, broken, plan, should_stop=lambda n=stop_after, p=polls: next(p) >= n)
        except Interrupted:
            continue
    evaluate(models, broken, plan)
    assert texts(broken) == texts(whole)
    assert not (tmp_path / "broken" / "answers" / "none").exists()


def test_the_expected_answers_are_weighed(models: dict[str, Path | str], tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    result = evaluate(models, tmp_path, on_weighed=lambda *at: told.append(at))
    assert told == [(model, n, 3) for model in ("base", "tuned") for n in (1, 2, 3)]
    base, tuned = (result.models[name].figures.headline for name in ("base", "tuned"))
    assert tuned.perplexity.value < 1.1 and base.perplexity.value > 10
    assert tuned.perplexity.n == 2, "the third does not fit the context"
    assert tuned.expected_tokens == 2 * len("Tuned.") + 2, "each with the token that ends it"
    text = result.report_markdown.read_text()
    assert re.search(r"\| perplexity of expected responses \| [\d.e+]+ \(.*\) \| 1\.0", text)
    head = json.loads(result.report_json.read_text())["models"]["tuned"]["headline"]
    assert 1 <= head["perplexity_low"] <= head["perplexity"] <= head["perplexity_high"] < 1.1
    case = next(read_report(tmp_path).models["tuned"].read_cases())
    assert case.perplexity and 1 <= case.perplexity < 1.1


def test_nothing_is_weighed_where_that_is_not_wanted(
    models: dict[str, Path | str], tmp_path: Path
) -> None:
    result = evaluate(models, tmp_path, EvaluationPlan(ROWS, ASKING, SAYS_TUNED, perplexity=False))
    assert result.models["tuned"].figures.headline.perplexity is None
    assert "perplexity" not in result.report_markdown.read_text()
    assert not (tmp_path / "weighed").exists()


def texts(out: Path) -> list[tuple[int, int, str]]:
    models = read_report(out).models.values()
    return [(c.index, c.sample, c.answer) for model in models for c in model.read_cases()]


def test_guards_decide_the_verdict(models: dict[str, Path | str], tmp_path: Path) -> None:
    words = Guard("base words", (row("hi", must_contain=("Base",)),))
    lost = evaluate(
        models, tmp_path / "1", EvaluationPlan(ROWS[:1], ASKING, SAYS_TUNED, guards=[words])
    )
    assert not lost.passed and "base words: FAILED, 100% before, 0% after" in lost.verdict
    assert lost.verdict in lost.report_markdown.read_text()
    asked = list(read_report(tmp_path / "1").models["tuned"].read_cases())
    assert [(one.guard, one.prompt, one.passes) for one in asked] == [
        ("", "first | prompt", True),
        ("base words", "hi", False),
    ]
    allowed = Guard("base words", words.rows, max_drop=1.0)
    kept = evaluate(
        models, tmp_path / "2", EvaluationPlan(ROWS[:1], ASKING, SAYS_TUNED, guards=[allowed])
    )
    assert kept.passed


def test_a_server_beside_the_files(models: dict[str, Path | str], tmp_path: Path) -> None:
    with http_server() as server:
        choice = {"message": {"content": "Tuned?"}, "finish_reason": "stop"}
        server.answer = lambda _: (200, json.dumps({"choices": [choice]}).encode(), {})
        models["openai:x"] = f"openai:{server.url}/v1#m"
        key = {"OPENAI_API_KEY": "sk-canary"}
        result = evaluate(models, tmp_path / "out", environment=key)
    assert result.models["openai:x"].figures.headline.passed.value == 1.0
    assert result.models["openai:x"].figures.headline.perplexity is None
    assert set(result.gains) == {"base", "openai:x"}
    for path in (tmp_path / "out").rglob("*"):
        assert not path.is_file() or b"sk-canary" not in path.read_bytes()


def test_what_cannot_work_is_said_before_a_model_is_loaded(
    models: dict[str, Path | str], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="there are no prompts to evaluate on"):
        evaluate(models, tmp_path, EvaluationPlan([], ASKING))
    missing = Checker(("no-such-checker-program", "{file}"))
    with pytest.raises(UserError, match="no-such-checker-program"):
        evaluate(models, tmp_path, EvaluationPlan(ROWS, ASKING, missing))
    with pytest.raises(UserError, match="GGUF file not found"):
        evaluate(models | {"third": tmp_path / "none.gguf"}, tmp_path)
    assert not (tmp_path / "answers").exists()


@pytest.mark.parametrize("way", [str, Path])
def test_a_model_that_cannot_be_asked_is_not_measured_and_the_others_go_on(
    models: dict[str, Path | str], tmp_path: Path, way: type[Path | str]
) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\xff" * 200)
    bare = write_tiny(tmp_path / "bare.gguf", Tiny(template=None))
    models |= {"bad": way(tmp_path / "bad.gguf"), "bare": way(bare)}
    result = evaluate(models, tmp_path / "out", EvaluationPlan(ROWS[:2], ASKING, SAYS_TUNED))
    assert result.models["tuned"].figures.headline.passed.value == 1.0
    for name, said in (
        ("bad", "GGUF|cannot open"),
        ("bare", "this GGUF file has no chat template"),
    ):
        figures = result.models[name].figures.headline
        assert figures.not_measured == 2 and figures.perplexity is None
        assert re.search(said, result.models[name].cases[0].problem)
    assert result.gains["bad"] is None
    assert "## Not measured (4)" in result.report_markdown.read_text()


def test_the_model_that_is_to_be_judged_must_open(tmp_path: Path) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\xff" * 200)
    with pytest.raises(UserError, match="bad.gguf: .*GGUF"):
        evaluate(
            {"tuned": str(tmp_path / "bad.gguf")},
            tmp_path / "out",
            EvaluationPlan(ROWS[:2], ASKING),
        )


def test_names_of_models_become_distinct_file_names(tmp_path: Path) -> None:
    from workbench.pipeline.evaluation.result import slug

    names = ["base", "openai:a#b", "openai:a/b", "../../etc", "", "a b", "a-b"]
    slugs = [slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert all("/" not in slug and not slug.startswith(".") for slug in slugs)


def test_examples_go_round_the_categories() -> None:
    cases = [Case(n, 0, "f:1", "ab"[n % 2 if n > 3 else 0], "p", "") for n in range(8)]
    assert [case.index for case in diverse(cases, 4)] == [0, 5, 1, 7]
    assert diverse([], 3) == []


def test_a_fence_cannot_be_closed_from_inside() -> None:
    text = fenced("a\n````\n# title\n\x1b[0m")
    assert text.startswith("`````\n") and text.endswith("\n`````") and "\x1b" not in text


def test_the_report_is_broken_down_by_difficulty_and_labels(
    models: dict[str, Path | str], tmp_path: Path
) -> None:
    rows = [
        replace(row(f"prompt {n}"), difficulty=str(n % 2), labels=(("generation", "all"),))
        for n in range(4)
    ]
    rows[0] = rows[0].labelled([("generation", "vkn")])
    result = evaluate(models, tmp_path, EvaluationPlan(rows, ASKING, SAYS_TUNED))
    text = result.report_markdown.read_text()
    assert "## By difficulty" in text and "## By generation" in text
    assert "| vkn | 1 | 0.000 | 1.000 |" in text and "| all | 4 | 0.000 | 1.000 |" in text
    told = json.loads(result.report_json.read_text())["models"]["tuned"]["labels"]
    assert told["difficulty"]["1"]["prompts"] == 2 and told["generation"]["vkn"]["passed"] == 1.0
    case = next(read_report(tmp_path).models["tuned"].read_cases())
    assert case.labels == (("difficulty", "0"), ("generation", "all"), ("generation", "vkn"))
