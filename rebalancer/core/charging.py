"""What time costs a fund: the management fee at its instants, and its cash account."""

from __future__ import annotations

from decimal import Decimal

from rebalancer.core.actions import Severity
from rebalancer.core.capital import CashPeriodBegun, FinancingPosted, ManagementFeeCharged
from rebalancer.core.cash_account import CashAccount, financing
from rebalancer.core.instant import duration
from rebalancer.core.money import ZERO, round_to_places
from rebalancer.core.nav import Valuation
from rebalancer.core.state import FundState
from rebalancer.core.trust import settled
from rebalancer.core.work import Work

#: of a fund whose cash account was taken out of its configuration
NO_TERMS = CashAccount(reference=ZERO)


def charge_fees(work: Work, fund: FundState, worth: Valuation) -> Valuation:
    """Take the management fee of every instant that has passed; return what the fund is worth then.

    The equity of a missed instant is not known any more: what it takes is taken from the present
    one. Nobody pays for a fund without shares, nor for the time before there was a fee.
    """
    fee = fund.fund.management_fee
    begun_ms = fund.launched_ms if fund.fee_ms is None else fund.fee_ms
    if fee is None or begun_ms is None or not fund.shares or fund.closed:
        return worth
    if fund.renewal is not None and fund.renewal.brought(fee.next_due_ms(begun_ms)):
        begun_ms = max(begun_ms, fund.renewal.at_ms)
    due = fee.due_between(begun_ms, work.now_ms)
    if not due:
        return worth
    if not settled(work, fund):
        fund.restless = True
        return worth
    for due_ms in due:
        if worth.equity <= 0:
            break  # the gap rule's business
        amount = fee.charge(worth.equity)
        work.record(
            ManagementFeeCharged(
                work.now_ms,
                fund.name,
                fund.fund.account,
                due_ms,
                fee.share,
                worth.equity,
                worth.formula_nav,
                amount,
                marks=worth.marks,
                prices=worth.other_prices,
            )
        )
        worth = work.worth(fund) or worth
    return worth


def post_financing(work: Work, fund: FundState) -> None:
    """Post what the cash account has cost since it was last posted."""
    period = fund.cash_period
    if period is None or work.now_ms <= period.posted_ms:
        return
    cost = round_to_places(financing(period, period.posted_ms, work.now_ms))
    # Rounded as one amount, as it was shown: what is posted is what had accrued.
    paid = fund.accrued(work.now_ms) - cost
    if cost or paid:
        work.record(FinancingPosted(work.now_ms, fund.name, fund.fund.account, cost, paid))


def begin_cash_period(work: Work, fund: FundState) -> None:
    """Close the period of the cash account at a rebalancing point and fix the terms of the next."""
    terms, last = fund.fund.cash_account, fund.cash_period
    worth = work.worth(fund)
    if worth is None or worth.equity <= 0 or (terms is None and (last is None or last.free)):
        return
    level = fund.index_level(worth.prices, work.now_ms)
    if level is None:
        level = fund.fund.initial_nav if last is None else last.level
    post_financing(work, fund)
    terms = NO_TERMS if terms is None else terms  # a period that costs nothing ends the last one
    reference, borrowed = _reference(work, fund, terms), -fund.holding.cash
    if reference is None:
        return
    work.record(
        CashPeriodBegun(
            at_ms=work.now_ms,
            fund=fund.name,
            reference=reference,
            level=level,
            borrowed=borrowed,
            equity=fund.holding.equity(worth.marks),
            units=dict(fund.holding.units),
            prices=worth.prices,
            rate=terms.rate(reference, borrowed),
            coupon=terms.coupon,
            day_count=terms.day_count,
            marks=worth.marks,
        )
    )


def _reference(work: Work, fund: FundState, terms: CashAccount) -> Decimal | None:
    """Return the reference rate of a period that begins now; the last one where it is too old."""
    if isinstance(terms.reference, Decimal):
        return terms.reference
    name = terms.reference
    quote, limit_ms = work.state.rates.get(name), work.state.desk.rates[name]
    if quote is not None and work.now_ms - quote.at_ms <= limit_ms:
        return quote.rate
    last = fund.cash_period
    age = "is not known" if quote is None else f"is {duration(work.now_ms - quote.at_ms)} old"
    kept = "the period before" if quote is None else "that rate"
    work.alert(Severity.WARNING, "rate_stale", fund.name, f"the rate {name} {age}; {kept} counts")
    if quote is not None:
        return quote.rate
    return None if last is None else last.reference


def rate_missing(work: Work, fund: FundState) -> str | None:
    """Say which reference rate the fund cannot start without."""
    terms = fund.fund.cash_account
    if terms is None or isinstance(terms.reference, Decimal) or terms.reference in work.state.rates:
        return None
    return f"launch waits for the reference rate {terms.reference}"
