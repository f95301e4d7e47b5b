"""What is asked of a base's run beside workbench's own proofs: ids, and whether it stops.

Every text on which llama.cpp gives other ids than the published tokenizer must have a reason that
is listed here and that lies in llama.cpp; one without is a failure.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.real_bases_run import MORE_THINGS, PROMPT, TYPES, Ran
from benchmarks.real_bases_sources import Sources
from benchmarks.real_bases_vocabulary import SPACE, Backend
from workbench.pipeline.export.probes import hard_texts
from workbench.pipeline.export.splits import DEVIATIONS

SEPARATOR = "\n__ggml_vocab_test__\n"
ADDED_MOST = 300  # added tokens that are probed, the first ones; Gemma 3 has six thousand
SHOWN = 3
TOKENS_MOST = 24
Reason = Callable[[str, Backend, str], bool]


@dataclass
class Ids:
    """`texts` were compared; `explained` counts those that differ by reason, `others` are texts
    that differ for no reason listed."""

    texts: int = 0
    explained: dict[str, int] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def _decomposed(text: str, backend: Backend, pre: str) -> bool:
    composes = "NFC" in json.dumps(backend["normalizer"])
    return composes and unicodedata.normalize("NFC", text) != text


def _escaped_space(text: str, backend: Backend, pre: str) -> bool:
    return bool(backend["model"]["byte_fallback"]) and SPACE in text


def _ordinary_end(text: str, backend: Backend, pre: str) -> bool:
    ordinary = "</s>" in backend["model"]["vocab"] and not backend["model"]["byte_fallback"]
    added = {token["content"] for token in backend["added_tokens"]}
    return ordinary and "</s>" in text and "</s>" not in added


def _split_otherwise(text: str, backend: Backend, pre: str) -> bool:
    deviation = DEVIATIONS.get(pre)
    return deviation is not None and deviation.without(text) != text


def _stripped(text: str, backend: Backend, pre: str) -> bool:
    """An added token that takes the spaces at its side stands beside one."""
    for token in backend["added_tokens"]:
        before, found, after = text.partition(token["content"])
        while found:
            if token["lstrip"] and before[-1:].isspace() or token["rstrip"] and after[:1].isspace():
                return True
            before, found, after = after.partition(token["content"])
    return False


def _no_first_space(text: str, backend: Backend, pre: str) -> bool:
    """A space goes before a text's first word only where no special token opens the text."""
    scheme = (backend["pre_tokenizer"] or {}).get("prepend_scheme")
    return scheme == "first"


REASONS: dict[str, Reason] = {
    "llama.cpp composes no characters (NFC)": _decomposed,
    "llama.cpp takes a literal U+2581 for a space": _escaped_space,
    "llama.cpp makes an ordinary token </s> a special one": _ordinary_end,
    "llama.cpp's expression splits these characters otherwise": _split_otherwise,
    "llama.cpp strips no spaces beside special tokens": _stripped,
    "llama.cpp adds a space before every text or none": _no_first_space,
}


def compare_ids(tokenizer: Path, backend: Backend, gguf: Path, sources: Sources) -> Ids:
    """Ids of all probes by the published tokenizer and by llama.cpp from the exported file."""
    from tokenizers import Tokenizer

    from workbench.pipeline.export.native import NativeFile

    encode = Tokenizer.from_file(str(tokenizer)).encode
    pre = _pre(gguf)
    found, reasons = Ids(), Counter[str]()
    with NativeFile(gguf) as native:
        for text in dict.fromkeys(_probes(backend, sources)):
            found.texts += 1
            if encode(text, add_special_tokens=False).ids == native.ids(text):
                continue
            why = [name for name, holds in REASONS.items() if holds(text, backend, pre)]
            reasons.update(why[:1])
            if not why:
                found.others.append(repr(text)[:80])
    found.explained = dict(reasons)
    return found


def _probes(backend: Backend, sources: Sources) -> Iterator[str]:
    yield from hard_texts(())
    texts = sources.llama_cpp / "models" / "ggml-vocab-qwen2.gguf.inp"
    yield from texts.read_text(encoding="utf-8").split(SEPARATOR)
    yield from (PROMPT.format(thing) for thing in MORE_THINGS.split())
    for token in backend["added_tokens"][:ADDED_MOST]:
        yield f"{token['content']}user\nHi{token['content']}there {token['content']}"


def _pre(gguf: Path) -> str:
    from gguf import GGUFReader

    return str(GGUFReader(gguf).fields["tokenizer.ggml.pre"].contents())


def stops_in_transformers(ran: Ran) -> str:
    """ "" where plain transformers, told nothing but the merged folder, ends its answer itself."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(ran.merged)
    model = AutoModelForCausalLM.from_pretrained(ran.merged, dtype=torch.float32)
    asked = [{"role": "user", "content": PROMPT.format("sand")}]
    inputs = tokenizer.apply_chat_template(
        asked, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.no_grad():
        made = model.generate(**inputs, do_sample=False, max_new_tokens=TOKENS_MOST)
    answer = [int(token) for token in made[0, inputs["input_ids"].shape[1] :]]
    if len(answer) < TOKENS_MOST:
        return ""
    return f"did not stop: {tokenizer.decode(answer)[:60]!r}"


def faults_of_run(ran: Ran) -> Mapping[str, str]:
    """What the run's own events say against it, by check: "" where all is well."""
    if ran.status or ran.undone:
        stage = ran.undone[0] if ran.undone else "end"
        return {"run": f"{stage}: exit status {ran.status}: {ran.said}"}
    parity = {e["type"]: e for e in ran.of("parity_measured")}
    lost = [kind for kind, e in parity.items() if not (e["passed"] and e["ids_equal"])]
    shares = {e["model"]: e["figures"].get("stopped", 0) for e in ran.of("evaluated")}
    cut = [model for model, share in shares.items() if share < 1]
    modelfile = ran.folder / str(next((e["path"] for e in ran.of("packaged")), "none"))
    return {
        "run": "",
        "parity": f"not passed: {', '.join(lost)}" if lost or len(parity) < len(TYPES) else "",
        "stop": f"some answers do not stop: {', '.join(cut)}" if cut or not shares else "",
        "Modelfile": "" if _has_template(modelfile) else "no TEMPLATE",
        "smoke": "" if (ran.folder / "export" / "answers.md").is_file() else "no answers.md",
    }


def _has_template(modelfile: Path) -> bool:
    return modelfile.is_file() and "\nTEMPLATE " in modelfile.read_text(encoding="utf-8")


def kl_of(ran: Ran, kind: str) -> float:
    """The mean divergence of a file from the trained model, in nats."""
    found: list[Any] = [e["kl_mean"] for e in ran.of("parity_measured") if e["type"] == kind]
    return float(found[0]) if found else float("inf")
