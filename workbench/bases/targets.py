"""Which of a model's matrices get an adapter, by the words of `train.adapter.targets`.

Pure: a model is the list of its matrices, so that training, checks and the memory estimate resolve
alike. A name is a run of components of a module's dotted path, `*` within one stands for any text:
`q_proj`, `mlp.experts`, `layers.3.*`. A name of what contains others (`experts`, `mlp`) is all of
them but their routers, which are trained only by their own name, spelled out, or "router".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from workbench.core.errors import UserError
from workbench.core.text import did_you_mean, listed, quantity

ALL_LINEAR, ATTENTION, ROUTER = "all-linear", "attention", "router"
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj")
_ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")
HEADS = ("lm_head", "embed_tokens")
TARGETS, LAST_LAYERS = "train.adapter.targets", "train.adapter.last_layers"  # the preset's keys


@dataclass(frozen=True)
class Matrix:
    """A matrix of the model, or a stack of them with one per expert.

    `path`: of a linear layer its module's, else the parameter's. `experts`: 0 for a single matrix.
    `parts`: what the base's files call the matrices that it is put together of, where they have
    other names (`gate_proj` and `up_proj` of a `gate_up_proj`). `is_folded`: PEFT computes with the
    sum of weights and adapter, so that a second copy of the weights is kept for the backward pass.
    """

    path: str
    inputs: int
    outputs: int
    experts: int = 0
    is_parameter: bool = False
    is_router: bool = False
    parts: tuple[str, ...] = ()
    is_folded: bool = False

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self.path.rpartition(".")[2]

    @property
    def pattern(self) -> str:
        """The path with `*` in place of numbers."""
        return path_pattern(self.path)

    @property
    def layer(self) -> int | None:
        """The number of its transformer layer, None outside of the layers."""
        found = _NUMBER.search(self.path)
        return int(found[0]) if found else None

    @property
    def elements(self) -> int:
        """Elements of all its experts' matrices."""
        return max(1, self.experts) * self.inputs * self.outputs

    def adapter_elements(self, rank: int, *, dora: bool = False) -> int:
        """Elements of its adapter: two factors of that rank per expert; DoRA's magnitudes."""
        each = rank * (self.inputs + self.outputs) + (self.outputs if dora else 0)
        return max(1, self.experts) * each


def path_pattern(path: str) -> str:
    """The path with `*` in place of numbers."""
    return _NUMBER.sub("*", path)


@dataclass(frozen=True)
class TargetGroup:
    """Adapted matrices that differ in numbers of their paths only.

    `modules` of them, each with `experts` (0: no experts) and `parameters` that are trained.
    """

    pattern: str
    modules: int
    experts: int
    parameters: int

    def line(self) -> str:
        """`model.layers.*.mlp.experts.down_proj × 4 × 8 experts × 1,536 = 49,152`."""
        experts = f" × {self.experts:,} experts" if self.experts else ""
        each = self.parameters // max(1, self.experts)
        total = self.modules * self.parameters
        return f"{self.pattern} × {self.modules:,}{experts} × {each:,} = {total:,}"


def groups(matrices: Iterable[Matrix], rank: int, *, dora: bool = False) -> list[TargetGroup]:
    """The matrices by pattern and size, in their order."""
    return group_by_pattern(
        (one.path, one.experts, one.adapter_elements(rank, dora=dora)) for one in matrices
    )


def group_by_pattern(trained: Iterable[tuple[str, int, int]]) -> list[TargetGroup]:
    """Paths with their experts and trained parameters, those alike counted, in their order."""
    counts = Counter((path_pattern(path), experts, number) for path, experts, number in trained)
    return [
        TargetGroup(pattern, modules, experts, number)
        for (pattern, experts, number), modules in counts.items()
    ]


def resolve(
    matrices: Sequence[Matrix],
    targets: str | Sequence[str],
    *,
    kind: str = "lora",
    last_layers: int = 0,
) -> list[Matrix]:
    """The matrices that get an adapter, in the model's order; 0 `last_layers` are all of them.

    `kind`: lora or dora. Raises UserError, at the key that is wrong, for a name that matches
    nothing, for a part of experts that has no matrix of its own, and for DoRA on experts.
    """
    if targets == ALL_LINEAR:
        found = [one for one in matrices if not one.is_router]
    elif targets == ATTENTION:
        found = [one for one in matrices if _attends(one)]
    else:
        found = _named(matrices, [targets] if isinstance(targets, str) else targets)
    if not found:
        raise _refused("no attention projections in this model", "name its modules instead")
    count = 1 + max((one.layer for one in matrices if one.layer is not None), default=-1)
    if last_layers > count:
        raise UserError(f"{last_layers}, but the model has {count}", path=LAST_LAYERS)
    first = count - last_layers if last_layers else 0
    chosen = [one for one in found if not last_layers or (one.layer or 0) >= first]
    if not chosen:
        message = f"no target in the last {quantity(last_layers, 'layer')}"
        raise UserError(message, path=LAST_LAYERS, hint="increase it, or use 0 for all layers")
    if kind == "dora":
        _check_dora(chosen, matrices)
    return chosen


def expert_names(matrices: Iterable[Matrix]) -> frozenset[str]:
    """The names that older tools know the matrices of experts by, as layers of their own."""
    return frozenset(part for one in matrices if one.experts for part in (one.name, *one.parts))


def _attends(one: Matrix) -> bool:
    """Whether it is a linear layer of attention, by its path."""
    if one.is_router or one.experts:
        return False
    return one.name in PROJECTIONS or bool(_ATTENTION.search(one.path))


def _named(matrices: Sequence[Matrix], wished: Sequence[str]) -> list[Matrix]:
    chosen: set[str] = set()
    parts: dict[str, set[str]] = {}  # path of a stack -> those of its parts that are named
    for name in wished:
        pattern, hit = _pattern(name), False
        for one in matrices:
            if _is_meant(name, pattern, one):
                chosen.add(one.path)
                hit = True
            elif named := _parts_meant(pattern, one):
                parts.setdefault(one.path, set()).update(named)
                hit = True
        if not hit:
            raise _unmatched(name, matrices)
    for one in matrices:
        if one.path not in chosen and one.path in parts:
            _check_parts(one, parts[one.path])
            chosen.add(one.path)
    return [one for one in matrices if one.path in chosen]


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(r"(?:^|\.)" + re.escape(name).replace(r"\*", "[^.]*") + r"(?=\.|$)")


def _is_meant(name: str, pattern: re.Pattern[str], one: Matrix) -> bool:
    if one.is_router and name == ROUTER:
        return True
    where = _where(pattern, one.path.removesuffix(".weight"))
    by_name = where == "itself" and "*" not in name.rpartition(".")[2]
    return by_name or (bool(where) and not one.is_router)


def _parts_meant(pattern: re.Pattern[str], one: Matrix) -> list[str]:
    """Those parts of a stack that the pattern names."""
    above = one.path.rpartition(".")[0]
    return [part for part in one.parts if _where(pattern, f"{above}.{part}") == "itself"]


def _where(pattern: re.Pattern[str], path: str) -> Literal["", "above", "itself"]:
    found = list(pattern.finditer(path))
    if not found:
        return ""
    return "itself" if found[-1].end() == len(path) else "above"


def _check_parts(one: Matrix, named: set[str]) -> None:
    """Parts that are one matrix in memory are trained together."""
    if missing := [part for part in one.parts if part not in named]:
        message = f"{listed(sorted(named))} of the experts is one matrix with {listed(missing)}"
        raise _refused(message, "name both, or a module outside of the experts by more of its path")


def _unmatched(name: str, matrices: Sequence[Matrix]) -> UserError:
    if name in HEADS:
        return _refused(f"'{name}' gets no adapter", f'use modules_to_save = ["{name}"]')
    known = {part for one in matrices for part in one.parts}
    for one in matrices:
        above, _, last = one.path.removesuffix(".weight").rpartition(".")
        known |= {last, above.rpartition(".")[2], *([ROUTER] if one.is_router else [])}
    names = {one for one in known if one and not one.isdigit()}
    return _refused(f"no module '{name}' in this model", did_you_mean(name, names))


def _check_dora(chosen: Sequence[Matrix], matrices: Sequence[Matrix]) -> None:
    """PEFT has DoRA for linear layers only, and takes the names of experts' matrices for theirs."""
    taken = expert_names(matrices)
    if any(one.is_parameter or one.name in taken for one in chosen):
        message = "DoRA cannot train experts, routers or layers named like experts"
        raise _refused(message, 'use kind = "lora" or targets = "attention"')


def _refused(message: str, hint: str) -> UserError:
    return UserError(message, path=TARGETS, hint=hint)
