"""Serve a run's model to programs on this machine, as `POST /v1/chat/completions`.

What a request leaves out is as the run has it: template, sampling, stop texts, system prompt. One
request is answered at a time. With --follow each is answered by the newest weights that training
has saved.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import closing
from dataclasses import replace

from workbench.chat.conversation import Conversation
from workbench.chat.from_preset import settings_of
from workbench.chat.talker import Opens
from workbench.chat.terminal import Settings, open_session, renewed
from workbench.commands.chat import GGUF, OLLAMA, apply_flags, models_of, split
from workbench.errors import EXIT_DONE, UserError
from workbench.preset.load import load
from workbench.run import folder
from workbench.text import visible

DEFAULT_PORT = 8080
LAST_PORT = 65535


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="RUN|RUN@CHECKPOINT|FILE.gguf", help="as in workbench chat")
    add("--port", metavar="N", type=int, default=DEFAULT_PORT, help="port; 0 takes a free one")
    add("--checkpoint", metavar="C", default="", help="of RUN: best, last, final, step-000040")
    add("--follow", action="store_true", help="always the newest weights that RUN has saved")
    add("--type", metavar="T", default="", help="GGUF type: of RUN's files, or a checkpoint's base")
    add("--set", metavar="KEY=VALUE", action="append", default=[], help="a key of [generate]")
    parser.set_defaults(compare="")


def run(args: argparse.Namespace) -> int:
    if not 0 <= args.port <= LAST_PORT:
        raise UserError(f"--port {args.port} is no port", hint=f"0 to {LAST_PORT}")
    if args.model.startswith(OLLAMA):
        raise UserError("Ollama serves its models itself", hint="ask it at $OLLAMA_HOST/v1")
    models, trusted = models_of(args)
    ((name, source),) = models.items()
    settings = apply_flags(settings_for(args.model), args.set)
    serve(name, source, replace(settings, trusted=trusted), args.port)
    return EXIT_DONE


def settings_for(model: str) -> Settings:
    """How the model's run asks; a file has the defaults."""
    if model.endswith(GGUF):
        return settings_of(None)
    found = folder.find(folder.runs_root(), split(model)[0])
    return settings_of(load(str(found.preset_file)).preset)


def serve(name: str, source: Opens, settings: Settings, port: int) -> None:
    """Answer until Ctrl+C. Raises UserError for a port that is taken."""
    from workbench.serve.protocol import Manner
    from workbench.serve.server import Desk, Server

    with closing(open_session(source, settings)) as session:
        talk, now = Conversation(name, session, settings.stop), [source]

        def renew() -> None:
            now[0] = renewed(talk, now[0], settings, tell)

        manner = Manner(settings.sampling, settings.stop, settings.system)
        try:
            server = Server(Desk(talk, manner, renew=renew, tell=tell), port)
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(f"port {port}: {reason}", hint="name another --port") from error
        with server:
            print(server.address, flush=True)
            print(f"{name} answers there as model {name}; Ctrl+C ends it", file=sys.stderr)
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                talk.session.cancel()


def tell(line: str) -> None:
    print(visible(line.rstrip()), file=sys.stderr, flush=True)
