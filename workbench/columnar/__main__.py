"""The process: every record of PLACE, a file or `hub:OWNER/NAME`, as lines of JSON on stdout.

    {"columns": ["prompt", ...], "left_out": ["image"]}
    {"number": 1, "value": {"prompt": "...", ...}}
    {"number": 2, "code": "not-utf8", "message": "...", "hint": "..."}
    {"end": true}

Whatever goes wrong is a line, too; a process that ends without `end` was killed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from workbench.columnar.arrow_files import FileTrouble, read_file
from workbench.columnar.hub_datasets import HUB, HubTrouble, read_hub

MAX_BYTES = 6 << 30  # of address space: a bomb ends as a fault


def main(place: str) -> None:
    """Write all there is to say about the place."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not stand among the lines
    _limit_memory()
    read: Callable[[str], Iterator[dict[str, Any]]] = (
        read_hub if place.startswith(HUB) else read_file
    )
    number = 0
    try:
        for line in read(place):
            number = line.get("number", number)
            print(_json(line), file=out)
        print(json.dumps({"end": True}), file=out, flush=True)
        return
    except (FileTrouble, HubTrouble) as trouble:
        fault = {"code": trouble.code, "message": str(trouble), "hint": trouble.hint}
    except ImportError as error:
        hint = f"pip install {'datasets' if place.startswith(HUB) else 'pyarrow'}"
        fault = {"code": "library", "message": f"the library {error.name} is needed", "hint": hint}
    except MemoryError:
        fault = {"code": "too-large", "message": "a record needs too much memory", "hint": ""}
    except Exception as error:  # whatever a broken file makes the libraries raise
        said = " ".join(str(error).split())[:300]
        fault = {"code": "broken-file", "message": f"{type(error).__name__}: {said}", "hint": ""}
    print(json.dumps({"number": number + 1, **fault}), file=out, flush=True)
    print(json.dumps({"end": True}), file=out, flush=True)


def _json(line: dict[str, Any]) -> str:
    try:
        return json.dumps(line, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:
        return json.dumps(_finite(line), ensure_ascii=False, allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    """Dates and decimals as text; bytes as an object, which no text field takes."""
    return {"bytes": len(value)} if isinstance(value, bytes) else str(value)


def _finite(value: Any) -> Any:
    """The value with null for what JSON's numbers do not have."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    return [_finite(entry) for entry in value] if isinstance(value, list) else value


def _limit_memory() -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass  # not on this system: the machine's own memory is the limit


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except BrokenPipeError:
        os._exit(0)  # whoever asked has read enough
