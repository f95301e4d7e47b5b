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
from workbench.core.errors import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    UserError,
    WorkbenchError,
)
from workbench.core.text import did_you_mean, visible

COMMANDS = {
    "resume": ("RUN", "resume a run where it stopped"),
    "runs": ("[RUN ...]", "list runs and their status, or compare several"),
    "attach": ("RUN", "watch a run; Ctrl+C detaches and leaves it running"),
    "stop": ("RUN", "stop a run at its next safe point and save a checkpoint"),
    "export": ("RUN|FILE.gguf", "export a run to more GGUF types, or quantize a GGUF file"),
    "ollama": ("RUN", "create a run's model in an Ollama server"),
    "data": ("PATH", "check and summarize a dataset; errors as FILE:LINE"),
    "chat": ("RUN|FILE.gguf", "chat with a model, or get one response with --prompt"),
    "evaluate": ("RUN|FILE.gguf", "prompt models from a file, check the responses, report"),
    "serve": ("RUN|FILE.gguf", "serve a model on this machine over an OpenAI-compatible API"),
    "presets": ("", "list presets and their descriptions"),
    "keys": ("[SECTION]", "describe every preset key: type, default, meaning"),
}

HELP = """\
workbench: fine-tune a small language model on your own examples, then chat with it

  workbench                            open the terminal UI; no terminal: list presets and runs
  workbench --preset NAME|FILE         run a preset: progress on stderr, run folder on stdout
{commands}

Running a preset:
  --set KEY=VALUE      override a preset key; can be repeated
  --name RUN           name of the run folder in runs/ (default: the preset's name, numbered)
  --stages A,B         run only these: prepare, train or train:NAME, export, evaluate, package
  --detach             start the run in the background and return
  --json               print events as JSON lines on stdout instead of showing progress
  --miniature          rehearse on a small random model of the same architecture, in under a minute
  --dry-run            show every value, where it comes from, and the plan; write nothing

Examples:
  workbench --preset quickstart
  workbench --preset quickstart --set data.source.0.path=my-examples.txt --name mine
  workbench chat quickstart --prompt "Please write a Blop component."
  workbench attach mine

`workbench COMMAND --help` describes a command's options; `workbench keys` describes the preset
keys. Runs are folders in $WORKBENCH_RUNS (default: ./runs).
Exit status: 0 success, 1 the run failed, 2 invalid input, 130 interrupted (can be resumed).
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
        _complain(f"internal error: {error!r} (traceback in {_save_traceback()})")
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
        raise UserError(f"unknown command '{first}'", hint=did_you_mean(first, COMMANDS))
    return _command(first, arguments[1:], prog=f"workbench {first}")


def _command(name: str, arguments: list[str], prog: str) -> int:
    module = _module(name)
    parser = Parser(prog=prog, description=module.__doc__, allow_abbrev=False, add_help=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("-h", "--help", action="help", help="show this help and exit")
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
