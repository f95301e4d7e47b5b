"""Findings as a SARIF 2.1.0 log: what code hosts and editors show beside the lines they concern.

Format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html (section numbers below).
Paths within the current folder become relative to it, as such viewers expect; others are file URIs.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from workbench import __version__
from workbench.core.text import visible
from workbench.dataset.checks.findings import CODES, severity
from workbench.dataset.rows import Fault, Place

VERSION = "2.1.0"
SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def to_sarif(findings: Iterable[Fault]) -> dict[str, Any]:
    """The log with one run; every code that occurs is one of its rules."""
    found = list(findings)
    rules = sorted({fault.code for fault in found})
    number = {code: index for index, code in enumerate(rules)}
    driver = {
        "name": "workbench data",
        "semanticVersion": __version__,
        "rules": [_rule(code) for code in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(fault, number[fault.code]) for fault in found],
    }
    return {"$schema": SCHEMA, "version": VERSION, "runs": [run]}


def _rule(code: str) -> dict[str, Any]:  # reportingDescriptor, 3.49
    known = CODES.get(code)
    rule: dict[str, Any] = {"id": code}
    if known:
        rule["shortDescription"] = {"text": known.meaning}
        rule["defaultConfiguration"] = {"level": known.severity}
    return rule


def _result(fault: Fault, rule: int) -> dict[str, Any]:  # 3.27
    hint = f" ({fault.hint})" if fault.hint else ""
    return {
        "ruleId": fault.code,
        "ruleIndex": rule,
        "level": severity(fault),
        "message": {"text": visible(fault.message + hint)},
        "locations": [{"physicalLocation": _location(fault.place)}],
    }


def _location(place: Place) -> dict[str, Any]:  # 3.29; a whole file has no region
    location: dict[str, Any] = {"artifactLocation": {"uri": _uri(place.path)}}
    if place.line:
        location["region"] = {"startLine": place.line}
    return location


def _uri(path: str) -> str:  # 3.4.3, RFC 3986
    absolute = Path(path).absolute()
    try:
        return quote(
            absolute.relative_to(Path.cwd()).as_posix(), safe="/", errors="surrogateescape"
        )
    except ValueError:
        return absolute.as_uri()
