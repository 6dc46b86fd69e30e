"""What the trades of a plan would cost: fees, and slippage from the book where there is one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rebalancer.core.money import BPS, text, text_or_none, total
from rebalancer.errors import DeskError

if TYPE_CHECKING:
    from rebalancer.feeds.depth import Depth
    from rebalancer.settings import Config


def estimate(settings: Config, trades: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the estimated cost of each trade, in quote currency, and of all that can be told.

    Fees are those of `[accounts.A.paper]` on paper, else the venue's published taker fee; slippage
    comes from the book of the venue whose prices are real, else from `[accounts.A.paper]`.
    """
    symbols = sorted({each["contract"] for each in trades if each["contracts"] != "0"})
    books, problem = _books(settings, symbols)
    told = [_cost(settings, each, books, problem) for each in trades if each["contracts"] != "0"]
    known = [Decimal(each[key]) for each in told for key in ("fee", "slippage") if each[key]]
    return {"trades": told, "known": text(total(known))}


def _books(settings: Config, symbols: Sequence[str]) -> tuple[Mapping[str, Depth], str]:
    """Return the books that can be read, and why there are none where the prices are real."""
    from rebalancer.bootstrap import depths_of  # noqa: PLC0415 - not needed to print --help

    if not symbols or settings.feed.source != "ccxt":
        return {}, ""
    try:
        return asyncio.run(depths_of(settings, symbols)), ""
    except DeskError as error:
        return {}, f"the book could not be read: {error}"


def _cost(
    settings: Config, trade: Mapping[str, Any], books: Mapping[str, Depth], problem: str
) -> dict[str, Any]:
    notional, mark = Decimal(trade["notional"]), Decimal(trade["mark"])
    contracts = Decimal(trade["contracts"]) * (1 if trade["side"] == "buy" else -1)
    paper, depth = settings.paper.get(trade["account"]), books.get(trade["contract"])
    fee_bps, slippage_bps, told_by = None, None, problem
    if depth is not None:
        slippage_bps, told_by = depth.slippage_bps(contracts, mark), f"book of {_venue(settings)}"
        if slippage_bps is None:
            told_by += ", which does not hold so much"
    elif paper is not None and not problem:
        slippage_bps, told_by = paper.slippage_bps, f"accounts.{trade['account']}.paper"
    if depth is not None and depth.taker_fee is not None and settings.mode != "paper":
        fee_bps = depth.taker_fee * BPS
    elif paper is not None and settings.mode == "paper":
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


def _venue(settings: Config) -> str:
    return settings.feed.venue or ""
