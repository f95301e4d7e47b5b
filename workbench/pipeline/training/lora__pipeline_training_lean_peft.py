"""What is used of peft, imported without bitsandbytes where nothing here needs it.

peft imports bitsandbytes wherever it is installed, and torch's compiler comes with it: longer than
all the rest of peft. Invariant: a model quantized by bitsandbytes has brought it along before any
of this is called; where it is not loaded, none of its layers can be met.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

NAME = "bitsandbytes"


@contextmanager
def without_bitsandbytes() -> Iterator[None]:
    """Within, peft takes it for absent, unless it is loaded already; afterwards it looks anew."""
    if NAME in sys.modules:
        yield
        return
    sys.modules[NAME] = None  # type: ignore[assignment] # an import of it fails; nothing is found
    _look_anew()
    try:
        yield
    finally:
        del sys.modules[NAME]
        _look_anew()


def _look_anew() -> None:
    """peft remembers what it found when it looked first."""
    looks = sys.modules.get("peft.import_utils")
    if looks is not None:
        looks.is_bnb_available.cache_clear()
        looks.is_bnb_4bit_available.cache_clear()


with without_bitsandbytes():
    from peft import LoraConfig, PeftModel, get_peft_model
    from peft.tuners.lora.layer import Linear as LoraLayer
    from peft.utils.other import ModulesToSaveWrapper

__all__ = [
    "LoraConfig",
    "LoraLayer",
    "ModulesToSaveWrapper",
    "PeftModel",
    "get_peft_model",
    "without_bitsandbytes",
]
