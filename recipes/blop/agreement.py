"""How often the Python checker and the real compiler say the same.

    python -m recipes.blop.agreement --compiler "blop -i" [--data data/blop] [--pairs FILE ...]
        [--mutations N] [--seed N] [--show N] [--record FILE]

Compared are all programs of the data set, the answers of any INPUT/OUTPUT file, and mutations:
a token deleted, doubled, or swapped with another of the same program. --record writes some of the
compiler's verdicts to a file, for tests on machines without it.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

from recipes.blop import pairs
from recipes.blop.compiler import accepted
from recipes.blop.dataset import code_answers
from workbench.checkers.blop import check
from workbench.checkers.blop.lexer import LexError, tokens


def mutated(source: str, rng: Random) -> str:
    """The program with one small fault (now and then a harmless one)."""
    try:
        values = [token.value for token in tokens(source)][:-1]
    except LexError:
        return source
    at, other = rng.randrange(len(values)), rng.randrange(len(values))
    kind = rng.random()
    if kind < 1 / 3:
        del values[at]
    elif kind < 2 / 3:
        values.insert(at, values[at])
    else:
        values[at], values[other] = values[other], values[at]
    return "".join(values)


def mutations(sources: list[str], count: int, seed: int) -> Iterator[str]:
    """`count` mutated programs."""
    rng = Random(seed)
    for _ in range(count):
        yield mutated(rng.choice(sources), rng)


def compare(label: str, command: str, sources: list[str], show: int) -> float:
    """Print and return the share of programs on which both agree."""
    real = accepted(command, sources)
    ours = [check(source) for source in sources]
    differing = [i for i in range(len(sources)) if real[i] != (ours[i] is None)]
    share = 1 - len(differing) / max(len(sources), 1)
    print(f"{label}: {len(sources)} programs, {sum(real)} accepted, agreement {share:.4f}")
    for i in differing[:show]:
        print(
            f"--- compiler {'accepts' if real[i] else 'refuses'}; checker: {ours[i]}\n{sources[i]}"
        )
    return share


def record(path: Path, command: str, sources: list[str]) -> None:
    """Write the programs with the compiler's verdicts as JSON lines, each program once."""
    unique = list(dict.fromkeys(sources))
    verdicts = accepted(command, unique)
    lines = (
        json.dumps({"accepted": verdict, "source": source}) + "\n"
        for verdict, source in zip(verdicts, unique, strict=True)
    )
    path.write_text("".join(lines), encoding="utf-8")


def programs(folder: Path) -> list[str]:
    """All programs of the data set: answers that are code, corpus files, held-out answers."""
    corpus = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("corpus/*.blop"))]
    return code_answers(folder) + corpus


def main() -> None:
    """Compare on everything that was asked for."""
    parser = argparse.ArgumentParser(description="Compare the checker with the compiler.")
    parser.add_argument("--compiler", required=True, help='"blop -i" or "node .../judge.js"')
    parser.add_argument("--data", type=Path, default=Path("data/blop"))
    parser.add_argument("--pairs", type=Path, nargs="*", default=[])
    parser.add_argument("--mutations", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=3)
    parser.add_argument("--record", type=Path)
    options = parser.parse_args()
    valid = programs(options.data)
    if options.record:
        answers = Random(options.seed).sample(code_answers(options.data), 150)
        record(options.record, options.compiler, [*answers, *mutations(answers, 300, options.seed)])
    compare("data set", options.compiler, valid, options.show)
    broken = list(mutations(valid, options.mutations, options.seed))
    compare("mutations", options.compiler, broken, options.show)
    for path in options.pairs:
        answers = [answer + "\n" for _, answer in pairs.read(path.read_text(encoding="utf-8"))]
        compare(path.name, options.compiler, answers, options.show)
        broken = list(mutations(answers, options.mutations, options.seed))
        compare(f"{path.name}, mutations", options.compiler, broken, options.show)


if __name__ == "__main__":
    main()
