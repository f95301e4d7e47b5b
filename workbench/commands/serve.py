"""Serve a run's model to programs on this machine at `POST /v1/chat/completions`.

Anything a request leaves out comes from the run: template, sampling, stop strings, system prompt.
Requests are handled one at a time. With --follow, every request uses the newest weights that
training has saved.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from dataclasses import replace

from workbench.commands.chat import GGUF, OLLAMA, apply_flags, models_of, split
from workbench.console.chat import refresh_model
from workbench.core.errors import EXIT_DONE, UserError
from workbench.core.text import visible
from workbench.inference.chat_model import ModelSource
from workbench.inference.conversation import (
    ChatSettings,
    Conversation,
    generation_settings,
    open_session,
)
from workbench.preset.loader import load
from workbench.run import folder

DEFAULT_PORT = 8080
LAST_PORT = 65535


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "model",
        metavar="RUN|RUN@CHECKPOINT|FILE.gguf",
        help="model to serve, as for workbench chat",
    )
    add(
        "--port",
        metavar="N",
        type=int,
        default=DEFAULT_PORT,
        help="port (default: 8080); 0 picks a free one",
    )
    add("--checkpoint", metavar="C", default="", help="use RUN's saved weights: best, last, ...")
    add("--follow", action="store_true", help="always use the newest weights of RUN")
    add("--type", metavar="T", default="", help="GGUF type of RUN's file, or a checkpoint's base")
    add("--set", metavar="KEY=VALUE", action="append", default=[], help="override a [generate] key")
    parser.set_defaults(compare="")


def run(args: argparse.Namespace) -> int:
    if not 0 <= args.port <= LAST_PORT:
        raise UserError(f"--port {args.port} is not a valid port", hint=f"use 0 to {LAST_PORT}")
    if args.model.startswith(OLLAMA):
        raise UserError("Ollama already serves its own models", hint="use $OLLAMA_HOST/v1")
    models, trusted = models_of(args)
    ((name, source),) = models.items()
    settings = apply_flags(settings_for(args.model), args.set)
    serve(name, source, replace(settings, trusted=trusted), args.port)
    return EXIT_DONE


def settings_for(model: str) -> ChatSettings:
    """How the model's run asks; a file has the defaults."""
    if model.endswith(GGUF):
        return generation_settings(None)
    found = folder.find(folder.runs_root(), split(model)[0])
    return generation_settings(load(str(found.preset_file)).preset)


def serve(name: str, source: ModelSource, settings: ChatSettings, port: int) -> None:
    """Answer until Ctrl+C. Raises UserError for a port that is taken."""
    from workbench.serving.http_server import ModelSlot, Server
    from workbench.serving.openai_api import GenerationSettings

    with closing(open_session(source, settings)) as session:
        talk, now = Conversation(name, session, settings.stop), [source]

        def renew() -> None:
            now[0] = refresh_model(talk, now[0], settings, tell)

        manner = GenerationSettings(settings.sampling, settings.stop, settings.system)
        try:
            server = Server(ModelSlot(talk, manner, renew=renew, tell=tell), port)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(f"port {port}: {reason}", hint="choose another --port") from error
        with server:
            print(server.address, flush=True)
            print(f"serving {name} as model {name}; press Ctrl+C to stop", file=sys.stderr)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                talk.session.cancel()


def tell(line: str) -> None:
    print(visible(line.rstrip()), file=sys.stderr, flush=True)
