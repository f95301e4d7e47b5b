"""Bases stored quantized: read as the numbers that transformers dequantizes, trained, exported."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from tests import tiny
from tests.pipeline.export.helpers import parities
from tests.pipeline.training.helpers import Bench, stage_settings
from workbench.core.errors import UserError
from workbench.pipeline.export.merged_safetensors import write_merged
from workbench.pipeline.export.packed import E4M3
from workbench.pipeline.export.plan import plan_export
from workbench.pipeline.export.safetensors_reader import SafetensorsFolder
from workbench.pipeline.models.base_checks import check_stored
from workbench.pipeline.models.base_keys import check_keys
from workbench.pipeline.models.candidate import Candidate
from workbench.pipeline.models.causal_lm import load_causal
from workbench.pipeline.models.weights import Weights
from workbench.preset.schema import Model, Preset

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning"),
    pytest.mark.filterwarnings("ignore:MatMul8bitLt:UserWarning"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
UP = "model.layers.0.mlp.up_proj"
BITSANDBYTES: dict[str, dict[str, Any]] = {
    "nf4-nested": dict(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True
    ),
    "nf4": dict(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    "fp4": dict(load_in_4bit=True, bnb_4bit_quant_type="fp4"),
    "int8": dict(load_in_8bit=True),
}
BLOCKS = {"fp8": 32, "fp8-uneven": 48}  # of matrices of 128 x 64: 48 leaves parts of blocks
FLOAT8: dict[str, dict[str, Any]] = {
    "fp8": {"quant_method": "fp8", "weight_block_size": [32, 32]},
    "fp8-uneven": {"quant_method": "fp8", "weight_block_size": [48, 48]},
    "fbgemm": {"quant_method": "fbgemm_fp8"},
    "compressed": {"quant_method": "compressed-tensors", "format": "float-quantized"},
    "compressed-tensor": {"quant_method": "compressed-tensors", "format": "float-quantized"},
}


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The base stored in that way; made once."""
    root = tmp_path_factory.mktemp("bases")
    plain = tiny.save_base(root / "plain")

    def base(kind: str) -> Path:
        folder = root / kind
        if not folder.exists():
            (_by_bitsandbytes if kind in BITSANDBYTES else _float8)(plain, folder, kind)
            for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
                shutil.copyfile(plain / name, folder / name)
        return folder

    return base


def _by_bitsandbytes(plain: Path, folder: Path, kind: str) -> None:
    config = BitsAndBytesConfig(**BITSANDBYTES[kind])
    how: dict[str, Any] = dict(dtype=torch.bfloat16, device_map={"": "cpu"})
    model = AutoModelForCausalLM.from_pretrained(plain, quantization_config=config, **how)
    model.save_pretrained(folder)


def _float8(plain: Path, folder: Path, kind: str) -> None:
    """As such checkpoints are published: E4M3 and float32 scales, biases and norms as they were."""
    folder.mkdir()
    tensors = dict[str, Tensor]()
    for name, weight in load_file(plain / "model.safetensors").items():
        if weight.dim() != 2 or "proj" not in name:
            tensors[name] = weight.to(torch.bfloat16)
            continue
        scale = _scale(weight, kind)
        tensors[name] = (weight / _wide(scale, weight, kind)).to(torch.float8_e4m3fn)
        suffix = "_scale_inv" if kind in BLOCKS else "_scale"
        tensors[name + suffix] = scale
        if kind == "compressed":
            tensors[name.removesuffix("weight") + "input_scale"] = torch.ones(1)
    save_file(tensors, folder / "model.safetensors")
    config = json.loads((plain / "config.json").read_text())
    config |= {"quantization_config": FLOAT8[kind], "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config))


def _scale(weight: Tensor, kind: str) -> Tensor:
    if kind == "compressed-tensor":
        return weight.abs().max()[None] / 448
    if kind not in BLOCKS:
        return weight.abs().amax(1, keepdim=True) / 448
    block = BLOCKS[kind]
    rows, columns = (-(-n // block) for n in weight.shape)
    padded = torch.zeros(rows * block, columns * block)
    padded[: weight.shape[0], : weight.shape[1]] = weight
    return padded.view(rows, block, columns, block).abs().amax((1, 3)) / 448


def _wide(scale: Tensor, weight: Tensor, kind: str) -> Tensor:
    if kind not in BLOCKS:
        return scale.expand_as(weight)
    block = BLOCKS[kind]
    wide = scale.repeat_interleave(block, 0).repeat_interleave(block, 1)
    return wide[: weight.shape[0], : weight.shape[1]]


@pytest.mark.parametrize("kind", [*BITSANDBYTES, "fp8"])
def test_the_weights_are_those_that_transformers_dequantizes(
    make: Callable[[str], Path], kind: str
) -> None:
    base = make(kind)
    assert check_keys(base) == {}
    mine = load_causal(base, dtype=torch.bfloat16)
    theirs = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16, device_map="cpu")
    theirs = theirs if kind == "fp8" else theirs.dequantize()
    wanted = theirs.state_dict()
    assert set(mine.state_dict()) == set(wanted)
    for name, tensor in mine.state_dict().items():
        assert torch.equal(tensor, wanted[name]), name


@pytest.mark.parametrize("kind", FLOAT8)
def test_float8_is_a_number_times_its_scale(make: Callable[[str], Path], kind: str) -> None:
    base = make(kind)
    tensors, shards = load_file(base / "model.safetensors"), SafetensorsFolder(base)
    assert UP + ".weight" in shards and len(shards.tensors) < len(tensors)
    packed = tensors[UP + ".weight"]
    scale = next(
        tensors[UP + s] for s in (".weight_scale_inv", ".weight_scale") if UP + s in tensors
    )
    wanted = packed.float() * _wide(scale, packed, kind)
    assert torch.equal(torch.from_numpy(shards.rows(UP + ".weight")), wanted)
    assert check_keys(base) == {}


def test_the_table_of_e4m3_is_torchs() -> None:
    codes = torch.arange(256, dtype=torch.uint8)
    wanted = codes.view(torch.float8_e4m3fn).float().numpy()
    assert np.array_equal(E4M3, wanted, equal_nan=True)


@pytest.mark.parametrize("kind", [*BITSANDBYTES, *FLOAT8])
def test_some_rows_are_those_of_all(make: Callable[[str], Path], kind: str) -> None:
    shards = SafetensorsFolder(make(kind))
    whole = shards.rows(UP + ".weight")
    assert whole.shape == shards.shape(UP + ".weight") == (128, 64)
    for first, end in ((0, 1), (5, 6), (47, 97), (96, 128)):
        assert np.array_equal(shards.rows(UP + ".weight", first, end), whole[first:end])


@pytest.mark.parametrize("nested", [False, True])
def test_rows_may_begin_inside_a_byte_and_a_block(tmp_path: Path, nested: bool) -> None:
    """33 columns: every second row begins in the lower half of a byte."""
    from bitsandbytes import functional

    weight = torch.randn(700, 33, generator=torch.Generator().manual_seed(0))
    packed, state = functional.quantize_4bit(weight, quant_type="nf4", compress_statistics=nested)
    told = {f"w.weight.{name}": tensor for name, tensor in state.as_dict(packed=True).items()}
    save_file({"w.weight": packed, **told}, tmp_path / "model.safetensors")
    config = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    shards, wanted = SafetensorsFolder(tmp_path), functional.dequantize_4bit(packed, state)
    assert torch.equal(torch.from_numpy(shards.rows("w.weight")), wanted)
    assert torch.equal(torch.from_numpy(shards.rows("w.weight", 3, 8)), wanted[3:8])


def test_it_is_noted_how_the_weights_are_held(make: Callable[[str], Path]) -> None:
    lines = [
        f"base model stored quantized (bitsandbytes, 4-bit); its weights are dequantized{rest}"
        for rest in (
            ' (set model.quantization = "nf4" to train on 4-bit weights)',
            " and held as nf4 while training",
        )
    ]
    for held, line in zip(("none", "nf4"), lines, strict=True):
        preset = Preset.model_validate({"model": {"quantization": held}})
        (found,) = check_stored(Candidate(make("nf4"), preset))
        assert (found.level, str(found)) == ("note", line)
    shutil.copytree(make("nf4"), plain := make("nf4").parent / "as-plain", dirs_exist_ok=True)
    (plain / "config.json").write_text('{"model_type": "llama"}')
    assert list(check_stored(Candidate(plain, Preset()))) == []


@pytest.mark.parametrize("lost", [".absmax", ".quant_map"])
def test_a_weight_without_its_scales_is_refused(
    make: Callable[[str], Path], tmp_path: Path, lost: str
) -> None:
    shutil.copytree(make("nf4"), tmp_path / "base")
    tensors = load_file(tmp_path / "base" / "model.safetensors")
    del tensors[f"{UP}.weight{lost}"]
    save_file(tensors, tmp_path / "base" / "model.safetensors")
    with pytest.raises(
        UserError, match=rf"{UP}.weight is quantized, but {UP}.weight{lost} is missing"
    ):
        check_keys(tmp_path / "base")


@pytest.mark.parametrize("shape", [(2, 2), (3, 128)])
def test_scales_of_another_shape_are_refused(
    make: Callable[[str], Path], tmp_path: Path, shape: tuple[int, ...]
) -> None:
    shutil.copytree(make("fp8"), tmp_path / "base")
    tensors = load_file(tmp_path / "base" / "model.safetensors")
    tensors[UP + ".weight_scale_inv"] = torch.ones(shape)
    save_file(tensors, tmp_path / "base" / "model.safetensors")
    with pytest.raises(UserError, match=r"do not fit a weight of \(128, 64\)"):
        check_keys(tmp_path / "base")


@pytest.mark.parametrize(
    ("kind", "held", "adapter"),
    [("nf4-nested", "nf4", "lora"), ("int8", "none", "lora"), ("fp8", "none", "full")],
)
def test_trained_on_exported_and_equal(
    make: Callable[[str], Path], tmp_path: Path, kind: str, held: str, adapter: str
) -> None:
    """What is exported is what was trained on; the merged folder is a plain model."""
    bench = Bench(tmp_path)
    bench.base = make(kind)
    model = Model.model_validate({"device": "cpu", "quantization": held})
    settings = stage_settings(max_steps=4, adapter={"kind": adapter})
    result, _ = bench.train(settings=settings, model=model, weights=Weights(bench.base))
    weights = result.take("last")
    found = parities(weights, tmp_path, "f32", "f16")
    assert found["f32"].kl_mean < 1e-6 and found["f16"].kl_mean < 1e-4
    plan = plan_export(weights, ["f32"], make(kind))
    write_merged(plan, tmp_path / "merged")
    config = json.loads((tmp_path / "merged" / "config.json").read_text())
    assert "quantization_config" not in config
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    assert type(plain.model.layers[0].mlp.up_proj) is torch.nn.Linear
    reader = plan.merged.open(UP + ".weight")
    merged = torch.tensor(reader.rows(0, 128))
    assert torch.allclose(plain.get_parameter(UP + ".weight"), merged, rtol=1e-2, atol=1e-3)
