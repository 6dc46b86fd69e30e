"""Funding that has accrued and is not settled: shown, dealt at by flows, and never posted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from rebalancer.core.accruing import funding_accrued
from rebalancer.core.capital import FlowDealt
from rebalancer.core.events import (
    ClockStepped,
    CommandKind,
    FillReported,
    FlowsRequested,
    FundingExpected,
    FundingPaid,
    LiquidationReported,
)
from rebalancer.core.flow import Flow, FlowKind, FlowRule
from rebalancer.core.funding import POSTED_WITHIN_MS, TOLD_WITHIN_MS
from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS
from rebalancer.core.methodology import BasketChange, Fixed, Reconstitution
from rebalancer.core.money import PRECISION_DIGITS
from rebalancer.core.order import Fill, OrderIntent, PositionSide
from rebalancer.core.position import Holding
from rebalancer.core.record import Record
from rebalancer.core.records import FundingPosted
from rebalancer.core.verification import Verifier
from tests.factories import BTC, ETH, NOON, Bench, D, Number, bench, fund, number, rules

#: the interval under way: 08:00 to 16:00
FROM, DUE = NOON - 4 * HOUR_MS, NOON + 4 * HOUR_MS
RATE = D("0.001")


def at(now_ms: int, *, target: Number = 3, price: Number = 105) -> Bench:
    """Return a fund of 10 000 shares, at 100 since noon, at another price some time later."""
    made = bench(fund(target=target, methodology=rules(target, flow=FlowRule())))
    made.now_ms = now_ms
    made.known(price)
    return made


def expect(made: Bench, rate: Number | None = RATE, from_ms: int = FROM, due_ms: int = DUE) -> None:
    told = None if rate is None else number(rate)
    made.take(FundingExpected(made.now_ms, "main", BTC, told, from_ms, due_ms))


def settle(made: Bench, at_ms: int = DUE) -> None:
    made.take(FundingPaid(made.now_ms, "main", BTC, RATE, D(105), settled_ms=at_ms))


def owed(made: Bench) -> Decimal:
    worth = made.state.worth(made.fund())
    assert worth is not None
    return funding_accrued(made.state, made.fund(), worth.marks, made.now_ms).amount


def nav(made: Bench) -> Decimal:
    worth = made.state.worth(made.fund())
    assert worth is not None
    return worth.nav


def ask(made: Bench, **amounts: Number) -> list[FlowDealt]:
    kinds = {FlowKind(kind): number(amount) for kind, amount in amounts.items()}
    flows = tuple(
        Flow(fund="BTC3L", key=str(kind), kind=kind, amount=amount)
        for kind, amount in kinds.items()
    )
    made.take(FlowsRequested(made.now_ms, flows))
    return made.of(FlowDealt)


def verified(made: Bench, records: Sequence[Record]) -> list[str]:
    verifier = Verifier(made.desk)
    for record in records:
        verifier.take(record)
    verifier.end()
    return verifier.problems


@pytest.mark.parametrize(
    ("hours", "accrued"), [(-4, "0"), (0, "1575"), (2, "2362.5"), (4, "3150"), (5, "0")]
)
def test_funding_accrues_in_proportion_to_the_part_of_the_interval_that_has_passed(
    hours: int, accrued: str
) -> None:
    """30 000 coins x 105 x 0.001 = 3 150 for the whole interval; an hour late it is nobody's."""
    made = at(NOON)
    made.now_ms = NOON + hours * HOUR_MS
    expect(made)
    assert owed(made) == D(accrued)


def test_shorts_are_owed_what_longs_owe() -> None:
    made = at(NOON, target=-3, price=95)
    expect(made)
    assert owed(made) == -D(30_000) * 95 * RATE / 2


def test_what_a_flow_was_dealt_at_is_worked_out_again_from_its_record() -> None:
    made = at(DUE)
    expect(made)
    left, _ = ask(made, redeem=1_000, subscribe="114685")
    assert verified(made, made.records) == []
    place = made.records.index(left)
    changes: tuple[dict[str, Decimal], ...] = ({BTC: D(3_149)}, {}, {BTC: D(3_150), ETH: D(0)})
    wrong = f"accrued funding of {BTC} is 3150"
    said = (wrong, wrong, f"funding accrued of {ETH}, which is not held")
    for change, problem in zip(changes, said, strict=True):
        changed = [*made.records]
        changed[place] = replace(left, funding_accrued=change)
        assert problem in verified(made, changed)[0]
    changed[place] = replace(left, funding_accrued={BTC: D(3_149)}, funding_expected={})
    assert "NAV is 114.6851" in verified(made, changed)[0], "the rates of it nobody kept before"


def test_funding_with_more_digits_than_are_counted_with_leaves_the_books_at_zero() -> None:
    """OKX tells rates of 16 decimals: times units and a mark of 18 that is 52, and 9 before."""
    small = fund("BTC2L", 2, initial_shares=D("7.12345678"))
    made = bench(fund(initial_shares=D(1_000_000)), small, price=D("103.7"))
    rate, mark = D("0.0000792386885341"), D("103.712345678912345679")
    for _ in range(3):
        made.later(3_600)
        made.take(FundingPaid(made.now_ms, "main", BTC, rate, mark))
    assert len(made.fund().holding.cash.as_tuple().digits) == PRECISION_DIGITS
    assert verified(made, made.records) == []


def test_nothing_is_posted_and_the_account_nav_does_not_move() -> None:
    made = at(NOON)
    count = len(made.records)
    expect(made)
    assert (len(made.records), nav(made)) == (count, D(115))


def test_a_flow_is_dealt_at_the_nav_after_what_has_accrued_and_keeps_it_on_record() -> None:
    made = at(NOON)
    expect(made)
    (dealt,) = ask(made, subscribe="114842.5")
    assert dealt.nav == (D(1_150_000) - 1_575) / 10_000 == D("114.8425")
    assert (dealt.shares, dealt.funding_accrued) == (D(1_000), {BTC: D(1_575)})
    assert dealt.funding_unknown == ()
    assert "funding_unknown" not in made.alerts


def test_who_takes_over_shares_right_before_a_settlement_pays_none_of_it() -> None:
    """1 000 shares change hands, nothing is traded: NAV 115 - 3 150 / 10 000, before and after."""
    made = at(DUE)
    expect(made)
    left, came = ask(made, redeem=1_000, subscribe="114685")
    assert (left.nav, left.cash, came.shares) == (D("114.685"), D(-114_685), D(1_000))
    assert made.orders == []
    settle(made)
    (posted,) = made.of(FundingPosted)
    assert posted.paid == {"BTC3L": D(3_150)}
    assert nav(made) == D("114.685")
    assert owed(made) == 0


def test_a_subscriber_right_before_a_settlement_comes_out_of_it_as_every_holder_does() -> None:
    """What the coins bought for 10 new shares cost in funding, 3.15, all 10 010 shares bear."""
    made = at(DUE)
    expect(made)
    (dealt,) = ask(made, subscribe="1146.85")
    assert (dealt.nav, dealt.shares) == (D("114.685"), D(10))
    made.complete(made.orders[-1])
    settle(made)
    assert made.of(FundingPosted)[-1].paid == {"BTC3L": D("3153.15")}
    assert nav(made) * 10_010 == D("114.685") * 10_010 - D("3.15")


def test_who_subscribes_after_a_settlement_that_is_not_booked_yet_has_no_part_in_it() -> None:
    """The venue took 3 150 of 30 000 coins; those bought since owe nothing of it."""
    made = at(DUE)
    expect(made)
    made.later(ms=1)
    (dealt,) = ask(made, subscribe="1146.85")
    assert (dealt.nav, dealt.shares) == (D("114.685"), D(10))
    made.complete(made.orders[-1])
    assert made.fund().holding.units == {BTC: D(30_030)}
    assert owed(made) == 3_150
    made.later(40)
    settle(made)
    (posted,) = made.of(FundingPosted)
    assert (posted.held, posted.paid) == ({"BTC3L": D(30_000)}, {"BTC3L": D(3_150)})
    assert nav(made) == D("114.685")
    assert verified(made, made.records) == []


def test_a_fixed_run_at_the_instant_of_a_settlement_does_not_change_who_owes_it() -> None:
    fixed = Fixed(times_of_day_ms=(16 * HOUR_MS,), utc_offset_ms=0)
    made = bench(fund(methodology=rules(3, fixed=fixed)))
    made.now_ms = DUE
    made.known(105)
    made.later(ms=1)
    made.complete(made.orders[-1])
    assert made.fund().holding.units[BTC] > 32_857
    made.later(40)
    settle(made)
    (posted,) = made.of(FundingPosted)
    assert posted.paid == {"BTC3L": D(3_150)}
    assert verified(made, made.records) == []
    place = made.records.index(posted)
    older = [*made.records[:place], replace(posted, held={}), *made.records[place + 1 :]]
    assert "each fund's funding is another" in verified(made, older)[0]
    other = replace(posted, held={"BTC3L": D(30_001)}, paid={"BTC3L": D("3150.105")})
    changed = [*made.records[:place], other, *made.records[place + 1 :]]
    assert "what each fund held is another" in verified(made, changed)[0]


@pytest.mark.parametrize(("stamp_ms", "held"), [(-40_000, 30_030), (0, 30_000), (10**15, 30_000)])
def test_a_trade_counts_from_when_the_venue_made_it_as_far_as_its_stamp_can_be_true(
    stamp_ms: int, held: int
) -> None:
    made = at(DUE)
    expect(made)
    made.later(ms=1)
    ask(made, subscribe="1146.85")
    order = made.orders[-1]
    made.later(20)
    told = replace(fill_of(order), at_ms=made.now_ms + stamp_ms)
    made.take(FillReported(made.now_ms, told))
    settle(made)
    assert made.of(FundingPosted)[-1].held == {"BTC3L": D(held)}
    assert max(made.fund().holding.moved)[0] <= made.now_ms + MINUTE_MS


def fill_of(order: OrderIntent) -> Fill:
    return Fill(
        trade_id="t",
        client_order_id=order.client_order_id,
        price=order.mark,
        contracts=order.contracts,
        fee=D(0),
        at_ms=0,
    )


def test_what_the_venue_closed_before_a_settlement_owes_nothing_of_it_though_it_is_told_after() -> (
    None
):
    made = at(DUE)
    made.now_ms = DUE + 5_000
    told = LiquidationReported(
        at_ms=made.now_ms,
        account="main",
        contract=BTC,
        position_side=PositionSide.NET,
        trade_id="l",
        units=D(-10_000),
        price=D(105),
        fee=D(0),
        made_ms=DUE - 10_000,
    )
    made.take(told)
    made.later(30)
    settle(made)
    assert made.of(FundingPosted)[-1].held == {"BTC3L": D(20_000)}
    assert verified(made, made.records) == []


def test_who_sold_everything_since_still_owes_what_was_settled() -> None:
    made = at(DUE)
    expect(made)
    made.later(ms=1)
    made.command(CommandKind.FLATTEN)
    made.complete(made.orders[-1])
    assert made.fund().holding.units == {}
    assert owed(made) == 3_150
    settle(made)
    assert made.of(FundingPosted)[-1].paid == {"BTC3L": D(3_150)}


def test_a_contract_that_left_the_basket_at_the_settlement_still_owes_what_was_settled() -> None:
    """By a change of the basket at 16:00: a flow that is dealt before the payment is after it."""
    change = BasketChange(due_ms=DUE, basket={ETH: D(1)})
    terms = rules(3, flow=FlowRule(), reconstitution=Reconstitution(changes=(change,)))
    made = bench(fund(methodology=terms))
    made.now_ms = DUE - 1
    made.known(105)
    expect(made)
    made.later(ms=2).known(105)
    for _ in range(2):
        made.later(1).known(105)
        made.known(100, symbol=ETH)
    while made.state.orders:
        made.complete(next(iter(made.state.orders.values())).intent)
    assert set(made.fund().holding.units) == {ETH}
    assert owed(made) == 3_150
    dealt = ask(made, subscribe=1_150)[-1]
    assert dealt.funding_accrued == {BTC: D(3_150)}
    made.complete(made.orders[-1])
    made.later(30)
    settle(made)
    assert made.of(FundingPosted)[-1].paid == {"BTC3L": D(3_150)}
    assert verified(made, made.records) == []


def test_what_is_over_counts_in_whole_until_it_is_posted_and_once() -> None:
    made = at(DUE - MINUTE_MS)
    expect(made)
    made.later(120)
    expect(made, "0.0004", DUE, DUE + 8 * HOUR_MS)
    assert owed(made) == 3_150 + D(30_000) * 105 * D("0.0004") * MINUTE_MS / (8 * HOUR_MS)
    settle(made)
    assert owed(made) == D(30_000) * 105 * D("0.0004") * MINUTE_MS / (8 * HOUR_MS)
    expect(made)  # asked before it was posted, told after
    assert owed(made) == D(30_000) * 105 * D("0.0004") * MINUTE_MS / (8 * HOUR_MS)


def test_a_payment_that_never_comes_is_waited_for_no_longer_than_ten_minutes() -> None:
    made = at(DUE - MINUTE_MS)
    expect(made)
    made.now_ms = DUE + POSTED_WITHIN_MS
    expect(made, 0, DUE, DUE + 8 * HOUR_MS)
    assert owed(made) == 3_150
    made.later(ms=1)
    assert owed(made) == 0


def test_until_the_next_rate_is_told_it_is_expected_to_be_the_last_one() -> None:
    made = at(DUE)
    expect(made)
    settle(made)
    made.later(240)
    assert owed(made) == D(3_150) * 4 / (8 * 60)


def test_a_rate_that_grew_old_counts_no_more_and_the_flow_says_so() -> None:
    made = at(NOON)
    expect(made)
    made.now_ms += TOLD_WITHIN_MS
    assert owed(made) > 0
    made.later(ms=1).known(105)
    (dealt,) = ask(made, subscribe=1_150)
    assert (dealt.nav, dealt.shares) == (D(115), D(10))
    assert (dealt.funding_accrued, dealt.funding_unknown) == ({}, (BTC,))
    assert made.alerts[-1] == "funding_unknown"


@pytest.mark.parametrize(
    ("start_s", "dealt_s", "paid", "unknown"),
    [
        (10, 30, False, (BTC,)),  # the payment comes about 40 seconds after its settlement
        (10, 30, True, ()),
        (-10, 30, False, ()),  # it was told before: what it costs is known
        (10, 601, False, ()),  # by then a person was told of what was not paid
    ],
)
def test_a_start_between_a_settlement_and_its_payment_says_that_it_may_be_missing(
    start_s: int, dealt_s: int, paid: bool, unknown: tuple[str, ...]
) -> None:
    made = at(DUE - 30_000)
    settle(made, NOON + HOUR_MS)
    expect(made)
    made.now_ms = DUE + start_s * 1_000
    again = made.restarted()
    if start_s < 0:
        expect(again)
    again.now_ms = DUE + dealt_s * 1_000
    again.known(105)
    expect(again, RATE, DUE, DUE + 8 * HOUR_MS)
    if paid:
        settle(again)
    (dealt,) = ask(again, subscribe=1_150)
    assert dealt.funding_unknown == unknown
    assert ("funding_unknown" in again.alerts) == bool(unknown)


def test_a_venue_that_tells_no_rate_holds_no_flow_up() -> None:
    made = at(NOON)
    expect(made, None)
    (dealt,) = ask(made, subscribe=1_150)
    assert (dealt.nav, dealt.funding_unknown) == (D(115), (BTC,))
    assert "funding_unknown" in made.alerts


def test_a_rate_that_could_not_be_read_again_counts_until_it_is_old() -> None:
    made = at(NOON)
    expect(made)
    expect(made, None)
    assert owed(made) == 1_575


def test_where_nobody_asks_for_rates_nothing_accrues_and_nothing_is_said() -> None:
    made = at(NOON)
    (dealt,) = ask(made, subscribe=1_150)
    assert (dealt.nav, dealt.funding_accrued, dealt.funding_unknown) == (D(115), {}, ())
    assert "funding_unknown" not in made.alerts


def test_a_shorter_interval_takes_the_place_of_the_longer_one() -> None:
    made = at(NOON)
    expect(made)
    expect(made, RATE, NOON - HOUR_MS, NOON + 3 * HOUR_MS)
    assert owed(made) == D(3_150) / 4


def test_rates_of_a_clock_that_ran_ahead_are_forgotten() -> None:
    made = at(NOON + HOUR_MS)
    expect(made)
    made.now_ms = NOON
    made.take(ClockStepped(NOON, NOON + HOUR_MS))
    made.known(105)
    assert owed(made) == 0


def test_a_holding_knows_what_it_held_within_the_last_day_and_forgets_what_was_before() -> None:
    held = Holding()
    for day, units in enumerate((5, 3, -2)):
        held.move(BTC, D(units), day * DAY_MS)
        held.move(ETH, D(1), day * DAY_MS)
    instants = (None, 2 * DAY_MS, 2 * DAY_MS - 1, DAY_MS, DAY_MS - 1, 0)
    assert [held.held_at(BTC, at_ms) for at_ms in instants] == [6, 6, 8, 8, 5, 5]
    assert len(held.moved) == 4


def test_what_was_bought_while_the_clock_ran_ahead_was_held_at_the_settlement_after() -> None:
    """An hour ahead at 15:30: the 30 coins count from when the clock is right, not from 16:30."""
    made = at(DUE + HOUR_MS // 2)
    ask(made, subscribe=1_150)
    made.complete(made.orders[-1])
    made.now_ms = DUE - HOUR_MS // 2
    made.take(ClockStepped(made.now_ms, DUE + HOUR_MS // 2))
    made.known(105)
    made.now_ms = DUE + 10_000
    settle(made)
    assert made.of(FundingPosted)[-1].held == {"BTC3L": D(30_030)}
    assert verified(made, made.records) == []


def test_thousands_of_fills_a_day_are_kept_by_the_hour_but_for_its_first_minute() -> None:
    held = Holding()
    for minute in range(24 * 60):
        held.move(BTC, D(1), NOON + minute * MINUTE_MS + 30_000)
    assert len(held.moved) == 2 * 24
    assert held.held_at(BTC, NOON + HOUR_MS) == 60
    assert held.held_at(BTC, NOON + HOUR_MS + 29_999) == 60
    assert held.held_at(BTC, NOON + HOUR_MS + 30_000) == 61
