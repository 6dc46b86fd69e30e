"""Ends a fund at an operator's word: to flat, then closed, while holders may redeem."""

from __future__ import annotations

from rebalancer.core.actions import Severity
from rebalancer.core.capital import WindDownBegun
from rebalancer.core.commands import fund_named
from rebalancer.core.events import WindDownAsked
from rebalancer.core.flow import FlowKind
from rebalancer.core.records import TradingState
from rebalancer.core.state import DeskState, FundState
from rebalancer.core.work import Work
from rebalancer.errors import CommandRefused


def on_wind_down(work: Work, event: WindDownAsked) -> None:
    """Begin to end the fund; subscriptions that wait are refused."""
    fund = refuse_wind_down(work.state, event)
    work.record(WindDownBegun(work.now_ms, fund.name, event.reason))
    work.alert(Severity.WARNING, "wind_down", fund.name, f"the fund is closed: {event.reason}")
    work.refuse_flows(fund, "the fund is being closed", (FlowKind.SUBSCRIBE,))
    work.due.add(fund.name)


def refuse_wind_down(state: DeskState, event: WindDownAsked) -> FundState:
    """Return the fund; raise CommandRefused where it cannot be ended."""
    fund = fund_named(state, event.fund)
    if fund.winding:
        raise CommandRefused(f"{fund.name} is being closed already: {fund.winding}")
    if fund.trading is TradingState.WIPED:
        raise CommandRefused(f"{fund.name} was ended by the gap rule")
    if fund.launched_ms is None:
        raise CommandRefused(f"{fund.name} is not launched: take it out of the configuration")
    permission = state.permission(fund)
    if permission.halted:
        raise CommandRefused(f"{permission.text}; resume it first, so that it can sell")
    return fund
