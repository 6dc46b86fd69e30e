"""Accounts on paper at the prices of a real venue: what else of that venue they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from rebalancer.core.state import Desk
from rebalancer.desk.companions import Companion
from rebalancer.exchanges import open_exchange
from rebalancer.feeds.live import MARKETS_WITHIN_S, read
from rebalancer.live import opener
from rebalancer.ports import Clock
from rebalancer.settings import Config, FeedSource
from rebalancer.venues.expected_rates import ExpectedRates
from rebalancer.venues.facts_shape import Ask, Call
from rebalancer.venues.paper_funding import PaperFunding
from rebalancer.venues.paper_venue import PaperVenue
from rebalancer.venues.rates import Limiter

#: one question with its repetitions
RATES_WITHIN_S = 15.0


def funding_of_paper(
    config: Config,
    desk: Desk,
    venues: Iterable[PaperVenue],
    clock: Clock,
    limiters: Mapping[str, Limiter],
) -> dict[str, Companion]:
    """Return what charges accounts on paper with the funding of the venue of their prices.

    Nothing where prices are not real: a market that is played tells its own funding.
    """
    charged = [venue for venue in venues if venue.book.costs.funding]
    names = {venue.book.account for venue in charged}
    held = {
        symbol
        for fund in desk.funds.values()
        if fund.account in names
        for symbol in fund.symbols
        if symbol not in desk.unlisted
    }
    if config.feed.source is not FeedSource.CCXT or not held:
        return {}
    venue_id = config.feed.venue or ""
    opened = opener(config, open_exchange, limiters=limiters)

    async def charge() -> None:
        exchange = opened(venue_id)
        rates = ExpectedRates(partial(_ask, exchange, venue_id), venue_id)
        try:
            await PaperFunding(charged, rates, sorted(held), clock).run()
        finally:
            await asyncio.shield(exchange.close())

    return {"funding on paper": charge}


async def _ask(exchange: Any, venue_id: str, call: Call, _kind: Ask) -> Any:
    """Ask in public; the exchange counts each request in the limits of its venue by itself."""
    if not exchange.markets:
        await read(exchange.load_markets, venue_id, MARKETS_WITHIN_S)
    return await read(partial(call.carry_out, exchange), venue_id, RATES_WITHIN_S)
