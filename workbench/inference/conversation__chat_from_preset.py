"""How a preset asks: its `[generate]` and system prompt as the chat room takes them."""

from __future__ import annotations

from dataclasses import fields

from workbench.core.sampling import Sampling
from workbench.console.chat import Settings
from workbench.preset.schema import Generate, Preset


def sampling_of(generate: Generate) -> Sampling:
    """The sampling numbers of `[generate]`."""
    return Sampling(**{field.name: getattr(generate, field.name) for field in fields(Sampling)})


def settings_of(preset: Preset | None) -> Settings:
    """How the preset generates and what system prompt it trained with; defaults without one."""
    generate = preset.generate if preset else Generate()
    return Settings(
        sampling=sampling_of(generate),
        stop=generate.stop,
        context=generate.context,
        system=preset.data.system if preset else "",
    )
