"""A conversation becomes token ids: template applied, BOS once, and no token smuggled in.

The template's own `<|im_end|>` must become one control token; the same characters typed by a user,
or standing in a document, must stay text, or a user could end their turn and speak as the system.
So before rendering, each control-token name inside a message is cut in two by a mark, as the
training data's are (`workbench.tokenization.control_tokens`), and the rendered text is tokenized
piece by piece between the marks: no piece holds the whole name. Where none is named there is one
piece.

The model reads the same characters either way. (A tokenizer of the SentencePiece kind that puts a
space before each text puts one at such a cut too.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.core.errors import UserError
from workbench.dataset.rows import Message, Place, Row
from workbench.inference.llama_model import NO_TOKEN, LlamaModel
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.control_tokens import mark_control_tokens
from workbench.tokenization.named_templates import TOOL_USE

Tools = Sequence[dict[str, Any]]


def model_chat_template(model: LlamaModel) -> ChatTemplate:
    """The chat templates inside the GGUF. Raises UserError when it carries no default one."""
    source = model.metadata("tokenizer.chat_template")
    if not source:
        raise UserError(
            "this GGUF file has no chat template",
            path=model.path,
            hint="export it with a chat template, or specify one",
        )
    for_tools = model.metadata(f"tokenizer.chat_template.{TOOL_USE}")
    others = ((TOOL_USE, for_tools),) if for_tools else ()
    return ChatTemplate(source, model.name_of(model.bos), model.name_of(model.eos), "GGUF", others)


def prompt_ids(
    model: LlamaModel, template: ChatTemplate, messages: Sequence[Message], tools: Tools = ()
) -> list[int]:
    """Token ids that ask for the assistant's next answer; `tools` are those that it may call.

    Raises UserError from the template.
    """
    return conversation_ids(model, template, messages, tools, asking=True)


def conversation_ids(
    model: LlamaModel,
    template: ChatTemplate,
    messages: Sequence[Message],
    tools: Tools = (),
    *,
    asking: bool,
) -> list[int]:
    """Token ids of what was said; `asking` for the next answer, or not."""
    plain = template.render(messages, asking, tools)
    row = Row(Place("", 0), tuple(messages), tools=tuple(tools))
    cut, mark = mark_control_tokens(row, model.control_names)
    if not mark:
        return with_bos(model, model.tokenize(plain, parse_special=True))
    rendered = template.render(cut.messages, asking, cut.tools)
    if rendered.replace(mark, "") != plain:
        name = _first_name(model, messages)
        raise UserError(f"this model's template cannot take the text {name!r} inside a message")
    pieces = [piece for piece in rendered.split(mark) if piece]
    ids = [i for piece in pieces for i in model.tokenize(piece, parse_special=True)]
    return with_bos(model, ids)


def _first_name(model: LlamaModel, messages: Sequence[Message]) -> str:
    said = "\n".join(message.said for message in messages)
    found = model.control_names.search(said) if model.control_names else None
    return found[0] if found else "of a special token"


def with_bos(model: LlamaModel, ids: list[int]) -> list[int]:
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
