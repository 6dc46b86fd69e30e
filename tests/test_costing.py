"""What a plan would cost: by the settings on paper, by the book where prices are real."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from rebalancer import costing, live
from rebalancer.core.money import ZERO
from rebalancer.costing import estimate, estimate_beside
from rebalancer.errors import VenueUnavailable
from rebalancer.feeds.depth import Depth
from rebalancer.settings import parse

COSTLY = """
[feed]
source = "simulated"
[accounts.main]
venue = "paper"
[accounts.main.paper]
fee_bps = 4
slippage_bps = 1
[contracts."BTC/USDT:USDT"]
contract_size = 1
lot = "0.001"
tick = "0.1"
[funds.BTC3L]
account = "main"
target_leverage = 3
basket = { "BTC/USDT:USDT" = 1 }
"""
REAL = COSTLY.replace('"simulated"', '"ccxt"\nvenue = "binanceusdm"')
BUY = {
    "account": "main",
    "contract": "BTC/USDT:USDT",
    "side": "buy",
    "contracts": "2",
    "units": "2",
    "mark": "100",
    "notional": "200",
}
CROSSED = BUY | {"contracts": "0", "notional": "0"}
#: 1 contract at 100, the rest at 102: two cost 101 each, 100 bps over the mark
BOOK = Depth(asks=((Decimal(100), Decimal(1)), (Decimal(102), Decimal(9))), bids=())


def book_of(monkeypatch: pytest.MonkeyPatch, told: Depth | Exception) -> None:
    """Let the venue's book be this, or fail like this."""

    async def asked(_config: Any, symbols: Any) -> dict[str, Depth]:
        if isinstance(told, Exception):
            raise told
        return dict.fromkeys(symbols, told)

    monkeypatch.setattr(live, "depths_of", asked)


async def test_on_paper_the_settings_say_what_it_costs() -> None:
    told = await estimate(parse(COSTLY), [BUY, CROSSED])
    (cost,) = told["trades"]
    assert (cost["fee"], cost["slippage"], cost["told_by"]) == (
        "0.08",
        "0.02",
        "accounts.main.paper",
    )
    assert told["known"] == "0.1"


async def test_on_paper_a_larger_order_slips_more() -> None:
    config = parse(COSTLY.replace("slippage_bps = 1", "slippage_bps = 1\nimpact_bps = 50"))
    (cost,) = (await estimate(config, [BUY | {"notional": "40000"}]))["trades"]
    assert (cost["slippage_bps"], cost["slippage"]) == ("11", "44")


async def test_where_prices_are_real_the_book_says_what_it_slips(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    book_of(monkeypatch, BOOK)
    (cost,) = (await estimate(parse(REAL), [BUY]))["trades"]
    assert (cost["slippage"], cost["slippage_bps"]) == ("2", "100")
    assert cost["told_by"] == "book of binanceusdm"


async def test_a_book_that_is_too_thin_or_cannot_be_read_is_said_and_made_up_by_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    book_of(monkeypatch, Depth(asks=(), bids=()))
    (thin,) = (await estimate(parse(REAL), [BUY]))["trades"]
    book_of(monkeypatch, VenueUnavailable("binanceusdm could not be reached"))
    told = await estimate(parse(REAL), [BUY])
    (none,) = told["trades"]
    assert thin["slippage"] is None
    assert thin["told_by"].endswith("which does not hold so much")
    assert none["slippage"] is None
    assert "could not be reached" in none["told_by"]
    assert Decimal(told["known"]) > ZERO, "the fee is known on paper"


async def test_a_book_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    book_of(monkeypatch, TimeoutError())
    monkeypatch.setattr(costing, "BOOKS_WITHIN_S", 0.01)
    (cost,) = (await estimate_beside(parse(REAL), [BUY]))["trades"]
    assert "did not come within 0.01 s" in cost["told_by"]
