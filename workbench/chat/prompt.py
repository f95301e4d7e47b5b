"""A conversation becomes token ids: template applied, BOS once, and no token smuggled in.

The template's own `<|im_end|>` must become one control token; the same characters typed by a user,
or standing in a document, must stay text, or a user could end their turn and speak as the system.
So before rendering, each control-token name inside a message is cut in two by a mark, and the
rendered text is tokenized piece by piece between the marks: no piece holds the whole name. Where no
message names a control token there is one piece, and the ids are those that training saw.

The model reads the same characters either way. (A tokenizer of the SentencePiece kind that puts a
space before each text puts one at such a cut too.)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import count

from workbench.chat.native_model import NO_TOKEN, NativeModel
from workbench.dataset.rows import Message
from workbench.dataset.template import ChatTemplate
from workbench.errors import UserError


def template_of(model: NativeModel) -> ChatTemplate:
    """The chat template inside the GGUF. Raises UserError when it carries none."""
    source = model.metadata("tokenizer.chat_template")
    if not source:
        raise UserError(
            "this GGUF carries no chat template",
            path=model.path,
            hint="export it with one, or name one of your own",
        )
    return ChatTemplate(source, model.name_of(model.bos), model.name_of(model.eos), "GGUF")


def prompt_ids(
    model: NativeModel, template: ChatTemplate, messages: Sequence[Message]
) -> list[int]:
    """Token ids that ask for the assistant's next answer. Raises UserError from the template."""
    return conversation_ids(model, template, messages, asking=True)


def conversation_ids(
    model: NativeModel, template: ChatTemplate, messages: Sequence[Message], *, asking: bool
) -> list[int]:
    """Token ids of what was said; `asking` for the next answer, or not."""
    names = sorted(model.control_tokens.values(), key=len, reverse=True)
    plain = template.render(messages, add_generation_prompt=asking)
    mark = unused_mark([plain, *(message.content for message in messages)])
    marked = [cut_names(message, names, mark) for message in messages]
    if marked == list(messages):
        return with_bos(model, model.tokenize(plain, parse_special=True))
    rendered = template.render(marked, add_generation_prompt=asking)
    if rendered.replace(mark, "") != plain:
        name = next(n for n in names if any(n in message.content for message in messages))
        raise UserError(f"this model's template cannot take the text {name!r} inside a message")
    pieces = [piece for piece in rendered.split(mark) if piece]
    ids = [i for piece in pieces for i in model.tokenize(piece, parse_special=True)]
    return with_bos(model, ids)


def cut_names(message: Message, names: Sequence[str], mark: str) -> Message:
    """The message with `mark` after the first character of every control-token name in it."""
    content = message.content
    for name in names:
        if len(name) > 1:
            content = content.replace(name, name[0] + mark + name[1:])
    return message if content == message.content else dataclasses.replace(message, content=content)


def unused_mark(texts: Sequence[str]) -> str:
    """A short word that occurs in none of the texts."""
    for number in count():
        mark = f"\ue000{number}\ue001"
        if not any(mark in text for text in texts):
            return mark
    raise AssertionError("unreachable")


def with_bos(model: NativeModel, ids: list[int]) -> list[int]:
    """`ids` beginning with BOS where the model wants one: exactly one, whoever wrote it."""
    if model.bos == NO_TOKEN:
        return ids
    own = 0
    while own < len(ids) and ids[own] == model.bos:
        own += 1
    n_wanted = 1 if own or model.adds_bos else 0
    return [model.bos] * n_wanted + ids[own:]


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many items `a` and `b` begin with in common."""
    for i, (x, y) in enumerate(zip(a, b, strict=False)):
        if x != y:
            return i
    return min(len(a), len(b))
