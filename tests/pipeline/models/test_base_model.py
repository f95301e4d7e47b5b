"""Fetching a base: the real client against a stand-in of the hub, each failure one line.

The client reads where the hub is when it is imported, so every case runs in a process of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tiny
from tests.hub import OLDER, Hub, Repository, serve

TOKEN = "hf_secretsecretsecret"
FETCH = """
import json, os, shutil, sys
from types import SimpleNamespace
from huggingface_hub import constants
from workbench.core.errors import WorkbenchError
from workbench.pipeline.models import base_model
from workbench.pipeline.models.base_model import fetch
from workbench.preset.schema import Model
base_model.POLL_S = 0.02
constants.DOWNLOAD_CHUNK_SIZE = 1 << 12  # what came before a break is kept by chunks
if free := os.environ.get("FREE_BYTES"):
    shutil.disk_usage = lambda folder: SimpleNamespace(free=int(free))
told = []
for name, revision in json.loads(sys.argv[1]):
    try:
        model = Model(base=name, revision=revision)
        print(json.dumps(str(fetch(model, lambda done, total: told.append([done, total])))))
    except WorkbenchError as error:
        print(json.dumps([str(error)]))
if os.environ.get("TOLD"):
    print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tiny.save_base(tmp_path_factory.mktemp("model"))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# What repositories hold beside a model's safetensors: the same weights in other formats.
BESIDE = {
    "consolidated.safetensors": b"x",
    "model.safetensors": b"x",
    "original/params.json": b"{}",
    "original/tokenizer.model": b"x",
    "onnx/model.onnx": b"x",
    "pytorch_model.bin": b"x",
    "model-q4_0.gguf": b"x",
    "training_args.bin": b"x",
}
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


def sharded(model):
    """The model with its weights in two files and an index; the second file is never read."""
    index = {"weight_map": {"one": SHARDS[0], "two": SHARDS[1]}}
    files = {name: data for name, data in model.items() if name != "model.safetensors"}
    files |= {SHARDS[0]: model["model.safetensors"], SHARDS[1]: b"y" * 1000}
    return files | {"model.safetensors.index.json": json.dumps(index).encode()}


@pytest.fixture(scope="module")
def hub(model):
    repositories = {
        "we/open": Repository(model, older={**model, "README.md": b"older"}),
        "we/gated": Repository(model, gated=TOKEN),
        "we/pickled": Repository({"config.json": model["config.json"], "pytorch_model.bin": b"x"}),
        "we/cut": Repository(model, cut={"model.safetensors"}),
        "we/slow": Repository(model, pause_s=0.4),
        "we/down": Repository(model, broken=500),
        "we/crowded": Repository({**sharded(model), **BESIDE}),
    }
    with serve(repositories) as running:
        yield running


def fetch(hub: Hub | None, home, *wanted, **environment):
    """What `fetch` gives for each (name, revision): a folder, or [the error's line]."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))}
    env |= {"HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_ETAG_TIMEOUT": "2"}
    env |= {"HF_ENDPOINT": hub.url} if hub else {"HF_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            FETCH,
            json.dumps([w if len(w) == 2 else (*w, "main") for w in wanted]),
        ],
        env=env | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_failure_says_in_one_line_what_to_do(hub, tmp_path):
    name, revision, gated, pickled, down = fetch(
        hub,
        tmp_path,
        ("we/none",),
        ("we/open", "v9"),
        ("we/gated",),
        ("we/pickled",),
        ("we/down",),
    )
    assert name == [
        "model.base: we/none not found on the Hub at revision main "
        "(check the name and model.revision; for a private model run: hf auth login)"
    ]
    assert revision[0].startswith("model.base: we/open not found on the Hub at revision v9")
    assert gated == [
        "model.base: we/gated is gated "
        "(accept its license at https://huggingface.co/we/gated, then run: hf auth login)"
    ]
    assert "pickled weights (*.bin) are not supported" in pickled[0]
    assert down == [
        f"model.base: we/down is not downloaded and cannot be downloaded: {hub.url} returned 500 "
        "(try again later, or use a local folder)"
    ]
    assert not any("\n" in line for (line,) in (name, revision, gated, pickled, down))


def test_a_token_opens_a_gated_model_and_is_never_shown(hub, tmp_path, model):
    (folder,) = fetch(hub, tmp_path, ("we/gated",), HF_TOKEN=TOKEN)
    assert isinstance(folder, str)
    (other,) = fetch(hub, tmp_path / "other", ("we/gated",), HF_TOKEN="hf_wrong")
    assert "is gated" in other[0]


def test_what_was_fetched_is_whole_pinned_and_serves_offline(hub, tmp_path, model):
    main, older = fetch(hub, tmp_path, ("we/open",), ("we/open", OLDER))
    for name, data in model.items():
        assert Path(main, name).read_bytes() == data
    assert OLDER in older
    assert Path(older, "README.md").read_text() == "older"
    again = fetch(None, tmp_path, ("we/open",), HF_HUB_OFFLINE="1")
    assert again == [main]
    (nothing,) = fetch(None, tmp_path / "empty", ("we/open",), HF_HUB_OFFLINE="1")
    assert nothing == [
        "model.base: we/open is not downloaded and cannot be downloaded: HF_HUB_OFFLINE is set "
        "(unset it once, or use a local folder; HF_HOME sets the cache folder)"
    ]


def test_a_hub_that_is_not_to_be_had_is_named(tmp_path):
    (nobody,) = fetch(None, tmp_path, ("we/open",))
    assert nobody == [
        "model.base: we/open is not downloaded and cannot be downloaded: no connection to "
        "http://127.0.0.1:9 (go online once, or use a local folder; HF_HOME sets the cache folder)"
    ]
    (nowhere,) = fetch(None, tmp_path, ("we/open",), HF_ENDPOINT="hub.example")
    assert nowhere == [
        "HF_ENDPOINT: 'hub.example' is not a valid Hub address "
        "(unset it for huggingface.co, or use https://HOST)"
    ]


def test_a_download_cut_short_is_never_taken_for_whole(hub, tmp_path, model):
    hub.repositories["we/cut"].cut.update({"model.safetensors"})
    (first,) = fetch(hub, tmp_path, ("we/cut",))
    if isinstance(first, list):  # the client gave up: what is there must not pass for a model
        (offline,) = fetch(None, tmp_path, ("we/cut",), HF_HUB_OFFLINE="1")
        assert isinstance(offline, list)
        (first,) = fetch(hub, tmp_path, ("we/cut",))
    assert Path(first, "model.safetensors").read_bytes() == model["model.safetensors"]
    assert hub.resumed["model.safetensors"] > 0, "what was there already was not fetched again"


def test_how_far_it_is_is_told_and_never_more_than_there_is(hub, tmp_path, model):
    folder, told = fetch(hub, tmp_path, ("we/slow",), TOLD="1")
    assert isinstance(folder, str)
    assert any(0 < done < total for done, total in told)
    totals = {total for _, total in told}
    assert totals == {len(model["model.safetensors"])}, "the small files came before"
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    again, nothing = fetch(hub, tmp_path, ("we/slow",), TOLD="1")
    assert (again, nothing) == (folder, [])


def test_a_disk_too_small_is_said_before_anything_is_fetched(hub, tmp_path):
    (refused,) = fetch(hub, tmp_path, ("we/open",), FREE_BYTES="1000")
    assert "disk full: the base model we/open needs" in refused[0]
    assert not list(tmp_path.rglob("*.safetensors"))


def test_the_small_files_come_first_and_of_the_weights_only_those_of_the_index(hub, tmp_path):
    (folder,) = fetch(hub, tmp_path, ("we/crowded",))
    got = [line.rpartition("/")[2] for line in hub.asked if line.startswith("GET /we/crowded/res")]
    weights = [name for name in got if name.endswith((".safetensors", ".bin", ".onnx", ".gguf"))]
    assert sorted(weights) == SHARDS
    assert set(got[-2:]) == set(SHARDS), "weights last"
    assert {"config.json", "tokenizer.json"} <= set(got[:-2])
    assert not (set(BESIDE) & {path.name for path in Path(folder).iterdir()})
    assert not (Path(folder) / "original").exists()
