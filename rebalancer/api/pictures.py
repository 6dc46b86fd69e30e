"""A picture of one fund at one instant: everything that is published of it, copied out.

Taken between two steps of the desk and never changed afterwards, so that whoever reads it later
sees one moment and costs the desk nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from rebalancer.core.accruing import funding_accrued
from rebalancer.core.fund import Fund
from rebalancer.core.money import ZERO
from rebalancer.core.nav import Point, Valuation
from rebalancer.core.premium import TokenQuote
from rebalancer.core.records import TradingState
from rebalancer.core.state import Costs, DeskState, FundState
from rebalancer.desk.views import view_at, worth_of
from rebalancer.ports import NavView


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A fund as it is published."""

    view: NavView
    fund: Fund
    #: what keeps it from trading as it likes, and why; empty while it is active
    state_reason: str
    #: whether an operator has it sold, for good or until a resume
    ending: bool
    #: the weights in force
    basket: Mapping[str, Decimal]
    #: signed base coins held, by contract
    units: Mapping[str, Decimal]
    #: the newest mark of each contract held or in the basket, where there is one
    marks: Mapping[str, Decimal]
    #: what it is worth at the marks and at its own prices; None before the launch, without a price
    worth: Valuation | None
    #: the last rebalancing point
    point: Point | None
    #: paid so far
    costs: Costs
    #: of the management fee, in quote currency: grown due since its last instant and not charged
    fee_accrued: Decimal
    #: the same of funding that is to be settled, below zero: received; None where no fresh rate is
    #: known
    funding_accrued: Decimal | None
    #: share of the positions that the venue wants to see; None for an index-only fund
    maintenance: Decimal | None
    #: the live quote of its token on the secondary market that is watched; None where there is none
    quote: TokenQuote | None
    #: what is wrong with that market; empty where nothing is, or where none is watched
    quote_problem: str

    @property
    def name(self) -> str:
        """The fund's name."""
        return self.view.fund


def picture_of(state: DeskState, fund: FundState, now_ms: int) -> Picture:
    """Return the fund as it stands at `now_ms`; to be called between two steps only."""
    permission, worth = state.permission(fund), worth_of(state, fund)
    view = view_at(state, fund, worth, now_ms)
    account = state.desk.accounts.get(fund.fund.account or "")
    found = {
        symbol: state.market.price(symbol, fund.fund.mark_source)
        for symbol in {**fund.basket, **fund.holding.units}
    }
    return Picture(
        view=view,
        fund=fund.fund,
        state_reason="" if permission.state is TradingState.ACTIVE else permission.text,
        ending=fund.ending,
        basket=dict(fund.basket),
        units={symbol: units for symbol, units in fund.holding.units.items() if units},
        marks={symbol: mark for symbol, mark in found.items() if mark is not None},
        worth=worth,
        point=fund.point,
        costs=replace(fund.costs),
        fee_accrued=ZERO if worth is None else fund.fee_accrued(worth.equity, now_ms),
        funding_accrued=_funding_accrued(state, fund, worth, now_ms),
        maintenance=None if account is None else account.maintenance_margin,
        quote=fund.quote if view.premium is not None else None,
        quote_problem=fund.quote_problem,
    )


def _funding_accrued(
    state: DeskState, fund: FundState, worth: Valuation | None, now_ms: int
) -> Decimal | None:
    if worth is None:
        return ZERO
    found = funding_accrued(state, fund, worth.marks, now_ms)
    return None if found.unknown else found.amount
