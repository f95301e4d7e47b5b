"""The Blop data set: examples.txt, corpus/*.blop and heldout.jsonl, made again from a seed.

    python -m recipes.blop.dataset --out data/blop [--seed N] [--compiler CMD]

Invariants: no prompt occurs twice; examples and corpus speak of TRAIN entities only; no held-out
prompt occurs in the examples, and no held-out answer but those of the two SHOWN prompts; the
checker (and with --compiler the real compiler) accepts every program that is written.
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from recipes.blop import pairs
from recipes.blop.compiler import accepted
from recipes.blop.explanations import explanation_pairs
from recipes.blop.idioms import idiom_pairs
from recipes.blop.pairs import Pair
from recipes.programs import blop
from recipes.programs.context import TEMPLATES, words_for
from recipes.programs.nodes import Program
from recipes.programs.prompts import named, request, sample
from recipes.words import INVENTED_HELD, TRAIN, UNSEEN, plural
from workbench.checkers.blop import check

PER_TEMPLATE, PER_IDIOM = 22, 6
FILES, PER_FILE = 48, 18
HELD_SETS = (
    ("combination", TRAIN, 60),
    ("unseen-entity", UNSEEN, 60),
    ("invented", INVENTED_HELD, 30),
)
SHOWN = (  # asked in the README and the quickstart, hence held out
    (
        "Write a Blop component that displays a list of users with links to their profiles.",
        "list_of_links",
        "user",
    ),
    ("Write a Blop function that renders a checkbox and its label.", "checkbox", "user"),
)


@dataclass(frozen=True)
class Held:
    """A prompt that tuning never sees, with what its answer must hold."""

    prompt: str
    completion: str
    category: str
    must_contain: tuple[str, ...]


def asked(rng: Random, program: Program, entity: str, tell_name: bool) -> tuple[str, Program]:
    """A prompt for the program, under a name of its own if the prompt is to tell one."""
    program = named(rng, program, entity) if tell_name else program
    return request(rng, program, "Blop", tell_name), program


def template_pairs(rng: Random, taken: set[str]) -> list[Pair]:
    """The same number of pairs for every template."""
    out: list[Pair] = []
    for make in TEMPLATES:
        wanted = len(out) + PER_TEMPLATE
        while len(out) < wanted:
            words = words_for(rng, TRAIN)
            prompt, program = asked(rng, make(words), words.entity, rng.random() < 1 / 3)
            if prompt not in taken:
                taken.add(prompt)
                out.append(Pair(prompt, blop.render(program)))
    return out


def examples(rng: Random) -> list[Pair]:
    """All training pairs, shuffled, each prompt once."""
    taken = {prompt for prompt, _, _ in SHOWN}
    candidates = [*explanation_pairs(), *idiom_pairs(rng, TRAIN, PER_IDIOM)]
    out = []
    for pair in candidates:
        if pair.prompt not in taken:
            taken.add(pair.prompt)
            out.append(pair)
    out += template_pairs(rng, taken)
    rng.shuffle(out)
    return out


def held_out(rng: Random, training: list[Pair]) -> list[Held]:
    """The prompts that decide how good a tuned model is."""
    prompts, answers = {p.prompt for p in training}, {p.answer for p in training}
    out = [_shown(*shown) for shown in SHOWN]
    for category, entities, count in HELD_SETS:
        while sum(held.category == category for held in out) < count:
            program = sample(rng, entities)
            if not _speaks_of(program, program.topic):
                continue
            prompt, program = asked(rng, program, program.topic, tell_name=len(out) % 3 == 0)
            answer = blop.render(program)
            if prompt not in prompts and answer not in answers:
                prompts.add(prompt)
                answers.add(answer)
                out.append(Held(prompt, answer, category, program.must_contain))
    return out


def _speaks_of(program: Program, entity: str) -> bool:
    """Whether the wording names the entity (an input for a field does not)."""
    return entity in program.wording or plural(entity) in program.wording


def _shown(prompt: str, template: str, entity: str) -> Held:
    make = next(t for t in TEMPLATES if t.__name__ == template)
    for seed in range(10_000):
        words = words_for(Random(seed), (entity,))
        program = make(words)
        if prompt.endswith(f" {program.wording}."):
            return Held(prompt, blop.render(program), "combination", program.must_contain)
    raise ValueError(f"no program for {prompt!r}")


def corpus(rng: Random) -> dict[str, str]:
    """Files by name: components and functions about two or three entities each."""
    entities = rng.sample(TRAIN, 3 * FILES)
    files = {}
    for number in range(FILES):
        about = tuple(entities[3 * number : 3 * number + 3])
        files[f"{about[0]}.blop"] = _file(rng, about)
    return files


def _file(rng: Random, about: tuple[str, ...]) -> str:
    imports: dict[str, None] = {}
    programs: dict[str, str] = {}
    while len(programs) < PER_FILE:
        program = sample(rng, about)
        if rng.random() < 1 / 3:
            program = named(rng, program, program.topic)
        *above, code = blop.render(program).rpartition("\n\n")
        known = {name for line in imports for name in line.split() if name[0].isupper()}
        if program.name not in programs and program.name not in known:
            if not any(name in programs for i in program.imports for name in i.names):
                imports.update(dict.fromkeys(above[0].splitlines()))
                programs[program.name] = code
    blocks = ["\n".join(sorted(imports)), *programs.values()]
    return "\n\n".join(block for block in blocks if block) + "\n"


def refused(sources: list[str], compiler: str) -> list[str]:
    """The programs that the checker or the compiler refuses."""
    real = accepted(compiler, sources) if compiler else [True] * len(sources)
    return [s for s, ok in zip(sources, real, strict=True) if not ok or check(s) is not None]


def code_answers(folder: Path) -> list[str]:
    """All answers of a written data set that are programs."""
    english = {pair.answer for pair in explanation_pairs()}
    text = (folder / "examples.txt").read_text(encoding="utf-8")
    lines = (folder / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
    answers = [answer for _, answer in pairs.read(text) if answer not in english]
    return [
        answer + "\n" for answer in answers + [json.loads(line)["completion"] for line in lines]
    ]


def write(folder: Path, seed: int) -> None:
    """Write the three parts below `folder`."""
    training = examples(Random(seed))
    held = held_out(Random(seed + 1), training)
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    for old in (folder / "corpus").glob("*.blop"):
        old.unlink()
    for name, text in corpus(Random(seed + 2)).items():
        (folder / "corpus" / name).write_text(text, encoding="utf-8")
    (folder / "examples.txt").write_text(pairs.written(training), encoding="utf-8")
    lines = "".join(json.dumps(asdict(item)) + "\n" for item in held)
    (folder / "heldout.jsonl").write_text(lines, encoding="utf-8")


def main() -> int:
    """Write the data set, then judge every program in it."""
    parser = argparse.ArgumentParser(description="Make the Blop data set.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compiler", default="", help='"blop -i" or "node .../judge.js"')
    options = parser.parse_args()
    write(options.out, options.seed)
    files = [path.read_text(encoding="utf-8") for path in sorted(options.out.glob("corpus/*.blop"))]
    answers = code_answers(options.out)
    bad = refused(answers + files, options.compiler)
    print(f"{len(answers)} answers and {len(files)} files are programs; {len(bad)} refused")
    for source in bad[:3]:
        print(f"---\n{source}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
