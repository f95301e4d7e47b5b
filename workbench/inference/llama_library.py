"""llama.cpp's log goes to a file of ours, never to the screen.

llama-cpp-python's own callback reads the levels from an outdated table (it hides errors and prints
warnings) and its quiet mode points file descriptors 1 and 2 of the whole process at /dev/null while
a model loads. So we install our own callback and touch no descriptor.

Invariant: the callback never raises, whatever it is handed; C code has no way to catch it.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

# enum ggml_log_level in ggml.h
LEVELS = {0: "", 1: "debug", 2: "info", 3: "warning", 4: "error"}
CONTINUED = 5
ERROR = 4
KEPT_ERRORS = 20


class LlamaLog:
    """Where the native log goes: a file (or nowhere), and the last errors for one-line messages."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fd: int | None = None
        self._level = 0
        self._line_open = False
        self._errors: deque[str] = deque(maxlen=KEPT_ERRORS)
        self._listener: Callable[[int, str], None] | None = None

    def to_file(self, path: Path | None) -> None:
        """Append from now on to `path`; None drops the text. An unwritable path raises OSError."""
        fd = None
        if path is not None:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with self._lock:
            old, self._fd = self._fd, fd
            self._line_open = False
        if old is not None:
            os.close(old)

    def listen(self, hear: Callable[[int, str], None] | None) -> None:
        """Hand each piece of the log, with its level, to `hear` too; what it raises is lost."""
        self._listener = hear

    def take_errors(self) -> list[str]:
        """The error lines since the last call, oldest first, at most twenty."""
        with self._lock:
            errors = [line for line in (text.strip() for text in self._errors) if line]
            self._errors.clear()
        return errors

    def handle(self, level: int, text: bytes | None, _user_data: Any = None) -> None:
        """Take one piece of log text. A piece at level 5 continues the one before it."""
        try:
            with self._lock:
                self._take(level, text or b"")
            if self._listener is not None:
                self._listener(level, (text or b"").decode(errors="replace"))
        except Exception:
            # A full disk or a strange byte must not cross into C.
            self._line_open = False

    def _take(self, level: int, text: bytes) -> None:
        if level == CONTINUED:
            level = self._level
            if level == ERROR and self._errors:
                self._errors[-1] += text.decode(errors="replace")
        elif level == ERROR:
            self._errors.append(text.decode(errors="replace"))
        self._level = level
        if self._fd is not None and text and level != 1:
            self._write(level, text)

    def _write(self, level: int, text: bytes) -> None:
        assert self._fd is not None
        name = LEVELS.get(level, str(level))
        prefix = b"" if self._line_open or not name else f"llama.cpp {name}: ".encode()
        os.write(self._fd, prefix + text)
        self._line_open = not text.endswith(b"\n")


LOG = LlamaLog()
_installed: list[Any] = []  # C keeps a bare pointer: the callback must live as long as the process
_install_lock = threading.Lock()


def library() -> Any:
    """The ctypes bindings of llama.cpp, imported on first use with our log callback in place."""
    with _install_lock:
        if not _installed:
            _installed.append(_import(LOG.handle))
    return _installed[0][0]


def _import(handle: Callable[[int, bytes | None, Any], None]) -> tuple[Any, Any]:
    from llama_cpp import _utils, llama_cpp

    for name in ("outnull_file", "errnull_file"):  # it opens them and leaves them to chance
        if unclosed := getattr(_utils, name, None):
            atexit.register(unclosed.close)
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")  # an abort would start a debugger
    callback = llama_cpp.llama_log_callback(handle)
    llama_cpp.llama_log_set(callback, None)
    llama_cpp.llama_backend_init()
    return llama_cpp, callback
