import os
import subprocess
import sys
import threading
from pathlib import Path

from workbench.inference.llama_library import LlamaLog


def test_levels_follow_ggml_and_pieces_join_to_lines(tmp_path: Path) -> None:
    log, path = LlamaLog(), tmp_path / "native.log"
    log.to_file(path)
    for level, text in [(1, b"noise\n"), (2, b"loading "), (5, b"model\n"), (3, b"slow\n")]:
        log.handle(level, text)
    log.handle(4, b"error loading ")
    log.handle(5, b"model: bad magic\n")
    log.to_file(None)
    assert path.read_text().splitlines() == [
        "llama.cpp info: loading model",
        "llama.cpp warning: slow",
        "llama.cpp error: error loading model: bad magic",
    ]
    assert log.take_errors() == ["error loading model: bad magic"]
    assert log.take_errors() == []


def test_the_callback_never_raises(tmp_path: Path) -> None:
    log = LlamaLog()
    log.to_file(tmp_path / "native.log")
    assert log._fd is not None
    os.close(log._fd)
    log.handle(4, b"a descriptor that is gone\n")
    log.handle(99, b"\xff\xfe\n")
    log.handle(4, None)
    assert log.take_errors() == ["a descriptor that is gone"]
    log._fd = None


def test_lines_of_many_threads_are_all_there(tmp_path: Path) -> None:
    log, path = LlamaLog(), tmp_path / "native.log"
    log.to_file(path)
    threads = [
        threading.Thread(target=lambda i=i: [log.handle(2, b"%d\n" % i) for _ in range(50)])
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.to_file(None)
    assert len(path.read_text().splitlines()) == 200


def test_nothing_is_left_open_at_the_end_of_a_process() -> None:
    """llama-cpp-python opens /dev/null twice and leaves it to the interpreter to notice."""
    code = "from workbench.inference.llama_library import library; library()"
    command = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
