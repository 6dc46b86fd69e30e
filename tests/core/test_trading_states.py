"""Trading states of the desk, accounts, funds and contracts: the strictest of them decides."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from rebalancer.core.events import CommandKind, ContractChanged, Event
from rebalancer.core.folding import apply
from rebalancer.core.methodology import Trigger
from rebalancer.core.order import Outcome
from rebalancer.core.permission import TRANSITIONS, Permission, strictest
from rebalancer.core.records import (
    FixedSettled,
    FundLaunched,
    RunMoved,
    RunOpened,
    ScopeChanged,
    Settlement,
    TradingChanged,
    TradingState,
)
from rebalancer.core.run import RunStatus
from rebalancer.core.scope import Scope
from rebalancer.errors import BrokenInvariant, CommandRefused
from tests.factories import BTC, DUE, ETH, NOON, Bench, D, bench, desk, fund

HALT, REDUCE, RESUME = CommandKind.HALT, CommandKind.REDUCE, CommandKind.RESUME
ACTIVE, REDUCING, HALTED = TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED
#: every scope of a fund, with its name in these tests
SCOPES = [(Scope.DESK, ""), (Scope.ACCOUNT, "main"), (Scope.FUND, "BTC3L"), (Scope.CONTRACT, BTC)]
EVERY_SCOPE = pytest.mark.parametrize(("scope", "name"), SCOPES, ids=[str(s) for s, _ in SCOPES])


def small(name: str = "BTC3L", target: Any = 3, **over: Any) -> Any:
    return fund(name, target, initial_shares=D(1), **over)


def told(scope: Scope, name: str, kind: CommandKind, made: Bench | None = None) -> Bench:
    made = made or bench(small())
    made.later(60).command(kind, name, "drill", scope)
    return made


@EVERY_SCOPE
def test_a_halted_scope_lets_nothing_trade_and_says_so(scope: Scope, name: str) -> None:
    made = told(scope, name, HALT)
    made.later(60).known(80)
    assert made.orders == []
    assert made.of(RunOpened) == []
    verdict = made.fund().verdict
    assert verdict is not None
    assert verdict[0] is Trigger.NONE
    assert verdict[1].endswith("halted: drill")
    assert f"{scope}_halted" in made.alerts


@EVERY_SCOPE
def test_what_was_halted_trades_again_after_its_resume(scope: Scope, name: str) -> None:
    made = told(scope, name, HALT)
    made.later(60).known(80)
    made.command(RESUME, name, "over", scope)
    made.later(1).known(80)
    assert [each.plan.trigger for each in made.of(RunOpened)] == [Trigger.PRICE_MOVE]
    assert len(made.orders) == 1


@EVERY_SCOPE
def test_a_state_outlives_the_process(scope: Scope, name: str) -> None:
    made = told(scope, name, HALT).restarted()
    made.later(60).known(80)
    assert made.orders == []
    assert made.state.permission(made.fund(), BTC).halted


@EVERY_SCOPE
def test_reducing_lets_through_what_makes_exposure_smaller(scope: Scope, name: str) -> None:
    made = told(scope, name, REDUCE)
    made.later(60).known(80)
    assert [order.side for order in made.orders] == ["sell"]
    made.complete(made.orders[0])
    assert made.of(RunMoved)[-1].status is RunStatus.DONE


@EVERY_SCOPE
def test_reducing_opens_no_run_that_could_only_grow(scope: Scope, name: str) -> None:
    made = told(scope, name, REDUCE)
    made.now_ms = DUE
    made.known(110)
    assert made.of(RunOpened) == []
    verdict = made.fund().verdict
    assert verdict is not None
    assert verdict[1].endswith("reducing: drill")


def test_a_fixed_run_that_reducing_held_back_is_caught_up_after_the_resume() -> None:
    made = told(Scope.DESK, "", REDUCE)
    made.now_ms = DUE
    made.known(110)
    made.later(3600).command(RESUME, "", "over", Scope.DESK)
    made.later(1).known(110)
    assert [each.settlement for each in made.of(FixedSettled)] == [Settlement.RUN]
    assert [order.side for order in made.orders] == ["buy"]


def test_reducing_does_not_let_a_position_cross_zero() -> None:
    made = bench(small())
    made.later(60).command(REDUCE, "", "drill", Scope.DESK)
    held = made.fund().holding.units[BTC]
    permission = made.state.permission(made.fund(), BTC)
    assert permission.lets_through(held, D(-5)) == -held
    assert permission.lets_through(held, D(-1)) == -1
    assert permission.lets_through(held, D(1)) == 0
    assert permission.lets_through(D(0), D(1)) == 0


def test_a_basket_trades_the_leg_that_reduces_and_its_run_is_incomplete_until_it_may() -> None:
    made = bench(small("M", basket={BTC: D("0.5"), ETH: D("0.5")}))
    made.later(60).command(REDUCE, "", "drill", Scope.DESK)
    made.later(60)
    made.now_ms = DUE
    made.known(130)
    made.known(75, symbol=ETH)
    (order,) = made.orders
    assert (order.contract, order.side) == (BTC, "sell")
    made.complete(order)
    last = made.of(RunMoved)[-1]
    assert (last.status, last.reason) == (RunStatus.INCOMPLETE, "the desk is reducing: drill")
    assert "run_incomplete" in made.alerts
    made.later(60).known(75, symbol=ETH)
    verdict = made.state.funds["M"].verdict
    assert verdict == (Trigger.NONE, "an incomplete run waits to be taken up again")
    before = len(made.records)
    made.later(120).known(75, symbol=ETH)
    made.known(130)
    assert len(made.records) == before, "nothing changes while nothing may"
    made.command(RESUME, "", "over", Scope.DESK)
    made.later(1).known(130)
    made.known(75, symbol=ETH)
    assert [each.contract for each in made.orders] == [BTC, ETH]


def test_a_fund_on_another_account_or_contract_goes_on() -> None:
    made = bench(small(), small("ETH3L", basket={ETH: D(1)}))
    made.later(60).command(HALT, BTC, "drill", Scope.CONTRACT)
    made.later(60).known(80)
    made.known(80, symbol=ETH)
    assert [order.contract for order in made.orders] == [ETH]


def test_the_strictest_scope_decides_in_every_combination() -> None:
    for states in product((ACTIVE, REDUCING, HALTED), repeat=len(SCOPES)):
        given = [
            Permission(scope, name, state, "x")
            for (scope, name), state in zip(SCOPES, states, strict=True)
        ]
        found = given[0]
        for each in given[1:]:
            found = strictest(found, each)
        wanted = HALTED if HALTED in states else REDUCING if REDUCING in states else ACTIVE
        assert found.state is wanted


def test_resuming_one_scope_leaves_the_others_in_force() -> None:
    made = told(Scope.DESK, "", HALT)
    made.command(HALT, "main", "audit", Scope.ACCOUNT)
    made.command(RESUME, "", "over", Scope.DESK)
    assert made.state.permission(made.fund()).text == "account main is halted: audit"


def frozen(made: Bench, symbol: str = BTC, reason: str = "the lot is 0.01, not 0.001") -> Event:
    return ContractChanged(made.now_ms, symbol, reason)


def test_a_contract_that_changed_is_frozen_once_with_an_alert() -> None:
    made = bench(small(), small("ETH3L", basket={ETH: D(1)}))
    for _ in range(3):
        made.later(60).take(frozen(made))
    (changed,) = made.of(ScopeChanged)
    assert (changed.scope, changed.name, changed.state) == (Scope.CONTRACT, BTC, HALTED)
    assert changed.reason == "the lot is 0.01, not 0.001"
    assert made.alerts.count("contract_halted") == 1
    made.later(1).known(80)
    made.known(80, symbol=ETH)
    assert [order.contract for order in made.orders] == [ETH]


def test_a_contract_that_the_desk_does_not_trade_cannot_be_frozen() -> None:
    made = bench(small())
    made.take(frozen(made, "DOGE/USDT:USDT"))
    assert made.of(ScopeChanged) == []


def test_a_run_whose_contract_is_frozen_is_incomplete_and_trades_its_other_contracts() -> None:
    made = bench(small("M", basket={BTC: D("0.5"), ETH: D("0.5")}))
    made.now_ms = DUE
    made.known(110)
    made.known(110, symbol=ETH)
    first, second = sorted(made.orders, key=lambda order: order.contract)
    made.report(first, Outcome.REJECTED, reason="the contract is under maintenance")
    made.take(frozen(made))
    made.complete(second)
    last = made.of(RunMoved)[-1]
    assert last.status is RunStatus.INCOMPLETE
    assert last.reason == f"contract {BTC} is halted: the lot is 0.01, not 0.001"
    made.later(120).known(110)
    made.known(110, symbol=ETH)
    assert len(made.orders) == 2
    made.command(RESUME, BTC, "checked", Scope.CONTRACT)
    made.later(1).known(110)
    made.known(110, symbol=ETH)
    made.complete(made.orders[-1])
    assert made.of(RunMoved)[-1].status is RunStatus.DONE


def test_an_emergency_on_a_frozen_contract_opens_no_runs_again_and_again() -> None:
    made = told(Scope.CONTRACT, BTC, HALT)
    for _ in range(10):
        made.later(61).known(70)
    assert made.of(RunOpened) == []


@pytest.mark.parametrize(("scope", "name"), SCOPES[:3])
def test_a_command_given_before_a_halt_is_not_carried_out_after_the_resume(
    scope: Scope, name: str
) -> None:
    made = bench(small())
    made.later(3600).command(CommandKind.REBALANCE)  # waits for a fresh price
    made.command(HALT, name, "drill", scope)
    made.command(RESUME, name, "over", scope)
    made.later(1).known(105)
    assert made.of(RunOpened) == []


def test_a_halt_of_the_desk_ends_runs_and_books_what_is_on_its_way() -> None:
    made = bench(small(), small("BTC1S", -1))
    made.now_ms = DUE
    made.known(105)
    (order,) = made.orders
    made.command(HALT, "", "drill", Scope.DESK)
    assert {each.status for each in made.of(RunMoved)} == {RunStatus.HALTED}
    made.complete(order)
    made.later(600).known(120)
    assert len(made.orders) == 1


def test_what_the_gap_rule_flattens_waits_for_the_end_of_a_halt() -> None:
    made = bench(small())
    for price in (66, 65, 64):
        made.later(1).known(price)
    assert made.of(RunOpened)[-1].plan.trigger is Trigger.GAP
    made.report(made.orders[-1], Outcome.REJECTED, reason="maintenance")
    made.command(HALT, "", "drill", Scope.DESK)
    made.later(120).known(64)
    sent = len(made.orders)
    made.command(REDUCE, "", "flatten", Scope.DESK)
    made.later(1).known(64)
    assert len(made.orders) == sent + 1
    made.complete(made.orders[-1])
    assert made.fund().holding.units == {}


def test_nothing_is_launched_while_its_scope_is_not_active() -> None:
    made = Bench(desk(small()))
    made.command(HALT, "main", "not yet", Scope.ACCOUNT)
    made.known(100)
    assert made.of(FundLaunched) == []
    made.command(RESUME, "main", "now", Scope.ACCOUNT)
    made.later(1).known(100)
    assert len(made.of(FundLaunched)) == 1


@pytest.mark.parametrize(
    ("scope", "name", "kind", "sentence"),
    [
        (Scope.DESK, "", RESUME, "the desk is not halted"),
        (Scope.ACCOUNT, "other", HALT, "there is no account other; the desk has main"),
        (Scope.CONTRACT, "X", HALT, f"there is no contract X; the desk has {BTC}"),
        (Scope.ACCOUNT, "main", CommandKind.REBALANCE, "a rebalance is of one fund: name it"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(
    scope: Scope, name: str, kind: CommandKind, sentence: str
) -> None:
    made = bench(small())
    with pytest.raises(CommandRefused, match=sentence):
        made.command(kind, name, "drill", scope)


def test_what_is_in_a_state_is_not_put_into_it_again() -> None:
    made = told(Scope.DESK, "", REDUCE)
    with pytest.raises(CommandRefused, match="the desk is reducing already: drill"):
        made.command(REDUCE, "", "again", Scope.DESK)
    made.command(HALT, "", "more", Scope.DESK)
    made.command(REDUCE, "", "less", Scope.DESK)
    assert [each.state for each in made.of(ScopeChanged)] == [REDUCING, HALTED, REDUCING]


def test_a_rebalance_is_refused_while_a_wider_scope_is_halted() -> None:
    made = told(Scope.ACCOUNT, "main", HALT)
    with pytest.raises(CommandRefused, match="account main is halted: drill; resume it first"):
        made.command(CommandKind.REBALANCE)


@pytest.mark.parametrize("before", TradingState)
@pytest.mark.parametrize("after", TradingState)
def test_records_follow_the_table_of_states(before: TradingState, after: TradingState) -> None:
    made = bench(small())
    made.fund().trading = before
    record = TradingChanged(NOON, "BTC3L", after, "x")
    if after in TRANSITIONS[before]:
        apply(made.state, record)
        assert made.fund().trading is after
    else:
        with pytest.raises(BrokenInvariant, match=f"BTC3L is {before} and cannot become {after}"):
            apply(made.state, record)
