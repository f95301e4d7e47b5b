"""Pretraining: every token is trained, and prompts are beginnings of texts."""

from __future__ import annotations

from tests.dataset.helpers import byte_level, chat
from workbench.dataset.rows import Place, Row
from workbench.objectives.base import SamplePrompt, SampleRows
from workbench.objectives.pretrain import FIRST_TOKENS, PRETRAIN
from workbench.tokenization.chat_template import ChatTemplate
from workbench.tokenization.encoder import Encoder
from workbench.tokenization.sequences import TrainingSequence
from workbench.tokenization.tokenizer import BackendTokenizer


def document(text: str) -> Row:
    return Row(Place("a", 1), text=text)


def no_rows() -> list[Row]:
    raise AssertionError("these rows are not asked for")


def no_template() -> ChatTemplate:
    raise AssertionError("a base model without a chat template will do")


def prompts(
    rows: SampleRows, tokenizer: BackendTokenizer | None = None, count: int = 9
) -> list[SamplePrompt]:
    return PRETRAIN.sample_prompts(rows, tokenizer or byte_level(), no_template, count)


def test_its_encoding_trains_every_token_of_a_document() -> None:
    (found,) = Encoder(PRETRAIN.encoding(), byte_level(), None, 200, (), 4).encode(
        [document("some text")]
    )
    (part,) = found.parts
    assert isinstance(part, TrainingSequence)
    assert part.trained == b"\1" * len(part.ids) and part.ids[-1] == 4


def test_validation_documents_are_prompted_by_their_first_tokens() -> None:
    texts = [f"document {n} " * 40 for n in range(4)]
    rows = SampleRows(None, no_rows, lambda: [document(text) for text in texts])
    found = prompts(rows, count=3)
    assert len(found) == 3 and {len(one.ids) for one in found} == {FIRST_TOKENS}
    for one, text in zip(found, texts, strict=False):
        assert byte_level().decode(list(one.ids)) == one.text and text.startswith(one.text)


def test_prompts_of_the_preset_are_continued_as_a_whole() -> None:
    long = "word " * 100
    named = [document(long), chat("what is asked", "not this"), document("")]
    first, second, empty = prompts(SampleRows(named, no_rows, no_rows, "no system prompt"))
    assert first.text == long and len(first.ids) > FIRST_TOKENS
    assert second.text == "what is asked" and byte_level().decode(list(second.ids)) == second.text
    assert empty == SamplePrompt("", []), "left out later, and counted"


def test_a_prompt_begins_with_bos_if_the_model_expects_it() -> None:
    tokenizer = byte_level("<bos>")
    (found,) = prompts(SampleRows([document("a")], no_rows, no_rows), tokenizer)
    assert found.ids[0] == tokenizer.bos_id and found.text == "a"
