"""`workbench chat`: which model, which settings; the talking itself is tested in its own room."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.run.helpers import make_run
from tests.run.test_model_files import PRESET, exported
from workbench.cli import main
from workbench.commands import chat
from workbench.core.errors import UserError
from workbench.inference.chat_model import GgufSource
from workbench.inference.conversation import ChatSettings

WITH_SYSTEM = (
    PRESET.replace('path = "x.txt"', 'path = "x.txt"\n[data]\nsystem = "Be kind."')
    + "[generate]\ntemperature = 0.5\ncontext = 100\nstop = ['END']\nmax_tokens = 7\n"
)


@pytest.fixture
def asked(
    monkeypatch: pytest.MonkeyPatch,
) -> list[tuple[dict[str, GgufSource], str | None, ChatSettings]]:
    """What the chat room was asked for."""
    calls: list[tuple[dict[str, GgufSource], str | None, ChatSettings]] = []
    monkeypatch.setattr(
        chat, "chat", lambda models, settings, history: calls.append((models, None, settings))
    )
    monkeypatch.setattr(chat, "chat_once", lambda *call: calls.append(call))
    return calls


def test_a_run_talks_as_it_was_trained_and_evaluated(
    tmp_path: Path, asked: list[tuple[dict[str, GgufSource], str | None, ChatSettings]]
) -> None:
    run = make_run(tmp_path / "runs", preset=WITH_SYSTEM)
    exported(run, "f16", "q8_0")
    (run.evaluation / "base-f16.gguf").write_bytes(b"x")
    assert main(["chat", "one", "--prompt", "Hello", "--compare", "base"]) == 0
    models, prompt, settings = asked[0]
    tuned, base = run.export / "one-q8_0.gguf", run.evaluation / "base-f16.gguf"
    assert models == {"one": GgufSource(tuned), "base": GgufSource(base)}
    assert prompt == "Hello"
    assert (settings.system, settings.context, settings.stop) == ("Be kind.", 100, ["END"])
    assert (settings.sampling.temperature, settings.sampling.max_tokens) == (0.5, 7)
    assert sorted(settings.trusted) == ["f16f16f16", "q8_0q8_0q8_0"]


def test_flags_go_over_the_run_s_settings(
    tmp_path: Path, asked: list[tuple[dict[str, GgufSource], str | None, ChatSettings]]
) -> None:
    exported(make_run(tmp_path / "runs", preset=WITH_SYSTEM), "f16")
    flags = ["--system", "", "--set", "generate.temperature=0.9", "--set", "context=50"]
    assert main(["chat", "one", *flags]) == 0
    _, prompt, settings = asked[0]
    assert prompt is None
    assert (settings.system, settings.context) == ("", 50)
    assert (settings.sampling.temperature, settings.sampling.max_tokens) == (0.9, 7)


def test_a_file_talks_with_the_defaults(
    tmp_path: Path, asked: list[tuple[dict[str, GgufSource], str | None, ChatSettings]]
) -> None:
    (tmp_path / "m.gguf").write_bytes(b"x")
    assert main(["chat", str(tmp_path / "m.gguf")]) == 0
    models, _, settings = asked[0]
    assert models == {"m": GgufSource(tmp_path / "m.gguf")}
    assert settings.trusted == [] and settings.context == 4096


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nobody"], "no run 'nobody'"),
        (["absent.gguf"], "file not found: 'absent.gguf'"),
        (["one"], "not exported a model yet"),
        (["x.gguf", "--compare", "base"], "file not found"),
    ],
)
def test_what_cannot_talk_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    make_run(tmp_path / "runs", preset=PRESET)
    assert main(["chat", *arguments]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ("temperature", "'=' is missing"),
        ("temprature=1", "did you mean 'temperature'?"),
        ("context=many", "'many' is not a valid number of tokens"),
        ("context=0", "not a valid number of tokens"),
        ("temperature=hot", "temperature"),
        ("top_p=7", "top_p"),
    ],
)
def test_a_wrong_flag_is_refused(flag: str, told: str) -> None:
    with pytest.raises(UserError, match=told.replace("?", r"\?")):
        chat.apply_flags(ChatSettings(), [flag])
    assert chat.apply_flags(ChatSettings(), []) == replace(ChatSettings())
