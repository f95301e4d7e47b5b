"""A JSON Schema, and what values hold against it: the one that ships, or a person's own.

Schemas are looked at in themselves alone: a `$ref` to another file or to the net is a fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from workbench.core.text import one_line, size
from workbench.dataset.readers.lines import open_regular
from workbench.dataset.readers.strict_json import Refused, a_type, parse_json
from workbench.dataset.rows import Fault, Place

MAX_BYTES = 1 << 20
MAX_TOLD = 20


class Schema:
    """A schema that is one. Made with `read_schema`."""

    def __init__(self, validator: Any) -> None:
        self._validator = validator

    def faults(self, value: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """(key, what is wrong) of each thing that the schema refuses; key `""` for the whole."""
        from jsonschema.exceptions import best_match
        from referencing.exceptions import Unresolvable

        try:
            for error in list(self._validator.iter_errors(value))[:MAX_TOLD]:
                told = best_match([error]) or error
                key = str(error.absolute_path[0]) if error.absolute_path else ""
                yield key, one_line(told.message, 200)
        except Unresolvable as error:
            yield "", f"the schema has an unresolved reference {one_line(str(error.ref), 80)}"
        except RecursionError:
            yield "", "the schema refers to itself endlessly"


def read_schema(path: str) -> Schema | Fault:
    """The schema in the file, or the one that ships for `""`; the fault that leaves none."""
    if path:
        stat = Path(path).stat() if Path(path).is_file() else None
        return _read(path, (stat.st_mtime_ns, stat.st_size) if stat else (0, 0))
    with as_file(files("workbench.dataset").joinpath("schemas", "example.schema.json")) as shipped:
        return _read(str(shipped), (0, 0))


@lru_cache(maxsize=8)
def _read(path: str, stamp: tuple[int, int]) -> Schema | Fault:
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    file = open_regular(Path(path))
    if isinstance(file, Fault):
        return file
    with file:
        data = file.read(MAX_BYTES + 1)
    place = Place(path, 1)
    if len(data) > MAX_BYTES:
        return Fault(place, "schema", f"the schema is larger than {size(MAX_BYTES)}")
    try:
        found = parse_json(data.decode("utf-8-sig"))
        if not isinstance(found, dict):
            return Fault(place, "schema", f"the schema is {a_type(found)}, not an object")
        validator = validator_for(found)
        validator.check_schema(found)
    except UnicodeDecodeError:
        return Fault(place, "schema", "the schema is not UTF-8", "save the file as UTF-8")
    except Refused as refused:
        return Fault(place, "schema", refused.message)
    except (SchemaError, RecursionError) as error:
        said = one_line(
            error.message if isinstance(error, SchemaError) else "nested too deeply", 200
        )
        return Fault(place, "schema", f"not a valid JSON Schema: {said}")
    return Schema(validator(found, registry=Registry()))
