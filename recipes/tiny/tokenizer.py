"""The tokenizer of the embedded base: byte-level BPE with ChatML tokens, trained on its corpus.

Invariant: the file splits text with Qwen2's own expression, so that `tokenizers`, `AutoTokenizer`
(which puts Qwen2's rules in place whatever the file says) and llama.cpp agree on every id.
Merges are learnt on a finer split (words apart from the space, dot or bracket before them), so
that a name has the same tokens wherever it stands: copying it is then one and the same step.

    python -m recipes.tiny.tokenizer --out DIR [--vocab N] [--seed N]
"""

import argparse
import json
from itertools import islice
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from recipes.tiny.corpus import documents

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>")
QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_FINER_SPLIT = r" (?=\p{L})|[A-Z]?[a-z]+|[A-Z]+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
CONFIG = {
    "tokenizer_class": "Qwen2Tokenizer",
    "add_prefix_space": False,
    "bos_token": None,
    "clean_up_tokenization_spaces": False,
    "eos_token": "<|im_end|>",
    "model_max_length": 1024,
    "pad_token": "<|pad|>",
    "unk_token": None,
}


def _split(*patterns: str) -> pre_tokenizers.PreTokenizer:
    splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return pre_tokenizers.Sequence([*splits, to_bytes])


def train(vocab: int, seed: int, sample_size: int = 16_000) -> Tokenizer:
    """A tokenizer of `vocab` tokens, trained on the first documents of the seed."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = _split(QWEN2_SPLIT, _FINER_SPLIT)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    chosen = islice(documents(seed), sample_size)
    texts = (text for d in chosen for text in (d.text, d.prompt or ""))
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.pre_tokenizer = _split(QWEN2_SPLIT)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and chat_template.jinja."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = json.dumps(CONFIG, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(config, encoding="utf-8")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description="Train the tokenizer of the embedded base.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--vocab", type=int, default=3072)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    save(train(options.vocab, options.seed), options.out)


if __name__ == "__main__":
    main()
