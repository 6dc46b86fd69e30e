"""What a token costs on its market, beside what it is worth: now, in candles, and from records."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from rebalancer.api.messages import nav_message
from rebalancer.core.events import TokenQuoted
from rebalancer.core.premium import PremiumTerms
from tests.api.rig import Published, published
from tests.factories import desk, fund, only

TERMS = PremiumTerms(venue="gate", symbol="BTC3L/USDT")


def watched() -> Any:
    return desk(
        fund("BTC3L", 3, premium=TERMS, methodology=only(), initial_shares=Decimal(1)),
        fund("BTC2L", 2, methodology=only(), initial_shares=Decimal(1)),
        free_launch=True,
    )


async def quote(at_work: Published, price: str = "", problem: str = "") -> None:
    """Let the token be quoted in a book of no width, or let the question fail."""
    side = Decimal(price) if price else None
    steps = at_work.daemon.loop.steps
    now_ms = at_work.clock.now_ms()
    at_work.daemon.inbox.put(TokenQuoted(now_ms, "BTC3L", side, side, problem=problem))
    while at_work.daemon.loop.steps == steps:
        await at_work.quiet()
    await at_work.quiet()


async def got(at_work: Published, path: str) -> Any:
    answers = [
        await client.get(f"/api/v1/tokens/{path}") for client in (at_work.private, at_work.public)
    ]
    assert {answer.status_code for answer in answers} == {200}
    return answers[0].json()


async def test_the_market_price_stands_beside_the_nav_now_and_in_candles(tmp_path: Path) -> None:
    async with published(tmp_path, watched()) as at_work:
        before = await got(at_work, "BTC3L")
        await quote(at_work, "125")
        token = await got(at_work, "BTC3L")
        (candle,) = await got(at_work, "BTC3L/klines")
        (message,) = (
            nav_message(picture, 1, public=True)
            for picture in at_work.service.board.in_order()
            if picture.name == "BTC3L"
        )
    assert (before["market"], before["marketPrice"]) == ("gate:BTC3L/USDT", None)
    assert (token["marketPrice"], token["premium"], token["premiumStage"]) == (
        "125",
        "0.25",
        "warn",
    )
    assert (candle[4], candle[10]) == ("100", "125")
    assert (message.n, message.p) == ("100", "125"), "a page holds one against the other"


async def test_each_change_of_its_stage_is_listed_the_newest_first(tmp_path: Path) -> None:
    async with published(tmp_path, watched()) as at_work:
        for price in ("125", "131", "104"):
            await quote(at_work, price)
        steps = (await got(at_work, "BTC3L/premiums"))["items"]
        other = (await got(at_work, "BTC2L/premiums"))["items"]
    assert [(one["stage"], one["marketPrice"], one["nav"]) for one in steps] == [
        ("none", "104", "100"),
        ("halt", "131", "100"),
        ("warn", "125", "100"),
    ]
    assert [one["premium"] for one in steps] == ["0.04", "0.31", "0.25"]
    assert other == []


async def test_where_there_is_no_market_price_the_reason_is_told(tmp_path: Path) -> None:
    async with published(tmp_path, watched()) as at_work:
        await quote(at_work, "101")
        at_work.clock.advance(TERMS.max_age_ms + 1)
        await quote(at_work, problem="gate could not be reached")
        await at_work.price(100)
        token = await got(at_work, "BTC3L")
        public = (await at_work.public.get("/api/v1/tokens/BTC3L")).json()
        unwatched = await got(at_work, "BTC2L")
        page = (await at_work.private.get("/plain/BTC3L")).text
    assert token["marketPrice"] is None
    assert "gate could not be reached" in token["marketProblem"]
    assert "marketProblem" not in public
    assert (unwatched["market"], unwatched["marketPrice"]) == (None, None)
    assert "no market price now (gate:BTC3L/USDT)" in page
