"""What the trades of a plan would cost: fees, and slippage from the book where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rebalancer import live
from rebalancer.configured import paper_costs_of
from rebalancer.core.money import BPS, text, text_or_none, total
from rebalancer.errors import DeskError, VenueUnavailable
from rebalancer.settings import FeedSource, Mode

if TYPE_CHECKING:
    from rebalancer.feeds.depth import Depth
    from rebalancer.settings import Config

Trades = Sequence[Mapping[str, Any]]
"""The `trades` of a plan document."""

#: how long the books of a plan may take; a person waits for it
BOOKS_WITHIN_S = 20.0


async def estimate(config: Config, trades: Trades) -> dict[str, Any]:
    """Return the estimated cost of each trade, in quote currency, and of all that can be told.

    Fees are those of `[accounts.A.paper]` on paper, else the venue's published taker fee; slippage
    comes from the book of the venue whose prices are real, else from `[accounts.A.paper]`.
    """
    traded = [each for each in trades if each["contracts"] != "0"]
    books = await _books(config, sorted({each["contract"] for each in traded}))
    told = [_cost(config, each, books.get(each["contract"])) for each in traded]
    known = [Decimal(each[key]) for each in told for key in ("fee", "slippage") if each[key]]
    return {"trades": told, "known": text(total(known))}


async def estimate_beside(config: Config, trades: Trades) -> dict[str, Any]:
    """Return the same in a running desk, whose loop goes on meanwhile.

    A venue's list of markets takes a tenth of a second to read, in one piece: a thread of its own
    reads it, with a loop and connections of its own.
    """
    return await asyncio.to_thread(lambda: asyncio.run(estimate(config, trades)))


async def _books(config: Config, symbols: Sequence[str]) -> Mapping[str, Depth | DeskError]:
    """Return each book, or why there is none, where the prices are real."""
    if not symbols or config.feed.source is not FeedSource.CCXT:
        return {}
    try:
        async with asyncio.timeout(BOOKS_WITHIN_S):
            return await live.depths_of(config, symbols)
    except TimeoutError:
        late = VenueUnavailable(f"it did not come within {BOOKS_WITHIN_S:g} s")
        return dict.fromkeys(symbols, late)
    except DeskError as error:
        return dict.fromkeys(symbols, error)


def _cost(
    config: Config, trade: Mapping[str, Any], book: Depth | DeskError | None
) -> dict[str, Any]:
    notional, mark = Decimal(trade["notional"]), Decimal(trade["mark"])
    contracts = Decimal(trade["contracts"]) * (1 if trade["side"] == "buy" else -1)
    paper = paper_costs_of(config).get(trade["account"])
    fee_bps, slippage_bps, told_by = None, None, ""
    if isinstance(book, DeskError):
        told_by = f"the book could not be read: {book}"
    elif book is not None:
        slippage_bps, told_by = book.slippage_bps(contracts, mark), f"book of {config.feed.venue}"
        if slippage_bps is None:
            told_by += ", which does not hold so much"
        if book.taker_fee is not None and config.mode is not Mode.PAPER:
            fee_bps = book.taker_fee * BPS
    elif paper is not None:
        slippage_bps = paper.slippage_bps_of(notional)
        told_by = f"accounts.{trade['account']}.paper"
    if paper is not None and config.mode is Mode.PAPER:
        fee_bps = paper.fee_bps
    return {
        "account": trade["account"],
        "contract": trade["contract"],
        "fee": None if fee_bps is None else text(notional * fee_bps / BPS),
        "fee_bps": text_or_none(fee_bps),
        "slippage": None if slippage_bps is None else text(notional * slippage_bps / BPS),
        "slippage_bps": text_or_none(slippage_bps),
        "told_by": told_by,
    }
