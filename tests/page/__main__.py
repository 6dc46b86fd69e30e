"""Writes pictures of a desk's page: `python -m tests.page FOLDER [URL [FUND]]`.

Both widths, both colour schemes, the table of funds and the page of one fund; without an
address, of a desk whose markets are simulated.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from tests.page.browser import Browser, a_browser
from tests.page.showcase import showcase

SIZES = {390: 844, 1440: 1000}
SCHEMES = ("light", "dark")
#: until the charts have their points and the countdown its pace
SETTLED = "document.querySelector('#link').textContent === 'live'"
DRAWN = "document.querySelectorAll('.plot path.line').length >= 4"


async def take(url: str, folder: Path, fund: str) -> None:
    """Write the pictures into `folder`."""
    async with a_browser() as browser:
        for width, height in SIZES.items():
            for scheme in SCHEMES:
                await browser.ask("open", url=url, size=[width, height], color_scheme=scheme)
                await browser.wait_for(SETTLED)
                await asyncio.sleep(4)
                await show(browser, folder / f"page-{width}-{scheme}.png")
                await browser.value(f"location.hash = '#/fund/{fund}'")
                await browser.wait_for(DRAWN)
                # The whole of a page on a phone is a strip that nobody can look at.
                whole = width > height
                await show(browser, folder / f"fund-{width}-{scheme}.png", whole=whole)


async def show(browser: Browser, path: Path, *, whole: bool = False) -> None:
    """Write one picture."""
    await browser.ask("picture", path=str(path), whole=whole)


async def main(folder: Path, url: str = "", fund: str = "BTC3L") -> None:
    """Take the pictures of the desk at `url`, or of one of our own."""
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - before anything else runs
    if url:
        await take(url, folder, fund)
        return
    with tempfile.TemporaryDirectory() as place:
        async with showcase(Path(place)) as at:
            await take(at, folder, fund)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), *sys.argv[2:]))
