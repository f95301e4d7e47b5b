"""From the preset's `model.base` to a local folder in Hugging Face layout, and its tokenizer.

A model of the Hub is downloaded once, before anything else; after that a run knows only folders.
The Hub's own library downloads, resumes and verifies. Its progress bars are for terminals, so
progress is measured by the growing files of the cache. A download that does not fit on the disk is
refused.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.bases.folder import check_files
from workbench.bases.listing import has_weights, weight_files
from workbench.core import files
from workbench.core.errors import UserError
from workbench.core.files import read_json_object
from workbench.pipeline.models.serving_files import GENERATION, ids_in, read_generation
from workbench.pipeline.models.tokenizer_loading import tokenizes_alike
from workbench.preset.inputs import EMBEDDED, MINIATURE
from workbench.preset.lookup import embedded_base
from workbench.preset.schema import Model
from workbench.tokenization.named_templates import DEFAULT, write_templates

CONFIG = ["*.json", "*.model", "*.jinja", "*.txt", "LICENSE*", "README.md"]
BELOW = ["*/*"]  # other formats of the same weights: original/, onnx/
POLL_S = 1.0
OR_LOCAL = ", or use a local folder; HF_HOME sets the cache folder"
Progress = Callable[[int, int], None]  # bytes that are here, bytes in all


def config_snapshot(name: str, revision: str) -> Path:
    """The folder of `name` at `revision` in the hub's cache with all but its weights.

    Raises UserError as `snapshot` does.
    """
    return _told_plainly(name, revision, lambda: _fetched(name, revision, CONFIG, None))


def commit_of(folder: Path) -> str:
    """The commit of a folder in the hub's cache: the folder's own name."""
    return folder.name


def snapshot(name: str, revision: str, progress: Progress | None = None) -> Path:
    """The folder of `name` at `revision` in the hub's cache, fetched where it is not there.

    Config and tokenizer come first, then the files that hold the weights, and no others.

    Raises UserError saying what to do: wrong name, licence to accept, no network, a full disk.
    """
    folder = config_snapshot(name, revision)
    wanted = weight_files(folder)

    def fetched() -> Path:
        found = _fetched(name, commit_of(folder), wanted, progress)
        _require_offline(found, wanted)
        return found

    return _told_plainly(name, revision, fetched)


def hub_file_names(name: str, folder: Path) -> frozenset[str]:
    """All files beside config.json of the model `name`, whether or not they are in `folder` yet.

    `folder`: what `config_snapshot` gave. Where the hub cannot be asked its index is believed.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub import errors as hub

    here = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if constants.HF_HUB_OFFLINE:
        return frozenset(here | set(weight_files(folder)))
    try:
        found = HfApi().model_info(name, revision=commit_of(folder)).siblings or []
    except (hub.HfHubHTTPError, OSError, ValueError):
        return frozenset(here | set(weight_files(folder)))
    return frozenset(here | {file.rfilename for file in found if "/" not in file.rfilename})


def _told_plainly(name: str, revision: str, fetched: Callable[[], Path]) -> Path:
    """What `fetched()` gives; what the hub's library raises becomes one line."""
    from huggingface_hub import constants
    from huggingface_hub import errors as hub

    if not constants.ENDPOINT.startswith(("http://", "https://")):
        hint = "unset it for huggingface.co, or use https://HOST"
        raise UserError(
            f"HF_ENDPOINT: {constants.ENDPOINT!r} is not a valid Hub address", hint=hint
        )
    try:
        return fetched()
    except hub.GatedRepoError as error:
        hint = f"accept its license at https://huggingface.co/{name}, then run: hf auth login"
        raise UserError(f"model.base: {name} is gated", hint=hint) from error
    except (hub.RepositoryNotFoundError, hub.RevisionNotFoundError) as error:
        hint = "check the name and model.revision; for a private model run: hf auth login"
        raise UserError(
            f"model.base: {name} not found on the Hub at revision {revision}", hint=hint
        ) from error
    except (hub.HFValidationError, ValueError) as error:
        hint = "use embedded:tiny, a local folder, or OWNER/NAME on the Hub"
        raise UserError(
            f"model.base: {name!r} is neither a folder nor a Hub id", hint=hint
        ) from error
    except (OSError, hub.LocalEntryNotFoundError) as error:
        why, hint = _unreachable(error)
        what = f"model.base: {name} is not downloaded and cannot be downloaded: {why}"
        raise UserError(what, hint=hint) from error


def _require_offline(folder: Path, wanted: Sequence[str]) -> None:
    """Raise LocalEntryNotFoundError where the hub was not asked and files are not here."""
    from huggingface_hub import constants
    from huggingface_hub.errors import LocalEntryNotFoundError

    missing = [file for file in wanted if not (folder / file).is_file()]
    if missing and constants.HF_HUB_OFFLINE:
        raise LocalEntryNotFoundError(f"{missing[0]} is not in the cache")


def _unreachable(error: BaseException) -> tuple[str, str]:
    """Why the hub gave nothing, and what mends it."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set", f"unset it once{OR_LOCAL}"
    status, at = None, error
    while status is None and (at.__cause__ or at.__context__):
        at = at.__cause__ or at.__context__ or at
        status = getattr(getattr(at, "response", None), "status_code", None)
    if status is not None:
        return f"{constants.ENDPOINT} returned {status}", "try again later, or use a local folder"
    return f"no connection to {constants.ENDPOINT}", f"go online once{OR_LOCAL}"


def _fetched(name: str, revision: str, wanted: list[str], progress: Progress | None) -> Path:
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.file_download import repo_folder_name

    missing = _missing_bytes(name, revision, wanted)
    cache = Path(constants.HF_HUB_CACHE)
    if missing:
        cache.mkdir(parents=True, exist_ok=True)
        files.check_space(cache, missing, f"the base model {name}")
    blobs = cache / repo_folder_name(repo_id=name, repo_type="model") / "blobs"
    with _told(blobs, missing, progress if missing else None):
        found = snapshot_download(
            name, revision=revision, allow_patterns=wanted, ignore_patterns=BELOW
        )
    return Path(found)


def _missing_bytes(name: str, revision: str, wanted: list[str]) -> int:
    """How much is still to be fetched; 0 where the hub cannot be asked: fetching says why."""
    from huggingface_hub import errors as hub
    from huggingface_hub import snapshot_download

    try:
        found = snapshot_download(
            name, revision=revision, allow_patterns=wanted, ignore_patterns=BELOW, dry_run=True
        )
    except (hub.DryRunError, hub.HfHubHTTPError, OSError, ValueError):
        return 0
    return sum(file.file_size or 0 for file in found if file.will_download)


@contextmanager
def _told(folder: Path, missing: int, progress: Progress | None) -> Iterator[None]:
    """Call `progress` from a thread of its own with the growth of `folder` while it lasts."""
    if progress is None:
        yield
        return
    before, ended = _bytes_in(folder), threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_S):
            progress(min(missing, max(0, _bytes_in(folder) - before)), missing)

    thread = threading.Thread(target=watch, name="hub-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.glob("*") if folder.is_dir() else ():
        try:
            total += path.stat().st_size
        except OSError:  # renamed when it was whole
            continue
    return total


PLAIN_CLASS = "PreTrainedTokenizerFast"
ADDED_TOKEN = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")


def fetch(model: Model, progress: Progress | None = None, *, pinned: Path | None = None) -> Path:
    """The base's folder: shipped, local, or from the hub's cache or the hub itself.

    `progress` hears, about once a second, how many bytes of how many have come from the hub.
    `pinned`: what `fetch_config` gave; the weights then come from the same commit.

    Raises UserError saying what to do: wrong name, licence to accept, no network.
    """
    local = _local(model)
    if local is not None:
        return _checked(local, model.base)
    revision = model.revision if pinned is None else commit_of(pinned)
    folder = snapshot(model.base, revision, progress)
    if not has_weights(folder):  # what is there in their place says why
        check_files(folder, model.base, names=hub_file_names(model.base, folder))
    return _checked(folder, model.base)


def fetch_config(model: Model) -> Path:
    """The base's folder with config.json and tokenizer, weights perhaps not in it yet.

    Raises UserError as `fetch` does.
    """
    local = _local(model)
    return config_snapshot(model.base, model.revision) if local is None else local


def file_names(model: Model, folder: Path) -> frozenset[str]:
    """All files of the base, of a Hub model also those that are not in `folder` yet."""
    if _local(model) is None:
        return hub_file_names(model.base, folder)
    return frozenset(path.name for path in folder.iterdir())


def _local(model: Model) -> Path | None:
    """The folder of a base that needs no hub."""
    if model.base.startswith(EMBEDDED):
        return embedded_base(model.base)
    if model.base.startswith(MINIATURE):
        from workbench.pipeline.models.miniature_model import make_miniature  # it needs torch

        return make_miniature(model.base.removeprefix(MINIATURE))
    local = Path(model.base).expanduser()
    return local.resolve() if local.is_dir() else None


def save_tokenizer(
    tokenizer: Any,
    templates: Mapping[str, str],
    folder: Path,
    generation: Mapping[str, Any] | None = None,
    base: Path | None = None,
) -> None:
    """Write the tokenizer as it is in memory: transformers may have changed what the file said.

    `templates`: name -> source of the chat templates in use, none for a model without;
    `generation`: what goes into its generation_config.json; `base`: the folder that it was loaded
    from, whose name for its class is kept where transformers tokenizes the same by it.
    Export, evaluation and chat take it from `folder`, so that all see the ids that training saw.
    """
    tokenizer.chat_template = None
    with files.whole_folder(folder) as tmp:
        tokenizer.save_pretrained(tmp)
        files.write_atomic(tmp / "tokenizer.json", tokenizer.backend_tokenizer.to_str(pretty=False))
        _mend_config(tmp / "tokenizer_config.json", tokenizer)
        if base is not None:
            _keep_class(tmp, base, tokenizer)
        write_templates({DEFAULT: "", **templates}, tmp)
        if generation:
            files.write_json(tmp / GENERATION, generation)


def _mend_config(path: Path, tokenizer: Any) -> None:
    """What other programs stumble over: transformers 5's own name for its plain class, an empty
    chat template, which keeps llama.cpp's converter from the template's own file, and added tokens
    that stand in tokenizer.json alone."""
    config = json.loads(path.read_bytes())
    if config.get("tokenizer_class") == "TokenizersBackend":
        config["tokenizer_class"] = PLAIN_CLASS
    if config.get("chat_template", "") is None:
        del config["chat_template"]
    tokens = sorted(tokenizer.added_tokens_decoder.items())
    config["added_tokens_decoder"] = {
        str(token_id): {key: getattr(token, key) for key in ADDED_TOKEN}
        for token_id, token in tokens
    }
    files.write_atomic(path, json.dumps(config, indent=2))


def _keep_class(folder: Path, base: Path, tokenizer: Any) -> None:
    """Name the base's own class in `folder` where transformers has put its plain one instead.

    llama.cpp's converter reads a Phi-4 by the name alone. One by which transformers would tokenize
    otherwise is not kept.
    """
    path = folder / "tokenizer_config.json"
    plain = json.loads(path.read_bytes())
    named = read_json_object(base / "tokenizer_config.json").get("tokenizer_class")
    if plain.get("tokenizer_class") != PLAIN_CLASS or named in (None, PLAIN_CLASS):
        return
    if not (base / "config.json").is_file():
        return
    shutil.copyfile(base / "config.json", folder / "config.json")
    files.write_atomic(path, json.dumps({**plain, "tokenizer_class": named}, indent=2))
    if not tokenizes_alike(folder, tokenizer):
        files.write_atomic(path, json.dumps(plain, indent=2))
    (folder / "config.json").unlink()


def stop_ids(tokenizer: Any, base: Path) -> list[int]:
    """Ids that end an answer: the tokenizer's eos and those of the generation config."""
    ids = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    return list(dict.fromkeys([*ids, *ids_in(read_generation(base).get("eos_token_id"))]))


def _checked(folder: Path, name: str) -> Path:
    check_files(folder, name)
    return folder
