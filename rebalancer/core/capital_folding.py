"""How the records about capital change the state of the desk; `core/folding.py` calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from rebalancer.core import capital
from rebalancer.core.attribution import GapBook, close_period
from rebalancer.core.cash_account import CashPeriod, DayCount
from rebalancer.core.consolidation import Announced, Conversion, scale
from rebalancer.core.fund import NavKind
from rebalancer.core.money import ONE, ZERO
from rebalancer.core.position import Prices
from rebalancer.core.premium import PremiumStaged
from rebalancer.core.record import Record
from rebalancer.core.run import Run
from rebalancer.core.state import DeskState, FundState
from rebalancer.errors import ensure

#: NAVs are quotients of 60 digits: times the shares they give the equity to the last of them
CONSERVED = Decimal("1e-55")


def _fee_charged(state: DeskState, record: capital.ManagementFeeCharged) -> None:
    fund = state.named(record.fund)
    ensure(
        fund.fee_ms is None or record.due_ms > fund.fee_ms,
        f"the management fee of {record.fund} at {record.due_ms} is charged twice",
    )
    fund.fee_ms = record.due_ms
    fund.costs.management_fee += record.amount
    if fund.shares:
        fund.gap.management_fee += record.formula_nav * record.share - record.amount / fund.shares
    scale_formula(fund, ONE - record.share)


def scale_formula(fund: FundState, factor: Decimal) -> None:
    """Multiply S_k, also the one that a run under way will set."""
    if fund.point is not None:
        fund.point = replace(fund.point, nav=fund.point.nav * factor)
    if fund.run is not None:
        fund.run.base_scale *= factor


def close_gap_period(fund: FundState, run: Run, marks: Prices) -> None:
    """Follow the gap between the NAVs over a run that is done, before its point is set."""
    plan = run.plan
    if not fund.shares or not plan.sets_point:
        return
    leftover = {
        symbol: (fund.holding.units.get(symbol, ZERO) - units) / fund.shares
        for symbol, units in plan.target_units.items()
    }
    sized = fund.standing(plan.marks, plan.nav, plan.base_nav * run.base_scale)
    close_period(fund.gap, sized, leftover, marks)
    if fund.fund.formula_base is NavKind.ACCOUNT:
        fund.gap = GapBook(marks=plan.marks, leftover=leftover, leftover_marks=marks)


def _flow_taken(state: DeskState, record: capital.FlowTaken) -> None:
    flow = record.flow
    fund = state.named(flow.fund)
    ensure(flow.key not in fund.flow_keys, f"the flow {flow.key} of {flow.fund} is taken twice")
    fund.flow_keys[flow.key] = flow
    fund.flows[flow.key] = flow


def _batch_taken(state: DeskState, record: capital.BatchTaken) -> None:
    state.batches[record.batch] = record.digest


def _flow_dealt(state: DeskState, record: capital.FlowDealt) -> None:
    fund = state.named(record.fund)
    before = fund.shares
    ensure(record.flow in fund.flows, f"the flow {record.flow} of {record.fund} does not wait")
    ensure(before + record.shares == record.shares_after >= 0, "shares before and after do not fit")
    del fund.flows[record.flow]
    fund.shares = record.shares_after
    if fund.cash_period is not None and before and fund.shares:
        fund.cash_period = fund.cash_period.scaled(fund.shares, before)
    if not before:
        # The instants of an empty fund cost nobody anything.
        fund.fee_ms = record.at_ms


def _flow_refused(state: DeskState, record: capital.FlowRefused) -> None:
    fund = state.named(record.fund)
    ensure(record.flow in fund.flows, f"the flow {record.flow} of {record.fund} does not wait")
    del fund.flows[record.flow]


def _period_begun(state: DeskState, record: capital.CashPeriodBegun) -> None:
    fund = state.named(record.fund)
    rate, paid, day_count = record.rate, record.coupon, record.day_count
    terms = fund.fund.cash_account
    if rate is None and terms is not None:
        rate = terms.rate(record.reference, record.borrowed)
        paid, day_count = terms.coupon, terms.day_count
    fund.cash_period = CashPeriod(
        at_ms=record.at_ms,
        reference=record.reference,
        level=record.level,
        borrowed=record.borrowed,
        equity=record.equity,
        units=record.units,
        prices=record.prices,
        posted_ms=record.at_ms,
        rate=rate or ZERO,
        coupon=paid or ZERO,
        day_count=day_count or DayCount.ACT_360,
    )


def _financing_posted(state: DeskState, record: capital.FinancingPosted) -> None:
    fund = state.named(record.fund)
    ensure(fund.cash_period is not None, f"{record.fund} has no cash account to post to")
    if fund.cash_period is not None:
        fund.cash_period = replace(fund.cash_period, posted_ms=record.at_ms)
    fund.costs.financing += record.financing
    if fund.shares:
        fund.gap.funding -= (record.financing + record.coupon) / fund.shares


def _proposed(state: DeskState, record: capital.ConsolidationProposed) -> None:
    state.named(record.fund).proposal = Conversion(kind=record.kind, ratio=record.ratio)


def end_proposal(fund: FundState, nav: Decimal) -> None:
    """End what is proposed where a daily NAV asks for nothing.

    Once a day is often enough: a NAV at the threshold crosses it often.
    """
    if fund.fund.consolidation.proposal(nav) is None:
        fund.proposal = None


def _announced(state: DeskState, record: capital.ConsolidationAnnounced) -> None:
    fund = state.named(record.fund)
    ensure(fund.announced is None, f"two consolidations of {record.fund} are announced")
    conversion = Conversion(kind=record.kind, ratio=record.ratio)
    fund.announced = Announced(conversion=conversion, freeze_ms=record.freeze_ms)


def _cancelled(state: DeskState, record: capital.ConsolidationCancelled) -> None:
    state.named(record.fund).announced = None


def _consolidated(state: DeskState, record: capital.Consolidated) -> None:
    fund = state.named(record.fund)
    before, after = record.shares_before, record.shares_after
    ensure(fund.shares == before, f"{record.fund} has {fund.shares} shares, not {before}")
    for nav, shares in ((record.nav_before, before), (record.nav_after, after)):
        gap = abs(nav * shares - record.equity)
        ensure(gap <= abs(record.equity) * CONSERVED, "NAV x shares changed", record)
    fund.shares, fund.conversions = after, record.number
    fund.announced = fund.proposal = None
    scale_formula(fund, scale(before, after))
    fund.gap.scale(scale(before, after))
    if fund.cash_period is not None:
        level = fund.cash_period.level * scale(before, after)
        fund.cash_period = replace(fund.cash_period, level=level)


def _winding(state: DeskState, record: capital.WindDownBegun) -> None:
    state.named(record.fund).winding = record.reason


def _premium_staged(state: DeskState, record: PremiumStaged) -> None:
    state.named(record.fund).premium_stage = record.stage


HANDLERS: Mapping[type[Record], Callable[[DeskState, Any], None]] = {
    capital.ManagementFeeCharged: _fee_charged,
    capital.FlowTaken: _flow_taken,
    capital.BatchTaken: _batch_taken,
    capital.FlowDealt: _flow_dealt,
    capital.FlowRefused: _flow_refused,
    capital.CashPeriodBegun: _period_begun,
    capital.FinancingPosted: _financing_posted,
    capital.ConsolidationProposed: _proposed,
    capital.ConsolidationAnnounced: _announced,
    capital.ConsolidationCancelled: _cancelled,
    capital.Consolidated: _consolidated,
    capital.WindDownBegun: _winding,
    PremiumStaged: _premium_staged,
}
