"""How the records about capital are checked: flows, fees, financing, conversions, what they moved.

`core/verification.py` calls these before a record is folded in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

from rebalancer.core import capital, funding, records
from rebalancer.core.cash_account import financing
from rebalancer.core.consolidation import Conversion
from rebalancer.core.fees import ManagementFee
from rebalancer.core.flow import Deal, Register, price
from rebalancer.core.instant import iso
from rebalancer.core.money import ZERO, round_to_places, total, trunc_to_paper
from rebalancer.core.nav import Valuation
from rebalancer.core.premium import PremiumStaged, premium_of
from rebalancer.core.record import Priced, Record
from rebalancer.core.recount import Dealing, Recount
from rebalancer.core.state import NAV_TOLERANCE, FundState


def _worth(recount: Recount, fund: FundState, record: Priced) -> Valuation | None:
    """Value a fund at the prices of the present record; None, and counted, where it has none."""
    worth = recount.worth(fund, record.marks, record.own_prices)
    if worth is None:
        recount.leave_out()
    else:
        recount.counts["NAVs"] += 1
    return worth


def _same_nav(recount: Recount, record: capital.ConsolidationProposed | PremiumStaged) -> None:
    """Hold that the account NAV of the present record is the fund's at the record's prices."""
    worth = _worth(recount, recount.state.named(record.fund), record)
    if worth is not None:
        recount.same("NAV", record.nav, worth.nav)


def _launched(recount: Recount, record: records.FundLaunched) -> None:
    fund = recount.state.named(record.fund)
    if not recount.as_configured(fund):
        recount.leave_out()
        return
    recount.counts["NAVs"] += 1
    terms = fund.fund
    recount.same("shares", record.shares, terms.initial_shares)
    recount.same("cash", record.cash, terms.initial_nav * terms.initial_shares)


def _charged(recount: Recount, record: capital.ManagementFeeCharged) -> None:
    """Work out the fee, and both NAVs that it was taken of."""
    fund = recount.state.named(record.fund)
    amount = round_to_places(record.equity * record.share)
    recount.counts["fees"] += 1
    recount.same("fee", record.amount, amount)
    terms = fund.fund.management_fee
    if terms is not None and recount.as_configured(fund):
        recount.same("share", record.share, terms.share)
        _in_turn(recount, fund, terms, record.due_ms)
    worth = _worth(recount, fund, record)
    if worth is None:
        return
    recount.same("equity", record.equity, worth.equity)
    if recount.formula_known(fund):
        recount.same_formula(record.formula_nav, worth)


def _in_turn(recount: Recount, fund: FundState, terms: ManagementFee, due_ms: int) -> None:
    """Hold that no instant of the fee was passed over; new terms begin with the settings."""
    begun_ms = fund.launched_ms if fund.fee_ms is None else fund.fee_ms
    if begun_ms is None:
        return
    begins_ms = (begun_ms, max(begun_ms, recount.renewed_ms(fund)))
    recount.hold(
        due_ms in map(terms.next_due_ms, begins_ms),
        f"the fee of {iso(due_ms)} is charged, {iso(terms.next_due_ms(begun_ms))} was next",
    )


def _dealt(recount: Recount, record: capital.FlowDealt) -> None:
    """Work out the dealing NAV, and what the flow was given for what it brought."""
    recount.hold(
        record.shares * record.nav <= record.cash + NAV_TOLERANCE,
        f"{record.shares} shares at {record.nav} for {record.cash}",
    )
    fund = recount.state.named(record.fund)
    register = _register(recount, fund, record)
    if register is None:
        recount.leave_out()
        return
    recount.counts["NAVs"] += 1
    recount.same("NAV", record.nav, register.nav)
    flow, rule = fund.flows.get(record.flow), fund.fund.methodology.flow
    if flow is None or rule is None or not recount.as_configured(fund):
        return
    deal = price(flow, rule, replace(register, outstanding=fund.shares))
    told = Deal(shares=record.shares, cash=record.cash, fee=record.fee)
    recount.counts["flows"] += 1
    recount.hold(deal == told, f"the flow deals as {deal}, the record says {told}")


def _register(recount: Recount, fund: FundState, record: capital.FlowDealt) -> Register | None:
    """Return what the flow was dealt from: the fund before the first of those dealt together."""
    dealing = recount.dealing
    together = dealing is not None and dealing.fund == fund.name and dealing.seq == recount.seq - 1
    if dealing is not None and together:
        recount.dealing = replace(dealing, seq=recount.seq)
        return dealing.register
    recount.dealing = Dealing(fund.name, None, recount.seq)
    worth = recount.worth(fund, record.marks, record.own_prices)
    if worth is None or not (fund.shares or recount.as_configured(fund)):
        return None
    if recount.as_configured(fund):
        accrued = fund.fee_accrued(worth.equity, record.at_ms)
        recount.same("accrued fee", record.fee_accrued, accrued)
    _same_funding(recount, fund, record)
    register = Register(
        equity=worth.equity - record.fee_accrued - total(record.funding_accrued.values()),
        shares=fund.shares,
        outstanding=fund.shares,
        empty_nav=worth.formula_nav or fund.fund.initial_nav,
    )
    recount.dealing = Dealing(fund.name, register, recount.seq)
    return register


def _same_funding(recount: Recount, fund: FundState, record: capital.FlowDealt) -> None:
    """Work out what had accrued of funding to come from the rates that the venue expected."""
    held = {*fund.basket, *fund.holding.lately()} & record.marks.keys()
    told = record.funding_accrued
    unheld = told.keys() - held
    recount.hold(not unheld, f"funding accrued of {', '.join(sorted(unheld))}, which is not held")
    if told and not record.funding_expected:
        recount.leave_out()
        return
    for symbol in held & {*told, *record.funding_expected}:
        expected, held_at = record.funding_expected.get(symbol, ()), fund.holding.held_at
        mark = record.marks[symbol]
        due = funding.accrued(expected, partial(held_at, symbol), mark, record.at_ms)
        recount.counts["accrued funding"] += 1
        recount.same(f"accrued funding of {symbol}", told.get(symbol, ZERO), due)


def _refused(recount: Recount, record: capital.FlowRefused) -> None:
    """Note that a flow among those that are dealt together was refused."""
    dealing = recount.dealing
    if dealing is not None and (dealing.fund, dealing.seq) == (record.fund, recount.seq - 1):
        recount.dealing = replace(dealing, seq=recount.seq)


def _period(recount: Recount, record: capital.CashPeriodBegun) -> None:
    """Work out what a period of the cash account begins with, and its terms."""
    fund = recount.state.named(record.fund)
    held = fund.holding
    recount.same("borrowed cash", record.borrowed, -held.cash)
    recount.hold(dict(record.units) == held.units, "the units are not the fund's")
    terms, told_before = fund.fund.cash_account, fund.name not in recount.untold_terms
    if record.rate is None or not held.units.keys() <= record.marks.keys():
        recount.untold_terms.add(fund.name)
        recount.leave_out()
        return
    recount.untold_terms.discard(fund.name)
    recount.counts["cash periods"] += 1
    recount.same("equity", record.equity, held.equity(record.marks))
    if terms is None or not recount.as_configured(fund):
        return
    if isinstance(terms.reference, Decimal):
        recount.same("reference rate", record.reference, terms.reference)
    recount.same("rate", record.rate, terms.rate(record.reference, record.borrowed))
    recount.same("coupon", record.coupon, terms.coupon)
    recount.hold(record.day_count is terms.day_count, f"the day count is {terms.day_count}")
    if told_before:
        level = fund.index_level(record.prices, record.at_ms)
        recount.same("index level", record.level, fund.fund.initial_nav if level is None else level)


def _financed(recount: Recount, record: capital.FinancingPosted) -> None:
    fund = recount.state.named(record.fund)
    period = fund.cash_period
    if period is None or not recount.terms_known(fund):
        recount.leave_out()
        return
    recount.counts["financing"] += 1
    cost = round_to_places(financing(period, period.posted_ms, record.at_ms))
    recount.same("financing", record.financing, cost)
    recount.same("coupon", record.coupon, fund.accrued(record.at_ms) - cost)


def _proposed(recount: Recount, record: capital.ConsolidationProposed) -> None:
    fund = recount.state.named(record.fund)
    if recount.as_configured(fund):
        wanted = fund.fund.consolidation.proposal(record.nav)
        recount.hold(
            wanted == Conversion(kind=record.kind, ratio=record.ratio),
            f"a NAV of {record.nav} asks for {wanted.words if wanted else 'nothing'}",
        )
    _same_nav(recount, record)


def _consolidated(recount: Recount, record: capital.Consolidated) -> None:
    fund = recount.state.named(record.fund)
    announced = fund.announced
    conversion = Conversion(kind=record.kind, ratio=record.ratio)
    recount.hold(
        announced is not None
        and announced.conversion == conversion
        and announced.freeze_ms <= record.at_ms,
        f"the {conversion.words} was not announced for then",
    )
    recount.same("shares", record.shares_after, conversion.shares(fund.shares))
    worth = _worth(recount, fund, record)
    if worth is not None:
        recount.same("equity", record.equity, worth.equity)
        recount.same("NAV", record.nav_before, worth.nav)


def _staged(recount: Recount, record: PremiumStaged) -> None:
    recount.same("premium", record.premium, premium_of(record.price, record.nav))
    _same_nav(recount, record)


def _adopted(recount: Recount, record: records.PositionsAdopted) -> None:
    """Work out what a fund without an account took over at once when its run was opened."""
    fund = recount.state.named(record.fund)
    run = fund.run
    if not record.account and run is None and record.units.keys() <= recount.state.delisted:
        sold = {symbol: -units for symbol, units in record.units.items()}
        held = {symbol: fund.holding.units.get(symbol) for symbol in sold}
        recount.hold(sold == held, "it settled another part of what is listed no more than it held")
        return
    if record.account or run is None:
        recount.leave_out()
        return
    recount.counts["paper trades"] += 1
    cut = {symbol: trunc_to_paper(units) for symbol, units in run.plan.delta_units.items()}
    due = {symbol: units for symbol, units in cut.items() if units}
    recount.hold(due == dict(record.units), "the units are not those of its run")
    recount.hold(dict(run.plan.marks) == dict(record.prices), "the prices are not its run's")


def _covered(recount: Recount, record: records.ShortfallCovered) -> None:
    """Work out what a fund that ended owed, or had left, once everything was sold."""
    fund = recount.state.named(record.fund)
    moved_ms, marks = recount.moved.get(fund.name, (None, {}))
    marks = marks if moved_ms == record.at_ms else {}
    if not fund.holding.units.keys() <= marks.keys() or not recount.terms_known(fund):
        recount.leave_out()
        return
    recount.counts["shortfalls"] += 1
    equity = fund.holding.equity(marks) - fund.accrued(record.at_ms)
    recount.same("amount", record.amount, ZERO - equity)


CHECKS: Mapping[type[Record], Callable[[Recount, Any], None]] = {
    records.FundLaunched: _launched,
    records.PositionsAdopted: _adopted,
    records.ShortfallCovered: _covered,
    capital.ManagementFeeCharged: _charged,
    capital.FlowDealt: _dealt,
    capital.FlowRefused: _refused,
    capital.CashPeriodBegun: _period,
    capital.FinancingPosted: _financed,
    capital.ConsolidationProposed: _proposed,
    capital.Consolidated: _consolidated,
    PremiumStaged: _staged,
}
