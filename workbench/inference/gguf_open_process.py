"""Child process: open a GGUF nobody vouches for and compute one token, `python -m … FILE`.

Prints one JSON object, `{"problem": ""}` or the reason in words. If native code aborts, it is this
process that ends.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

from workbench.core.errors import UserError
from workbench.inference.decoder import DecodeError, Decoder, SequenceTokens
from workbench.inference.llama_model import LlamaModel

TRIAL_CONTEXT = 256


def try_load(path: Path) -> str:
    """Open `path` here and now: `""`, or what is wrong. Native code may end the process."""
    try:
        model = LlamaModel(path)
    except UserError as error:
        return error.message
    try:
        decoder = Decoder(model, context=TRIAL_CONTEXT, threads=1)
        decoder.feed([SequenceTokens(0, [0, model.n_vocab - 1])])
        decoder.close()
    except UserError as error:
        return error.message
    except DecodeError as error:
        return str(error)
    finally:
        model.close()
    return ""


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(json.dumps({"problem": try_load(Path(sys.argv[1]))}))
