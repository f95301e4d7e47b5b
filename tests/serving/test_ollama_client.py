"""The real client against a server that follows the API: what is sent, asked first, and said."""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path

import pytest

from tests.run.helpers import make_run
from tests.serving.fake_ollama import FULL, Fake, running
from workbench.cli import main
from workbench.core.errors import Interrupted, RunFailed, UserError
from workbench.run import events
from workbench.run.folder import RunFolder
from workbench.run.log import EventLog
from workbench.serving.ollama_client import CreateProgress, create_model

TEXT = '''# created by workbench from run one
FROM ./one-q8_0.gguf
TEMPLATE """{{ range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}"""
PARAMETER temperature 0.0
PARAMETER num_ctx 1024
PARAMETER stop "<|im_end|>"
PARAMETER stop "# INPUT"
SYSTEM "Be brief."
'''
GGUF = b"GGUF" + bytes(range(256)) * 16_000  # four million bytes: several pieces
DIGEST = f"sha256:{hashlib.sha256(GGUF).hexdigest()}"


@pytest.fixture
def modelfile(tmp_path: Path) -> Path:
    (tmp_path / "one-q8_0.gguf").write_bytes(GGUF)
    path = tmp_path / "Modelfile"
    path.write_text(TEXT)
    return path


def at(server: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server.address)


def test_everything_the_modelfile_says_arrives(
    modelfile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = list[CreateProgress]()
    with running() as server:
        at(server, monkeypatch)
        made = create_model(modelfile, "mine:q8", doing=heard.append)
    assert server.asked == ["GET /api/version", "HEAD blob", "POST blob", "POST create"]
    assert server.blobs == {DIGEST: GGUF}
    (request,) = server.created
    template = "{{ range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
    assert request == {
        "model": "mine:q8",
        "stream": True,
        "files": {"one-q8_0.gguf": DIGEST},
        "template": template,
        "system": "Be brief.",
        "parameters": {"temperature": 0.0, "num_ctx": 1024, "stop": ["<|im_end|>", "# INPUT"]},
    }
    assert (made.sent_bytes, made.version, made.address) == (len(GGUF), "0.22.1", server.address)
    uploads = [one.done for one in heard if one.what == "uploading"]
    assert len(uploads) > 2 and uploads == sorted(uploads) and uploads[-1] == len(GGUF)
    assert [one.what for one in heard][-1] == "success"


def test_what_the_server_has_is_not_sent_again(
    modelfile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running() as server:
        at(server, monkeypatch)
        create_model(modelfile, "mine")
        assert create_model(modelfile, "mine").sent_bytes == 0
    assert server.asked.count("POST blob") == 1 and server.asked.count("POST create") == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("dies", "did not accept the file: the connection was lost"),
        ("full", f"did not accept the file: {FULL}"),
        ("refuses", "did not create mine: unknown type: unsupported architecture"),
        (
            "stops",
            "did not create mine: it closed the connection; last message: using existing layer",
        ),
        ("breaks off", "did not create mine: the connection was lost"),
        ("another", "is not an Ollama server: invalid response"),
    ],
)
def test_every_trouble_is_one_line_that_names_the_server(
    modelfile: Path, monkeypatch: pytest.MonkeyPatch, fault: str, said: str
) -> None:
    with running(fault) as server:
        at(server, monkeypatch)
        with pytest.raises(RunFailed) as caught:
            create_model(modelfile, "mine")
    assert str(caught.value).startswith(f"{server.address} {said}")
    assert "\n" not in str(caught.value)


def test_after_a_broken_upload_a_repeat_works(
    modelfile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running("dies") as server:
        at(server, monkeypatch)
        with pytest.raises(RunFailed):
            create_model(modelfile, "mine")
        server.fault = ""
        assert create_model(modelfile, "mine").sent_bytes == len(GGUF)


def test_a_server_that_is_away_is_told_with_what_to_do(
    modelfile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{port}")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # this machine needs no proxy
    with pytest.raises(RunFailed, match=rf"no Ollama server at http://127.0.0.1:{port} "):
        create_model(modelfile, "mine")


@pytest.mark.parametrize("host", ["http://[::bad", "127.0.0.1:99999"])
def test_an_address_that_is_none(
    modelfile: Path, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    with pytest.raises(UserError, match="OLLAMA_HOST: '.*' is not a valid address"):
        create_model(modelfile, "mine")


def test_a_stop_ends_the_upload(modelfile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = list[CreateProgress]()

    def should_stop() -> bool:
        return any(one.what == "uploading" for one in heard)

    with running() as server:
        at(server, monkeypatch)
        with pytest.raises(Interrupted, match="the model was not created"):
            create_model(modelfile, "mine", doing=heard.append, should_stop=should_stop)
    assert server.blobs == {} and server.created == []


def test_a_name_the_server_refuses(modelfile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as server:
        at(server, monkeypatch)
        with pytest.raises(RunFailed, match="did not create a//b: invalid model name"):
            create_model(modelfile, "a//b")


def test_a_file_that_is_gone(modelfile: Path) -> None:
    (modelfile.parent / "one-q8_0.gguf").unlink()
    with pytest.raises(UserError, match="one-q8_0.gguf: file not found"):
        create_model(modelfile, "mine")


@pytest.fixture
def run(tmp_path: Path, modelfile: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.chdir(tmp_path)
    preset = '[ollama]\nname = "called"\n[[data.source]]\npath = "x"\n[[train]]\nname = "sft"\n'
    made = make_run(tmp_path / "runs", "one", preset)
    (made.export / "Modelfile").write_text(TEXT)
    for kind in ("q8_0", "f16"):
        (made.export / f"one-{kind}.gguf").write_bytes(GGUF if kind == "q8_0" else GGUF * 2)
        log = EventLog(made.events_file)
        file = {"type": kind, "path": f"export/one-{kind}.gguf", "bytes": 1}
        log.append(events.FileExported(**file, fallbacks=0, elapsed_s=1.0), "export")
        log.close()
    return made


def test_the_command(
    run: RunFolder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with running() as server:
        at(server, monkeypatch)
        assert main(["ollama", "one"]) == 0
        told = capsys.readouterr()
        assert told.out == "ollama run called\n"
        assert (
            told.err == f"created called in Ollama 0.22.1 at {server.address}; 3.9 MiB uploaded\n"
        )
        assert main(["ollama", "one", "--name", "other", "--type", "F16", "--json"]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert lines[-1]["created"] == "other" and lines[0]["what"] == "reading the file"
        assert list(server.created[-1]["files"]) == ["one-f16.gguf"]
        server.fault = "refuses"
        assert main(["ollama", "one", "--json"]) == 1
        problem = json.loads(capsys.readouterr().out.splitlines()[-1])["problem"]
        assert problem.endswith("unknown type: unsupported architecture")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "no run 'nothing'"),
        (
            ["one", "--type", "q2_k"],
            "has no q2_k file (available: q8_0, f16; create it: workbench export one",
        ),
        (["Modelfile"], "Modelfile: a Modelfile needs --name"),
        (["one", "--name", "a b"], "'a b' is not a valid Ollama name"),
    ],
)
def test_what_cannot_be_is_one_line(
    run: RunFolder, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["ollama", *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1


def test_a_run_without_a_modelfile(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    (run.export / "Modelfile").unlink()
    assert main(["ollama", "one"]) == 2
    assert (
        "this run has no Modelfile yet (the 'package' stage writes it: workbench resume one"
        in capsys.readouterr().err
    )
