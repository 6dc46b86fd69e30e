"""Flows through the engine: idempotent, at a price beyond doubt, and without touching anybody."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer.core import ledger
from rebalancer.core.capital import (
    BatchTaken,
    FlowDealt,
    FlowRefused,
    FlowTaken,
    ManagementFeeCharged,
)
from rebalancer.core.engine import Step
from rebalancer.core.events import CommandKind, FlowsRequested
from rebalancer.core.fees import ManagementFee
from rebalancer.core.flow import Deal, Flow, FlowKind, FlowRule, OnBusy, Register, price
from rebalancer.core.folding import apply
from rebalancer.core.instant import DAY_MS, HOUR_MS
from rebalancer.core.methodology import Fixed, Trigger
from rebalancer.core.money import total
from rebalancer.core.order import Outcome
from rebalancer.core.records import (
    PointSet,
    RunMoved,
    RunOpened,
    ShortfallCovered,
    TradingState,
)
from rebalancer.core.rules.flow import run_of
from rebalancer.core.run import RunStatus
from rebalancer.core.scope import Scope
from rebalancer.errors import BrokenInvariant, CommandRefused
from tests.factories import BTC, ETH, NOON, Bench, D, bench, fund, number, rules


def flow(kind: str, amount: Any, key: str = "k", **over: Any) -> Flow:
    return Flow(
        fund=over.pop("name", "BTC3L"),
        key=key,
        kind=FlowKind(kind),
        amount=number(amount),
        **over,
    )


def ask(made: Bench, *flows: Flow, **over: Any) -> Step:
    asked = tuple(
        Flow(
            fund=each.fund,
            key=each.key,
            kind=each.kind,
            amount=each.amount,
            min_out=each.min_out,
            requested_ms=made.now_ms,
        )
        for each in flows
    )
    return made.take(FlowsRequested(made.now_ms, asked, **over))


def standing(rule: FlowRule | None = None, **over: Any) -> Bench:
    """Return a 3L of 10 000 shares at NAV 100 since noon, a minute later."""
    made = bench(fund(methodology=rules(3, flow=rule or FlowRule()), **over))
    return made.later(60)


def test_a_subscription_is_dealt_bought_and_no_rebalancing_point() -> None:
    made = standing()
    before = made.fund().point
    made.known(105)
    ask(made, flow("subscribe", 1_150_000))
    (dealt,) = made.of(FlowDealt)
    assert (dealt.nav, dealt.shares, dealt.shares_after) == (D(115), D(10_000), D(20_000))
    (order,) = made.orders
    assert order.units == 30_000
    made.complete(order)
    assert made.fund().holding.units == {BTC: D(60_000)}
    assert made.fund().point is before
    assert made.of(RunMoved)[-1].status is RunStatus.DONE
    assert len(made.of(PointSet)) == 1
    worth = made.state.worth(made.fund())
    assert worth is not None
    assert worth.nav == 115
    assert worth.leverage == D(315) / 115


def test_a_redemption_pays_out_and_sells_its_part() -> None:
    made = standing()
    made.known(105)
    ask(made, flow("redeem", 2_500))
    (order,) = made.orders
    assert (order.units, order.reduce_only) == (D(-7_500), True)
    made.complete(order)
    worth = made.state.worth(made.fund())
    assert worth is not None
    assert (worth.nav, made.fund().shares) == (D(115), D(7_500))
    assert worth.leverage == D(315) / 115


def test_the_same_key_is_the_same_request_also_after_a_crash() -> None:
    made = standing()
    made.known(105)
    ask(made, flow("subscribe", 1_150_000))
    made = made.restarted()
    step = ask(made, flow("subscribe", 1_150_000))
    assert step.records == ()
    assert len(made.of(FlowTaken)) == len(made.of(FlowDealt)) == 1
    with pytest.raises(CommandRefused, match="key k was used for subscribe 1150000"):
        ask(made, flow("subscribe", 1_150_001))


def test_a_flow_taken_before_a_crash_is_dealt_after_it() -> None:
    made = standing(FlowRule(on_busy=OnBusy.QUEUE))
    made.later(3_600)  # the price is old by now
    ask(made, flow("subscribe", 1_000_000))
    assert made.of(FlowDealt) == []
    made = made.restarted()
    made.known(100)
    assert [each.shares for each in made.of(FlowDealt)] == [D(10_000)]
    made.known(100)
    assert len(made.of(FlowDealt)) == 1


def test_a_flow_waits_for_a_second_opinion_on_the_price() -> None:
    made = standing()
    made.later(3_600).tick(200)
    ask(made, flow("subscribe", 1_000))
    assert made.of(FlowDealt) == []
    made.later(5).tick(200)
    assert len(made.of(FlowDealt)) == 1


def test_a_file_is_taken_once_and_as_a_whole() -> None:
    made = standing()
    made.known(100)
    pair = (flow("subscribe", 1_000, "a"), flow("redeem", 5, "b"))
    ask(made, *pair, batch="2026-01-01", digest="d1")
    assert len(made.of(FlowDealt)) == 2
    assert len(made.orders) == 1  # one run for the difference
    assert ask(made, *pair, batch="2026-01-01", digest="d1").records == ()
    with pytest.raises(CommandRefused, match="batch 2026-01-01 was taken before with other flows"):
        ask(made, flow("subscribe", 9, "c"), batch="2026-01-01", digest="d2")
    made.complete(made.orders[0])
    with pytest.raises(CommandRefused, match="10005 shares are outstanding; 99999 cannot"):
        ask(made, flow("subscribe", 9, "c"), flow("redeem", 99_999, "d"), batch="x", digest="d3")
    assert len(made.of(BatchTaken)) == 1
    assert [each.flow.key for each in made.of(FlowTaken)] == ["a", "b"]


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (flow("redeem", "10000.00000001"), "10000 shares are outstanding"),
        (flow("redeem", "0.000000001"), "shares have 8 decimals"),
        (flow("subscribe", 5), "under the minimum of 10"),
        (flow("subscribe", 50_000_000), "above the maximum"),
        (flow("subscribe", 100, name="BTC9L"), "there is no fund BTC9L"),
    ],
)
def test_what_cannot_be_dealt_is_refused_before_anything_is_written(
    asked: Flow, sentence: str
) -> None:
    made = standing(FlowRule(minimum=D(10), maximum=D(2_000_000)))
    made.known(100)
    count = len(made.records)
    with pytest.raises(CommandRefused, match=sentence):
        ask(made, asked)
    assert len(made.records) == count
    assert made.fund().flow_keys == {}


def test_shares_that_are_being_redeemed_cannot_be_redeemed_again() -> None:
    made = standing(FlowRule(on_busy=OnBusy.QUEUE))
    made.later(3_600)  # nothing can be dealt
    ask(made, flow("redeem", 6_000, "a"))
    with pytest.raises(CommandRefused, match="6000 of them are being redeemed"):
        ask(made, flow("redeem", 6_000, "b"))


def test_halted_and_switched_off_funds_take_no_flows() -> None:
    made = standing()
    made.known(100)
    made.command(CommandKind.HALT)
    with pytest.raises(CommandRefused, match="takes no flows: halted: asked for"):
        ask(made, flow("subscribe", 1_000))
    off = bench(fund(methodology=rules(3, flow=None)))
    with pytest.raises(CommandRefused, match=r"rules\.flow is switched off"):
        ask(off, flow("subscribe", 1_000))


@pytest.mark.parametrize("on_busy", list(OnBusy))
def test_while_a_run_works_flows_are_refused_or_wait(on_busy: OnBusy) -> None:
    made = standing(FlowRule(on_busy=on_busy))
    made.known(105)
    made.command(CommandKind.REBALANCE)
    (order,) = made.orders
    if on_busy is OnBusy.REFUSE:
        with pytest.raises(CommandRefused, match="a manual run is under way"):
            ask(made, flow("subscribe", 115_000))
        return
    ask(made, flow("subscribe", 115_000))
    assert made.of(FlowDealt) == []
    made.complete(order)
    assert len(made.of(FlowDealt)) == 1
    assert made.of(RunOpened)[-1].plan.trigger is Trigger.FLOW


def test_inside_the_cut_off_flows_are_refused_or_wait_for_the_run() -> None:
    rule = FlowRule(cutoff_ms=HOUR_MS, on_busy=OnBusy.REFUSE)
    made = standing(rule)
    made.now_ms = NOON + 14 * HOUR_MS  # 02:00, half an hour before the fixed run
    made.known(105)
    with pytest.raises(CommandRefused, match="flows are shut until the run of 2026-01-02T02:30"):
        ask(made, flow("subscribe", 115_000))
    queue = standing(FlowRule(cutoff_ms=HOUR_MS, on_busy=OnBusy.QUEUE))
    queue.now_ms = made.now_ms
    queue.known(105)
    ask(queue, flow("subscribe", 115_000))
    queue.later(1_800).known(105)
    (order,) = queue.orders
    assert queue.of(RunOpened)[-1].plan.trigger is Trigger.FIXED
    assert queue.of(FlowDealt) == []
    queue.complete(order)
    assert queue.of(RunOpened)[-1].plan.trigger is Trigger.FLOW
    assert len(queue.of(FlowDealt)) == 1


@pytest.mark.parametrize(
    ("asked", "served"),
    [(120, 210), (190, 210), (200, 310), (300, 410), (330, 410), (3_001, 3_110)],
)
def test_the_published_table_of_cut_offs(asked: int, served: int) -> None:
    # field.md b4: last update at 110, interval 100, window 20: 120 joins the current round, 200 the
    # next, 300 and 330 the one after that
    times = tuple((10 + 100 * step) * 1_000 for step in range(864))
    fixed = Fixed(times_of_day_ms=times, utc_offset_ms=0)
    assert run_of(fixed, 20_000, asked * 1_000) == served * 1_000


def test_with_a_window_as_long_as_the_interval_everything_waits_a_round() -> None:
    times = tuple((10 + 100 * step) * 1_000 for step in range(864))
    fixed = Fixed(times_of_day_ms=times, utc_offset_ms=0)
    assert run_of(fixed, 100_000, 119_000) == 310_000


def test_redeeming_everything_leaves_an_empty_fund_that_can_be_filled_again() -> None:
    made = standing()
    made.known(105)
    ask(made, flow("redeem", 10_000, "all"))
    (order,) = made.orders
    made.later(1).known(104)  # the price falls before the sale is filled
    made.report(order, Outcome.ACCEPTED, venue_order_id="v")
    made.fill(order, price=104)
    made.report(order, Outcome.CLOSED, filled_contracts=order.contracts)
    there = made.fund()
    assert there.holding.units == {}
    assert there.shares == there.holding.cash == 0
    (covered,) = made.of(ShortfallCovered)
    assert covered.amount == 30_000
    assert made.state.desk_cash == -30_000
    made.now_ms = NOON + DAY_MS  # over a fixed time and a strike
    made.known(100)
    assert made.state.worth(there) is not None
    ask(made, flow("subscribe", 1_000_000, "again"))
    dealt = made.of(FlowDealt)[-1]
    assert dealt.nav == 100  # the formula NAV of a price of 100
    made.complete(made.orders[-1])
    assert there.holding.units == {BTC: D(30_000)}
    assert there.point is not None
    assert there.point.prices == {BTC: D(100)}
    assert "fixed_missed" not in made.alerts


def test_a_minimum_output_that_is_missed_refuses_the_flow_and_moves_nothing() -> None:
    made = standing()
    made.known(105)
    ask(made, flow("subscribe", 115, min_out=D("1.00000001")))
    (refused,) = made.of(FlowRefused)
    assert refused.reason == "it buys 1.00000000 shares, fewer than the 1.00000001 asked for"
    assert made.fund().shares == 10_000
    assert made.orders == []


def test_the_backstop_looks_at_what_a_redemption_leaves_and_not_at_the_moment_between() -> None:
    made = standing()
    made.known(105)
    ask(made, flow("redeem", 9_000))
    made.later(1).known(105)
    made.later(1).known(105)
    assert [each.plan.trigger for each in made.of(RunOpened)] == [Trigger.FLOW]
    made.later(1).known(70)  # now what is left is in danger by itself
    made.later(1).known(70)
    assert made.of(RunOpened)[-1].plan.trigger in {Trigger.EMERGENCY, Trigger.GAP}


def test_the_dealing_nav_is_net_of_the_fee_that_has_accrued() -> None:
    made = bench(fund(management_fee=ManagementFee(daily=D("0.03"))))
    made.later(2 * 3_600).known(100)  # 14:00, three quarters of the way to 16:00
    ask(made, flow("subscribe", 1_000_000))
    assert made.of(FlowDealt)[0].nav == D(100) * (1 - D("0.01") * D("0.75"))


def test_fees_are_charged_once_over_a_crash_and_caught_up_after_one() -> None:
    made = bench(fund(management_fee=ManagementFee(daily=D("0.003"))))
    made.now_ms = NOON + 4 * HOUR_MS
    made.known(100)
    assert len(made.of(ManagementFeeCharged)) == 1
    made = made.restarted()
    made.known(100)
    assert len(made.of(ManagementFeeCharged)) == 1
    made.now_ms = NOON + DAY_MS
    made.known(100)
    charged = made.of(ManagementFeeCharged)
    assert [each.due_ms for each in charged] == [NOON + hours * HOUR_MS for hours in (4, 12, 20)]
    twice = ManagementFeeCharged(
        made.now_ms, "BTC3L", "main", NOON + 20 * HOUR_MS, D(0), D(1), D(1), D(0)
    )
    with pytest.raises(BrokenInvariant, match="charged twice"):
        apply(made.state, twice)


AMOUNTS = st.decimals(min_value="0.01", max_value="1e7", places=8)
EQUITY = st.decimals(min_value="0.01", max_value="1e9", places=18)


@given(
    equity=EQUITY,
    shares=st.decimals(min_value="0.00000001", max_value="1e9", places=8),
    amount=AMOUNTS,
    fee=st.decimals(min_value=0, max_value="0.1", places=6),
)
@settings(max_examples=300)
def test_no_flow_ever_takes_from_those_who_stay(
    equity: Decimal, shares: Decimal, amount: Decimal, fee: Decimal
) -> None:
    register = Register(equity=equity, shares=shares, outstanding=shares, empty_nav=D(100))
    rule = FlowRule(creation_fee=fee, redemption_fee=fee)
    for kind in FlowKind:
        asked = flow(kind, amount if kind is FlowKind.SUBSCRIBE else min(amount, shares))
        deal = price(asked, rule, register)
        if not isinstance(deal, Deal) or shares + deal.shares == 0:
            continue
        after = (equity + deal.cash) / (shares + deal.shares)
        assert after >= equity / shares * (1 - D("1e-50"))
        assert deal.shares % D("1e-8") == 0
        assert deal.fee >= 0


@given(
    asks=st.lists(
        st.tuples(st.sampled_from(["subscribe", "redeem"]), st.integers(1, 4_000)),
        min_size=1,
        max_size=8,
    ),
    prices=st.lists(st.integers(95, 106), min_size=8, max_size=8),
)
@settings(max_examples=40)
def test_whatever_flows_do_the_ledger_sums_to_zero_and_nav_times_shares_is_the_equity(
    asks: list[tuple[str, int]], prices: list[int]
) -> None:
    rule = FlowRule(creation_fee=D("0.001"), redemption_fee=D("0.002"), on_busy=OnBusy.QUEUE)
    made = standing(rule, management_fee=ManagementFee(daily=D("0.003")))
    for number_of, ((kind, amount), quote) in enumerate(zip(asks, prices, strict=False)):
        made.later(1_800).known(quote)
        try:
            ask(made, flow(kind, amount, str(number_of)))
        except CommandRefused:
            continue
        for order in made.orders:
            if order.client_order_id in made.state.orders:
                made.complete(order)
    books: dict[tuple[str, str], Decimal] = {}
    for record in made.records:
        for posting in ledger.postings(record):
            key = (posting.book.partition("/")[0], posting.asset)
            books[key] = books.get(key, D(0)) + posting.amount
    assert total(amount for (_, asset), amount in books.items() if asset == ledger.CASH) == 0
    there = made.fund()
    worth = made.state.worth(there)
    assert worth is not None
    issued = total(each.shares for each in made.of(FlowDealt))
    assert there.shares == 10_000 + issued
    if there.shares:
        assert abs(worth.nav * there.shares - worth.equity) <= D("1e-40")


def test_no_fee_is_charged_of_an_equity_that_is_gone() -> None:
    made = standing(management_fee=ManagementFee(daily=D("0.003")))
    made.later(5 * 3_600).known(60)
    assert made.fund().trading is TradingState.WIPED
    assert made.of(ManagementFeeCharged) == []


def test_the_instants_at_which_a_fund_was_empty_cost_its_new_holders_nothing() -> None:
    made = standing(management_fee=ManagementFee(daily=D("0.003")))
    made.known(100)
    ask(made, flow("redeem", 10_000, "all"))
    made.complete(made.orders[-1])
    made.later(2 * DAY_MS // 1_000).known(100)
    ask(made, flow("subscribe", 1_000, "again"))
    assert made.fund().shares
    made.later(8 * 3_600).known(100)
    assert len(made.of(ManagementFeeCharged)) == 1


def test_a_flow_waits_while_any_contract_of_its_fund_is_frozen() -> None:
    rule = FlowRule(on_busy=OnBusy.QUEUE)
    made = standing(rule, basket={BTC: D("0.5"), ETH: D("0.5")}).later(3_600)
    ask(made, flow("subscribe", 1_000))  # prices are old: it waits
    made.command(CommandKind.HALT, ETH, "frozen", Scope.CONTRACT)
    for symbol in (BTC, ETH):
        made.known(100, symbol=symbol)
    assert made.of(FlowDealt) == []
    made.command(CommandKind.RESUME, ETH, "thawed", Scope.CONTRACT)
    assert len(made.of(FlowDealt)) == 1
