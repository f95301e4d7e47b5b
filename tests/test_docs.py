"""Every command that README and the other pages name is run, or it is said why it is only checked.

A `console` block holds commands behind `$ `. A command that no rule here knows fails the test.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands.helpers import FAKE_WORKER
from tests.run.helpers import make_run
from workbench.checkers.builtin import KINDS
from workbench.cli import Parser, main
from workbench.commands import chat, data, evaluate, export, ollama, resume, run, serve
from workbench.preset.loader import load
from workbench.preset.schema import Evaluate, Launch
from workbench.run import launch

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EVALUATION_PAGE = ROOT / "docs" / "evaluation.md"
FORMATS_PAGE = ROOT / "docs" / "data-formats.md"
SAMPLE = re.compile(r"<!-- sample: (.*?) -->\n(`+)\w+\n(.*?)^\2$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = "# INPUT\nHow do I greet a customer?\n\n# OUTPUT\nWarmly, by name.\n\n" * 12


def commands() -> list[str]:
    """Every command of every page, once."""
    found = [
        line.removeprefix("$ ")
        for page in PAGES
        for block in BLOCK.findall(page.read_text(encoding="utf-8"))
        for line in block.splitlines()
        if line.startswith("$ ")
    ]
    return list(dict.fromkeys(found))


def make_plans(words: list[str]) -> None:
    """`make` installs or runs everything; that make knows what to do is what is checked."""
    subprocess.run(["make", "--dry-run", *words[1:]], cwd=ROOT, check=True, capture_output=True)


def shell_finds(words: list[str]) -> None:
    """Activating an environment is the shell's; the file is made by `make quickstart`."""
    assert words == ["source", ".venv/bin/activate"]


def preset_loads(words: list[str]) -> None:
    """The base is gigabytes on the hub and its licence must be accepted: the preset is checked."""
    settings = [words[n + 1] for n, word in enumerate(words) if word == "--set"]
    assert load(words[2], settings).preset.train


def runs(words: list[str]) -> None:
    """As it stands. A worker takes minutes: one that is done at once stands in for it."""
    assert main(words[1:]) == 0


def chat_parses(words: list[str]) -> None:
    """Needs a run's model, which the tests of a whole run have: the arguments are checked."""
    parser = Parser()
    chat.add_arguments(parser)
    model = parser.parse_args(words[2:]).model
    assert model.startswith("quickstart") or load(model), "a run is called as its preset"


def evaluation_parses(words: list[str]) -> None:
    """Needs a model (tests/commands/test_evaluate.py has one); looks at arguments and checker."""
    parser = Parser()
    evaluate.add_arguments(parser)
    assert evaluate.words_of(parser.parse_args(words[2:]).checker or [""]) is not None


def exports_parse(words: list[str]) -> None:
    """Needs a run's model, or a server: the tests of these commands have them."""
    parser, module = Parser(), {"export": export, "ollama": ollama, "serve": serve}[words[1]]
    module.add_arguments(parser)
    assert parser.parse_args(words[2:])


def data_parses(words: list[str]) -> None:
    """The hub is not to be had in tests: the arguments are checked, its reader has its own."""
    parser = Parser()
    data.add_arguments(parser)
    assert parser.parse_args(words[2:]).path.startswith("hub:")


def is_named_right(words: list[str]) -> None:
    """Installing is the machine's affair; that the names are distributions' names is checked."""
    assert words[2:] and all(re.fullmatch(r"[A-Za-z0-9.[\],_-]+", name) for name in words[2:])


def is_tested_elsewhere(words: list[str]) -> None:
    """`textual serve` needs its server: tests/tui/test_serve.py speaks to one."""
    assert (ROOT / "tests" / "tui" / "test_serve.py").is_file()


def is_python(words: list[str]) -> None:
    """The program is compiled; what it starts is tested where that is tested."""
    compile(words[2], "<docs>", "exec")


def resume_parses(words: list[str]) -> None:
    """Needs a training that ended, which its own tests have: the arguments are checked."""
    parser = Parser()
    resume.add_arguments(parser)
    assert parser.parse_args(words[2:])


def torchrun_parses(words: list[str]) -> None:
    """Needs machines: tests/pipeline/processes has two processes. Both commands are checked."""
    from torch.distributed.run import get_args_parser

    given = get_args_parser().parse_args(words[1:])
    assert given.module and given.training_script == "workbench"
    parser = Parser()
    run.add_arguments(parser)
    assert parser.parse_args(given.training_script_args).preset


def is_shell(words: list[str]) -> None:
    """Sets up what a measurement is compared with; that the shell understands it is checked."""
    subprocess.run(["bash", "-n", "-c", " ".join(words)], check=True, capture_output=True)


def measures(words: list[str]) -> None:
    """Benchmarks take minutes and are no tests: that the program is there is checked."""
    assert (ROOT / (words[2].replace(".", "/") + ".py")).is_file()


RULES: list[tuple[str, Callable[[list[str]], None]]] = [
    (r"make [\w-]+( .*)?", make_plans),
    (r"source .*", shell_finds),
    (r"pip install .*", is_named_right),
    (r"textual serve .*", is_tested_elsewhere),
    (r"python -c .*", is_python),
    (r"python -m benchmarks\..*", measures),
    (r"(for peer in|peers/).*", is_shell),
    (r"torchrun .*", torchrun_parses),
    (r"workbench --preset blop-gemma-2b.*", preset_loads),
    (r"workbench --preset .*", runs),
    (r"workbench chat .*", chat_parses),
    (r"workbench evaluate .*", evaluation_parses),
    (r"workbench export --types", runs),
    (r"workbench (export|ollama|serve) .*", exports_parse),
    (r"workbench data hub:.*", data_parses),
    (r"workbench resume .*--(epochs|steps).*", resume_parses),
    (r"workbench", runs),  # no terminal here: it tells what there is
    (r"workbench (data|presets|keys|runs|attach|stop|resume)\b.*", runs),
]


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages speak of: examples, a model's folder, a finished run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "WORKER", FAKE_WORKER)
    monkeypatch.setenv("STORY", "done")
    (tmp_path / "my-examples.txt").write_text(EXAMPLES)
    shutil.copytree(ROOT / "workbench" / "embedded" / "tiny", tmp_path / "my-model-folder")
    shutil.copytree(ROOT / "data" / "samples", tmp_path / "data" / "samples")
    for folder in (ROOT / "data").iterdir():
        if folder.name != "samples":  # commands write there
            (tmp_path / "data" / folder.name).symlink_to(folder)
    make_run(tmp_path / "runs", "quickstart")
    assert main(["resume", "quickstart"]) == 0
    return tmp_path


@pytest.mark.parametrize("command", commands())
def test_every_command_of_the_pages(command: str, workplace: Path) -> None:
    rule = next((rule for pattern, rule in RULES if re.fullmatch(pattern, command)), None)
    assert rule is not None, f"no rule says how to test: {command}"
    rule(shlex.split(command))


def test_the_pages_name_commands() -> None:
    """The negative control: an extraction that finds nothing would test nothing."""
    assert len(commands()) > 12


def test_what_the_page_of_evaluation_sets_is_taken_by_a_preset() -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", EVALUATION_PAGE.read_text("utf-8"), re.M | re.S)
    taken = [Evaluate.model_validate(tomllib.loads(block)["evaluate"]) for block in blocks]
    assert [bool(one.checker or one.guard) for one in taken] == [True, True]


def test_what_the_page_of_several_gpus_sets_is_taken_by_a_preset() -> None:
    page = (ROOT / "docs" / "multi-gpu.md").read_text("utf-8")
    blocks = re.findall(r"^```toml\n(.*?)^```", page, re.M | re.S)
    taken = [Launch.model_validate(tomllib.loads(block)["launch"]) for block in blocks]
    assert [(one.processes, one.sharding) for one in taken] == [(4, "none"), (4, "full")]


def test_the_page_of_evaluation_names_every_built_in_checker() -> None:
    named = re.findall(r'^\| `\["builtin:([a-z-]+)"', EVALUATION_PAGE.read_text("utf-8"), re.M)
    assert list(dict.fromkeys(named)) == list(KINDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize(
    ("name", "fence", "block"), SAMPLE.findall(FORMATS_PAGE.read_text("utf-8"))
)
def test_what_the_page_of_formats_shows_is_in_the_sample(name: str, fence: str, block: str) -> None:
    assert fence and block.strip()
    assert block.rstrip("\n") in (ROOT / "data" / "samples" / name).read_text("utf-8")
