"""The cash account over its periods: a rate fixed at the start, posted at the end."""

from __future__ import annotations

from rebalancer.core.capital import CashPeriodBegun, FinancingPosted, FlowDealt
from rebalancer.core.cash_account import CashAccount, DayCount
from rebalancer.core.events import CommandKind, RateObserved
from rebalancer.core.instant import DAY_MS, HOUR_MS, parse
from tests.core.test_flows import ask, flow
from tests.factories import BTC, NOON, Bench, D, desk, fund, only

TERMS = CashAccount(reference="E3M", spread=D("0.01"))


def made_of(terms: CashAccount = TERMS) -> Bench:
    note = fund("NOTE", 2, methodology=only(), cash_account=terms)
    return Bench(desk(note, free_launch=True, rates={"E3M": 4 * DAY_MS}))


def tell(made: Bench, rate: str) -> None:
    made.take(RateObserved(made.now_ms, "E3M", D(rate), made.now_ms))


def rebalance(made: Bench) -> None:
    sent = len(made.orders)
    made.command(CommandKind.REBALANCE, "NOTE")
    for order in made.orders[sent:]:
        made.complete(order)


def test_a_fund_does_not_start_without_its_rate() -> None:
    made = made_of()
    made.known(100)
    there = made.fund("NOTE")
    assert there.verdict is not None
    assert there.verdict[1] == "launch waits for the reference rate E3M"
    tell(made, "0.02")
    made.known(100)
    (begun,) = made.of(CashPeriodBegun)
    assert (begun.reference, begun.borrowed, begun.level) == (D("0.02"), D(1_000_000), D(100))


def test_the_rate_of_a_period_is_that_of_its_start_and_is_posted_at_its_end() -> None:
    made = made_of()
    tell(made, "0.02")
    made.known(100)
    made.now_ms += 36 * DAY_MS
    tell(made, "0.05")
    made.known(100)
    worth = made.state.worth(made.fund("NOTE"))
    assert worth is not None
    # 3 % of 1 000 000 for 36 days of 360
    assert worth.equity == 1_000_000 - 3_000
    assert made.of(FinancingPosted) == []
    rebalance(made)
    assert [each.financing for each in made.of(FinancingPosted)] == [D(3_000)]
    assert made.of(CashPeriodBegun)[-1].reference == D("0.05")
    assert made.of(CashPeriodBegun)[-1].level == D("99.7")


def test_an_old_rate_counts_with_an_alert_also_over_a_crash() -> None:
    made = made_of()
    tell(made, "0.02")
    made.known(100)
    made.now_ms += 5 * DAY_MS
    made.known(100)
    rebalance(made)
    assert "rate_stale" in made.alerts
    assert made.of(CashPeriodBegun)[-1].reference == D("0.02")
    made = made.restarted()  # which knows no rate at all
    made.known(100)
    rebalance(made)
    assert "rate_stale" in made.alerts
    assert made.of(CashPeriodBegun)[-1].reference == D("0.02")


def test_a_flow_in_the_middle_of_a_period_scales_it() -> None:
    made = made_of(CashAccount(reference=D("0.02"), spread=D("0.01")))
    made.known(100)
    made.now_ms += 36 * DAY_MS
    made.known(100)
    ask(made, flow("subscribe", 997_000, name="NOTE"))
    assert made.of(FlowDealt)[0].nav == D("99.7")
    made.complete(made.orders[-1])
    made.now_ms += 36 * DAY_MS
    made.known(100)
    there = made.fund("NOTE")
    worth = made.state.worth(there)
    assert worth is not None
    assert worth.nav == D("99.4")
    assert there.index_level(worth.prices, made.now_ms) == D("99.4")
    assert there.holding.units == {BTC: D(40_000)}


def test_days_are_those_of_the_calendar() -> None:
    evening, morning = parse("2026-01-31T23:00:00Z"), parse("2026-02-01T01:00:00Z")
    assert DayCount.ACT_360.days(evening, morning) == 1
    assert DayCount.THIRTY_360.days(evening, morning) == 1
    months = DayCount.THIRTY_360.days
    assert months(parse("2026-01-31T00:00:00Z"), parse("2026-03-31T00:00:00Z")) == 60
    assert months(parse("2026-02-28T00:00:00Z"), parse("2026-03-31T00:00:00Z")) == 33
    assert DayCount.ACT_365.basis == 365


def test_interest_of_a_new_day_wakes_the_desk() -> None:
    made = made_of(CashAccount(reference=D("0.02")))
    made.known(100)
    assert made.state.alarms.next_ms == NOON + 4 * HOUR_MS  # the strike
    made.now_ms += 4 * HOUR_MS
    made.wake()
    assert made.state.alarms.next_ms == NOON + 12 * HOUR_MS
