"""Create a run's model in the Ollama server at OLLAMA_HOST (default: the local server).

The run's Modelfile defines what Ollama serves: GGUF file, template, stop strings, sampling and
system prompt. A file that the server already has is not uploaded again.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from workbench.console.progress import ProgressLine
from workbench.core.errors import EXIT_DONE, EXIT_INTERRUPTED, UserError, WorkbenchError
from workbench.core.text import one_line, size
from workbench.preset.loader import load
from workbench.preset.outputs import OLLAMA_NAME
from workbench.run import folder
from workbench.run.folder import RunFolder
from workbench.run.model_files import exported_gguf
from workbench.serving.ollama_client import Created, CreateProgress, create_model

MODELFILE = "Modelfile"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="RUN|Modelfile", help="a run (name or folder) or a Modelfile")
    add(
        "--name",
        metavar="NAME",
        default="",
        help="name in Ollama (default: the preset's, or the run's)",
    )
    add("--type", metavar="T", default="", help="GGUF type of the run's file, such as q8_0")
    add("--json", action="store_true", help="print progress as JSON lines")


def run(args: argparse.Namespace) -> int:
    modelfile, name, gguf = chosen(args.model, args.name, args.type)
    view = ProgressLine(sys.stderr)

    def show(doing: CreateProgress) -> None:
        if args.json:
            print(json.dumps(vars(doing)), flush=True)
        else:
            view.show(words(doing))

    try:
        made = create_model(modelfile, name, gguf=gguf, doing=show)
    except KeyboardInterrupt:
        view.end()
        print("interrupted; the upload was discarded", file=sys.stderr)
        return EXIT_INTERRUPTED
    except WorkbenchError as error:
        if args.json:
            print(json.dumps({"problem": str(error)}), flush=True)
        raise
    finally:
        view.end()
    tell(made, args.json)
    return EXIT_DONE


def chosen(model: str, name: str, kind: str) -> tuple[Path, str, Path | None]:
    """Modelfile, name in Ollama, and the file to serve in place of the Modelfile's."""
    if name and not OLLAMA_NAME.fullmatch(name):
        raise UserError(f"'{name}' is not a valid Ollama name", hint="such as gemma-blop")
    path = Path(model)
    if path.is_file():
        if kind or not name:
            raise UserError("a Modelfile needs --name and does not take --type", path=path)
        return path, name, None
    found = folder.find(folder.runs_root(), model)
    gguf = exported_gguf(found, kind) if kind else None
    return modelfile_of(found), name or name_of(found), gguf


def modelfile_of(run: RunFolder) -> Path:
    """The run's Modelfile. Raises UserError when it has none yet."""
    path = run.export / MODELFILE
    if not path.is_file():
        hint = f"the 'package' stage writes it: workbench resume {run.name}"
        raise UserError("this run has no Modelfile yet", path=run.path, hint=hint)
    return path


def name_of(run: RunFolder) -> str:
    """What the preset calls the model in Ollama, else the run's name."""
    return load(str(run.preset_file)).preset.ollama.name or run.name


def words(doing: CreateProgress) -> str:
    """`uploading  1.2 GiB of 4.5 GiB`."""
    of = f"  {size(doing.done)} of {size(doing.total)}" if doing.total else ""
    return one_line(doing.what, 60) + of


def tell(made: Created, as_json: bool) -> None:
    """Where the model is now, and how to run it."""
    sent = f"{size(made.sent_bytes)} uploaded" if made.sent_bytes else "file already on the server"
    said = f"created {made.name} in Ollama {one_line(made.version, 20)} at {made.address}; {sent}"
    if as_json:
        print(json.dumps({"created": made.name, "said": said}), flush=True)
        return
    print(said, file=sys.stderr)
    print(f"ollama run {made.name}")
