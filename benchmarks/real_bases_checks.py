"""What is asked of a base's run beside workbench's own proofs: what its events say, and whether
plain transformers stops.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.real_bases_run import PROMPT, TYPES, Ran

TOKENS_MOST = 24


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
