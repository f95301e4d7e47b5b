"""No module imports itself by way of others, not even inside a function or for types alone."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(source: str, modules: set[str]) -> set[str]:
    """The modules that `source` imports anywhere, of those in `modules`."""
    found = set[str]()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in modules else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & modules


@pytest.mark.parametrize("package", ["workbench", "benchmarks", "recipes"])
def test_imports_have_no_cycle(package: str) -> None:
    files = {module_name(path): path for path in (ROOT / package).rglob("*.py")}
    names = set(files)
    graph = {
        name: imported(path.read_text("utf-8"), names) - {name} for name, path in files.items()
    }
    assert any(graph.values())
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_a_cycle_inside_a_function_is_seen() -> None:
    lazy = imported("def f():\n    from package import b\n", {"package.a", "package.b"})
    assert lazy == {"package.b"}
