"""A new configuration under a running desk: each fund takes it over whole, and never in a run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rebalancer.core.configuration import ConfigurationChanged, FundReconfigured
from rebalancer.core.engine import Step
from rebalancer.core.events import CommandKind, ConfigurationOffered
from rebalancer.core.folding import fold
from rebalancer.core.fund import Execution, Fund, PriceSource
from rebalancer.core.methodology import Fixed, Trigger
from rebalancer.core.records import FixedSettled, FundLaunched, PointSet, RunOpened, Settlement
from rebalancer.errors import CommandRefused
from tests.factories import BTC, DUE, ETH, NOON, Bench, D, bench, fund, move_rule, rules


def offer(
    running: Bench, *funds: Fund, digest: str = "new", at_point: tuple[str, ...] = ()
) -> Step:
    kept = {name: each.fund for name, each in running.state.funds.items()}
    event = ConfigurationOffered(
        running.now_ms,
        before=running.state.config_digest,
        digest=digest,
        funds=kept | {each.name: each for each in funds},
        at_point=frozenset(at_point),
    )
    return running.take(event)


def small(target: int = 3, **over: Any) -> Fund:
    return fund("BTC3L", target, initial_shares=D(1), **over)


class TestNow:
    def test_a_fund_at_rest_takes_it_over_at_once(self) -> None:
        running = bench(small())
        offer(running, small(execution=Execution(collar_bps=D(7))))
        assert running.fund().fund.execution.collar_bps == 7
        assert running.state.desk.funds["BTC3L"] is running.fund().fund
        assert running.of(FundReconfigured) == [FundReconfigured(NOON, "BTC3L", "new")]
        assert running.of(ConfigurationChanged)[-1].waiting == ()

    def test_a_run_under_way_ends_under_the_settings_it_was_opened_by(self) -> None:
        running = bench(small())
        running.later(60).known(80)  # price_move: a run
        (order,) = running.orders
        offer(running, small(execution=Execution(collar_bps=D(7))))
        assert running.of(ConfigurationChanged)[-1].waiting == ("BTC3L",)
        assert running.fund().fund.execution.collar_bps == 100
        assert running.fund().config_digest == ""
        running.complete(order)
        assert running.fund().run is None
        assert running.fund().fund.execution.collar_bps == 7
        assert running.fund().config_digest == "new"

    def test_every_run_names_the_configuration_it_was_opened_under(self) -> None:
        running = bench(small())
        offer(running, digest="second")
        running.later(60).known(80)
        assert running.of(RunOpened)[-1].plan.config_digest == "second"

    def test_two_quick_reloads_leave_the_last_one(self) -> None:
        running = bench(small())
        running.later(60).known(80)
        (order,) = running.orders
        offer(running, small(execution=Execution(collar_bps=D(7))), digest="second")
        offer(running, small(execution=Execution(collar_bps=D(8))), digest="third")
        running.complete(order)
        assert running.fund().fund.execution.collar_bps == 8
        assert [each.digest for each in running.of(FundReconfigured)] == ["third"]

    def test_one_that_is_taken_back_before_it_counts_leaves_nothing_waiting(self) -> None:
        running = bench(small())
        offer(running, small(2), digest="second", at_point=("BTC3L",))
        offer(running, small(3), digest="third", at_point=("BTC3L",))
        assert running.fund().waiting is None
        assert running.fund().config_digest == "third"


class TestAtThePoint:
    def test_a_new_target_waits_for_the_next_run_and_moves_nothing_before(self) -> None:
        running = bench(small())
        offer(running, small(2), at_point=("BTC3L",))
        running.later(60).known(101)
        assert not running.orders
        assert running.fund().fund.target_leverage == 3
        running.now_ms = DUE
        running.known(101)
        (opened,) = running.of(RunOpened)[-1:]
        assert opened.plan.trigger is Trigger.FIXED
        assert (opened.plan.target_leverage, opened.plan.config_digest) == (D(2), "new")
        running.complete(running.orders[-1])
        assert running.of(PointSet)[-1].leverage == 2

    def test_an_operator_can_ask_for_that_run(self) -> None:
        running = bench(small())
        offer(running, small(2), at_point=("BTC3L",))
        running.command(CommandKind.REBALANCE)
        running.later(1).known(100)
        assert running.of(RunOpened)[-1].plan.target_leverage == 2
        assert running.of(RunOpened)[-1].plan.trigger is Trigger.MANUAL

    def test_what_counts_now_waits_with_it_so_that_nothing_is_mixed(self) -> None:
        running = bench(small())
        offer(running, small(2, execution=Execution(collar_bps=D(7))), at_point=("BTC3L",))
        assert running.fund().fund.execution.collar_bps == 100
        running.command(CommandKind.REBALANCE)
        running.later(1).known(100)
        assert running.fund().fund == small(2, execution=Execution(collar_bps=D(7)))

    def test_a_run_that_takes_the_place_of_one_under_way_keeps_its_settings(self) -> None:
        # The price rule fires at 95, the emergency behind it near 85.
        running = bench(small(methodology=rules(3, price_move=move_rule("0.05"))))
        running.later(60).known(94)
        offer(running, small(2), at_point=("BTC3L",))
        running.later(120).known(75)
        first, second = [each.plan for each in running.of(RunOpened)]
        assert (first.trigger, second.trigger) == (Trigger.PRICE_MOVE, Trigger.EMERGENCY)
        assert (second.target_leverage, second.config_digest) == (D(3), "")


class TestSchedules:
    def test_new_fixed_times_that_are_past_are_settled_and_not_caught_up(self) -> None:
        running = bench(small(), price=100)
        eleven = Fixed(times_of_day_ms=(11 * 3_600_000,), utc_offset_ms=0)
        running.now_ms = DUE  # 02:30 on the next day: 11:00 of no day has passed since noon
        running.known(100)
        for order in running.orders:
            running.complete(order)
        running.now_ms = DUE + 9 * 3_600_000  # 11:30
        running.known(100)
        before = len(running.of(RunOpened))
        offer(running, small(methodology=rules(3, fixed=eleven)))
        running.later(1).known(100)
        assert len(running.of(RunOpened)) == before
        settled = running.of(FixedSettled)[-1]
        assert settled.settlement is Settlement.SKIPPED
        assert "the fixed times were changed" in settled.reason


class TestFunds:
    def test_a_new_fund_is_launched_with_the_next_price(self) -> None:
        running = bench(small())
        offer(running, replace(small(-2), name="BTC2S"))
        running.later(1).known(100)
        assert [each.fund for each in running.of(FundLaunched)][-1] == "BTC2S"
        assert running.state.holders[BTC] == ("BTC3L", "BTC2S")
        assert running.fund("BTC2S").config_digest == "new"

    def test_a_launched_fund_does_not_vanish(self) -> None:
        running = bench(small())
        event = ConfigurationOffered(NOON, before="", digest="new", funds={})
        with pytest.raises(CommandRefused, match="rebalancer close BTC3L --reason"):
            running.take(event)
        assert not running.of(ConfigurationChanged)

    @pytest.mark.parametrize(
        ("wanted", "says"),
        [
            (small(account="other"), "account: cannot change"),
            (small(basket={BTC: D("0.5"), ETH: D("0.5")}), "its contracts change"),
            (replace(small(), name="ETH3L", basket={ETH: D(1)}), "no mark price of ETH"),
            (replace(small(), name="X", account="other"), "account other needs a restart"),
            (replace(small(), name="X", price_source=PriceSource.SPOT), "no spot price"),
        ],
        ids=["account", "contracts", "unknown contract", "unknown account", "unknown source"],
    )
    def test_what_the_desk_is_not_wired_for_is_refused(self, wanted: Fund, says: str) -> None:
        running = bench(small())
        with pytest.raises(CommandRefused, match=says):
            offer(running, wanted)
        assert not running.of(ConfigurationChanged)
        assert {*running.state.funds} == {"BTC3L"}

    def test_a_comparison_with_another_configuration_is_refused(self) -> None:
        running = bench(small())
        event = ConfigurationOffered(NOON, before="older", digest="new", funds={})
        with pytest.raises(CommandRefused, match="reload again"):
            running.take(event)


def test_the_records_say_under_which_configuration_each_fund_is_after_a_crash() -> None:
    running = bench(small(), fund("BTC3S", -3, initial_shares=D(1)))
    offer(running, small(2), at_point=("BTC3L",))
    again = fold(running.state.desk, running.records)
    assert again.config_digest == "new"
    assert again.funds["BTC3L"].config_digest == ""
    assert again.funds["BTC3S"].config_digest == "new"
