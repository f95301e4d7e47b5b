"""transformers' `Trainer` and TRL's `SFTTrainer` on the rows of `benchmarks.training_bases`.

They get the tokens ready made, with -100 where nothing is trained, so that no time goes into
templates, and begin with the very adapter that ours begins with. Each step has the rows that it has
in ours, about eight drawn at random: then the losses can be compared. Those that group or pack rows
by themselves keep their way, for it is what makes them quick. Their own defaults hold unless a name
says more.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.training_shared import (
    Clock,
    Told,
    given_adapter,
    gpu_bytes,
    rows_of_steps,
    settings_of,
)

PACKS: dict[str, Any] = {"packing": True, "packing_strategy": "bfd"}
# A step's rows end to end, as PACKS lays them, but the rows that ours has in it.
FLAT: dict[str, Any] = {"padding_free": True, "max_length": None}
SLACK = 1.1  # sequences are never filled to the last token: so there are as many steps


def trainer(folder: Path, **more: Any) -> Told:
    """transformers' Trainer: rows drawn at random, padded to the longest of a batch."""
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    given, tokenizer, model = settings_of(folder), _tokenizer(folder), _model(folder)
    clock = _clock()
    made = _taught(Trainer, folder, more)(
        model=model,
        args=TrainingArguments(**_arguments(folder, given) | more),
        train_dataset=_rows(folder / "train.safetensors"),
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100),
        callbacks=[clock],
    )
    return _measured(folder, made, clock)


def trl(folder: Path, model: Any = None, **more: Any) -> Told:
    """TRL's SFTTrainer: as it comes, it computes activations again and in bfloat16."""
    from trl import SFTConfig, SFTTrainer

    given, clock = settings_of(folder), _clock()
    if more.get("packing"):  # one sequence a step, with room for as many tokens as the others'
        longest = round(given["step_tokens"] * SLACK)
        more |= {"max_length": longest, "per_device_train_batch_size": 1}
    made = _taught(SFTTrainer, folder, more)(
        model=model or _model(folder),
        args=SFTConfig(**_arguments(folder, given) | more),
        train_dataset=_rows(folder / "train.safetensors"),
        processing_class=_tokenizer(folder),
        callbacks=[clock],
    )
    return _measured(folder, made, clock)


def _taught(kind: Any, folder: Path, more: dict[str, Any]) -> Any:
    """The trainer's class, which takes the rows of each step as ours has them."""
    if any(key in more for key in ("packing", "train_sampling_strategy")):
        return kind
    from torch.utils.data import DataLoader

    class Taught(kind):
        def get_train_dataloader(self) -> Any:
            rows = self._remove_unused_columns(self.train_dataset, description="training")
            return DataLoader(
                rows, batch_sampler=rows_of_steps(folder), collate_fn=self.data_collator
            )

    return Taught


def trl_gpu(folder: Path) -> Told:
    """SFTTrainer with its packing, in bfloat16."""
    return _with_gpu(trl(folder, bf16=True, **PACKS))


def unsloth(folder: Path) -> Told:
    """Unsloth's model and its changes to SFTTrainer. It has to be imported before all others."""
    from unsloth import FastLanguageModel

    given = settings_of(folder)
    model, _ = FastLanguageModel.from_pretrained(
        str(folder / "base"),
        max_seq_length=given["longest"],
        load_in_4bit=given["quantization"] == "nf4",
    )
    rank = given["rank"]
    model = FastLanguageModel.get_peft_model(model, r=rank, lora_alpha=2 * rank)
    return _with_gpu(trl(folder, model=model, bf16=True, **PACKS))


def _with_gpu(told: Told) -> Told:
    return told | {"gpu_bytes": gpu_bytes()}


PROGRAMS: dict[str, Callable[[Path], Told]] = {
    "trainer": trainer,
    "trainer-grouped": partial(trainer, train_sampling_strategy="group_by_length"),
    "trl": trl,
    "trl-float32": partial(trl, bf16=False),
    "trl-grouped": partial(
        trl, bf16=False, gradient_checkpointing=False, train_sampling_strategy="group_by_length"
    ),
    "trl-packed": partial(trl, bf16=False, gradient_checkpointing=False, **FLAT),
    "trl-gpu": trl_gpu,
    "unsloth": unsloth,
    "trl-packed-bf16": partial(trl, bf16=True, gradient_checkpointing=False, **FLAT),
}


def _arguments(folder: Path, given: dict[str, Any]) -> dict[str, Any]:
    return {
        "output_dir": str(folder / "peer"),
        "per_device_train_batch_size": given["batch_rows"],
        "num_train_epochs": 1,
        "learning_rate": given["learning_rate"],
        "lr_scheduler_type": "cosine",
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": given["device"] == "cpu",
        "dataloader_pin_memory": given["device"] != "cpu",
    }


def _model(folder: Path) -> Any:
    from peft import PeftModel

    given = given_adapter(folder)
    if not given:
        return fresh_adapter(folder)
    return PeftModel.from_pretrained(_base(folder), given[0], is_trainable=True)


def fresh_adapter(folder: Path) -> Any:
    """The base with a new adapter, drawn from a fixed seed."""
    import torch
    from peft import LoraConfig, get_peft_model

    rank = settings_of(folder)["rank"]
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    model = _base(folder)
    torch.manual_seed(42)
    return get_peft_model(model, config)


def _base(folder: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    given = settings_of(folder)
    more: dict[str, Any] = {"dtype": getattr(torch, given["dtype"])}
    if given["quantization"] == "nf4":
        more |= {"quantization_config": _nf4(), "device_map": {"": given["device"]}}
    return AutoModelForCausalLM.from_pretrained(folder / "base", **more)


def _nf4() -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder / "base")


def _rows(path: Path) -> Any:
    """The examples as `datasets` holds them."""
    from datasets import Dataset

    from workbench.pipeline.training.token_dataset import TokenDataset

    examples = TokenDataset.load(path)
    columns: dict[str, list[list[int]]] = {"input_ids": [], "labels": []}
    for row in range(len(examples)):
        labels = examples.ids(row)
        columns["input_ids"].append(labels.tolist())
        labels[~examples.trained(row)] = -100
        columns["labels"].append(labels.tolist())
    return Dataset.from_dict(columns)


def _clock() -> Any:
    from transformers import TrainerCallback

    class Callback(TrainerCallback, Clock):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.start()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.stop()

    return Callback()


def _measured(folder: Path, made: Any, clock: Any) -> Told:
    from workbench.pipeline.training.token_dataset import TokenDataset

    made.train()
    tokens = int(TokenDataset.load(folder / "train.safetensors").lengths.sum())
    return clock.told(tokens) | {
        "steps": made.state.global_step,
        "loss": validation_loss(made.model, folder),
    }


def validation_loss(model: Any, folder: Path) -> float:
    """Mean over the trained tokens of all validation rows, by the model's own forward pass."""
    import torch
    import torch.nn.functional as F

    from workbench.pipeline.training.token_dataset import TokenDataset

    examples = TokenDataset.load(folder / "validation.safetensors")
    model.eval()
    total, count, device = 0.0, 0, next(model.parameters()).device
    with torch.no_grad():
        for row in range(len(examples)):
            ids, chosen = examples.ids(row).to(device), examples.trained(row)[1:].to(device)
            logits = model(input_ids=ids[None]).logits[0, :-1][chosen].float()
            total += float(F.cross_entropy(logits, ids[1:][chosen], reduction="sum"))
            count += int(chosen.sum())
    return total / count
