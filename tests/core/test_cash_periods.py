"""The cash account over its periods: a rate fixed at the start, posted at the end."""

from __future__ import annotations

import json
from dataclasses import replace

from rebalancer.core.capital import CashPeriodBegun, FinancingPosted, FlowDealt
from rebalancer.core.cash_account import CashAccount, DayCount
from rebalancer.core.engine import begin
from rebalancer.core.events import CommandKind, RateObserved
from rebalancer.core.folding import apply, fold
from rebalancer.core.instant import DAY_MS, HOUR_MS, parse
from rebalancer.store.codec import CODEC
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


def changed(made: Bench, terms: CashAccount | None) -> None:
    """Start the desk again with other terms; it sees the same price."""
    known = replace(made.fund("NOTE").fund, cash_account=terms)
    other = Bench(replace(made.desk, funds={"NOTE": known}), now_ms=made.now_ms)
    made.desk, made.state = other.desk, fold(other.desk, made.records)
    begin(made.state)
    made.known(100)


def test_terms_that_change_count_from_the_next_period_on() -> None:
    made = made_of(CashAccount(reference=D("0.02"), spread=D("0.01")))
    made.known(100)
    made.now_ms += 36 * DAY_MS
    dearer = CashAccount(reference=D("0.02"), spread=D("0.03"), day_count=DayCount.ACT_365)
    changed(made, dearer)
    there = made.fund("NOTE")
    # 3 % of 1 000 000 for 36 days of 360, as was agreed when they began
    assert there.accrued(made.now_ms) == 3_000
    rebalance(made)
    assert [each.financing for each in made.of(FinancingPosted)] == [D(3_000)]
    made.now_ms += 73 * DAY_MS
    borrowed = made.of(CashPeriodBegun)[-1].borrowed
    assert there.accrued(made.now_ms) == borrowed * D("0.05") / 5


def test_a_cash_account_that_is_taken_away_is_posted_and_ends_with_the_next_point() -> None:
    made = made_of(CashAccount(reference=D("0.02"), spread=D("0.01"), coupon=D("0.01")))
    made.known(100)
    made.now_ms += 36 * DAY_MS
    changed(made, None)
    there = made.fund("NOTE")
    assert there.index_level({BTC: D(100)}, made.now_ms) is None
    for _ in range(2):
        rebalance(made)
        made.now_ms += 36 * DAY_MS
        made.known(100)
    (posted,) = made.of(FinancingPosted)
    assert (posted.financing, posted.coupon) == (D(3_000), D(1_000))
    assert there.accrued(made.now_ms) == 0
    assert len(made.of(CashPeriodBegun)) == 2


def test_a_period_of_an_older_program_has_the_terms_of_the_configuration() -> None:
    made = made_of(CashAccount(reference=D("0.02"), spread=D("0.01")))
    made.known(100)
    (begun,) = made.of(CashPeriodBegun)
    raw = json.loads(CODEC.encode(begun).body)
    assert raw["v"] == 3
    later = ("rate", "coupon", "day_count", "marks", "v")
    older = {name: told for name, told in raw.items() if name not in later}
    read = CODEC.decode("CashPeriodBegun", json.dumps(older | {"v": 1}))
    again = made.fund("NOTE")
    before, again.cash_period = again.cash_period, None
    apply(made.state, read)
    assert again.cash_period == before
