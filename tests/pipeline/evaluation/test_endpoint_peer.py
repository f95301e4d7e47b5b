"""The endpoint's contract against a real server: llama-cpp-python's own, with its OpenAI interface.

Its packages come with the extra `dev`; where they are missing the tests are skipped.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.inference.helpers import Tiny, write_tiny
from tests.pipeline.evaluation.helpers import row
from workbench.core.sampling import SamplingParams
from workbench.inference.session import Session
from workbench.pipeline.evaluation.http_endpoint import openai_answerer
from workbench.pipeline.evaluation.questions import GenerationSettings, Reply, questions_for
from workbench.pipeline.evaluation.stage import EvaluationPlan, evaluate_stage

SERVER = ("uvicorn", "fastapi", "pydantic_settings", "sse_starlette", "starlette_context")
KEY = "sk-secret-canary"
GREEDY = GenerationSettings(SamplingParams(temperature=0, max_tokens=20), context=256)
ROWS = [row("first"), row("second"), row("x" * 400), row("größer ✓")]
SAYS = "Helo wrd!"
UP_WITHIN_S = 90.0


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not all(map(find_spec, SERVER)), reason="the extra `dev` brings the server"),
]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose answer no rounding changes."""
    return write_tiny(tmp_path_factory.mktemp("gguf") / "chain.gguf", Tiny(says=SAYS.encode()))


@contextmanager
def serving(gguf: Path, log: Path, *options: str) -> Iterator[str]:
    """The server as its own documentation starts it; the base of its interface."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = ["--model", str(gguf), "--host", "127.0.0.1", "--port", str(port), "--n_ctx", "256"]
    command = [sys.executable, "-m", "llama_cpp.server", *words, "--n_threads", "1", *options]
    seen = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # the packages that we see
    with (
        open(log, "wb") as out,
        subprocess.Popen(command, stdout=out, stderr=out, env=seen) as process,
    ):
        try:
            _wait(f"http://127.0.0.1:{port}/v1/models", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + UP_WITHIN_S
    while process.poll() is None and time.monotonic() < end:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except urllib.error.HTTPError as error:  # it is up, and wants a key
            error.close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"the server did not come up: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def server(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(chain, tmp_path_factory.mktemp("server") / "log") as url:
        yield url


def ask(url: str, asking: GenerationSettings, **environment: str) -> list[Reply]:
    answerer = openai_answerer(url, "chain", asking, environment, pause_s=0.0)
    return list(answerer.replies(questions_for(ROWS, 1, 1), set(), lambda: False))


def test_it_answers_as_the_same_file_answers_here(server: str, chain: Path) -> None:
    with Session.open(chain, context=256) as session:
        mine = [session.answer(ROWS[n].messages, GREEDY.sampling) for n in (0, 1, 3)]
    first, second, long, last = ask(server, GREEDY)
    assert [reply.text for reply in (first, second, last)] == [answer.text for answer in mine]
    assert {reply.text for reply in (first, second, last)} == {SAYS}
    assert {reply.stopped for reply in (first, second, last)} == {"stop"}
    assert first.n_tokens in (len(SAYS), len(SAYS) + 1), "with the token that ends it or without"
    assert not long.text and "returned 400" in long.problem and "\n" not in long.problem


def test_limits_and_stop_texts_are_understood(server: str) -> None:
    cut = ask(server, replace(GREEDY, sampling=SamplingParams(temperature=0, max_tokens=4)))[0]
    assert (cut.text, cut.stopped, cut.n_tokens) == (SAYS[:4], "length", 4)
    stopped = ask(server, replace(GREEDY, stop=("wr", "1", "2", "3", "4", "5")))[0]
    assert (stopped.text, stopped.stopped) == ("Helo ", "stop")


def test_a_seed_gives_the_same_answer_again(tmp_path: Path) -> None:
    hot = GenerationSettings(SamplingParams(temperature=1.0, max_tokens=12), context=256)
    with serving(write_tiny(tmp_path / "random.gguf"), tmp_path / "log") as url:
        first, again = ask(url, hot), ask(url, hot)
    assert [reply.text for reply in first] == [reply.text for reply in again]
    assert first[0].text != first[1].text


def test_a_key_is_wanted_and_given(chain: Path, tmp_path: Path) -> None:
    with serving(chain, tmp_path / "log", "--api_key", KEY) as url:
        (refused, *_), (taken, *_) = ask(url, GREEDY), ask(url, GREEDY, OPENAI_API_KEY=KEY)
        wrong = ask(url, GREEDY, OPENAI_API_KEY="sk-wrong")[0]
    assert "returned 401" in refused.problem and "is OPENAI_API_KEY set?" in refused.problem
    assert "returned 401" in wrong.problem and "sk-wrong" not in wrong.problem
    assert taken.text == SAYS


def test_an_evaluation_with_the_server_beside_the_file(
    server: str, chain: Path, tmp_path: Path
) -> None:
    models: dict[str, Path | str] = {"file": chain, "server": f"openai:{server}#chain"}
    result = evaluate_stage(
        models, EvaluationPlan(ROWS, GREEDY), tmp_path, subject="file", reference="server"
    )
    for model in result.models.values():
        assert [case.answer for case in model.cases if not case.problem] == [SAYS] * 3
        assert model.figures.headline.not_measured == 1


def test_a_server_that_goes_away_costs_a_line_a_question(chain: Path, tmp_path: Path) -> None:
    with serving(chain, tmp_path / "log") as url:
        assert ask(url, GREEDY)[0].text == SAYS
    problems = [reply.problem for reply in ask(url, GREEDY)]
    assert "did not respond" in problems[0] and all("\n" not in one for one in problems)
