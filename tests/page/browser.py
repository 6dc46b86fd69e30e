"""The browser as the tests use it: a process of its own that obeys `driver`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.loopback.sdk.environment import NotToBeHad, python

LOCK = Path(__file__).with_name("requirements.lock")
DRIVER = Path(__file__).with_name("driver.py")
NAMES = ("chromium", "chromium-browser", "google-chrome")
LINE_BYTES_MAX = 1 << 22


class BrowserFailed(Exception):
    """The page did not do what it was waited for."""


def chromium() -> str:
    """Return the browser's path; raises NotToBeHad where none is installed."""
    for name in NAMES:
        path = shutil.which(name)
        if path is not None:
            return path
    raise NotToBeHad("no Chromium is installed: apt-get install chromium")


class Browser:
    """Asks the driver, one thing after the other."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, do: str, **asked: Any) -> Any:
        """Return what the driver tells; raises BrowserFailed with its sentence."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **asked}).encode() + b"\n")
        line = await self._process.stdout.readline()
        answer = json.loads(line or b'{"failed": "the browser ended"}')
        if "failed" in answer:
            raise BrowserFailed(f"{do} {asked}: {answer['failed']}")
        return answer["told"]

    async def wait_for(self, expression: str) -> None:
        """Wait until an expression of JavaScript is true in the page."""
        await self.ask("wait", expression=expression)

    async def text(self, selector: str) -> str:
        """Return what an element says."""
        return str(await self.value(f"document.querySelector({selector!r}).textContent"))

    async def value(self, expression: str) -> Any:
        """Return what an expression of JavaScript is in the page."""
        return await self.ask("evaluate", expression=expression)


@contextlib.asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """Start a browser; raises NotToBeHad where it or its driver is not to be had."""
    path = chromium()
    interpreter = await asyncio.to_thread(python, LOCK)
    process = await asyncio.create_subprocess_exec(
        str(interpreter),
        str(DRIVER),
        path,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_BYTES_MAX,
    )
    try:
        yield Browser(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()
