"""The programs that `benchmarks.data` measures, each in a process of its own.

    python -m benchmarks.data_programs NAME CORES [ARGUMENT...]

Times count from after the imports to the end of the work; figures go to stdout as one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any


def lint(path: str) -> dict[str, float]:
    """`workbench data` without its output: read, survey, findings of all rows together."""
    from workbench.dataset.checks.summary import DatasetProfiler
    from workbench.dataset.sources import iterate, plan_source

    began = time.process_time()
    survey = DatasetProfiler()
    for entry in iterate(plan_source(path)):
        survey.add(entry)
    survey.close()
    return {"rows_per_s": survey.rows / (time.process_time() - began)}


def near(path: str) -> dict[str, float]:
    from workbench.dataset.duplicates import near_duplicates, row_text
    from workbench.dataset.sources import read_source

    rows = read_source(path).rows
    began = time.monotonic()
    found = near_duplicates(map(row_text, rows))
    return {"wall_s": time.monotonic() - began, "near": len(found)}


def prepare(path: str, template: str) -> dict[str, float]:
    """The prepare stage as a run does it."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        _load_all(Path(folder), path, template)
        return _prepare(Path(folder), path, template)


def prepare_plain(path: str, template: str) -> dict[str, float]:
    """The same where no words are remembered: each row goes to the `tokenizers` library."""
    from workbench.tokenization.tokenizer import BackendTokenizer

    setattr(BackendTokenizer, "_words", None)  # noqa: B010  (of this process; helpers have theirs)
    return prepare(path, template)


def prepare_again(path: str, template: str) -> dict[str, float]:
    """The same, where a run before has prepared all rows but one."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = folder
        _prepare(Path(folder), path, template)  # which loads all that is imported late, besides
        changed = Path(folder) / "changed.jsonl"
        text = Path(path).read_text()
        changed.write_text(text.replace("Question 7:", "Another question:", 1))
        return _prepare(Path(folder), str(changed), template)


def _load_all(folder: Path, path: str, template: str) -> None:
    """Have everything imported, as the peer has before its time begins: prepare two other rows."""
    few = folder / "few.jsonl"
    with open(path) as file:
        few.write_text("".join(islice(file, 2)).replace("Question", "Warming up"))
    _prepare(folder, str(few), template)


def _prepare(folder: Path, path: str, template: str) -> dict[str, float]:
    from workbench.pipeline.prepare.stage import prepare
    from workbench.preset.loader import load
    from workbench.run import folder as folders
    from workbench.runner.frozen_preset import freeze

    preset = folder / "bench.toml"
    preset.write_text(
        f'[model]\nbase = "embedded:tiny"\nchat_template = "FILE:{template}"\n[data]\n'
        f'[[data.source]]\npath = "{path}"\n[[train]]\nname = "sft"\nsequence_length = 1024\n'
    )
    run = folders.create(folder / "runs", f"bench{len(list(folder.iterdir()))}")
    freeze(load(str(preset)), run)
    told: list[Any] = []
    began = time.monotonic()
    prepare(load(str(run.preset_file)).preset, run, told.append)
    wall_s = time.monotonic() - began
    ledgers = json.loads((run.dataset / "report.json").read_bytes())["stages"]["sft"]
    rows = sum(ledger["rows"] for ledger in ledgers.values())
    trained = sum(ledger["trained_tokens"] for ledger in ledgers.values())
    return {"rows_per_s": rows / wall_s, "trained": trained}


def peer_read(path: str) -> dict[str, float]:
    """`load_dataset` and a pass over its rows."""
    import datasets

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        found = datasets.load_dataset("json", data_files=path, split="train", cache_dir=folder)
        rows = sum(1 for _ in found)
        return {"rows_per_s": rows / (time.process_time() - began)}


def peer_prepare(path: str, template: str, way: str) -> dict[str, float]:
    """`load_dataset`, `map` in as many processes as there are cores, and `save_to_disk`."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    tokenizer = transformers.AutoTokenizer.from_pretrained("workbench/embedded/tiny")
    tokenizer.chat_template = Path(template).read_text()

    def encode(rows: dict[str, Any]) -> dict[str, Any]:
        made = tokenizer.apply_chat_template(
            rows["messages"], tokenize=True, return_dict=True, return_assistant_tokens_mask=True
        )
        return {"input_ids": made["input_ids"], "assistant_masks": made["assistant_masks"]}

    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        found = datasets.load_dataset("json", data_files=path, split="train", cache_dir=folder)
        found = found.map(
            encode,
            batched=way == "batched",
            num_proc=cores if cores > 1 else None,
            remove_columns=found.column_names,
        )
        found.save_to_disk(f"{folder}/saved")
        wall_s = time.monotonic() - began
        trained = sum(sum(row["assistant_masks"][1:]) for row in found)
        return {"rows_per_s": len(found) / wall_s, "trained": trained}


def main() -> None:
    name, cores, *arguments = sys.argv[1:]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if cores == "1" else "true"
    print(json.dumps(globals()[name](*arguments)))


if __name__ == "__main__":
    main()
