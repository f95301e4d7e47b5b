"""What the checks of a base found before training, as `dataset/report.json` keeps it."""

from __future__ import annotations

import json

from workbench.run.folder import RunFolder

TOKENIZER = "vocabulary"  # the check of the tokenizer in llama.cpp


def tokenizer_differences(run: RunFolder, *, in_data: bool = False) -> list[str]:
    """Kinds of text that llama.cpp tokenizes differently from training, a sentence each.

    `in_data`: only those that rows of the data hold. None for a run without that check.
    """
    try:
        found = json.loads((run.dataset / "report.json").read_bytes())["checks"]
        return [
            str(one["message"])
            for one in found
            if one["check"] == TOKENIZER and (one["level"] == "warning" or not in_data)
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return []
