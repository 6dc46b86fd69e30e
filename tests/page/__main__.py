"""Writes pictures of a running desk's page: `python -m tests.page URL FOLDER [FUND]`.

Both widths, both colour schemes, the table of funds and the page of one fund.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.page.browser import a_browser

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
                await browser.ask("picture", path=str(folder / f"page-{width}-{scheme}.png"))
                await browser.value(f"location.hash = '#/fund/{fund}'")
                await browser.wait_for(DRAWN)
                await browser.ask("picture", path=str(folder / f"fund-{width}-{scheme}.png"))


if __name__ == "__main__":
    Path(sys.argv[2]).mkdir(parents=True, exist_ok=True)
    asyncio.run(take(sys.argv[1], Path(sys.argv[2]), (*sys.argv[3:], "BTC3L")[0]))
