from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.core.errors import UserError
from workbench.serving.modelfile import (
    ModelfileParameters,
    ModelfileSpec,
    modelfile,
    read_modelfile,
)
from workbench.serving.modelfile_values import quoted

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=60)


def read(folder: Path, text: str) -> ModelfileSpec:
    path = folder / "Modelfile"
    path.write_bytes(text.encode())
    return read_modelfile(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(system=TEXTS, stops=st.lists(TEXTS.filter(bool), max_size=3, unique=True))
def test_what_the_export_writes_is_read_back(tmp_path: Path, system: str, stops: list[str]) -> None:
    parameters = ModelfileParameters(temperature=0.5, top_k=4, seed=-1, num_ctx=9)
    made = modelfile("a b.gguf", None, parameters=parameters, stops=stops, system=system)
    wanted = read(tmp_path, made.text)
    assert wanted.gguf == tmp_path / "a b.gguf"
    told = [warning.partition(" is omitted")[0] for warning in made.warnings]
    assert wanted.system == (system if system and "SYSTEM" not in told else None)
    kept = [stop for stop in stops if quoted(stop) is not None]
    assert wanted.parameters.pop("stop", []) == kept
    assert wanted.parameters == {"temperature": 0.5, "top_k": 4, "seed": -1, "num_ctx": 9}


def test_words_of_a_person(tmp_path: Path) -> None:
    text = (
        '\n  # hello\nfrom ./x.gguf   \nSystem "a # b"\n\nparameter stop </s>\nTEMPLATE """\n\n"""'
    )
    wanted = read(tmp_path, text)
    assert (wanted.gguf.name, wanted.system, wanted.template) == ("x.gguf", "a # b", "\n\n")
    assert wanted.parameters == {"stop": ["</s>"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "FROM is missing"),
        ("# only\n", "FROM is missing"),
        (
            "FROM ./x\nADAPTER ./y\n",
            ":2: 'ADAPTER' is not a known instruction (use FROM, TEMPLATE,",
        ),
        ("FROM ./x\n\nfoo\n", ":3: 'foo' is not a known instruction"),
        ('FROM ./x\nSYSTEM """a\n', ":2: unclosed quotes"),
        ("FROM ./x\nPARAMETER top_k x\n", ":2: top_k: 'x' is not a number"),
        ("FROM ./x\nPARAMETER top_q 1\n", ":2: unknown parameter 'top_q' (use stop,"),
        ("FROM ./x\nPARAMETER top_k\n", ":2: PARAMETER without a name and a value"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        read(tmp_path, text)


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "Modelfile").write_bytes(b"FROM \xff")
    with pytest.raises(UserError, match="byte 5 is not UTF-8"):
        read_modelfile(tmp_path / "Modelfile")
    with pytest.raises(UserError, match="cannot be read"):
        read_modelfile(tmp_path / "absent")
