"""A base's tokenizer files, from what the registries have and the base's facts.

`tokenizer.json` is the published one where npm ships it; else it is made from the vocabulary that
llama.cpp or mistral-common ships, and its origin says so.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.real_bases_pieces import read_pieces
from benchmarks.real_bases_sources import Sources
from benchmarks.real_bases_vocabulary import (
    Backend,
    added_token,
    adds_bos,
    of_gguf,
    of_pieces,
    of_tekken,
)
from workbench.core.errors import UserError

Facts = dict[str, Any]
_ORIGINS = {
    "npm": "the published tokenizer.json",
    "gguf": "from a vocabulary GGUF",
    "pieces": "from the published tokenizer.model",
    "tekken": "from the published tekken.json",
}


@dataclass(frozen=True)
class RealTokenizer:
    """What goes into the base's folder. `origin` says in words what it is."""

    backend: Backend
    config: Facts
    template: str
    origin: str

    def write(self, folder: Path) -> None:
        """tokenizer.json, tokenizer_config.json and chat_template.jinja."""
        told = self.config | {"added_tokens_decoder": self.added_tokens_decoder}
        texts = {"tokenizer.json": self.backend, "tokenizer_config.json": told}
        for name, value in texts.items():
            (folder / name).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
        (folder / "chat_template.jinja").write_text(self.template, encoding="utf-8")

    @property
    def added_tokens_decoder(self) -> dict[str, Facts]:
        """The added tokens by id, as tokenizer_config.json has them."""
        return {
            str(token["id"]): {key: value for key, value in token.items() if key != "id"}
            for token in self.backend["added_tokens"]
        }

    def id_of(self, text: str) -> int:
        """The id of an added token."""
        return next(int(t["id"]) for t in self.backend["added_tokens"] if t["content"] == text)


def real_tokenizer(facts: Facts, sources: Sources) -> RealTokenizer:
    """The tokenizer that a base's facts name; fetches what it needs."""
    kind, _, name = facts["tokenizer"].partition(":")
    config: Facts = {}
    if kind == "npm":
        folder = sources.npm(name)
        backend = json.loads((folder / "tokenizer.json").read_bytes())
        config = json.loads((folder / "tokenizer_config.json").read_bytes())
    elif kind == "gguf":
        path = sources.llama_cpp / "models" / f"ggml-vocab-{name}.gguf"
        backend = of_gguf(path, facts.get("prefix", "always"))
    elif kind == "pieces":
        data = (sources.mistral_common / name).read_bytes()
        backend = of_pieces(read_pieces(data), facts["prefix"])
    else:
        backend = of_tekken(sources.mistral_common / name)
    _change(backend, facts.get("tokens", {}))
    own = config.pop("chat_template", "")
    config |= facts.get("tokenizer_config", {})
    config = {key: None if value == "none" else value for key, value in config.items()}
    known = {t["content"] for t in backend["added_tokens"]}
    for key in ("additional_special_tokens", "extra_special_tokens"):
        if isinstance(config.get(key), list):
            config[key] = [text for text in config[key] if text in known]
    if facts.get("adds_bos"):
        adds_bos(backend, config["bos_token"])
    elif config.get("bos_token") is None:
        backend["post_processor"] = None
    template = _template(facts["template"], own, sources)
    origin = "; ".join(filter(None, [_ORIGINS[kind], facts.get("note", "")]))
    return RealTokenizer(backend, config, template, origin)


def _change(backend: Backend, tokens: Facts) -> None:
    """Give the tokenizer the added tokens of another model with the same vocabulary."""
    below = tokens.get("below")
    if below is not None:
        backend["added_tokens"] = [t for t in backend["added_tokens"] if t["id"] < below]
        vocabulary = backend["model"]["vocab"]
        backend["model"]["vocab"] = {t: i for t, i in vocabulary.items() if i < below}
    for token in backend["added_tokens"]:
        old = token["content"]
        token["content"] = tokens.get("rename", {}).get(old, old)
        if old in backend["model"]["vocab"]:
            backend["model"]["vocab"][token["content"]] = backend["model"]["vocab"].pop(old)
        token["rstrip"] |= token["content"] in tokens.get("strip_right", ())
    _add(backend, tokens)
    for token in backend["added_tokens"]:
        token["special"] &= token["content"] not in tokens.get("plain", ())


def _add(backend: Backend, tokens: Facts) -> None:
    added = {i: text for text, i in tokens.get("added", {}).items()}
    spare = set(range(tokens.get("below", 0), tokens.get("rest_to", 0))) - set(added)
    for number, i in enumerate(sorted(spare)):
        added[i] = tokens["rest"].format(n=number)
    strips = tokens.get("strips", False)
    backend["added_tokens"] += [added_token(i, added[i], True, strips) for i in sorted(added)]


def _template(which: str, own: Any, sources: Sources) -> str:
    kind, _, name = which.partition(":")
    if kind == "own":
        return str(own)
    if kind == "words":
        return name
    if kind == "file":
        return (sources.templates / name).read_text(encoding="utf-8")
    source = (sources.llama_cpp / "tests" / "test-chat-template.cpp").read_text(encoding="utf-8")
    named = rf'\.name= \*/ "{re.escape(name)}",\s*/\* \.template_str= \*/ '
    found = re.search(rf'{named}(?:U8C\()?"((?:[^"\\]|\\.)*)"', source)
    if found is None:
        raise UserError(f"llama.cpp's tests have no chat template {name!r}")
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), found[1])
