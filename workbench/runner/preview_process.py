"""The helper process that holds a preset's tokenizer: rows go in, their tokens come out.

A large tokenizer takes hundreds of megabytes and a second to load; the screen is spared both. It
says `ready` once it can answer; then, for each row, what it `shown` is or why it was `refused`.
"""

from __future__ import annotations

import json
import sys

from workbench.core.errors import UserError
from workbench.core.subprocesses import Message, MessageSender, run_task
from workbench.dataset.rows import Row
from workbench.runner.preview import load_preview


def serve(request: Message, sender: MessageSender) -> None:
    """Answer rows with the preview of `request["preset"]` until nobody asks any more."""
    preview = load_preview(request["preset"])
    sender.send(ready=preview.preset)
    for line in sys.stdin:
        row = Row.from_json(json.loads(line))
        try:
            sender.send(shown=preview.look(row).to_json())
        except UserError as error:
            sender.send(refused=str(error))


if __name__ == "__main__":
    sys.exit(run_task(serve))
