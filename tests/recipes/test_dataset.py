"""The shipped Blop data set is what the recipe makes, and keeps its promises."""

import json
from collections import Counter
from pathlib import Path

from recipes.blop import dataset, pairs
from recipes.blop.tasks import tasks
from recipes.words import INVENTED_HELD, TRAIN, UNSEEN
from workbench.checkers.blop import check

SHIPPED = Path(__file__).parents[2] / "data" / "blop"


def files(folder: Path) -> dict[str, bytes]:
    names = [folder / "examples.txt", folder / "heldout.jsonl", *folder.glob("corpus/*.blop")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in names}


def held() -> list[dict[str, object]]:
    lines = (SHIPPED / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def training_text() -> str:
    parts = [path.read_text(encoding="utf-8") for path in SHIPPED.glob("corpus/*.blop")]
    return "".join([*parts, (SHIPPED / "examples.txt").read_text(encoding="utf-8")])


def test_made_again_it_is_the_same_bytes(tmp_path: Path) -> None:
    dataset.write(tmp_path, seed=1)
    assert files(tmp_path) == files(SHIPPED)


def test_every_program_is_accepted_by_the_checker() -> None:
    corpus = [path.read_text(encoding="utf-8") for path in SHIPPED.glob("corpus/*.blop")]
    answers = dataset.code_answers(SHIPPED)
    assert len(answers) > 1_200 and len(corpus) > 24
    assert [source for source in answers + corpus if check(source) is not None] == []


def test_prompts_are_unique_and_held_out() -> None:
    training = pairs.read((SHIPPED / "examples.txt").read_text(encoding="utf-8"))
    prompts = [prompt for prompt, _ in training] + [str(item["prompt"]) for item in held()]
    assert len(prompts) == len(set(prompts))
    shown = {prompt for prompt, _, _ in dataset.SHOWN}
    answers = {str(item["completion"]) for item in held() if item["prompt"] not in shown}
    assert len(answers) == 148 and not {answer for _, answer in training} & answers


def test_training_names_no_held_out_entity() -> None:
    text = training_text().lower()
    assert [word for word in UNSEEN + INVENTED_HELD if word in text] == []


def test_the_word_sets_are_disjoint() -> None:
    train, unseen, invented = set(TRAIN), set(UNSEEN), set(INVENTED_HELD)
    assert not train & unseen and not train & invented and not unseen & invented


def test_held_out_answers_hold_what_they_must() -> None:
    items = held()
    counts = Counter(str(item["category"]) for item in items)
    assert counts == {"combination": 60, "unseen-entity": 60, "invented": 30}
    for item in items:
        assert item["must_contain"]
        for part in item["must_contain"]:  # type: ignore[attr-defined]
            assert part in str(item["completion"])


def test_a_third_of_the_held_out_prompts_tell_a_name() -> None:
    named = [x for x in held() if f"def {x['must_contain'][0]}(" in str(x["completion"])]  # type: ignore[index]
    assert 40 <= len(named) <= 75
    assert all(str(x["must_contain"][0]) in str(x["prompt"]) for x in named)  # type: ignore[index]


def test_pairs_are_read_as_they_were_written() -> None:
    made = [pairs.Pair("Ask\nmore", "def A() {\n\n}"), pairs.Pair("b", "c")]
    assert pairs.read(pairs.written(made)) == [(pair.prompt, pair.answer) for pair in made]


def test_the_tasks_are_pairs_of_the_examples() -> None:
    assert Path("data/blop/tasks.txt").read_text(encoding="utf-8") == tasks()
