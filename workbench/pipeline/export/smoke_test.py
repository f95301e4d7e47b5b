"""Smoke answers: the same prompts put to the adapter, to its merge and to every GGUF, side by side.

Each answers greedily, so that nothing but the weights differs. Float files should say word for
word what the adapter says; where a quantized one parts from it is what a person wants to see. The
figures of `parity` judge; these answers are for reading, and never fail a run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.core.text import quantity, visible
from workbench.pipeline.export.gguf_logits import GgufLogits

PROMPTS, TOKENS = 2, 24
PROMPT_TOKENS = 2048  # of the longest prompt; the system prompts of some templates take hundreds
NONE_COMPARED = "no responses of model and files compared"
TRAINED, MERGED = "adapter", "peft's merge"


@dataclass
class SmokeTest:
    """`prompts` and `stops` as ids; `given`: who -> ids of its answer to each prompt.

    The first who is asked is what the others are held against.
    """

    prompts: Sequence[Sequence[int]]
    stops: Sequence[int]
    given: dict[str, list[list[int]]] = field(default_factory=dict)

    def ask_trained(self, model: Any) -> None:
        """Ask the model as it was trained, then with its last adapter merged by peft."""
        self.given[TRAINED] = [self._by_transformers(model, ids) for ids in self.prompts]
        if hasattr(model, "merge_and_unload"):
            whole = model.merge_and_unload()
            self.given[MERGED] = [self._by_transformers(whole, ids) for ids in self.prompts]

    def ask_file(self, kind: str, gguf: Path, threads: int) -> None:
        """Ask the GGUF of that type."""
        context = max(map(len, self.prompts)) + TOKENS
        with GgufLogits(gguf, context=context, threads=threads) as native:
            self.given[kind] = [native.greedy(ids, TOKENS, self.stops) for ids in self.prompts]

    def _by_transformers(self, model: Any, ids: Sequence[int]) -> list[int]:
        import torch

        begun = torch.tensor([list(ids)])
        with torch.no_grad():
            made = model.generate(
                input_ids=begun,
                attention_mask=torch.ones_like(begun),
                do_sample=False,
                max_new_tokens=TOKENS,
                eos_token_id=list(self.stops),
                pad_token_id=self.stops[0],
            )
        return [int(token) for token in made[0, len(ids) :]]

    def parting(self) -> dict[str, tuple[int, int]]:
        """Who -> tokens that are the same from the start, of how many, over all prompts."""
        first, *others = self.given
        held = self.given[first]
        return {who: _same(held, self.given[who]) for who in others}

    def summary(self) -> str:
        """In one line, where each parts from the first."""
        first = next(iter(self.given))
        told = [
            f"{who} {'same as' if same == whole else f'{same} of {whole} tokens as'} the {first}"
            for who, (same, whole) in self.parting().items()
        ]
        count = quantity(len(self.prompts), "prompt")
        return f"greedy responses to {count}: {', '.join(told)}"

    def page(self, decode: Callable[[list[int]], str]) -> str:
        """Every prompt with every answer, as Markdown."""
        lines = [
            "# Responses of the adapter, the merged model and the files",
            "",
            self.summary() + ".",
        ]
        for i, prompt in enumerate(self.prompts):
            lines += ["", f"## Prompt {i + 1}", "", *_quoted(decode(list(prompt)))]
            for who, answers in self.given.items():
                lines += ["", f"**{who}**", "", *_quoted(decode(answers[i]))]
        return "\n".join(lines) + "\n"


def smoke_answers(
    prompts: Iterable[Sequence[int]], stops: Sequence[int], context: int
) -> SmokeTest | str:
    """Those to the first few of the `prompts` that fit into `context` tokens, not yet asked.

    Where there are none, the reason as a line for the person, "" for no prompts at all.
    """
    room = min(PROMPT_TOKENS, context - TOKENS)
    lengths = list[int]()
    fitting = list[Sequence[int]]()
    for ids in filter(None, prompts):
        lengths.append(len(ids))
        if len(ids) <= room:
            fitting.append(ids)
    if not lengths:
        return ""
    if not stops:
        return f"{NONE_COMPARED}: no token ends a response"
    if not fitting:
        return f"{NONE_COMPARED}: the prompts take {min(lengths):,} tokens or more, limit {room:,}"
    return SmokeTest(fitting[:PROMPTS], stops)


def _same(one: Iterable[Sequence[int]], other: Iterable[Sequence[int]]) -> tuple[int, int]:
    same = whole = 0
    for a, b in zip(one, other, strict=True):
        whole += max(len(a), len(b))
        parted = [i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y]
        same += parted[0] if parted else min(len(a), len(b))
    return same, whole


def _quoted(text: str) -> list[str]:
    """The text as a block that no character of it can end."""
    return [f"    {visible(line)}" for line in text.splitlines() or [""]]
