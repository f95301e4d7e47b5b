"""What `prepare` writes of a tokenizer is what other programs read it by."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from tests.tiny import CHATML, tokenizer
from workbench.pipeline.base import save_tokenizer


def test_no_empty_template_hides_the_one_in_its_own_file(tmp_path: Path) -> None:
    """llama.cpp's converter looks in chat_template.jinja only where this key is missing."""
    save_tokenizer(copy.deepcopy(tokenizer()), {"default": CHATML}, tmp_path / "tokenizer")
    config = json.loads((tmp_path / "tokenizer" / "tokenizer_config.json").read_text())
    assert "chat_template" not in config
    assert (tmp_path / "tokenizer" / "chat_template.jinja").read_text() == CHATML
