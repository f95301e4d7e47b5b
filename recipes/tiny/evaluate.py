"""How well the untuned base does what it was asked, in its own React-like JavaScript.

python -m recipes.tiny.evaluate DIR [--prompts N] [--show N]
"""

import argparse
from pathlib import Path
from random import Random

from recipes.programs import jsx
from recipes.programs.nodes import Program
from recipes.programs.prompts import named, request, sample
from recipes.tiny.answers import greedy, keeps, load
from recipes.words import INVENTED_HELD, TRAIN, UNSEEN


def asked(entities: tuple[str, ...], count: int, seed: int) -> list[tuple[str, Program]]:
    """Prompts that name Blop, each with the program it asks for."""
    rng, out = Random(seed), []
    for _ in range(count):
        tell_name = rng.random() < 1 / 3
        program = sample(rng, entities)
        program = named(rng, program, program.topic) if tell_name else program
        out.append((request(rng, program, "Blop", tell_name), program))
    return out


def main() -> None:
    """Print, for each kind of entity, the share of answers that hold what was asked."""
    parser = argparse.ArgumentParser(description="Evaluate the embedded base.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--prompts", type=int, default=60)
    parser.add_argument("--show", type=int, default=0)
    options = parser.parse_args()
    model, tokenizer = load(options.folder)
    for label, entities in (("train", TRAIN), ("unseen", UNSEEN), ("invented", INVENTED_HELD)):
        items = asked(entities, options.prompts, seed=99)
        answers = greedy(model, tokenizer, [prompt for prompt, _ in items])
        pairs = list(zip(answers, items, strict=True))
        kept = sum(keeps(a, p.must_contain) for a, (_, p) in pairs) / len(pairs)
        exact = sum(a.text == jsx.render(p) for a, (_, p) in pairs) / len(pairs)
        stopped = sum(a.stopped for a, _ in pairs) / len(pairs)
        print(f"{label:9s} adherence {kept:.2f}  exact {exact:.2f}  stops {stopped:.2f}")
        for answer, (prompt, _) in pairs[: options.show]:
            print(f"--- {prompt}\n{answer.text}")


if __name__ == "__main__":
    main()
