"""The base models that the package brings along; `tiny` is the only one.

A folder here is an ordinary local model folder: `from_pretrained(path_of("tiny"))` loads it.
"""

from pathlib import Path


def path_of(name: str) -> Path:
    """The folder of an embedded base. Raises KeyError for a name that is not shipped."""
    folder = Path(__file__).parent / name
    if not name.isidentifier() or not (folder / "config.json").is_file():
        raise KeyError(name)
    return folder
