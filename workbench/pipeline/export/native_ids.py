"""llama.cpp's ids of many texts, by a vocabulary alone: no model is needed to ask for them.

A child process opens the file, `python -m workbench.pipeline.export.native_ids GGUF REQUESTS`:
llama.cpp aborts the whole process on some vocabularies.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from workbench.core.errors import RunFailed, WorkbenchError
from workbench.core.subprocesses import ChildDied, JsonChild, exit_with_parent, send_message
from workbench.pipeline.export.vocabulary import Vocabulary

TEXTS_PER_LINE = 256
Ids = tuple[int, ...]


class Request(NamedTuple):
    """A text whose ids are wanted; `add_special`: with the BOS and EOS that the file asks for."""

    text: str
    add_special: bool = False


def vocabulary_ids(vocabulary: Vocabulary, requests: Sequence[Request]) -> list[Ids]:
    """llama.cpp's ids of each request, special tokens in a text recognised.

    Raises RunFailed where llama.cpp cannot read the vocabulary.
    """
    return ids_and_ends(vocabulary, requests, ())[0]


def ids_and_ends(
    vocabulary: Vocabulary, requests: Sequence[Request], tokens: Sequence[int]
) -> tuple[list[Ids], set[int]]:
    """(the ids as of `vocabulary_ids`, those of `tokens` at which llama.cpp ends a response)."""
    from workbench.pipeline.export.gguf_writer import write_vocabulary_file

    with TemporaryDirectory(prefix="workbench-vocabulary-") as folder:
        gguf, asked = Path(folder) / "vocabulary.gguf", Path(folder) / "requests.json"
        write_vocabulary_file(vocabulary, gguf)
        asked.write_text(json.dumps([requests, tokens]), encoding="utf-8")
        return _in_child(gguf, asked)


def _in_child(gguf: Path, asked: Path) -> tuple[list[Ids], set[int]]:
    command = [sys.executable, "-m", __name__, str(gguf), str(asked)]
    found, ends, problem = list[Ids](), set[int](), ""
    try:
        with JsonChild(command) as child:
            for line in child.messages():
                found += [tuple(ids) for ids in line.get("ids", ())]
                ends |= set(line.get("ends", ()))
                problem = line.get("problem", "")
    except ChildDied as error:
        raise RunFailed(f"llama.cpp cannot read this vocabulary{error.cause}") from None
    if problem:
        raise RunFailed(problem)
    return found, ends


def main(arguments: Sequence[str]) -> None:
    """In the child: one line for each few texts, one of the tokens, then the last word."""
    from workbench.pipeline.export.gguf_logits import GgufLogits

    exit_with_parent("pipe")
    gguf, asked = map(Path, arguments)
    requests, tokens = json.loads(asked.read_bytes())
    try:
        with GgufLogits(gguf) as native:
            for first in range(0, len(requests), TEXTS_PER_LINE):
                some = requests[first : first + TEXTS_PER_LINE]
                send_message(ids=[native.ids(text, add_special=special) for text, special in some])
            send_message(ends=[token for token in tokens if native.ends(token)])
    except WorkbenchError as error:
        send_message(problem=str(error).replace(f"{gguf}: ", ""))
        return
    send_message(problem="")


if __name__ == "__main__":
    main(sys.argv[1:])
