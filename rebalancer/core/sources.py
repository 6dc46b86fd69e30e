"""Leads the formula NAV from the price source of its point to the configured one, without a step.

The two sources of a contract differ by their basis. Compared across it, a fund would be said to
have moved by the basis, and its price rules would act on that.
"""

from __future__ import annotations

from rebalancer.core.actions import Severity
from rebalancer.core.configuration import SourceChanged
from rebalancer.core.delisting import gone
from rebalancer.core.instant import MINUTE_MS
from rebalancer.core.money import ONE, settled
from rebalancer.core.state import FundState
from rebalancer.core.trust import good_price
from rebalancer.core.work import Work

#: so long after the start the price of the source before is waited for
WAIT_MS = MINUTE_MS


def follow_source(work: Work, fund: FundState) -> None:
    """Change to the configured source once both are fresh and confirmed at the same moment.

    The prices of the point are multiplied by the ratio of the two: the move since the point, and
    with it the formula NAV, are the same before and after. Where the source before is silent for a
    minute after the start, they are taken over as they are, with a warning.
    """
    before, source = fund.fund.price_source, work.state.desk.funds[fund.name].price_source
    if source is before or fund.point is None or fund.fund.index_only:
        return
    fund.restless = True
    absent = gone(work.state, fund)  # of these no price comes, and none is needed: they are frozen
    symbols = dict.fromkeys((*fund.point.prices, *fund.members(work.now_ms)))
    symbols = {symbol: None for symbol in symbols if symbol not in absent}
    market, now_ms = work.state.market, work.now_ms
    now = {symbol: good_price(market, fund, symbol, source, now_ms) for symbol in symbols}
    then = {symbol: good_price(market, fund, symbol, before, now_ms) for symbol in symbols}
    factors = {
        symbol: settled(price / old)
        for symbol in symbols
        if (price := now[symbol]) is not None and (old := then[symbol]) is not None
    }
    if len(factors) == len(symbols):
        work.record(SourceChanged(work.now_ms, fund.name, source, factors))
        apart = ", ".join(f"{each} {factor - ONE:+.4%}" for each, factor in factors.items())
        text = f"the formula NAV follows the {source} from where the {before} led it ({apart})"
        work.alert(Severity.INFO, "source_changed", fund.name, text)
    elif None not in now.values() and work.now_ms >= work.state.started_ms + WAIT_MS:
        work.record(SourceChanged(work.now_ms, fund.name, source, {}))
        text = (
            f"the formula NAV follows the {source} now; no {before} price was told to compare it "
            "with, so that what lies between the two counts as a move of the price"
        )
        work.alert(Severity.WARNING, "source_not_compared", fund.name, text)
