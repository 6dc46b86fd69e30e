"""Rules between fixed times: precedence, cool-downs, the losing side, the emergency, the end."""

from __future__ import annotations

from typing import Any

import pytest

from rebalancer.core.fund import Execution, NavKind
from rebalancer.core.methodology import Emergency, LeverageCap, Ratio, Trigger
from rebalancer.core.order import Outcome
from rebalancer.core.records import (
    Crossed,
    FundWiped,
    NavStruck,
    PointSet,
    RunMoved,
    RunOpened,
    ShortfallCovered,
    TradingState,
    VerdictChanged,
)
from rebalancer.core.run import RunStatus
from tests.factories import (
    BTC,
    Bench,
    D,
    Number,
    bench,
    emergency_at,
    fund,
    move_rule,
    only,
    rules,
)


def small(name: str, target: Number = 3, **over: Any) -> Any:
    return fund(name, target, initial_shares=D(1), **over)


def runs(made: Bench) -> list[tuple[str, Trigger]]:
    return [(each.plan.fund, each.plan.trigger) for each in made.of(RunOpened)]


def serve(made: Bench) -> None:
    for order in made.orders:
        if order.client_order_id in made.state.orders:
            made.complete(order)


def test_a_losing_side_run_leaves_the_winner_as_it_was_to_the_last_digit_also_when_netted() -> None:
    made = bench(small("L1"), small("L2", 2), small("S1", -3), small("S2", -2))
    before = {name: repr(made.state.funds[name].holding) for name in ("L1", "L2")}
    points = {name: made.state.funds[name].point for name in ("L1", "L2")}
    made.later(60).known(115)
    serve(made)
    assert runs(made) == [("S1", Trigger.PRICE_MOVE), ("S2", Trigger.PRICE_MOVE)]
    assert set(made.orders[0].wanted) == {"S1", "S2"}
    assert {n: repr(made.state.funds[n].holding) for n in ("L1", "L2")} == before
    assert {n: made.state.funds[n].point for n in ("L1", "L2")} == points


@pytest.mark.parametrize(("target", "fires"), [("1", False), ("0.5", False), ("1.25", True)])
def test_losing_side_says_no_trade_for_long_funds_up_to_1x(target: str, fires: bool) -> None:
    made = bench(small("F", target, methodology=rules(target, price_move=move_rule("0.15"))))
    made.later(60).known(84)
    assert bool(runs(made)) is fires


def test_the_threshold_itself_is_reached_and_a_hair_less_is_not() -> None:
    for price, fires in (("85", True), ("85.000000000000000001", False)):
        made = bench(small("L"))
        made.later(60).known(price)
        assert bool(runs(made)) is fires


def test_a_losing_side_run_never_raises_leverage() -> None:
    # The fund lost 16 %, but half of its units are gone already: it is under its target.
    made = bench(small("L"))
    held = made.state.funds["L"].holding
    held.move(BTC, D("-1.5"))
    held.cash += 150
    account = made.state.accounts["main"]
    account.held[BTC] -= D("1.5")
    made.later(60).known(84)
    assert runs(made) == []


def test_a_threshold_run_waits_for_its_cool_down_and_fires_when_it_ends() -> None:
    made = bench(small("L"))
    made.later(3600).known(85)
    serve(made)
    made.later(1).known(72)
    assert len(runs(made)) == 1
    made.later(ms=58_999).known(72)
    assert len(runs(made)) == 1
    made.later(ms=1).wake()
    assert len(runs(made)) == 2, "the alarm rings, no tick is needed"


def test_a_cool_down_holds_back_no_other_fund() -> None:
    made = bench(small("A"), small("B", methodology=rules(3, price_move=move_rule("0.2"))))
    made.later(3600).known(85)
    serve(made)
    made.later(1).known(80)
    assert runs(made) == [("A", Trigger.PRICE_MOVE), ("B", Trigger.PRICE_MOVE)]


def test_an_emergency_needs_no_cool_down_of_the_other_rules() -> None:
    made = bench(small("L"))
    made.later(3600).known(85)
    serve(made)
    made.later(1).known("63.75")  # -25 % since then: leverage 9
    assert [trigger for _, trigger in runs(made)] == [Trigger.PRICE_MOVE, Trigger.EMERGENCY]


def test_an_emergency_has_a_cool_down_of_its_own() -> None:
    made = bench(small("L", methodology=only(emergency=emergency_at(4))))
    made.later(3600).known(88)
    serve(made)
    made.later(59).known(77)
    assert len(runs(made)) == 1
    made.later(1).known(77)
    assert [trigger for _, trigger in runs(made)] == [Trigger.EMERGENCY] * 2


def test_an_emergency_uses_its_own_slices_and_collar() -> None:
    backstop = Emergency(level=Ratio(numerator=D(4)), max_child_notional=D(20), collar_bps=D(300))
    calm = Execution(max_child_notional=D(500), collar_bps=D(50))
    made = bench(small("L", methodology=only(emergency=backstop), execution=calm))
    made.later(60).known(80)
    (order,) = made.orders
    assert order.notional <= 20
    assert order.limit_price == 80 * D("0.97")


def test_an_emergency_takes_over_from_a_run_that_is_still_under_way() -> None:
    slow = Execution(max_child_notional=D(10))
    made = bench(small("L", execution=slow))
    made.later(3600).known(85)  # delevers in slices of 10
    serve(made)
    assert runs(made) == [("L", Trigger.PRICE_MOVE)]
    made.later(1).known(75)
    assert [trigger for _, trigger in runs(made)] == [Trigger.PRICE_MOVE, Trigger.EMERGENCY]
    ended = [each.status for each in made.of(RunMoved)]
    assert ended == [RunStatus.SUPERSEDED]
    made.later(1).known(74)
    assert len(runs(made)) == 2  # its own run is not taken over again


def test_an_emergency_run_aims_at_the_target_and_never_crosses_it() -> None:
    made = bench(small("L", methodology=only(emergency=emergency_at(4))))
    made.later(60).known(80)
    serve(made)
    held = made.state.funds["L"].holding
    exposure = held.units[BTC] * 80
    assert D(3) <= exposure / (held.cash + exposure) < D("3.00001")


@pytest.mark.parametrize(
    ("price", "trigger"),
    [
        ("90", None),
        ("88.5", Trigger.LEVERAGE_CAP),  # leverage above 4
        ("85", Trigger.LEVERAGE_CAP),  # price_move too: the cap goes first
        ("75", Trigger.EMERGENCY),  # leverage 9
        ("66", Trigger.GAP),
        ("40", Trigger.GAP),
    ],
)
def test_a_price_that_jumps_through_several_triggers_makes_one_run_named_by_precedence(
    price: str, trigger: Trigger | None
) -> None:
    made = bench(small("L", methodology=rules(3, leverage_cap=LeverageCap(upper=D(4)))))
    made.later(60).known(price)
    serve(made)
    assert [each for _, each in runs(made)] == ([trigger] if trigger else [])


def test_a_wiped_short_beside_healthy_funds_is_flattened_and_its_debt_is_the_desks() -> None:
    made = bench(small("S", -3), small("L"), small("H", "0.5"))
    made.later(60).known(140)
    serve(made)
    short = made.state.funds["S"]
    assert short.trading is TradingState.WIPED
    assert short.holding.units == {}
    assert short.holding.cash == 0
    (covered,) = made.of(ShortfallCovered)
    assert (covered.fund, covered.amount) == ("S", D(20))
    assert made.state.desk_cash == -20
    assert "fund_wiped" in made.alerts
    assert made.state.funds["L"].holding.units == {BTC: D(3)}
    assert made.state.funds["H"].trading is TradingState.ACTIVE


def test_a_positive_residual_stays_with_the_holders() -> None:
    made = bench(small("S", -3))
    made.state.funds["S"].holding.cash += 10
    made.state.accounts["main"].cash += 10
    made.later(60).known("133.4")
    serve(made)
    assert made.of(FundWiped)[0].reason.startswith("the price moved 33.40 %")
    assert made.of(ShortfallCovered) == []
    assert made.state.funds["S"].holding.cash == D(400) + 10 - 3 * D("133.4")


def test_the_formula_of_a_wiped_fund_stays_at_zero_though_the_price_comes_back() -> None:
    made = bench(small("S", -3))
    made.later(60).known(134)
    serve(made)
    made.now_ms += 86_400_000
    made.known(90)
    struck = made.of(NavStruck)[-1]
    assert struck.formula_nav == 0
    assert [trigger for _, trigger in runs(made)] == [Trigger.GAP]
    assert made.of(FundWiped)[0].key == "wiped/S"


def test_a_gap_takes_over_the_run_under_way_and_waits_for_its_order() -> None:
    made = bench(small("L"))
    made.later(60).known(85)
    order = made.orders[0]
    made.later(1).known(60)
    moved = [(each.run_id, each.status) for each in made.of(RunMoved)]
    assert moved == [("L-000001", RunStatus.SUPERSEDED)]
    assert len(made.orders) == 1, "one order per contract at a time"
    made.report(order, Outcome.REJECTED)
    made.later(1).known(60)
    assert made.orders[1].units == -3
    serve(made)
    assert made.state.funds["L"].holding.units == {}


def test_a_wiped_run_that_finds_no_buyer_is_resumed_until_it_is_flat() -> None:
    made = bench(small("L"))
    made.later(60).known(60)
    for _ in range(5):
        made.report(made.orders[-1], Outcome.CLOSED, filled_contracts=D(0))
        made.later(1).known(60)
    assert made.of(RunMoved)[-1].status is RunStatus.INCOMPLETE
    made.later(60).known(60)
    serve(made)
    assert made.state.funds["L"].holding.units == {}


def test_a_point_is_set_by_done_runs_alone_with_the_prices_that_sized_them() -> None:
    made = bench(small("L"))
    made.later(60).known(85)
    made.later(1).known(84)
    serve(made)
    point = made.of(PointSet)[-1]
    assert (point.nav, dict(point.prices)) == (D(55), {BTC: D(85)})


def test_a_base_of_the_account_kind_takes_what_the_account_is_worth_after_the_run() -> None:
    made = bench(small("L", formula_base=NavKind.ACCOUNT))
    made.later(60).known(85)
    order = made.orders[0]
    made.fill(order, fee=5)
    made.report(order, Outcome.CLOSED, filled_contracts=order.contracts)
    assert made.of(PointSet)[-1].nav == 50


def test_sizing_from_the_formula_ignores_what_the_account_lost() -> None:
    made = bench(small("L", size_from=NavKind.FORMULA))
    made.state.funds["L"].holding.cash -= 10
    made.state.accounts["main"].cash -= 10
    made.later(60).known(85)
    assert made.of(RunOpened)[0].plan.target_units[BTC] == (D(165) / 85).quantize(D("1e-36"))


def test_opposite_deltas_of_runs_that_meet_cross_at_the_mark_without_an_order() -> None:
    # At 85 a 3L sells and a half-exposed 2x fund is told to buy: both at once, at one price.
    made = bench(small("A"), small("B", 2))
    other = made.state.funds["B"]
    other.holding.move(BTC, D(-2))
    other.holding.cash += 200
    made.state.accounts["main"].held[BTC] -= 2
    made.state.accounts["main"].cash += 200
    books = made.state.accounts["main"].books
    (key,) = books
    books[key] -= 2
    made.later(60)
    made.state.funds["B"].manual = "asked for"
    made.known(85)
    (crossed,) = made.of(Crossed)
    assert crossed.price == 85
    assert sum(crossed.units.values()) == 0
    assert crossed.units["A"] == -crossed.units["B"] < 0


def test_the_verdict_is_recorded_when_it_changes_and_only_then() -> None:
    made = bench(small("L"))
    for _ in range(5):
        made.later(11).tick(84, stamp_ms=made.now_ms - 11_000)
    assert [(each.trigger, each.reason) for each in made.of(VerdictChanged)] == [
        (Trigger.NONE, "nothing is due"),
        (Trigger.NONE, "price_move waits for a fresh price"),
    ]


def test_a_winner_that_drifts_is_told_once_per_point() -> None:
    made = bench(small("L"))
    for price in (116, 117, 118, 114, 116):
        made.later(60).known(price)
    assert made.alerts == ["winner_drifts"]
    assert runs(made) == []
