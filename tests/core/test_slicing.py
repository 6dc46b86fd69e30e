"""Slices and protections: pauses, what the market did, bounds of runs, minutes and plans."""

from __future__ import annotations

from typing import Any

import pytest

from rebalancer.core.events import CommandKind
from rebalancer.core.fund import Execution, Limits, PriceSource
from rebalancer.core.instant import HOUR_MS
from rebalancer.core.methodology import Trigger
from rebalancer.core.order import Outcome, PositionSide
from rebalancer.core.records import PointSet, RunMoved, RunOpened, TradingState
from rebalancer.core.run import RunStatus
from rebalancer.core.slicing import pause_ms
from tests.factories import BTC, DUE, ETH, Bench, D, bench, fund, move_rule, only


def sliced(jitter: str = "0", **over: Any) -> Any:
    execution = Execution(max_child_notional=D(25), interval_ms=10_000, jitter=D(jitter))
    return fund("BTC3L", 3, initial_shares=D(1), execution=execution, **over)


def losing(made: Bench, price: int = 84) -> Bench:
    """A 3L of 100 that lost 48 at 84: it sells 52 x 3 - 252 = -96, in slices of 25."""
    made.later(60).known(price)
    assert made.of(RunOpened)[-1].plan.trigger is Trigger.PRICE_MOVE
    return made


class TestPauses:
    def test_without_jitter_a_pause_is_the_interval(self) -> None:
        made = losing(bench(sliced()))
        assert pause_ms(sliced().execution, made.orders[0]) == 10_000

    def test_with_jitter_each_pause_is_another_one_within_the_bounds_and_replays_alike(
        self,
    ) -> None:
        made = losing(bench(sliced("0.2")))
        pauses = []
        while made.fund().run is not None:
            order = made.orders[-1]
            made.complete(order)
            run = made.fund().run
            if run is None:
                break
            pauses.append(run.next_slice_ms - made.now_ms)
            assert pauses[-1] == pause_ms(sliced("0.2").execution, order)
            made.now_ms = run.next_slice_ms
            made.known(84)
        assert len(pauses) == 3
        assert all(8_000 <= pause <= 12_000 for pause in pauses)
        assert len(set(pauses)) == 3

    def test_nothing_leaves_within_a_pause(self) -> None:
        made = losing(bench(sliced()))
        made.complete(made.orders[0])
        made.later(9).known(84)
        assert len(made.orders) == 1
        made.later(1).known(84)
        assert len(made.orders) == 2


class TestWildTicks:
    """Of the simulated day 52285: a slice was priced by the one tick of one source."""

    def test_a_slice_waits_until_a_second_tick_agrees(self) -> None:
        made = losing(bench(sliced()))
        made.complete(made.orders[0])
        made.later(10).tick(60)
        assert len(made.orders) == 1, "its collar would be around a price that may be false"
        made.later(1).tick(84)
        assert len(made.orders) == 1, "back again, and once more a jump"
        made.later(1).tick(84)
        assert (len(made.orders), made.orders[-1].mark) == (2, D(84))

    def test_or_a_second_source_does(self) -> None:
        made = losing(bench(sliced()))
        made.complete(made.orders[0])
        made.later(9).tick(82, source=PriceSource.INDEX)
        made.later(1).tick(82)
        assert (len(made.orders), made.orders[-1].mark) == (2, D(82))

    def test_what_the_gap_rule_left_does_not_wait(self) -> None:
        made = losing(bench(sliced()))
        made.complete(made.orders[0])
        made.later(10).known(60)
        assert made.of(RunOpened)[-1].plan.trigger is Trigger.GAP
        sent = len(made.orders)
        made.complete(made.orders[-1])
        made.later(10).tick(50)
        assert len(made.orders) == sent + 1


class TestWhatTheMarketDid:
    def test_a_reducing_threshold_run_ends_when_leverage_is_back_at_its_aim(self) -> None:
        made = losing(bench(sliced()))
        made.complete(made.orders[0])
        made.later(10).known(120)
        last = made.of(RunMoved)[-1]
        assert last.status is RunStatus.DONE
        assert last.reason == "the market brought leverage to where the run aimed"
        assert last.leverage is not None
        assert last.leverage <= 3
        assert len(made.orders) == 1
        assert len(made.of(PointSet)) == 2

    def test_a_slice_leaves_while_leverage_is_above_the_aim(self) -> None:
        made = losing(bench(sliced()))
        made.complete(made.orders[0])
        made.later(10).known(86)
        assert len(made.orders) == 2

    def test_the_run_waits_for_an_order_that_still_works(self) -> None:
        made = losing(bench(sliced()))
        made.report(made.orders[0], Outcome.ACCEPTED, venue_order_id="v")
        made.later(10).known(120)
        assert made.of(RunMoved) == []
        made.fill(made.orders[0])
        made.report(made.orders[0], Outcome.CLOSED, filled_contracts=made.orders[0].contracts)
        assert made.of(RunMoved)[-1].status is RunStatus.DONE

    def test_a_run_that_has_a_member_to_buy_is_not_over_because_it_sold_the_other(self) -> None:
        """BTC -30 %, ETH +10 %: of 80 each, 10 of BTC are bought and 30 of ETH sold."""
        halves = fund(
            target=2,
            basket={BTC: D("0.5"), ETH: D("0.5")},
            methodology=only(price_move=move_rule("0.1")),
            initial_shares=D(1),
        )
        made = bench(halves).later(60)
        made.known(110, symbol=ETH)
        made.known(70)
        (sale,) = [order for order in made.orders if order.contract == ETH]
        (buy,) = [order for order in made.orders if order.contract == BTC]
        made.complete(sale)
        made.report(buy, Outcome.REJECTED, reason="busy")
        made.later(10).known(70)
        assert made.of(RunMoved) == []
        made.complete(made.orders[-1])
        assert made.of(RunMoved)[-1].reason == "at its target within one lot"
        assert made.fund().holding.units[BTC] * 70 == pytest.approx(D(80))

    def test_a_fixed_run_goes_to_its_frozen_units_whatever_the_market_does(self) -> None:
        made = bench(sliced())
        made.now_ms = DUE
        made.known(90)
        target = made.of(RunOpened)[0].plan.target_units[BTC]
        made.complete(made.orders[0])
        while made.fund().run is not None:
            made.later(10).known(120)
            made.complete(made.orders[-1])
        assert abs(made.fund().holding.units[BTC] - target) <= D("1e-9")


class TestBounds:
    def test_a_run_that_cannot_get_on_gives_up_and_is_taken_up_again(self) -> None:
        made = losing(bench(sliced(limits=Limits(max_orders_per_run=10))))
        made.complete(made.orders[0])
        made.later(ms=HOUR_MS + 2 * 10 * 10_000).wake()  # no price comes any more
        assert made.of(RunMoved) == []
        made.later(ms=1).wake()
        last = made.of(RunMoved)[-1]
        assert last.status is RunStatus.INCOMPLETE
        assert last.reason.startswith("not at its target after 1h")
        assert "run_incomplete" in made.alerts
        made.later(59).known(84)
        assert len(made.orders) == 1
        made.later(1).known(84)
        assert len(made.orders) == 2

    def test_it_wakes_for_that_by_itself(self) -> None:
        made = losing(bench(sliced(limits=Limits(max_orders_per_run=10))))
        made.complete(made.orders[0])
        made.later(10).wake()
        wake_ms = made.state.alarms.next_ms
        assert wake_ms is not None
        assert wake_ms <= made.now_ms + HOUR_MS + 2 * 10 * 10_000 + 1

    def test_notional_within_a_minute_of_the_clock_is_bounded(self) -> None:
        made = losing(bench(sliced(limits=Limits(max_minute_notional=D(60)))))
        for _ in range(3):
            made.complete(made.orders[-1])
            made.later(10).known(84)
        assert len(made.orders) == 2
        assert made.fund().trading is TradingState.HALTED
        assert made.fund().trading_reason == "max_minute_notional: 75.00 would be more than 60"

    def test_the_next_minute_begins_anew(self) -> None:
        made = losing(bench(sliced(limits=Limits(max_minute_notional=D(60)))))
        for _ in range(3):
            made.complete(made.orders[-1])
            made.later(60).known(84)
        assert len(made.orders) == 4
        assert made.fund().trading is TradingState.ACTIVE

    def test_a_day_of_orders_ends_at_midnight_in_the_middle_of_a_run_too(self) -> None:
        made = bench(sliced(limits=Limits(max_day_notional=D(60))))
        made.now_ms = DUE - 2 * HOUR_MS - HOUR_MS // 2 - 15_000  # 15 s before midnight
        made.known(84)
        for _ in range(3):
            made.complete(made.orders[-1])
            made.later(10).known(84)
        assert len(made.orders) == 4
        assert made.fund().trading is TradingState.ACTIVE

    def test_a_run_never_trades_more_than_its_plan_and_a_lot(self) -> None:
        # Something gives back to the fund what the run sold: it would sell it again and again.
        made = bench(sliced())
        made.now_ms = DUE
        made.known(90)
        for _ in range(8):
            order = made.orders[-1]
            made.complete(order)
            for held in (made.state.accounts["main"].held, made.fund().holding.units):
                held[BTC] -= order.units
            made.state.accounts["main"].books[BTC, PositionSide.NET] -= order.units
            made.later(10).known(90)
            if made.fund().trading is TradingState.HALTED:
                break
        assert made.fund().trading_reason.startswith("gross traded: ")
        planned = abs(made.of(RunOpened)[0].plan.delta_units[BTC])
        assert sum(abs(order.units) for order in made.orders) <= planned + D("1e-9")

    def test_what_was_still_working_when_a_run_was_opened_belongs_to_its_plan(self) -> None:
        made = losing(bench(sliced()))
        made.report(made.orders[0], Outcome.ACCEPTED, venue_order_id="v")
        made.command(CommandKind.HALT)
        made.command(CommandKind.RESUME)
        made.later(61).known(84)
        assert len(made.of(RunOpened)) == 2
        run = made.fund().run
        assert run is not None
        assert run.planned[BTC] >= abs(made.of(RunOpened)[1].plan.delta_units[BTC])
        made.fill(made.orders[0])
        made.report(made.orders[0], Outcome.CLOSED, filled_contracts=made.orders[0].contracts)
        for _ in range(10):
            made.later(10).known(84)
            if made.fund().run is None:
                break
            made.complete(made.orders[-1])
        assert made.of(RunMoved)[-1].status is RunStatus.DONE


@pytest.mark.parametrize("price", [84, 80, 77])
def test_slices_never_cross_the_target(price: int) -> None:
    made = losing(bench(sliced()), price)
    target = made.of(RunOpened)[0].plan.target_units[BTC]
    while made.fund().run is not None:
        made.complete(made.orders[-1])
        assert made.fund().holding.units[BTC] >= target
        made.later(10).known(price)
