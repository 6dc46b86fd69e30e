"""How records about the configuration change the state: only which one each fund runs on.

The settings themselves are in no record: a start reads them from the operator's file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rebalancer.core.configuration import (
    ConfigurationChanged,
    FundReconfigured,
    Renewal,
    SourceChanged,
)
from rebalancer.core.fund import PriceSource
from rebalancer.core.money import ONE
from rebalancer.core.record import Record

if TYPE_CHECKING:
    from rebalancer.core.state import DeskState, FundState


def start_on(state: DeskState, digest: str, at_ms: int) -> None:
    """Note that a process began with this configuration: every fund runs on it."""
    renewal = Renewal(at_ms, min(state.recorded_ms, at_ms))  # a clock may have been set back
    for fund in state.funds.values():
        fund.config_digest = digest
        if digest != state.config_digest:
            fund.renewal = renewal
    state.config_digest, state.started_ms = digest, at_ms


def _changed(state: DeskState, record: ConfigurationChanged) -> None:
    state.config_digest = record.digest
    for name, fund in state.funds.items():
        if name not in record.waiting:
            fund.config_digest = record.digest


def _reconfigured(state: DeskState, record: FundReconfigured) -> None:
    fund = state.funds.get(record.fund)
    if fund is not None:  # one that waited for its launch may leave the configuration
        fund.config_digest = record.digest


def price_by(fund: FundState, source: PriceSource) -> None:
    """Have a fund follow the source that its point has its prices of, whatever is configured.

    An index-only fund has no other price: with its source its equity changes, too.
    """
    if not fund.fund.index_only and fund.fund.price_source is not source:
        fund.fund = replace(fund.fund, price_source=source)


def _source_changed(state: DeskState, record: SourceChanged) -> None:
    fund = state.named(record.fund)
    point, run = fund.point, fund.run
    if point is not None:
        fund.point = replace(point, prices=_times(point.prices, record.factors))
    if run is not None:
        base = _times(run.plan.base_prices, record.factors)
        run.plan = replace(run.plan, base_prices=base)
    if fund.cash_period is not None:
        fund.cash_period = fund.cash_period.in_prices_of(record.factors)
    price_by(fund, record.source)


def _times(prices: Mapping[str, Decimal], factors: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {symbol: price * factors.get(symbol, ONE) for symbol, price in prices.items()}


HANDLERS: Mapping[type[Record], Callable[[DeskState, Any], None]] = {
    ConfigurationChanged: _changed,
    FundReconfigured: _reconfigured,
    SourceChanged: _source_changed,
}
