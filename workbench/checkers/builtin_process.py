"""The built-in checkers that run as a child process.

`python -m workbench.checkers.builtin_process KIND FILE [WORD]`.

Exit status 0 passes, 1 does not, with the reason on stderr. Words are percent-encoded. Nothing here
guards against answers or patterns that take for ever or crash the interpreter: the limits of
`run.py` do.
"""

from __future__ import annotations

import json
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote


class Fails(Exception):
    """The answer does not pass; says why."""


def regex(text: str, pattern: str) -> None:
    if not re.search(pattern, text):
        raise Fails(f"no match for {pattern}")


def is_json(text: str) -> Any:
    """The value. NaN and Infinity are not JSON (RFC 8259, section 6), so they fail."""
    try:
        return json.loads(text.strip(), parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise Fails(f"not valid JSON: line {error.lineno}: {error.msg}") from None
    except ValueError as error:
        raise Fails(f"not valid JSON: {error}") from None
    except RecursionError:
        raise Fails("nested too deeply") from None


def json_schema(text: str, schema_file: str) -> None:
    """Fits the schema, of the draft that it names (else the newest). No reference is fetched."""
    from jsonschema.exceptions import best_match
    from jsonschema.validators import validator_for
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    value, schema = is_json(text), json.loads(Path(schema_file).read_bytes())
    registry: Registry[Any] = Registry()
    try:
        fault = best_match(validator_for(schema)(schema, registry=registry).iter_errors(value))
    except Unresolvable as error:
        raise Fails(f"the schema has an unresolved reference: {error.ref}") from None
    if fault is not None:
        raise Fails(f"{fault.json_path}: {fault.message}")


def python(text: str) -> None:
    """Compiles with this Python; nothing is run."""
    warnings.simplefilter("ignore")
    try:
        compile(text, "answer", "exec", dont_inherit=True)
    except SyntaxError as error:
        line = f"line {error.lineno}: " if error.lineno else ""
        raise Fails(f"{line}{error.msg}") from None
    except ValueError as error:
        raise Fails(str(error)) from None
    except (RecursionError, MemoryError):
        raise Fails("nested too deeply") from None


KINDS: dict[str, Callable[..., Any]] = {
    "regex": regex,
    "json": is_json,
    "json-schema": json_schema,
    "python": python,
}


def main(arguments: Sequence[str]) -> int:
    kind, file, *words = arguments
    text = Path(file).read_bytes().decode("utf-8", "replace")
    try:
        KINDS[kind](text, *map(unquote, words))
    except Fails as reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    return 0


def _no_constant(name: str) -> NoReturn:
    raise Fails(f"not valid JSON: {name} is not a JSON number")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
