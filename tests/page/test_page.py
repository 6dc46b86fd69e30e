"""The dashboard in a real browser: it loads, lives, comes back, shows a halt and takes commands."""

from __future__ import annotations

import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rebalancer.api.tokens import TokenScope
from rebalancer.core.events import Commanded, CommandKind, TokenQuoted
from rebalancer.core.instant import MINUTE_MS
from rebalancer.core.premium import PremiumTerms
from rebalancer.costing import estimate_beside
from rebalancer.planning import Planner
from rebalancer.settings import Address, DeskSettings, Mode, parse
from tests.api.rig import Published, published
from tests.factories import desk as make_desk
from tests.factories import fund, only
from tests.loopback.sdk.environment import NotToBeHad
from tests.page.browser import Browser, a_browser
from tests.test_costing import COSTLY

pytestmark = pytest.mark.timeout(300)
CARRIED_BYTES_MAX = 100_000
LONG_TASK_MS = 50.0
ONE_LINE_PX = 60
#: what a message of the stream leads to, every number changed, layout included: 30 times, in ms
UPDATES = """(async () => {
  const { desk, takeNav } = await import("/page/desk.js");
  const { drawFunds } = await import("/page/funds.js");
  const took = [];
  for (let turn = 0; turn < 30; turn += 1) {
    const navs = [...desk.tokens.values()].map((token, place) => ({ s: token.tokenName, m: "10000",
      n: String(100 + turn + place / 7), i: String(101 + turn), l: String(2.5 + turn / 60), t: "3",
      T: Date.now(), S: "LIVE", E: Date.now() }));
    await new Promise((done) => setTimeout(done, 20));
    const begun = performance.now();
    navs.forEach(takeNav);
    drawFunds();
    document.body.getBoundingClientRect();
    took.push(performance.now() - begun);
  }
  return took;
})()"""
PARTS = "document.querySelector('.parts')?.textContent"
CHARTS = "document.querySelector('.charts')?.textContent"
LIVE = "document.querySelector('#link').textContent === 'live'"
#: of every answer before the table stood, with its headers where the browser tells them
CARRIED = """performance.getEntriesByType("navigation").concat(
  performance.getEntriesByType("resource")).reduce((sum, one) => sum + one.transferSize, 0)"""


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Return a browser; skips with the reason where there is none."""
    try:
        async with a_browser() as made:
            yield made
    except NotToBeHad as missing:
        pytest.skip(str(missing))


def says(name: str, column: str, text: str) -> str:
    """Return an expression: whether a fund's row shows this text under a column."""
    return (
        f"[...document.querySelectorAll('#fund-table tbody tr')].some((row) => "
        f"row.querySelector('th').textContent === '{name}' && "
        f"row.querySelector('[data-label=\"{column}\"]').textContent.includes('{text}'))"
    )


async def look(
    browser: Browser, desk: Published, *, public: bool = False, at: str = "", **profile: Any
) -> None:
    """Open a listener's page and wait until it lives."""
    port = desk.service.addresses[1 if public else 0][1]
    await browser.ask("open", url=f"http://127.0.0.1:{port}/{at}", **profile)
    await browser.wait_for(LIVE)


def plan_with(desk: Published, folder: Path) -> None:
    """Give a desk what plans on its state, as the program does."""
    settings = DeskSettings(view_interval_ms=1, control_socket=folder / "sock")
    planner = Planner(desk.daemon.state, desk.daemon.clock, settings, Mode.PAPER)
    estimate = partial(estimate_beside, parse(COSTLY))
    object.__setattr__(desk.service._desk, "planner", lambda: planner)
    object.__setattr__(desk.service._desk, "costs", lambda: estimate)


async def nothing_wrong(browser: Browser) -> dict[str, Any]:
    """Check what holds of every visit, and return the browser's report."""
    report: dict[str, Any] = await browser.ask("report")
    assert report["errors"] == []
    assert report["broken"] == []
    assert {urlsplit(url).hostname for url in report["requests"]} == {"127.0.0.1"}
    return report


async def test_it_loads_updates_by_itself_and_is_fit_for_everybody(
    tmp_path: Path, browser: Browser
) -> None:
    async with published(tmp_path) as desk:
        await look(browser, desk)
        await browser.wait_for(says("BTC3L", "NAV", "100.0000"))
        assert await browser.value(CARRIED) < CARRIED_BYTES_MAX
        assert await browser.text("#mode") == "PAPER"
        assert await browser.ask("axe") == []
        await desk.price(110)
        await browser.wait_for(says("BTC3L", "NAV", "130.0000"))
        await browser.wait_for(says("BTC3S", "Since rebalance", "30.00 %"))
        await browser.value("location.hash = '#/fund/BTC3L'")
        await browser.wait_for("document.activeElement.id === 'fund-title'")
        await browser.wait_for("document.querySelector('.why').textContent.includes('nothing')")
        assert await browser.ask("axe") == []
        await nothing_wrong(browser)


async def test_it_says_that_the_desk_is_gone_and_comes_back_by_itself(
    tmp_path: Path, browser: Browser
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    over: dict[str, Any] = {"listen": Address("127.0.0.1", port), "public_listen": None}
    for life in ("first", "second"):
        (tmp_path / life).mkdir()
    async with contextlib.AsyncExitStack() as first:
        desk = await first.enter_async_context(published(tmp_path / "first", **over))
        await look(browser, desk)
        await browser.wait_for(says("BTC3L", "NAV", "100.0000"))
    await browser.wait_for("document.querySelector('#stale').textContent.includes('old')")
    assert await browser.text("#link") == "reconnecting"
    async with published(tmp_path / "second", **over) as desk:
        await desk.price(110)
        await browser.wait_for(LIVE)
        await browser.wait_for(says("BTC3L", "NAV", "130.0000"))
        assert await browser.value("document.querySelector('#stale').hidden") is True
        report = await browser.ask("report")
        assert report["errors"] == []


async def test_a_command_needs_a_token_and_a_yes_and_the_halt_is_seen_at_once(
    tmp_path: Path, browser: Browser
) -> None:
    buttons = "document.querySelectorAll('#fund .buttons button').length"
    async with published(tmp_path) as desk:
        desk.bearer(TokenScope.OPERATE)
        await look(browser, desk, at="#/fund/BTC3L")
        await browser.wait_for("document.querySelector('#fund-title') !== null")
        assert await browser.value(buttons) == 0
        await browser.ask("click", selector="#operator")
        await browser.ask("type", selector="#token", text=desk.tokens[TokenScope.OPERATE])
        await browser.ask("press", key="Enter")
        await browser.wait_for(f"{buttons} === 2")
        await browser.ask("click", selector="#fund .buttons .danger")
        assert "No order of this fund" in await browser.text("#command-plan")
        assert await browser.ask("axe") == []
        await browser.ask("type", selector="#command-reason", text="a drill")
        assert (await desk.private.get("/api/v1/tokens/BTC3L")).json()["state"] == "active"
        await browser.ask("click", selector="#command-go")
        await browser.wait_for(
            "document.querySelector('#command-answer').textContent.startsWith('Done')"
        )
        await browser.ask("click", selector="#command-cancel")
        await browser.wait_for("document.querySelector('#alerts').textContent.includes('a drill')")
        assert (await desk.private.get("/api/v1/tokens/BTC3L")).json()["state"] == "halted"
        await browser.value("location.hash = '#/'")
        await browser.wait_for(says("BTC3L", "State", "halted"))
        assert await browser.ask("axe") == []
        # In memory only: it is gone with the page.
        kept = "Object.keys(localStorage).length + Object.keys(sessionStorage).length"
        assert await browser.value(f"{kept} + document.cookie.length") == 0
        await nothing_wrong(browser)


async def test_a_rebalance_is_planned_by_the_desk_before_anybody_can_agree(
    tmp_path: Path, browser: Browser
) -> None:
    known = make_desk(
        fund("BTC3L", 3, methodology=only(), initial_shares=Decimal(1)), free_launch=True
    )
    async with published(tmp_path, known) as desk:
        await desk.price(105)
        plan_with(desk, tmp_path)
        desk.bearer(TokenScope.OPERATE)
        await look(browser, desk, at="#/fund/BTC3L")
        await browser.ask("click", selector="#operator")
        await browser.ask("type", selector="#token", text=desk.tokens[TokenScope.OPERATE])
        await browser.ask("press", key="Enter")
        await browser.wait_for("document.querySelectorAll('#fund .buttons button').length === 2")
        await browser.ask("click", selector="#fund .buttons button")
        await browser.ask("type", selector="#command-reason", text="a drill")
        await browser.ask("click", selector="#command-go")
        await browser.wait_for(
            "document.querySelector('#command-go').textContent === 'Rebalance BTC3L'"
        )
        said = await browser.text("#command-plan")
        assert "2.74\u00d7 \u2192 3.00\u00d7" in said
        assert "Buy on main0.2857 BTC/USDT:USDT, 30.00 at 105.00" in said
        assert "Fee, BTC/USDT:USDT0.01 (4.0 bps)" in said
        assert "0.00 (1.0 bps), by accounts.main.paper" in said
        assert "Margin of main after it" in said
        assert "% of 115.00 equity" in said
        assert await browser.ask("axe") == []
        before = (await desk.private.get("/api/v1/tokens/BTC3L")).json()["realLeverage"]
        assert before.startswith("2.739")
        await browser.ask("click", selector="#command-go")
        await browser.wait_for(
            "document.querySelector('#command-answer').textContent.startsWith('Done: run')"
        )
        await desk.quiet()
        after = (await desk.private.get("/api/v1/tokens/BTC3L")).json()["realLeverage"]
        assert after.startswith("2.9999")
        await nothing_wrong(browser)


async def test_an_update_of_sixty_funds_takes_less_than_a_long_task(
    tmp_path: Path, browser: Browser
) -> None:
    """The quickest of many counts: by the others a loaded machine makes every task a long one."""
    funds = (fund(f"F{n:02d}", 3 if n % 2 else -3) for n in range(60))
    async with published(tmp_path, make_desk(*funds), publish_interval_ms=500) as desk:
        await look(browser, desk)
        await browser.wait_for("document.querySelectorAll('#fund-table tbody tr').length === 60")
        await desk.price(101)
        await browser.wait_for(says("F59", "NAV", "103.0000"))
        took = await browser.value(UPDATES)
        sys.stdout.write(f"updates of 60 funds took {min(took):.1f} to {max(took):.1f} ms\n")
        assert min(took) < LONG_TASK_MS / 2
        await nothing_wrong(browser)


async def test_a_fund_shows_what_fires_its_rules_and_what_its_token_costs(
    tmp_path: Path, browser: Browser
) -> None:
    """From 100 the losing side fires at 85; the token at 125 is 25 % over the NAV of 100."""
    terms = PremiumTerms(venue="gate", symbol="BTC3L/USDT")
    known = make_desk(fund("BTC3L", 3, premium=terms), fund("BTC3S", -3))
    async with published(tmp_path, known) as desk:
        await look(browser, desk, at="#/fund/BTC3S")
        await browser.wait_for(f"{PARTS}?.includes('BTC/USDT:USDT at or above 115.0000')")
        await browser.wait_for(
            f"{CHARTS}?.includes('no secondary market of this token is watched')"
        )
        await browser.value("location.hash = '#/fund/BTC3L'")
        await browser.wait_for(f"{PARTS}?.includes('BTC/USDT:USDT at or below 85.0000')")
        await browser.wait_for(f"{CHARTS}?.includes('there is no live quote')")
        for price in ("125", "124"):
            await desk.price(100, after_ms=MINUTE_MS)
            told = TokenQuoted(desk.clock.now_ms(), "BTC3L", Decimal(price), Decimal(price))
            desk.daemon.inbox.put(told)
            await desk.quiet()
        await browser.value("location.hash = '#/fund/BTC3S'")
        await browser.value("location.hash = '#/fund/BTC3L'")
        await browser.wait_for("document.querySelector('.line.market') !== null")
        await browser.wait_for(f"{CHARTS}?.includes('premium \u25b2 24.00 %')")
        await browser.wait_for(f"{PARTS}?.includes('Premium, each change of its stage')")
        assert await browser.ask("axe") == []
        await nothing_wrong(browser)


async def test_on_a_phone_alerts_are_one_line_until_it_is_opened(
    tmp_path: Path, browser: Browser
) -> None:
    height = "document.querySelector('#alerts').getBoundingClientRect().height"
    known = make_desk(*(fund(f"F{n}", 3) for n in range(4)))
    async with published(tmp_path, known) as desk:
        await look(browser, desk, at="#/fund/F0", size=[390, 844])
        await browser.wait_for("document.querySelector('#alert-none').hidden === false")
        for number in range(4):
            halt = Commanded(desk.clock.now_ms(), CommandKind.HALT, f"F{number}", "a drill")
            await desk.daemon.inbox.command(halt)
        await browser.wait_for(
            "document.querySelector('#alert-fold > summary').textContent.startsWith('4: F0 ')"
        )
        assert await browser.value(height) < ONE_LINE_PX
        assert await browser.ask("axe") == []
        await browser.ask("click", selector="#alert-fold > summary")
        assert await browser.value(height) > 4 * ONE_LINE_PX
        assert await browser.ask("axe") == []
        await look(browser, desk)
        await browser.wait_for("document.querySelectorAll('#alert-list li').length === 4")
        assert await browser.value("document.querySelector('#alert-fold').open") is True
        await nothing_wrong(browser)


async def test_every_table_is_there_without_script(tmp_path: Path, browser: Browser) -> None:
    async with published(tmp_path) as desk:
        for public in (False, True):
            at = f"http://127.0.0.1:{desk.service.addresses[1 if public else 0][1]}"
            await browser.ask("open", url=f"{at}/", java_script_enabled=False)
            await browser.ask("arrive", url=f"{at}/plain")
            assert "NAV and leverage of each token" in await browser.ask("words", selector="table")
            await browser.ask("click", selector="a[href='/plain/BTC3L']")
            await browser.ask("arrive", url=f"{at}/plain/BTC3L")
            text = await browser.ask("words", selector="main")
            assert "BTC3L, paper desk" in text
            for caption in ("Basket", "Rebalances", "Daily NAV"):
                assert caption in text
            assert ("Positions" in text) is not public
            assert ("Trigger prices" in text) is not public
        await browser.ask("open", url=f"http://127.0.0.1:{desk.port}/plain/BTC3L")
        assert await browser.ask("axe") == []
        await nothing_wrong(browser)


async def test_the_public_page_has_no_positions_and_no_commands(
    tmp_path: Path, browser: Browser
) -> None:
    async with published(tmp_path) as desk:
        await look(browser, desk, public=True)
        await browser.wait_for(says("BTC3L", "NAV", "100.0000"))
        await browser.value("location.hash = '#/fund/BTC3L'")
        await browser.wait_for(
            "document.querySelector('.parts').textContent.includes('Rebalances')"
        )
        text = await browser.text("main")
        assert "Positions" not in text
        assert "Trigger prices" not in text
        assert "Fees" not in text
        assert await browser.value("document.querySelectorAll('dialog, #operator').length") == 0
        report = await nothing_wrong(browser)
        asked = " ".join(report["requests"])
        assert not any(word in asked for word in ("basket", "fees", "decisions", "triggers"))
