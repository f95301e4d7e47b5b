"""Which keys of our file may differ from the reference converter's, each with its reason.

What is not listed here is a failure, and so is any tensor that differs. A rule holds for all bases,
or for those whose names it says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.real_bases_tokenizers import Facts


@dataclass(frozen=True)
class Rule:
    """`what` is an expression for the line of a key; `where` one for the base's name."""

    what: str
    reason: str
    where: str = ""

    def fits(self, line: str, base: str) -> bool:
        return bool(re.match(self.what, line)) and bool(re.match(self.where, base))


KEYS = (
    Rule(
        r"general\.(name|basename|finetune|version|organization|size_label|license|tags|languages)"
        r"(\.|:)",
        "the reference guesses names and labels from the folder and the model card",
    ),
    Rule(r"tokenizer\.ggml\.add_sep_token: none / False$", "false, as where the key is not there"),
    Rule(
        r"tokenizer\.ggml\.add_(bos|eos)_token: (True|False) / none$",
        "we write what the tokenizer does; without the key llama.cpp guesses by the kind",
    ),
    Rule(
        r"[a-z0-9-]+\.vocab_size: (none / \d+|\d+ / none)$",
        "the number of tokens; one of us writes it for every kind",
    ),
    Rule(
        r"[a-z0-9-]+\.attention\.(key|value)_length: (none / \d+|\d+ / none)$",
        "the width of a head, as llama.cpp computes it where the key is not there",
    ),
    Rule(
        r"tokenizer\.ggml\.(eot|mask|seperator|padding|unknown)_token_id: (none / \d+|\d+ / none)$",
        "we name the end of a turn, the reference what config files name besides; both stop alike",
    ),
    Rule(r"tokenizer\.ggml\.add_space_prefix: True / none$", "true, as where the key is not there"),
    Rule(
        r"tokenizer\.ggml\.add_space_prefix: False / none$",
        "a space before the first word only: llama.cpp has always or never, and never is nearer",
        "mistral-7b-instruct-v0.3$",
    ),
    Rule(
        r"tokenizer\.ggml\.add_space_prefix: none / False$",
        "a byte-level vocabulary has no such prefix",
    ),
    Rule(
        r"tokenizer\.ggml\.(tokens|token_type): 1 differ, first \[226\]",
        "Gemma's tokenizer.json has the tab itself where its tokenizer.model has <0x09>",
        "gemma-[12]",
    ),
    Rule(
        r"[a-z0-9-]+\.rope\.freq_base: 10000\.0 / none$",
        "as llama.cpp takes it where the key is not there",
    ),
    Rule(
        r"phi3\.rope\.scaling\.type: 'longrope' / none$",
        "as config.json names it; llama.cpp's Phi-3 takes its factors with and without the key, "
        "which the converter writes for every kind but this",
    ),
    Rule(
        r"deepseek2\.(attention\.q_lora_rank: 0 / none|expert_gating_func: none / 1"
        r"|expert_group(_used)?_count: none / 1)$",
        "softmax, one group, queries not compressed: as llama.cpp takes it without the key",
        "deepseek-v2-lite",
    ),
    Rule(
        r"general\.sampling\.temp: 0\.0 / none$",
        "greedy: generation_config.json says it by do_sample = false, which the reference skips",
    ),
    Rule(
        r"tokenizer\.ggml\.pre: ('smaug-bpe' / 'dbrx'|'llama-bpe' / 'smaug-bpe'"
        r"|'smollm' / '(refact|starcoder|command-r)')$",
        "llama.cpp splits alike under both names; the reference goes by the vocabulary's hash",
    ),
    Rule(
        r"tokenizer\.ggml\.scores:",
        "the order of merges is what counts: ours are ranks of merges, true ones are not at hand",
    ),
)


def unlisted(facts: Facts, differing: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """(keys that differ for no reason listed, lines on those that have one).

    `differing`: key -> both values, as the comparison writes them.
    """
    listed, left = dict[str, list[str]](), dict[str, str]()
    for key, said in differing.items():
        rule = next((one for one in KEYS if one.fits(f"{key}: {said}", facts["name"])), None)
        if rule:
            listed.setdefault(rule.reason, []).append(key)
        else:
            left[key] = said
    return left, [f"{', '.join(names)}: {reason}" for reason, names in listed.items()]
