"""Impossible combinations are refused at their key; what is possible is not."""

import pytest

from tests.preset.helpers import MINIMAL, loaded, refused
from workbench.preset.rules import sources_of

STAGES = """\
[[data.source]]
name = "raw"
path = "a.txt"
format = "text"
[[data.source]]
path = "b.txt"
format = "input-output"
[[train]]
name = "one"
objective = "pretrain"
[[train]]
name = "two"
"""


def faults(text: str, *overrides: str) -> list[str]:
    """The keys with their messages, without the place."""
    return [line.split(": ", 1)[1] for line in refused(text, *overrides)]


@pytest.mark.parametrize("text", [MINIMAL, STAGES])
def test_the_texts_varied_below_are_possible(text: str) -> None:
    loaded(text)


def test_no_source_no_stage_no_path() -> None:
    assert [fault.split(" (")[0] for fault in faults("")] == [
        "data.source: no data source",
        "train: no training stage",
    ]
    assert faults("[[data.source]]\n[[train]]\n")[0].startswith(
        "data.source.0.path: path is missing"
    )


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["train.two.name=One"], "the name 'One' is used twice (also used by number 0)"),
        (["data.source.1.name=raw"], "the name 'raw' is used twice (also used by number 0)"),
        (["train.two.name=a/b"], "'a/b' is not a valid name"),
        (["train.two.name=.."], "'..' is not a valid name"),
        (["train.two.name=12"], "'12' is not a valid name"),
        (["train.two.source=['row']"], "no data source 'row' (did you mean 'raw'?)"),
        (["train.two.source=[2]"], "no data source 2 (there are 2, numbered from 0)"),
        (["train.two.source=[-1]"], "no data source -1 (there are 2, numbered from 0)"),
        (["train.two.source=['']"], "no data source ''"),
        (["train.one.source=[0, 'raw']"], "a data source is listed twice"),
        (
            ["train.two.source=['raw']"],
            "data source raw has format 'text', which objective",
        ),
        (["train.one.source=[1]"], "data source 1 has format 'input-output', which objective"),
        (
            ["train.one.source=[0]", "data.source.0.use=validation"],
            "data source 0 is reserved for validation",
        ),
        (["data.source.1.format=text"], "no data source fits objective 'sft'"),
        (
            ["train.two.batch_size=4", "train.two.batch_tokens=8"],
            "batch_tokens and batch_size are both set",
        ),
        (["train.two.batch_tokens=0"], "neither batch_tokens nor batch_size is set"),
        (["train.two.accumulation=2"], "accumulation needs batch_size"),
        (["train.one.adapter.continue=carry"], "the first stage has no earlier adapter to carry"),
        (["train.one.adapter.continue=merge"], "the first stage has no earlier adapter to merge"),
        (
            ["train.two.adapter.continue=merge", "train.one.adapter.kind=full"],
            "the previous stage is full fine-tuning: no adapter",
        ),
        (
            ["train.two.adapter.continue=merge", "train.two.adapter.kind=full"],
            "full fine-tuning merges the adapter anyway",
        ),
        (
            ['model.added_tokens=["<think>"]', "train.one.adapter.kind=full"]
            + ["train.one.adapter.last_layers=1"],
            "last_layers would leave the added tokens' rows untrained",
        ),
        (
            ["train.two.adapter.continue=carry", "train.two.adapter.rank=8"],
            "the carried adapter differs in rank (set them as in stage 'one'",
        ),
        (
            ["train.two.adapter.continue=carry", 'train.two.adapter.targets=["a"]']
            + ["train.two.adapter.alpha=1"],
            "the carried adapter differs in alpha, targets",
        ),
        (
            ["train.two.adapter.continue=carry", "train.one.adapter.kind=full"],
            "full fine-tuning has no adapter to carry",
        ),
        (["train.one.adapter.kind=full", "train.one.adapter.rslora=true"], "no adapter to scale"),
        (
            ["model.quantization=nf4", "train=[{adapter = {kind = 'full'}}]"],
            "quantized weights (nf4) cannot be fully fine-tuned",
        ),
        (
            ["model.quantization=int8", "train.one.adapter.kind=dora"],
            "DoRA adapters cannot be stacked on a quantized base model",
        ),
        (
            ["model.quantization=nf4", 'model.added_tokens=["<a>"]'],
            "added tokens cannot be trained in two stages on a quantized base",
        ),
        (["model.revision=v2"], "'embedded:tiny' is a local folder and has no revisions"),
        (["model.revision=v2", "model.base=./mine"], "'./mine' is a local folder and has no"),
        (["generate.max_tokens=4096"], "a response of 4096 tokens leaves no room for the prompt"),
        (
            ["evaluate.samples=4", "generate.temperature=0"],
            "at temperature 0, all responses to a prompt are identical",
        ),
        (["data.validation=0"], "there are no validation rows to evaluate on"),
        (["export.formats=[]"], "evaluation needs an exported model, but formats is empty"),
        (
            ["export.formats=[]", "evaluate.prompts=", "ollama.create=true"],
            "no model file to create it from",
        ),
        (["data.validation=0", "evaluate.prompts=a.jsonl", "train.two.early_stopping=3"], "early"),
        (["evaluate.guard.0.name=g"], "the guard has no prompts"),
        (["evaluate.guard.0.prompts=g.jsonl"], "the guard has no name"),
        (
            ["evaluate.guard.0.prompts=g", "evaluate.guard.0.name=g", "evaluate.prompts="],
            "guards need an evaluation",
        ),
        (
            ["evaluate.guard=[{name='g', prompts='g', max_drop=1.5}]"],
            "1.5 is out of range (use a number from 0 to 1)",
        ),
        (["model.chat_template=gema"], "unknown chat template 'gema' (did you mean 'gemma'?)"),
        (["model.chat_template=FILE:"], "'FILE:' does not name a file"),
        (["model.base= "], "no base model"),
        (["model.base=embedded:"], "'embedded:' does not name a model"),
        (
            ["launch.processes=2", "model.device=mps"],
            "MPS supports only one process (use 1)",
        ),
        (['model.added_tokens=["<a>", "<a>"]'], "'<a>' is listed twice"),
        (["model.added_tokens=['']"], "an added token is empty"),
        (["export.formats=['f16', 'f16']"], "'f16' is listed twice"),
        (["evaluate.baselines=['openai:https://h/v1']"], "the URL has no model"),
        (["evaluate.baselines=['openai:h#m']"], "'h#m' is not a URL"),
        (["evaluate.baselines=['openai:http://[#m']"], "'http://[#m' is not a URL"),
        (["evaluate.baselines=['openai:https://u:p@h/v1#m']"], "credentials do not belong in"),
        (["evaluate.baselines=['ollama:']"], "baseline 'ollama:' does not name a model"),
        (
            ["evaluate.checker=['a', 'b']"],
            "the checker never receives the response (add {file} to",
        ),
        (
            ["evaluate.checker=['a', '{File}']"],
            "unknown placeholder '{File}' (did you mean 'file'?)",
        ),
        (["evaluate.checker=['', '{file}']"], "the checker command has no program"),
        (["evaluate.checker_suffix=py"], "'py' is not a file suffix (use one such as .py)"),
        (["generate.stop=['']"], "an empty stop string would end every response"),
        (["ollama.name=a b"], "'a b' is not a valid Ollama name"),
        (["data.source.0.fields.promt=q"], "unknown field 'promt' (did you mean 'prompt'"),
        (['data.source.0.fields={prompt=""}'], "the field 'prompt' has an empty name"),
        (
            ["data.source.0.fields={prompt=1}"],
            "has values of another type (use a table of strings)",
        ),
        (["data.source.0.fields=x"], "is a string (use a table of strings)"),
        (["data.source.0.placeholders.A-B=x"], "'A-B' is not a valid placeholder name"),
        (['data.source.0.suffixes=["py"]'], "'py' is not a file suffix (use one such as .py)"),
        (['data.source.0.separator="a\\nb"'], "a separator must be a single line"),
        (["data.source.0.path=hub:a"], "'hub:a' is not a dataset name (use hub:OWNER/NAME"),
    ],
)
def test_an_impossible_combination(overrides: list[str], expected: str) -> None:
    found = faults(STAGES, *overrides)
    assert len(found) == 1, found
    assert expected in found[0] and found[0].endswith(")"), "it says how to mend it"


def test_every_source_for_validation() -> None:
    assert "all sources are for validation" in faults(MINIMAL, "data.source.0.use=validation")[0]


@pytest.mark.parametrize(
    "overrides",
    [
        ["train.two.max_steps=10", "train.two.epochs=1"],
        ["train.two.batch_size=4", "train.two.accumulation=8"],
        ["train.one.adapter.kind=full", "train.one.adapter.last_layers=2"],
        ["train.two.adapter.continue=carry"],
        ["train.two.adapter.continue=merge", "train.two.adapter.rank=3"],
        [
            "model.quantization=nf4",
            "train.two.adapter.continue=merge",
            "train.one.adapter.kind=dora",
        ],
        ["train.two.adapter.continue=carry", "train.two.adapter.dropout=0.2"],
        ["model.quantization=nf4", "train.two.adapter.continue=carry"],
        ["model.quantization=int8"],
        ["model.base=google/gemma-2b-it", "model.revision=abc"],
        ["data.validation=0", "evaluate.prompts="],
        ["data.validation=0", "data.source.2.path=v.txt", "data.source.2.use=validation"],
        ["export.formats=[]", "evaluate.prompts="],
        ["evaluate.samples=4", "generate.temperature=0.7"],
        ["evaluate.checker=['awk', '{print}', '{file}']"],
        ["evaluate.guard=[{name = 'g', prompts = 'g.jsonl'}]"],
        ["train.one.source=['raw']", "train.two.source=[1]"],
        ["evaluate.baselines=['base', 'old-run', 'a.gguf', 'ollama:x', 'openai:http://h:1/v1#m']"],
        ["ollama.create=true"],
        ["launch.processes=8"],
        ["launch.sharding=full", "model.quantization=nf4", "train.two.optimizer=adamw_8bit"],
        ["model.device=mps"],
    ],
)
def test_a_possible_combination(overrides: list[str]) -> None:
    """Negative control: a rule does not refuse more than it says."""
    loaded(STAGES, *overrides)


def test_the_sources_of_a_stage() -> None:
    preset = loaded(STAGES, "data.source.2.path=v", "data.source.2.use=validation").preset
    assert [source.path for source in sources_of(preset, preset.train[0])] == ["a.txt"]
    assert [source.path for source in sources_of(preset, preset.train[1])] == ["b.txt"]
    named = loaded(STAGES, "train.two.source=[1]").preset
    assert [source.path for source in sources_of(named, named.train[1])] == ["b.txt"]


SAVED = "train.two.adapter.modules_to_save=['lm_head']"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["train.two.adapter.kind=full"], "full fine-tuning trains all modules"),
        (["launch.sharding=full"], "modules_to_save cannot be trained with sharded weights"),
        (
            ["model.quantization=nf4"],
            "modules_to_save cannot be trained in two stages on a quantized base model",
        ),
        (
            ["train.two.adapter.modules_to_save=['mlp']"],
            '"mlp" is not allowed (use a list of "embed_tokens" or "lm_head")',
        ),
    ],
)
def test_modules_to_save_where_they_cannot_be_trained(overrides: list[str], expected: str) -> None:
    assert any(expected in line for line in refused(STAGES, SAVED, *overrides))


def test_modules_to_save_elsewhere_are_possible() -> None:
    loaded(STAGES, SAVED)
    loaded(STAGES, SAVED, "model.quantization=nf4", "train.two.adapter.continue=merge")
