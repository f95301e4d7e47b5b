"""A conversation becomes text: Jinja chat templates, as transformers renders them.

Same settings, helpers and variables as `apply_chat_template` (transformers, `chat_template_utils`),
so the text here is the text there; a test holds the two equal. Templates come with models from
anywhere, so they run under a budget (`dataset.guard`) and their failures are errors of the input.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.utils import Namespace

from workbench.core.errors import UserError
from workbench.core.text import did_you_mean, one_line
from workbench.dataset.rows import Message
from workbench.tokenization.named_templates import DEFAULT, TOOL_USE, choose
from workbench.tokenization.template_budget import Metered
from workbench.tokenization.template_sandbox import SandboxEnvironment

BUILT_IN = ("alpaca", "chatml", "gemma", "llama3", "plain", "task-code")
FILE_PREFIX, NAMED_PREFIX = "FILE:", "auto:"
Clock = Callable[[str], str]  # a format of strftime -> the text of now
MAX_SOURCE_CHARS = 1 << 18


@dataclass(frozen=True)
class ChatTemplate:
    """A chat template's source with the tokens it may name.

    `others` are the model's further templates, (name, source) each. As in transformers, the one
    named `tool_use` takes the conversations that have tools.
    """

    source: str
    bos_token: str = ""
    eos_token: str = ""
    name: str = "chat template"
    others: tuple[tuple[str, str], ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        values = (self.source, self.bos_token, self.eos_token, self.name, self.others)
        return ChatTemplate, values

    @property
    def tool_use(self) -> str:
        """The source for conversations that have tools, `""` where it is `source` itself."""
        return dict(self.others).get(TOOL_USE, "")

    @property
    def by_name(self) -> dict[str, str]:
        """Name -> source of all of them, as a model's folder and a GGUF file keep them."""
        return {DEFAULT: self.source, **dict(self.others)}

    def render(
        self,
        messages: Sequence[Message],
        add_generation_prompt: bool = False,
        tools: Sequence[Mapping[str, Any]] = (),
        now: Clock | None = None,
    ) -> str:
        """The conversation as text; `tools` are the schemas of those that the assistant may call.

        `now` stands in for the clock that a template may ask for the date.
        Raises UserError with the template's own complaint.
        """
        plain = [message.to_template() for message in messages]
        tokens = {"bos_token": self.bos_token, "eos_token": self.eos_token}
        values: dict[str, Any] = {
            "messages": plain,
            "tools": list(tools) or None,
            "documents": None,
            "add_generation_prompt": add_generation_prompt,
            **{name: token for name, token in tokens.items() if token},
        }
        if now is not None:
            values["strftime_now"] = now
        compiled = self._compiled_for_tools if tools and self.tool_use else self._compiled
        chars = sum(len(m.said) for m in messages) + (len(json.dumps(tools)) if tools else 0)
        with Metered(chars, len(messages) + len(tools)):
            try:
                return compiled.render(values)
            except Exception as error:  # whatever it is, the template's code raised it
                raise self._fault(error) from None

    def check(self) -> None:
        """Raise UserError when the source is no template."""
        _ = self._compiled
        if self.tool_use:
            _ = self._compiled_for_tools

    @cached_property
    def _compiled(self) -> jinja2.Template:
        return self._compile(self.source)

    @cached_property
    def _compiled_for_tools(self) -> jinja2.Template:
        return self._compile(self.tool_use)

    def _compile(self, source: str) -> jinja2.Template:
        if len(source) > MAX_SOURCE_CHARS:
            raise UserError("the chat template is too long", path=self.name)
        try:
            compiled = _environment().from_string(source)
        except Exception as error:  # SyntaxError, RecursionError and more from hostile sources
            raise self._fault(error) from None
        compiled.globals = dict(
            compiled.globals
        )  # else each rendering goes through a chain of them
        return compiled

    def _fault(self, error: Exception) -> UserError:
        if isinstance(error, UserError):
            return error
        line = error.lineno if isinstance(error, jinja2.TemplateSyntaxError) else None
        said = (
            str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
        )
        return UserError(one_line(said, 300), path=self.name, line=line)


def resolve_chat_template(
    setting: str,
    own: str | Mapping[str, str] | None,
    *,
    bos_token: str = "",
    eos_token: str = "",
    folder: Path | None = None,
) -> ChatTemplate:
    """The template that a preset names; `own` are the model's, a single one or several by name.

    `auto` is the model's default one, with its others beside it, `auto:NAME` one of them alone;
    `FILE:path` is looked for in the current folder, then in `folder`; else a built-in name.
    Raises UserError when there is none, or when it is no template.
    """
    others: tuple[tuple[str, str], ...] = ()
    if setting == "auto" or setting.startswith(NAMED_PREFIX):
        source, others, name = _own(setting, {DEFAULT: own} if isinstance(own, str) else own)
    elif setting.startswith(FILE_PREFIX):
        source, name = _read_file(setting.removeprefix(FILE_PREFIX), folder)
    elif setting in BUILT_IN:
        source, name = built_in(setting), setting
    else:
        names = ("auto", "auto:NAME", "FILE:path.jinja", *BUILT_IN)
        raise UserError(f"unknown chat template '{setting}'", hint=did_you_mean(setting, names))
    template = ChatTemplate(source, bos_token, eos_token, name, others)
    template.check()
    return template


def _own(
    setting: str, own: Mapping[str, str] | None
) -> tuple[str, tuple[tuple[str, str], ...], str]:
    """(source, others beside it, what to call it) of the model's own template."""
    given = {name: source for name, source in (own or {}).items() if source}
    if not given:
        hint = "set model.chat_template to one of " + ", ".join(BUILT_IN)
        raise UserError("the model has no chat template", hint=hint)
    if setting.startswith(NAMED_PREFIX):
        name = setting.removeprefix(NAMED_PREFIX)
        return choose(given, name), (), f"the model's chat template '{name}'"
    others = tuple((name, source) for name, source in given.items() if name != DEFAULT)
    return choose(given), others, "the model's chat template"


@cache
def built_in(name: str) -> str:
    """Source of the template of that name which ships with the workbench."""
    return files("workbench.tokenization").joinpath("templates", f"{name}.jinja").read_text("utf-8")


def _read_file(name: str, folder: Path | None) -> tuple[str, str]:
    path = Path(name).expanduser()
    beside = path if folder is None or path.is_file() else folder / path
    try:
        if not beside.is_file():
            raise FileNotFoundError
        return beside.read_text("utf-8"), name
    except FileNotFoundError:
        raise UserError("chat template not found", path=name, hint="check the path") from None
    except UnicodeDecodeError:
        raise UserError("the chat template is not UTF-8", path=name) from None
    except OSError as error:
        raise UserError(f"cannot be read: {error.strerror}", path=name) from None


@cache
def _environment() -> SandboxEnvironment:
    environment = SandboxEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals |= {
        "raise_exception": _raise_exception,
        "strftime_now": _strftime_now,
        "dict": _Dict(),
        "namespace": _Namespace,
    }
    environment.seal()
    return environment


class _Generation(Extension):
    """`{% generation %}` marks the assistant's words for other trainers; here it only prints."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


class _Dict:
    """`dict` without the type's other attributes."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


class _Namespace(Namespace):
    """A namespace that takes no name with an underscore before it."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # noqa: N805  so that `self=` is a name too
        self, rest = args[0], args[1:]
        for name in (given := dict(*rest, **kwargs)):
            _refuse_private(name)
        Namespace.__init__(self, given)

    def __setitem__(self, name: str, value: Any) -> None:
        _refuse_private(name)
        super().__setitem__(name, value)

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("a namespace is not a list")


def _refuse_private(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a namespace cannot have a name such as {name!r}")


def _raise_exception(message: str) -> None:
    raise TemplateError(message)


def _strftime_now(format: str) -> str:
    return datetime.now().strftime(format)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """JSON without Jinja's HTML escapes."""
    if isinstance(indent, int) and indent > 64:
        raise SecurityError("an indent of more than 64 is not allowed in a chat template")
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )
