"""The screen in a browser through textual-serve, on loopback: the first frame, a key, the end."""

from __future__ import annotations

import asyncio
import json
import shlex
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.tui.test_terminal import NOISE

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("textual_serve")

SERVE = """
import sys
from textual_serve.server import Server
Server(sys.argv[1], host="127.0.0.1", port=int(sys.argv[2])).serve()
"""
LIMIT_S = 30.0
Story = Callable[["Browser"], Awaitable[None]]


class Browser:
    """The other side of the websocket: what came so far, and keys to press."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self.seen, self.closed = socket, "", False

    async def until(self, text: str) -> None:
        async with asyncio.timeout(LIMIT_S):
            while text not in self.seen and not self.closed:
                await self._take()
        assert text in self.seen, self.seen[-500:]

    async def press(self, keys: str) -> None:
        await self._socket.send_str(json.dumps(["stdin", keys]))

    async def until_closed(self) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not self.closed:
                await self._take()

    async def _take(self) -> None:
        message = await self._socket.receive()
        if message.type == aiohttp.WSMsgType.BINARY:
            self.seen += message.data.decode()
        self.closed = self._socket.closed


def browse(command: str, story: Story) -> None:
    async def live(port: int) -> None:
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{port}/ws?width=100&height=30"
            async with session.ws_connect(url, max_msg_size=0) as found:
                await story(Browser(found))

    with served(command) as port:
        asyncio.run(live(port))


@contextmanager
def served(command: str) -> Iterator[int]:
    """A server on a free port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    arguments = [sys.executable, "-c", SERVE, command, str(port)]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL)
    try:
        asyncio.run(_answers(port))
        yield port
    finally:
        process.terminate()
        process.wait(timeout=LIMIT_S)


async def _answers(port: int) -> None:
    async with asyncio.timeout(LIMIT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                return


def test_workbench_in_a_browser() -> None:
    async def story(browser: Browser) -> None:
        await browser.until("No runs yet")
        await browser.press("?")
        await browser.until("Everywhere")
        await browser.press("q")
        await browser.press("q")
        await browser.until_closed()

    browse(shlex.join([sys.executable, "-m", "workbench"]), story)


def test_what_is_printed_does_not_get_into_the_protocol(tmp_path: Path) -> None:
    async def story(browser: Browser) -> None:
        await browser.until("said it all")
        assert "NOISE" not in browser.seen

    browse(shlex.join([sys.executable, "-c", NOISE]), story)
    assert "NOISE six" in (tmp_path / "state" / "workbench" / "screen.log").read_text()
