"""The model card of a merged model: what it was made of and how near the files are, from the run.

Invariant: it names no path of this machine; what is not known is said to be so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from workbench import __version__
from workbench.core import files
from workbench.core.text import one_line, visible
from workbench.pipeline.artifacts import base_folder, base_info
from workbench.pipeline.context import Context
from workbench.pipeline.export.verification import VerifiedFile
from workbench.preset.schema import TrainStage
from workbench.run.checks import tokenizer_differences

_FRONT = re.compile(r"\A---\r?\n(.*?)\r?\n---", re.DOTALL)
_LICENCE = re.compile(r"^license:[ \t]*[\"']?([\w.+-]+)", re.MULTILINE)
USE = """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("{name}")
model = AutoModelForCausalLM.from_pretrained("{name}")
messages = [{{"role": "user", "content": "..."}}]
prompt = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
)
print(tokenizer.decode(model.generate(**prompt)[0]))
```

`generation_config.json` has the tokens that end a response and the sampling settings."""


def model_card(context: Context, judged: Sequence[VerifiedFile]) -> str:
    """The card as Markdown with the head that the hub reads. `judged`: the GGUF files beside it."""
    facts = base_info(context)
    licence = licence_of(base_folder(context))
    parts = [
        _head(facts["base"], licence),
        f"# {context.run.name}",
        _about(context, facts["base"], licence),
        "## How it was trained",
        *(_stage(context, stage) for stage in context.preset.train),
        _data(context),
        f"SHA-256 of the preset: `{files.sha256(context.run.preset_file)}`.",
        *_parity(judged),
        *_tokenization(context, judged),
        "## Use",
        USE.format(name=context.run.name),
        *_stop_strings(context),
        f"Made by workbench {__version__}.",
    ]
    return "\n\n".join(parts) + "\n"


def licence_of(base: Path) -> str:
    """What the head of the base's own card says, "" when it says nothing."""
    try:
        text = (base / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    front = _FRONT.match(text)
    found = _LICENCE.search(front[1]) if front else None
    return found[1] if found else ""


def _head(base: str, licence: str) -> str:
    lines = ["---", "library_name: transformers", "pipeline_tag: text-generation"]
    if licence:
        lines.append(f"license: {licence}")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", base):  # a name on the hub
        lines.append(f"base_model: {base}")
    return "\n".join([*lines, "---"])


def _about(context: Context, base: str, licence: str) -> str:
    named = Path(base).name if "/" in base and Path(base).is_absolute() else base
    about = visible(context.preset.description) or "A fine-tuned language model."
    terms = (
        f"licensed under {licence}, which also applies to this model"
        if licence
        else "whose license is not stated in its folder: check it before you share this model"
    )
    return f"{about}\n\nThe base model is `{one_line(named)}`, {terms}."


def _stage(context: Context, stage: TrainStage) -> str:
    told = json.loads((context.run.training(stage.name) / "result.json").read_bytes())
    adapter = stage.adapter
    kind = "full fine-tuning" if adapter.kind == "full" else f"{adapter.kind}, rank {adapter.rank}"
    loss = told["best_loss"]
    reached = "" if loss is None else f"; best validation loss {loss:.4f} nats per token"
    reached += f" after step {told['best_step']}" if loss is not None else ""
    return (
        f"- **{stage.name}** ({stage.objective}): {kind}, {told['steps']} steps, learning rate "
        f"{stage.learning_rate:g}{reached}"
    )


def _data(context: Context) -> str:
    report = json.loads((context.run.dataset / "report.json").read_bytes())
    names = [Path(source["path"]).name for source in report["sources"]]
    digest = files.sha256(context.run.dataset / "train.jsonl")
    held = f"{report['held_out_prompts']} held-out prompts"
    return (
        f"Data: {', '.join(f'`{one_line(name)}`' for name in names)}; {report['train_rows']} rows "
        f"for training, {report['validation_rows']} for validation, {held}. "
        f"SHA-256 of the training rows: `{digest}`."
    )


def _stop_strings(context: Context) -> list[str]:
    """What generation_config.json cannot hold: transformers takes them from the caller alone."""
    if not (stops := context.preset.generate.stop):
        return []
    said = f"stop_strings={json.dumps(stops, ensure_ascii=False)}, tokenizer=tokenizer"
    return [f"The preset's stop strings go to `generate` as `{one_line(said, 400)}`."]


def _parity(judged: Sequence[VerifiedFile]) -> list[str]:
    """How near the GGUF files of the same export are to the trained model."""
    if not judged:
        return []
    rows = ["| file | mean KL (nats) | top-1 agreement | parity |", "|---|---|---|---|"]
    rows += [
        f"| {one.parity.type} | {one.parity.kl_mean:.2g} | {one.parity.top1:.1%} | "
        f"{'passed' if one.verdict.passed else 'failed'} |"
        for one in judged
    ]
    told = "Compared with the trained model in float32 (Kullback-Leibler divergence, top-1 token):"
    return ["## GGUF files", told, "\n".join(rows)]


def _tokenization(context: Context, judged: Sequence[VerifiedFile]) -> list[str]:
    """What llama.cpp tokenizes differently from training, as checked before it."""
    lines = tokenizer_differences(context.run)
    if not (judged and lines):
        return []
    told = "Text that llama.cpp tokenizes or treats differently from the training:"
    return [told, "\n".join(f"- {one_line(line, 300)}" for line in lines)]
