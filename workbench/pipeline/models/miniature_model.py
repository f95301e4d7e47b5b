"""A miniature model as a folder in Hugging Face layout: config, weights, tokenizer, template.

For a known model name the architecture's card gives the configuration, with the model's own
tokenizer if the Hub's cache has it; for a local folder the model's own configuration is reduced and
its tokenizer kept. Weights are drawn from a fixed seed.

Other tokenizers are trained in a moment on bundled texts, without a download. Their vocabulary is
small; splitting, prefix and turn tokens are those of the model family, because these are what
training and export can get wrong.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from tokenizers import (
    AddedToken,
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from workbench.architectures.miniature_config import (
    CARDS,
    HEAD_DIM,
    HEADS,
    INNER,
    WIDTH,
    Miniature,
    MiniatureTokenizer,
    settings,
)
from workbench.core import files
from workbench.core.errors import UserError
from workbench.core.files import read_json_object
from workbench.core.paths import cache_folder
from workbench.preset.lookup import shipped_root
from workbench.preset.miniature import kind_of
from workbench.run.folder import plain_name
from workbench.tokenization.chat_template import BUILT_IN, built_in
from workbench.tokenization.named_templates import read_templates, write_templates
from workbench.tokenization.pretokenizers import PRETOKENIZERS

WORDS = 2048
SPACE = "\u2581"


def train(tokens: MiniatureTokenizer) -> Tokenizer:
    """A tokenizer of that kind; the special tokens have the first ids."""
    pieces = tokens.splitting.startswith("pieces")
    tokenizer = _pieces(tokens) if pieces else _byte_level(tokens)
    tokenizer.add_special_tokens(_special(tokens))
    if tokens.bos:
        bos = tokenizer.token_to_id(tokens.bos)
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{tokens.bos} $A",
            pair=f"{tokens.bos} $A {tokens.bos} $B",
            special_tokens=[(tokens.bos, bos)],
        )
    return tokenizer


def _special(tokens: MiniatureTokenizer) -> list[Any]:
    return [
        AddedToken(text, special=True, normalized=False, rstrip=text in tokens.stripping)
        for text in tokens.special
    ]


def _byte_level(tokens: MiniatureTokenizer) -> Tokenizer:
    steps, ignore_merges = PRETOKENIZERS[tokens.splitting]
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if tokens.nfc:
        tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([_step(*step) for step in steps])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS,
        special_tokens=_special(tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    return tokenizer


def _step(kind: str, value: Any) -> Any:
    if kind == "bytes":
        return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=value)
    return pre_tokenizers.Split(Regex(value), "isolated")


def _pieces(tokens: MiniatureTokenizer) -> Tokenizer:
    """SentencePiece's BPE as the tokenizers library writes it, with a token for every byte."""
    trained = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    trained.normalizer = normalizers.Replace(" ", SPACE)
    trained.pre_tokenizer = pre_tokenizers.Split(SPACE, "merged_with_next")
    trainer = trainers.BpeTrainer(
        vocab_size=WORDS, special_tokens=_special(tokens), show_progress=False
    )
    trained.train_from_iterator(_texts(), trainer)
    values = json.loads(trained.to_str())
    words = values["model"]["vocab"]
    for byte in range(256):
        words[f"<0x{byte:02X}>"] = len(words)
    values["pre_tokenizer"] = None
    if tokens.splitting == "pieces-prefix":
        prepend = {"type": "Prepend", "prepend": SPACE}
        values["normalizer"] = {"type": "Sequence", "normalizers": [prepend, values["normalizer"]]}
    if tokens.splitting == "pieces-first":
        metaspace = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first"}
        values |= {"normalizer": None, "pre_tokenizer": {**metaspace, "split": False}}
    tokenizer = Tokenizer.from_str(json.dumps(values))
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    prefix = [decoders.Strip(" ", 1, 0)] if tokens.splitting != "pieces" else []
    tokenizer.decoder = decoders.Sequence([*steps, *prefix])
    return tokenizer


def _texts() -> list[str]:
    folder = shipped_root() / "data"
    files = sorted(folder.rglob("*.txt")) + sorted(folder.rglob("*.blop"))
    return [path.read_text(encoding="utf-8") for path in files[:200]]


VERSION = 3  # counts up when a card or the recipe changes: an old folder is not taken for a new one
SEED = 20
ROWS_MULTIPLE = 64
TOKENIZER = "tokenizer.json"
KEPT = (TOKENIZER, "tokenizer_config.json", "tokenizer.model")
CUT = dict(
    hidden_size=WIDTH,
    intermediate_size=INNER,
    num_hidden_layers=4,
    num_attention_heads=HEADS,
    head_dim=HEAD_DIM,
    moe_intermediate_size=256,
    num_experts=4,
    n_routed_experts=4,
    num_experts_per_tok=2,
    query_pre_attn_scalar=HEAD_DIM,
)


def make_miniature(name: str) -> Path:
    """The folder of the miniature of a hub id or a local model folder, made if it is not there.

    Raises UserError for a name of no known family, or a folder that is no model.
    """
    source = Path(name).expanduser()
    stem = plain_name(name.replace("/", "--"))[-70:]
    target = cache_folder() / "miniatures" / f"{stem}-v{VERSION}"
    if source.is_dir():
        return _of_folder(source, target)
    card, own = CARDS[kind_of(name)], own_tokenizer(name)
    if own is not None:
        target = target.with_name(f"{target.name}-{files.sha256(own / TOKENIZER)[:8]}")
    if not (target / "config.json").is_file():
        if own is not None:
            _with_tokenizer(card, own, target)
        else:
            _of_card(card, target, instruct="-base" not in name.lower())
    return target


def own_tokenizer(name: str) -> Path | None:
    """The newest snapshot of a hub id in the Hub's cache with a tokenizer.json; None without."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    cache = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=name, repo_type="model")
    found = [path.parent for path in cache.glob(f"snapshots/*/{TOKENIZER}") if path.is_file()]
    return max(found, key=lambda folder: folder.stat().st_mtime_ns, default=None)


def _with_tokenizer(card: Miniature, own: Path, target: Path) -> None:
    """The card's model for the tokenizer in the folder `own`, with as many rows as the real one."""
    tokens, config = (
        Tokenizer.from_file(str(own / TOKENIZER)),
        read_json_object(own / "tokenizer_config.json"),
    )
    given = read_json_object(own / "config.json")
    rows = given.get("text_config", given).get("vocab_size")
    if not rows:
        highest = max(tokens.get_vocab(with_added_tokens=True).values())
        rows = -(-(highest + 1) // ROWS_MULTIPLE) * ROWS_MULTIPLE
    ids = dict[str, int | None]()
    for name in ("bos", "eos", "pad"):
        token = config.get(f"{name}_token")
        text = token.get("content") if isinstance(token, dict) else token
        ids[f"{name}_token_id"] = tokens.token_to_id(text) if text else None
    with _folder(target) as tmp:
        _save_model(card.model_type, settings(card, rows, ids), tmp)
        for name in KEPT:
            if (own / name).is_file():
                shutil.copyfile(own / name, tmp / name)


def _of_card(card: Miniature, target: Path, *, instruct: bool) -> None:
    tokens = card.tokens
    eos = tokens.eos if instruct else tokens.base_eos or tokens.eos
    tokenizer = train(tokens)
    rows = -(-tokenizer.get_vocab_size() // ROWS_MULTIPLE) * ROWS_MULTIPLE
    ids = {
        f"{name}_token_id": tokenizer.token_to_id(token) if token else None
        for name, token in (("bos", tokens.bos), ("eos", eos), ("pad", tokens.pad))
    }
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    config |= {"bos_token": tokens.bos or None, "eos_token": eos, "pad_token": tokens.pad}
    if "<unk>" in tokens.special:
        config["unk_token"] = "<unk>"
    with _folder(target) as tmp:
        _save_model(card.model_type, settings(card, rows, ids), tmp)
        files.write_atomic(tmp / "tokenizer.json", tokenizer.to_str(pretty=False))
        files.write_json(tmp / "tokenizer_config.json", config)
        files.write_atomic(tmp / "chat_template.jinja", template(card.template))


def _of_folder(source: Path, target: Path) -> Path:
    """The same architecture, cut down, with the model's own tokenizer."""
    try:
        given = json.loads((source / "config.json").read_bytes())
        kind = str(given.pop("model_type"))
    except (OSError, ValueError, KeyError):
        raise UserError("no config.json found", path=source) from None
    values = shrink_config(given)
    with _folder(target) as tmp:
        _save_model(kind, values, tmp)
        for name in KEPT:
            if (source / name).is_file():
                shutil.copyfile(source / name, tmp / name)
        write_templates(read_templates(source), tmp)
    return target


def shrink_config(given: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration with a miniature's widths; what a model does not have it does not get."""
    dropped = (
        "architectures",
        "torch_dtype",
        "dtype",
        "layer_types",
        "auto_map",
        "max_window_layers",
    )
    values = {key: value for key, value in given.items() if key not in dropped}
    values |= {key: value for key, value in CUT.items() if given.get(key) is not None}
    if given.get("model_type", "").startswith("gemma3"):
        values["num_hidden_layers"] = 6
    if "num_key_value_heads" in given:
        shared = given["num_key_value_heads"] < given.get("num_attention_heads", 0)
        values["num_key_value_heads"] = 2 if shared else HEADS
    return values


def template(name: str) -> str:
    """A chat template's source: one that presets may name, or one that only miniatures use."""
    if name in BUILT_IN:
        return built_in(name)
    folder = package_files("workbench.architectures").joinpath("templates")
    return folder.joinpath(f"{name}.jinja").read_text("utf-8")


def _folder(target: Path) -> Any:
    target.parent.mkdir(parents=True, exist_ok=True)
    return files.whole_folder(target)


def _save_model(kind: str, values: dict[str, Any], folder: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, **values)
    state = torch.random.get_rng_state()
    torch.manual_seed(SEED)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    torch.random.set_rng_state(state)
    model.to(torch.bfloat16).save_pretrained(folder)
