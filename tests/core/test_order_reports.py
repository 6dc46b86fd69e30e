"""What becomes of an order: partial fills, lost answers, repeats; and of the run behind it."""

from __future__ import annotations

import pytest

from rebalancer.core.actions import QueryOrder
from rebalancer.core.events import (
    CommandKind,
    Event,
    FillReported,
    OrderReported,
    PositionsReported,
)
from rebalancer.core.fund import Execution
from rebalancer.core.order import (
    TRANSITIONS,
    WORKING,
    OrderStatus,
    Outcome,
    client_order_id,
    next_status,
)
from rebalancer.core.records import (
    IntentCreated,
    OrderMoved,
    PointSet,
    RunMoved,
    Traded,
    TradingState,
)
from rebalancer.core.run import RunStatus
from rebalancer.errors import BrokenInvariant
from tests.factories import BTC, DUE, ETH, NOON, Bench, D, bench, contract, desk, fund


def started(*, price: int = 105) -> Bench:
    """A 3L that drifted to 105 and was told to rebalance: one order of 0.2857 is out."""
    made = bench(fund(initial_shares=D(1)))
    made.later(60).known(price)
    made.command(CommandKind.REBALANCE)
    assert len(made.orders) == 1
    return made


def status_of(made: Bench) -> list[RunStatus]:
    return [record.status for record in made.of(RunMoved)]


def test_a_filled_order_ends_its_run_and_sets_the_point() -> None:
    made = started()
    made.complete(made.orders[0])
    assert status_of(made) == [RunStatus.DONE]
    point = made.of(PointSet)[-1]
    assert (point.nav, dict(point.prices), point.leverage) == (D(115), {BTC: D(105)}, D(3))
    assert made.state.orders == {}
    assert made.fund().run is None


def test_a_partial_fill_is_allocated_and_the_rest_is_ordered_after_the_interval() -> None:
    made = started()
    order = made.orders[0]
    made.report(order, Outcome.ACCEPTED, venue_order_id="v")
    made.fill(order, "0.1")
    made.report(order, Outcome.CLOSED, filled_contracts=D("0.1"))
    assert made.fund().holding.units == {BTC: D("3.1")}
    assert len(made.orders) == 1, "the next child waits for the interval"
    made.later(ms=999).wake()
    assert len(made.orders) == 1
    made.later(ms=1).wake()
    assert made.orders[1].units == D("0.185714285")


def test_the_interval_also_holds_when_the_last_fill_comes_after_the_close() -> None:
    made = started()
    order = made.orders[0]
    made.report(order, Outcome.CLOSED, filled_contracts=D("0.1"))
    made.later(ms=500).fill(order, "0.1")
    made.later(ms=999).wake()
    assert len(made.orders) == 1
    made.later(ms=1).wake()
    assert len(made.orders) == 2


@pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.NEVER_SENT, Outcome.ABSENT])
def test_an_order_that_is_proved_not_to_exist_is_made_anew_and_alerted(outcome: Outcome) -> None:
    made = started()
    made.report(made.orders[0], outcome, reason="because")
    assert f"order_{outcome}" in made.alerts
    made.later(1).wake()
    again = made.orders[1]
    assert again.units == made.orders[0].units
    assert again.client_order_id != made.orders[0].client_order_id


def test_an_unknown_order_freezes_its_contract_and_no_other() -> None:
    made = bench(fund("B", initial_shares=D(1)), fund("E", initial_shares=D(1), basket={ETH: D(1)}))
    made.later(60)
    for symbol in (BTC, ETH):
        made.known(105, symbol=symbol)
    made.command(CommandKind.REBALANCE, "B")
    stuck = made.orders[0]
    made.report(stuck, Outcome.UNKNOWN, reason="no answer")
    assert QueryOrder(stuck) in made.actions
    assert "order_unknown" in made.alerts
    for _ in range(100):
        made.later(5).known(106)
        made.known(106, symbol=ETH)
    made.command(CommandKind.REBALANCE, "E")
    assert [order.contract for order in made.orders] == [BTC, ETH]


def test_an_unknown_order_that_was_filled_after_all_is_booked_once() -> None:
    made = started()
    order = made.orders[0]
    made.report(order, Outcome.UNKNOWN)
    made.fill(order)
    made.report(order, Outcome.CLOSED, filled_contracts=order.contracts)
    assert status_of(made) == [RunStatus.DONE]
    assert len(made.orders) == 1
    assert made.fund().holding.units[BTC] == 3 + order.units


def test_a_late_time_out_does_not_undo_what_is_proved() -> None:
    made = started()
    order = made.orders[0]
    made.report(order, Outcome.ACCEPTED, venue_order_id="v")
    made.report(order, Outcome.UNKNOWN)
    assert made.state.orders[order.client_order_id].status is OrderStatus.ACCEPTED


REPEATABLE = [Outcome.ACCEPTED, Outcome.UNKNOWN, Outcome.CLOSED]


@pytest.mark.parametrize("late", REPEATABLE)
def test_what_comes_after_the_close_while_fills_are_awaited_changes_nothing(late: Outcome) -> None:
    made = started()
    order = made.orders[0]
    made.report(order, Outcome.CLOSED, filled_contracts=order.contracts)
    records = len(made.records)
    made.report(order, late, filled_contracts=order.contracts, venue_order_id="v")
    assert len(made.records) == records
    made.fill(order)
    assert status_of(made) == [RunStatus.DONE]


def test_every_report_may_come_twice_without_a_trace() -> None:
    made = started()
    order = made.orders[0]
    events: list[Event] = [
        OrderReported(made.now_ms, order.client_order_id, Outcome.ACCEPTED, venue_order_id="v"),
    ]
    made.take(events[0])
    made.fill(order, trade_id="only")
    fill = made.of(Traded)[0].fill
    events += [
        FillReported(made.now_ms, fill),
        OrderReported(
            made.now_ms, order.client_order_id, Outcome.CLOSED, filled_contracts=order.contracts
        ),
    ]
    made.take(events[1])
    made.take(events[2])
    records = list(made.records)
    for event in events + events:
        made.take(event)
    assert made.records == records
    assert len(made.of(Traded)) == 1


def test_the_same_trade_number_on_another_order_is_another_trade() -> None:
    # Venues number trades per market: 7 on BTC and 7 on ETH are two trades.
    made = bench(fund("B", initial_shares=D(1)), fund("E", initial_shares=D(1), basket={ETH: D(1)}))
    made.later(60)
    for symbol, name in ((BTC, "B"), (ETH, "E")):
        made.known(105, symbol=symbol)
        made.command(CommandKind.REBALANCE, name)
    for order in made.orders:
        made.fill(order, trade_id="7")
    traded = made.of(Traded)
    assert [record.contract for record in traded] == [BTC, ETH]
    assert len({record.key for record in traded}) == 2


def test_a_trade_beyond_what_an_order_asked_for_is_told_and_not_booked() -> None:
    made = started()
    order = made.orders[0]
    made.complete(order)
    made.fill(order, "0.1", trade_id="late")
    assert "break_foreign_trade" in made.alerts
    assert made.fund().holding.units[BTC] == 3 + order.units


def test_a_trade_of_more_than_an_order_asked_for_is_a_break_and_halts_the_account() -> None:
    made = started()
    made.fill(made.orders[0], "0.3", trade_id="big")
    order_id = made.orders[0].client_order_id
    assert [each.cause for each in made.state.breaks.values()] == [
        f"trade big is more than order {order_id} asked for"
    ]
    assert made.state.permission(made.fund()).halted
    assert made.of(Traded) == []


def test_an_order_whose_fills_are_told_after_its_end_has_missed_no_collar() -> None:
    made = started()
    made.report(made.orders[0], Outcome.CLOSED, filled_contracts=D("0.1"))
    assert "collar_missed" not in made.alerts
    made.fill(made.orders[0], "0.1", trade_id="later")
    assert len(made.of(Traded)) == 1


def test_a_missed_collar_is_priced_again_five_times_then_rests_for_a_minute() -> None:
    made = started()
    for attempt in range(5):
        assert len(made.orders) == attempt + 1
        made.report(made.orders[-1], Outcome.CLOSED, filled_contracts=D(0))
        made.later(1).known(105 + attempt)
    assert made.alerts.count("collar_missed") == 5
    assert "run_incomplete" in made.alerts
    assert status_of(made) == [RunStatus.INCOMPLETE]
    assert [order.mark for order in made.orders] == [105, 105, 106, 107, 108]
    assert [order.limit_price for order in made.orders][1:] == [
        order.mark * D("1.01") for order in made.orders[1:]
    ]
    made.later(59).known(109)
    assert len(made.orders) == 5
    made.later(1).known(109)
    assert status_of(made) == [RunStatus.INCOMPLETE, RunStatus.WORKING]
    assert len(made.orders) == 6


def test_an_incomplete_run_leaves_the_base_where_it_was() -> None:
    made = started()
    point = made.fund().point
    for _ in range(5):
        made.report(made.orders[-1], Outcome.CLOSED, filled_contracts=D(0))
        made.later(1).known(105)
    assert status_of(made) == [RunStatus.INCOMPLETE]
    assert made.fund().point == point


def test_an_incomplete_run_is_superseded_by_the_next_fixed_run() -> None:
    made = started()
    for _ in range(5):
        made.report(made.orders[-1], Outcome.REJECTED)
        made.later(1).known(105)
    made.now_ms = DUE
    made.known(110)
    assert status_of(made) == [RunStatus.INCOMPLETE, RunStatus.SUPERSEDED]
    assert made.of(IntentCreated)[-1].at_ms == DUE


def test_a_run_is_sliced_by_notional_and_by_time_and_never_passes_its_target() -> None:
    made = bench(
        fund(initial_shares=D(1), execution=Execution(max_child_notional=D(10), interval_ms=5_000))
    )
    made.later(60).known(100)
    made.known(105)
    made.command(CommandKind.REBALANCE)
    target = D(345) / D(105)
    gaps = []
    while made.fund().run is not None:
        order = made.orders[-1]
        assert order.notional <= 10
        made.complete(order)
        assert made.fund().holding.units[BTC] <= target
        sent = made.now_ms
        while len(made.orders) > 1 and made.orders[-1] is order and made.fund().run is not None:
            made.later(1).known(105)
        if made.orders[-1] is order and made.fund().run is not None:
            made.later(5).known(105)
        gaps.append(made.now_ms - sent)
    assert len(made.orders) == 3
    assert gaps[:2] == [5_000, 5_000]
    assert target - made.fund().holding.units[BTC] < D("1e-9")


def test_ids_of_orders_are_the_ones_a_replay_would_send() -> None:
    first, again = started(), started()
    assert first.orders == again.orders
    assert first.orders[0].client_order_id == client_order_id("bench", "main", BTC, 1)
    assert len(first.orders[0].client_order_id) == 26
    assert first.orders[0].created_ms == NOON + 60_000


def test_what_the_table_of_orders_does_not_hold_cannot_happen() -> None:
    for status in OrderStatus:
        for outcome in Outcome:
            if (status, outcome) in TRANSITIONS:
                assert next_status(status, outcome, "x") is TRANSITIONS[status, outcome]
            else:
                with pytest.raises(BrokenInvariant, match=f"is {status} and cannot be {outcome}"):
                    next_status(status, outcome, "x")


def test_only_working_orders_can_change() -> None:
    assert {status for status, _ in TRANSITIONS} == WORKING
    assert all(TRANSITIONS[status, Outcome.FILLED] in WORKING for status in WORKING)


def test_lots_are_cut_toward_zero_and_the_rest_stays_in_the_next_delta() -> None:
    made = Bench(
        desk(
            fund(initial_shares=D(1)),
            contracts=[contract(lot=1, contract_size="0.1")],
            free_launch=True,
        )
    )
    made.known(100)
    made.later(60).known(105)
    made.command(CommandKind.REBALANCE)
    assert made.orders[0].contracts == 2
    made.complete(made.orders[0])
    assert made.fund().holding.units[BTC] == D("3.2")
    assert len(made.of(OrderMoved)) == 2


@pytest.mark.parametrize("outcome", [Outcome.ABSENT, Outcome.REJECTED, Outcome.NEVER_SENT])
def test_evidence_that_contradicts_itself_halts_the_fund_and_keeps_its_contract_frozen(
    outcome: Outcome,
) -> None:
    made = started()
    order = made.orders[0]
    made.report(order, Outcome.ACCEPTED, venue_order_id="v")
    made.report(order, outcome)
    assert made.fund().trading is TradingState.HALTED
    assert f"accepted is said to be {outcome}" in made.fund().trading_reason
    assert made.state.working_on("main", BTC)


def test_a_position_answer_that_a_trade_overtook_judges_nothing() -> None:
    made = started()
    asked_ms = made.now_ms
    made.later(ms=50)
    made.complete(made.orders[0])
    made.later(ms=50)
    before_the_trade = PositionsReported(made.now_ms, "main", {BTC: D(3)}, asked_ms=asked_ms)
    made.take(before_the_trade)
    assert made.fund().trading is TradingState.ACTIVE
    # Asked after the trade, but so soon that the venue may still show what was before it.
    made.take(PositionsReported(made.now_ms, "main", {BTC: D(3)}, asked_ms=made.now_ms))
    assert made.fund().trading is TradingState.ACTIVE
    made.later(5)
    made.take(PositionsReported(made.now_ms, "main", {BTC: D(3)}, asked_ms=made.now_ms))
    assert made.state.permission(made.fund()).halted
