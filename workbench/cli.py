"""The command line: which command was meant, and what its end means as an exit status.

Only the command that runs is imported, and what it needs with it: `--help` answers at once.
Exit statuses: 0 done; 1 the run failed; 2 the input is at fault; 130 interrupted, resumable.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import NoReturn, Protocol, TextIO, cast

from workbench import __version__
from workbench.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, UserError, WorkbenchError
from workbench.text import did_you_mean, visible

COMMANDS = {
    "resume": ("RUN", "go on with a run where it stopped"),
    "runs": ("[RUN ...]", "list the runs here, with their state; or compare some"),
    "attach": ("RUN", "watch a run that is at work; Ctrl+C leaves it at work"),
    "stop": ("RUN", "ask a run to stop at its next safe point, with a checkpoint"),
    "export": ("RUN|FILE.gguf", "write a run's model in more types of GGUF, or quantize a file"),
    "ollama": ("RUN", "make a run's model in the Ollama server"),
    "data": ("PATH", "read, check and summarise a data set, with FILE:LINE"),
    "chat": ("RUN|FILE.gguf", "talk to a tuned model, or get one answer with --prompt"),
    "evaluate": ("RUN|FILE.gguf", "ask models a file of prompts, judge the answers, report"),
    "serve": ("RUN|FILE.gguf", "serve a model to programs here, as an OpenAI-like endpoint"),
    "presets": ("", "list the presets with their descriptions"),
    "keys": ("[SECTION]", "every key of a preset: type, default and meaning"),
}

HELP = """\
workbench: from a small language model and your own examples to a tuned model you can talk to

  workbench                            the screen; without a terminal, what is here
  workbench --preset NAME|FILE         run a preset: progress on stderr, the run's folder on stdout
{commands}

Running a preset:
  --set KEY=VALUE      override a key of the preset; repeat for more
  --name RUN           name of the run's folder in runs/ (else the preset's name, numbered)
  --stages A,B         only these stages: prepare, train or train:NAME, export, evaluate, package
  --detach             return once the worker has started; it goes on by itself
  --json               every event as a JSON line on stdout, and no progress
  --miniature          on a random model of the base's architecture, in about a minute
  --dry-run            show every value with its origin and the plan; write nothing

Examples:
  workbench --preset quickstart
  workbench --preset quickstart --set data.source.0.path=my-examples.txt --name mine
  workbench chat quickstart --prompt "Please write a Blop component."
  workbench attach mine

`workbench COMMAND --help` tells the arguments of a command. The keys of a preset are documented
by `workbench keys`. Runs are folders below $WORKBENCH_RUNS, or runs/ here.
Exit status: 0 done, 1 the run failed, 2 the input is at fault, 130 interrupted (resume it).
"""


class Command(Protocol):
    """What every module in `commands` offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are one line, like all others of ours."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message, hint=f"see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status and prints any error as one line on stderr."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    _never_fail_on(sys.stdout, "surrogateescape")  # a file's name comes out as its bytes
    _never_fail_on(sys.stderr, "backslashreplace")
    try:
        status = _run(arguments)
        sys.stdout.flush()
        return status
    except WorkbenchError as error:
        _complain(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except SystemExit as left:  # argparse, after --help
        return int(left.code or EXIT_DONE)
    except BrokenPipeError:
        return _reader_gone()
    except Exception as error:  # noqa: BLE001 - the one place where a bug becomes a line
        _complain(f"workbench itself is at fault: {error!r} (see {_save_traceback()})")
        return EXIT_FAILED


def _run(arguments: list[str]) -> int:
    if not arguments:
        return _module("start").run(argparse.Namespace())
    first = arguments[0]
    if first in ("-h", "--help", "--version"):
        print(f"workbench {__version__}" if first == "--version" else _help(), end="\n")
        return EXIT_DONE
    if first.startswith("-"):
        return _command("run", arguments, prog="workbench")
    if first not in COMMANDS:
        raise UserError(f"no command '{first}'", hint=did_you_mean(first, COMMANDS))
    return _command(first, arguments[1:], prog=f"workbench {first}")


def _command(name: str, arguments: list[str], prog: str) -> int:
    module = _module(name)
    parser = Parser(prog=prog, description=module.__doc__, allow_abbrev=False, add_help=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("-h", "--help", action="help", help="show this and leave")
    module.add_arguments(parser)
    return module.run(parser.parse_args(arguments))


def _module(name: str) -> Command:
    return cast(Command, importlib.import_module(f"workbench.commands.{name}"))


def _help() -> str:
    lines = [
        f"  workbench {f'{name} {arguments}':26} {about}"
        for name, (arguments, about) in COMMANDS.items()
    ]
    return HELP.format(commands="\n".join(lines)).rstrip()


def _never_fail_on(stream: TextIO, errors: str) -> None:
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors=errors)


def _complain(message: str) -> None:
    print(visible(message), file=sys.stderr, flush=True)


def _reader_gone() -> int:
    """Whoever read our output has left. A run goes on in its worker; there is no one to tell."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_FAILED


def _save_traceback() -> str:
    handle, path = tempfile.mkstemp(prefix="workbench-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        traceback.print_exc(file=file)
    return path
