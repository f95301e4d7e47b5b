"""The SARIF log keeps the rules of the standard that viewers rely on (SARIF 2.1.0)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from workbench.dataset.checks.sarif import to_sarif
from workbench.dataset.rows import Fault, Place

FAULTS = [
    Fault(Place("data/a b#1%.jsonl", 3), "broken-json", "broken \x1b[31m", "write it"),
    Fault(Place("data/größe.jsonl", 9), "duplicate", "repeats x:1", fatal=False),
    Fault(Place("/elsewhere/x.jsonl", 1), "bom", "byte order mark", fatal=False),
    Fault(Place("folder", 0), "empty-folder", "the folder is empty"),
    Fault(Place("a", 2), "made-up", "of a code that nobody knows", fatal=False),
]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(tmp_path)
    made: dict[str, Any] = json.loads(json.dumps(to_sarif(FAULTS), allow_nan=False))
    return made


def test_the_log_has_what_3_13_and_3_14_ask_for(log: dict[str, Any]) -> None:
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-schema-2.1.0.json")
    (run,) = log["runs"]
    assert run["tool"]["driver"]["name"]  # 3.18.1, 3.19.8
    assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")  # 3.14.17
    assert len(run["results"]) == len(FAULTS)


def test_rules_are_unique_and_results_point_at_them(log: dict[str, Any]) -> None:
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)  # 3.19.23: unique elements
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]  # 3.27.6
        assert result["level"] in ("none", "note", "warning", "error")  # 3.27.10
        assert result["message"]["text"]  # 3.11.8
    for rule in rules:
        if "defaultConfiguration" in rule:
            assert rule["defaultConfiguration"]["level"] in ("note", "warning", "error")  # 3.50.3
            assert rule["shortDescription"]["text"]


def test_places_are_valid_uris_with_lines_from_one(log: dict[str, Any]) -> None:
    (run,) = log["runs"]
    places = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    uris = [place["artifactLocation"]["uri"] for place in places]
    for uri in uris:
        assert re.fullmatch(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", uri)  # RFC 3986
        assert not urlsplit(uri).fragment and not urlsplit(uri).query
    assert unquote(uris[0]) == "data/a b#1%.jsonl" and unquote(uris[1]) == "data/größe.jsonl"
    assert uris[2] == "file:///elsewhere/x.jsonl"
    assert [place.get("region") for place in places[:4]] == [
        {"startLine": 3},
        {"startLine": 9},
        {"startLine": 1},
        None,
    ]  # 3.30.5: lines count from 1


def test_text_from_the_data_holds_no_control_characters(log: dict[str, Any]) -> None:
    assert log["runs"][0]["results"][0]["message"]["text"] == "broken \\x1b[31m (write it)"


def test_no_findings_are_an_empty_list_of_results() -> None:
    (run,) = to_sarif([])["runs"]
    assert run["results"] == [] and run["tool"]["driver"]["rules"] == []  # 3.14.23: present
