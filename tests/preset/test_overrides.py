"""`--set KEY=VALUE`: what it reaches, how its value is read, and what it refuses."""

import pytest

from tests.preset.helpers import MINIMAL, loaded, refused

TWO = """\
[[data.source]]
name = "raw"
path = "a.txt"
[[data.source]]
path = "b.txt"
[[train]]
objective = "pretrain"
[[train]]
name = "sft"
"""


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("data.source.0.path=FILE with spaces.txt", "data.source.0.path", "FILE with spaces.txt"),
        ("data.source.raw.path=x", "data.source.0.path", "x"),
        ('data.source.1.path="quoted # text"', "data.source.1.path", "quoted # text"),
        ("train.1.learning_rate=1e-4", "train.1.learning_rate", 1e-4),
        ("train.sft.epochs=2", "train.1.epochs", 2.0),
        ("train.pretrain.epochs=2", "train.0.epochs", 2.0),
        ("train.sft.adapter.rank=8", "train.1.adapter.rank", 8),
        ("train.sft.adapter.targets=attention", "train.1.adapter.targets", "attention"),
        ('train.sft.adapter.targets=["a"]', "train.1.adapter.targets", ["a"]),
        ("train.sft.adapter.continue=new", "train.1.adapter.continue", "new"),
        ("train.sft.gradient_checkpointing=true", "train.1.gradient_checkpointing", True),
        ("train.sft.gradient_checkpointing=auto", "train.1.gradient_checkpointing", "auto"),
        ("ollama.name=123", "ollama.name", "123"),
        ("ollama.system=", "ollama.system", ""),
        ("data.system=a=b", "data.system", "a=b"),
        ("data.system=two\nlines", "data.system", "two\nlines"),
        ("description=true", "description", "true"),
        (" data.seed = 7 ", "data.seed", 7),
        ('evaluate.checker=["blop","-i","{file}"]', "evaluate.checker", ["blop", "-i", "{file}"]),
        ('evaluate.checker=""', "evaluate.checker", []),
        ("export.formats=['f16']", "export.formats", ["f16"]),
        ("export.merged=true", "export.merged", True),
    ],
)
def test_a_flag_sets_a_key(override: str, key: str, value: object) -> None:
    preset = loaded(TWO, override)
    found: object = preset.preset.model_dump(by_alias=True)
    for part in key.split("."):
        found = found[int(part)] if isinstance(found, list) else found[part]  # type: ignore[index]
    assert found == value and type(found) is type(value)
    assert preset.origin[key] == "flag"
    assert [k for k, origin in preset.origin.items() if origin == "flag"] == [key]


def test_the_index_one_past_the_end_adds_a_table() -> None:
    preset = loaded(MINIMAL, "data.source.1.path=b.txt", "data.source.1.repeat=2")
    assert [source.path for source in preset.preset.data.source] == ["a.txt", "b.txt"]
    assert preset.preset.data.source[1].repeat == 2
    assert preset.origin["data.source.1.path"] == "flag"
    assert preset.origin["data.source.1.format"] == "default"


def test_a_whole_preset_can_be_made_of_flags() -> None:
    assert loaded("", "data.source.0.path=a", "train.0.epochs=1").preset.train[0].epochs == 1


def test_a_list_of_tables_is_replaced_at_once() -> None:
    preset = loaded(TWO, 'data.source=[{path="only.txt"}]', "train.0.source=[0]")
    assert [source.path for source in preset.preset.data.source] == ["only.txt"]
    assert preset.origin["data.source.0.path"] == "flag"
    assert preset.origin["data.source.0.format"] == "default"


def test_the_last_flag_wins() -> None:
    assert loaded(MINIMAL, "data.seed=1", "data.seed=2").preset.data.seed == 2


def test_a_flag_mends_a_fault_of_the_file() -> None:
    text = MINIMAL + "epochs = 0\n"
    assert refused(text)
    assert loaded(text, "train.sft.epochs=1").preset.train[0].epochs == 1


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("trian.0.epochs=1", "--set trian.0.epochs: unknown key 'trian' (did you mean 'train'?)"),
        (
            "train.1.epohcs=1",
            "--set train.1.epohcs: unknown key 'epohcs' (did you mean 'epochs'?)",
        ),
        ("train.stf.epochs=1", "--set train.stf.epochs: train has no table named 'stf' (did you"),
        ("data.source.row.path=1", "--set data.source.row.path: source has no table named 'row'"),
        ("train.3.epochs=1", "--set train.3.epochs: train has 2 tables; index 3 is too high"),
        ("train.-1.epochs=1", "--set train.-1.epochs: train has no table named '-1'"),
        ("train.0.epochs=many", '--set train.0.epochs: "many" is a string (use a number, above 0'),
        ("train.0.epochs=", "--set train.0.epochs: is empty (use a number, above 0"),
        ("train.0.epochs=0", "--set train.0.epochs: 0 is out of range"),
        ("train.0.epochs.x=0", "--set train.0.epochs.x: 'epochs' has no keys of its own"),
        ("train.0=1", "--set train.0: this is a table, not a key"),
        ("model={}", "--set model: this is a table, not a key"),
        ("train.0.adapter=1", "--set train.0.adapter: this is a table, not a key"),
        ('evaluate.checker=["a",', '--set evaluate.checker: ["a", is not TOML ('),
        (
            "evaluate.checker=blop",
            "--set evaluate.checker: the checker is a string (use a list",
        ),
        ("export.formats=f16", '--set export.formats: "f16" is a string (use a list of'),
        ("evaluate.apart=[1]", "--set evaluate.apart: 1 is a whole number"),
        ("data.seed=1\nmodel.dtype = 3", '--set data.seed: "1\\nmodel.dtype = 3" is a string'),
        ("data.system=\udcff", "--set data.system: the value is not UTF-8"),
        ("data.seed", "--set: 'data.seed' has no key or no '=' (use SECTION.KEY=VALUE)"),
        ("=1", "--set: '=1' has no key or no '='"),
        (".=1", "--set .: unknown key ''"),
        ("train..epochs=1", "--set train..epochs: train has no table named ''"),
    ],
)
def test_a_flag_is_refused(override: str, expected: str) -> None:
    found = refused(TWO, override)
    assert len(found) == 1, found
    assert found[0].startswith(expected)


def test_all_flags_are_judged_at_once() -> None:
    assert len(refused(TWO, "a=1", "b=1", "data.seed=x")) == 3


def test_a_broken_file_is_not_blamed_on_the_flag() -> None:
    found = refused("model = 3\n" + MINIMAL, "model.base=x")
    assert found == [
        "presets/mine.toml:1: model: 3 is a whole number (write [model] with its keys below)"
    ]
    assert "train: 3 is" in refused("train = 3\n", "train.0.epochs=1", "data.source.0.path=a")[0]


def test_a_combination_is_placed_at_the_flag_that_makes_it() -> None:
    found = refused(MINIMAL, "train.0.batch_tokens=0")
    assert found[0].startswith(
        "--set train.0.batch_tokens: neither batch_tokens nor batch_size is set"
    )


def test_a_name_of_a_table_of_strings_is_set_alone() -> None:
    preset = loaded(
        MINIMAL,
        "data.source.0.placeholders.NAME=Ada",
        "data.source.0.placeholders.SPEC='a guide'",
        'data.source.0.fields={prompt="q.text"}',
    )
    (source,) = preset.preset.data.source
    assert source.placeholders == {"NAME": "Ada", "SPEC": "a guide"}
    assert source.options()["fields"] == {"prompt": "q.text"}
    assert preset.origin["data.source.0.placeholders"] == "flag"
