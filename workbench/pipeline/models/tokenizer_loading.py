"""The one way in which a tokenizer is loaded: tokenizer.json decides how a text is tokenized.

transformers picks a class by tokenizer_config.json or the model's type, and a class of an older
kind builds a tokenizer anew from the vocabulary: steps of the file are lost. So what was loaded is
compared with the file on texts that are hard to tokenize, and where the two part the file is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from workbench.core.errors import UserError
from workbench.core.files import read_json_object
from workbench.core.text import one_line
from workbench.pipeline.export.vocabulary_check import hard_texts

FILE, CONFIG = "tokenizer.json", "tokenizer_config.json"
SPECIAL = ("bos", "eos", "unk", "pad")
NOT_OF_THE_FILE = ("added_tokens_decoder", "tokenizer_class", "auto_map", "extra_special_tokens")


def load_tokenizer(
    base: Path, added: Sequence[str] = (), tell: Callable[[str], object] = lambda line: None
) -> Any:
    """The base's fast tokenizer with tokens `added`. Raises UserError when there is none.

    An added token is one wherever its text stands, in messages too; one that the base has already
    stays as it is. `tell` hears that transformers' own class would tokenize otherwise.
    """
    tokenizer = _as_in_file(_loaded(base), base / FILE, tell)
    from tokenizers import AddedToken

    tokenizer.add_tokens([AddedToken(text, normalized=False, special=False) for text in added])
    return tokenizer


def saved_tokenizer(folder: Path) -> Any:
    """The tokenizer that a run saved: by its file, whatever class it names."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(folder)


def tokenizes_alike(folder: Path, tokenizer: Any) -> bool:
    """Whether transformers' own choice for `folder` gives texts the ids that `tokenizer` does."""
    from transformers import AutoTokenizer

    try:
        chosen = AutoTokenizer.from_pretrained(folder).backend_tokenizer
    except Exception:  # a class may raise anything, and one without a backend has none to compare
        return False
    backend = tokenizer.backend_tokenizer
    texts = hard_texts(token.content for token in backend.get_added_tokens_decoder().values())
    return not _parting(chosen, backend, texts)


def _loaded(base: Path) -> Any:
    """What transformers makes of the folder; the plain class where its choice does not work."""
    from transformers import AutoTokenizer

    here = (base / FILE).is_file()
    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
    except Exception as error:  # a class may raise anything, the tokenizers library raises no more
        if not here:
            raise _cannot(base, error) from error
        tokenizer = None
    if getattr(tokenizer, "is_fast", False):
        return tokenizer
    if not here:
        raise UserError("this tokenizer has no tokenizer.json", path=base, hint="convert it first")
    try:
        return saved_tokenizer(base)
    except Exception as error:
        raise _cannot(base, error) from error


def _cannot(base: Path, error: Exception) -> UserError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return UserError(f"no tokenizer can be loaded: {reason}", path=base)


def _as_in_file(tokenizer: Any, path: Path, tell: Callable[[str], object]) -> Any:
    """The tokenizer, or one that tokenizes as the file says where it does not."""
    from tokenizers import Tokenizer

    if not path.is_file():
        return tokenizer
    file = Tokenizer.from_file(str(path))
    texts = hard_texts(token.content for token in file.get_added_tokens_decoder().values())
    parting = _parting(tokenizer.backend_tokenizer, file, texts)
    if not parting:
        return tokenizer
    tell(
        f"transformers' {type(tokenizer).__name__} tokenizes {len(parting)} of {len(texts)} texts "
        f"differently from {path.name}, first {one_line(repr(parting[0]))}: {path.name} is used"
    )
    return _of_file(tokenizer, path)


def _parting(one: Any, other: Any, texts: Sequence[str]) -> list[str]:
    """The texts to which the two give different ids."""
    ids, others = (
        [found.ids for found in backend.encode_batch_fast(texts, add_special_tokens=False)]
        for backend in map(_plain, (one, other))
    )
    pairs = zip(texts, ids, others, strict=True)
    return [text for text, found, expected in pairs if found != expected]


def _plain(backend: Any) -> Any:
    """The backend without truncation and padding; the original is not changed."""
    if backend.truncation is None and backend.padding is None:
        return backend
    backend = type(backend).from_str(backend.to_str())
    backend.no_truncation()
    backend.no_padding()
    return backend


def _of_file(tokenizer: Any, path: Path) -> Any:
    """The file's own backend, with the settings and special tokens of what was loaded."""
    from transformers import PreTrainedTokenizerFast

    values = read_json_object(path.parent / CONFIG)
    kept = {key: value for key, value in values.items() if key not in NOT_OF_THE_FILE}
    for name in SPECIAL:
        token = getattr(tokenizer, f"{name}_token")
        kept[f"{name}_token"] = None if token is None else str(token)
    made = PreTrainedTokenizerFast(tokenizer_file=str(path), **kept)
    made.chat_template = tokenizer.chat_template
    return made
