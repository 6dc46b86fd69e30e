"""Breaks: every difference is on record with its cause, and ends in a way that is on record too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rebalancer.core.breaks import BreakEnd, BreakEnded, BreakFound, BreakKind
from rebalancer.core.capital import FlowDealt
from rebalancer.core.events import (
    Commanded,
    CommandKind,
    ContractChanged,
    FlowsRequested,
    LiquidationReported,
    PositionsReported,
    WindDownAsked,
)
from rebalancer.core.flow import Flow, FlowKind
from rebalancer.core.fund import Account
from rebalancer.core.order import Outcome, PositionSide
from rebalancer.core.records import RunOpened, Traded, TradingState
from rebalancer.core.scope import Scope
from rebalancer.errors import CommandRefused
from tests.factories import BTC, DUE, ETH, Bench, D, Number, bench, fund

ADOPT, EXPLAIN = CommandKind.ADOPT, CommandKind.EXPLAIN


def small(name: str = "BTC3L", target: Any = 3, **over: Any) -> Any:
    return fund(name, target, initial_shares=D(1), **over)


def told(made: Bench, units: Number, symbol: str = BTC) -> Bench:
    """The venue says what the account holds of a contract, long after the last trade."""
    made.later(60).take(PositionsReported(made.now_ms, "main", {symbol: D(units)}))
    return made


def adopt(made: Bench, price: str) -> None:
    """An operator books break 1 at a price."""
    made.take(Commanded(made.now_ms, ADOPT, "1", "settled", Scope.DESK, price=D(price)))


def flow(kind: FlowKind, amount: Number, now_ms: int) -> Flow:
    return Flow(
        fund="ETH2L", key=kind, kind=kind, amount=D(amount), min_out=D(0), requested_ms=now_ms
    )


def started() -> Bench:
    made = bench(small())
    made.now_ms = DUE
    made.known(105)
    return made


class TestPositions:
    def test_a_difference_is_recorded_once_with_its_cause_and_its_repair(self) -> None:
        made = bench(small())
        for _ in range(3):
            told(made, "2.5")
        (found,) = made.of(BreakFound)
        assert found.found.kind is BreakKind.POSITION
        assert found.found.units == D("-0.5")
        assert found.found.cause == f"the venue holds 2.5 of {BTC}, the records say 3"
        assert found.found.repair.startswith("rebalancer adopt 1")
        assert made.alerts.count("break_position") == 1
        assert made.state.permission(made.fund()).halted

    @pytest.mark.parametrize(("later_ms", "breaks"), [(4_999, 0), (5_000, 1)])
    def test_a_list_asked_for_within_5_seconds_of_a_trade_may_be_of_before_it(
        self, later_ms: int, breaks: int
    ) -> None:
        made = started()
        made.complete(made.orders[0])
        asked_ms = made.now_ms + later_ms
        made.later(60).take(PositionsReported(made.now_ms, "main", {BTC: D(3)}, asked_ms=asked_ms))
        assert len(made.of(BreakFound)) == breaks

    def test_a_difference_that_goes_away_ends_its_break_and_leaves_the_account_halted(
        self,
    ) -> None:
        made = told(told(bench(small()), "2.5"), 3)
        (ended,) = made.of(BreakEnded)
        assert (ended.number, ended.how) == (1, BreakEnd.VANISHED)
        assert made.state.breaks == {}
        assert made.state.permission(made.fund()).halted

    def test_a_difference_that_changes_is_another_break(self) -> None:
        made = told(told(bench(small()), "2.5"), "2.4")
        assert [each.found.units for each in made.of(BreakFound)] == [D("-0.5"), D("-0.6")]
        assert list(made.state.breaks) == [2]

    def test_an_adoption_books_the_difference_to_the_funds_that_hold_it(self) -> None:
        made = told(bench(small("A"), small("B", 6), price=100), "8.1")
        made.command(ADOPT, "1", "moved by hand", Scope.DESK)
        (traded,) = made.of(Traded)
        assert traded.forced
        assert traded.allocations == {"A": D("-0.3"), "B": D("-0.6")}
        assert traded.fill.price == 100
        assert [each.how for each in made.of(BreakEnded)] == [BreakEnd.ADOPTED]
        told(made, "8.1")
        assert len(made.of(BreakFound)) == 1
        made.command(CommandKind.RESUME, "main", "checked", Scope.ACCOUNT)
        made.later(1).known(100)
        assert made.restarted().state.accounts["main"].position(BTC) == D("8.1")

    def test_on_a_hedge_account_the_side_that_stands_is_changed(self) -> None:
        made = told(bench(small(), account=Account(name="main", hedge=True)), "2.5")
        made.command(ADOPT, "1", "x", Scope.DESK)
        assert made.of(Traded)[0].position_side is PositionSide.LONG

    def test_what_no_fund_trades_cannot_be_adopted(self) -> None:
        made = bench(small())
        made.take(PositionsReported(made.now_ms, "main", {BTC: D(3), ETH: D(1)}))
        with pytest.raises(CommandRefused, match=f"no fund of account main trades {ETH}"):
            made.command(ADOPT, "1", "x", Scope.DESK)

    def test_a_position_cannot_be_explained_away(self) -> None:
        made = told(bench(small()), "2.5")
        with pytest.raises(CommandRefused, match="break 1 is a position: adopt it"):
            made.command(EXPLAIN, "1", "x", Scope.DESK)

    def test_a_position_cannot_be_adopted_without_a_price(self) -> None:
        made = told(bench(small()).restarted(), "2.5")
        with pytest.raises(CommandRefused, match=f"no price of {BTC} is known yet; try again"):
            made.command(ADOPT, "1", "x", Scope.DESK)
        adopt(made, "100")
        assert made.fund().holding.units == {BTC: D("2.5")}

    def test_an_account_that_an_operator_lets_shrink_meanwhile_is_not_halted_again(self) -> None:
        made = told(bench(small()), "2.5")
        made.command(CommandKind.REDUCE, "main", "out of it", Scope.ACCOUNT)
        told(made, "2.5")
        assert made.state.permission(made.fund()).state is TradingState.REDUCING
        assert made.alerts.count("account_halted") == 1

    def test_a_price_that_has_stopped_is_not_the_one_of_what_was_delisted_since(self) -> None:
        made = told(bench(small()), 0).later(3_600)
        with pytest.raises(CommandRefused, match="came for 1h1m; try again, or, where its venue"):
            made.command(ADOPT, "1", "x", Scope.DESK)
        adopt(made, "80")
        assert made.fund().holding.cash == D(-200 + 3 * 80)

    def test_a_price_is_refused_where_the_desk_has_its_own(self) -> None:
        made = told(bench(small()), "2.5")
        with pytest.raises(CommandRefused, match="a price of BTC/USDT:USDT itself, 100: adopt"):
            adopt(made, "99")
        assert made.of(Traded) == []


class TestDelisted:
    """The venue settled a position while the desk was down, and lists the contract no more."""

    def settled(self) -> Bench:
        made = bench(small(), small("ETH2L", 2, basket={ETH: D(1)}), price=100)
        made.desk = replace(made.desk, unlisted=frozenset({ETH}))
        made = made.restarted()
        made.take(ContractChanged(made.now_ms, ETH, "it is listed no more"))
        made.known(100)
        made.later(60).take(PositionsReported(made.now_ms, "main", {BTC: D(3)}))
        return made

    def test_it_is_a_break_that_stops_no_other_contract(self) -> None:
        made = self.settled()
        (found,) = made.of(BreakFound)
        assert found.found.units == D(-2)
        assert found.found.cause.endswith("the records say 2; the contract is listed no more")
        assert found.found.repair.startswith("rebalancer adopt 1 --price PRICE")
        assert not made.state.permission(made.fund()).halted

    def test_it_is_adopted_at_the_price_that_an_operator_names(self) -> None:
        made = self.settled()
        with pytest.raises(CommandRefused, match="say with --price what it was settled at"):
            made.command(ADOPT, "1", "x", Scope.DESK)
        adopt(made, "90.5")
        holding = made.fund("ETH2L").holding
        assert (holding.units, holding.cash) == ({}, D(-100) + 2 * D("90.5"))
        assert made.state.breaks == {}
        assert made.restarted().fund("ETH2L").holding.cash == holding.cash

    def test_once_it_is_closed_its_holders_are_paid_what_is_left(self) -> None:
        made = self.settled()
        adopt(made, "90.5")
        made.take(WindDownAsked(made.now_ms, "ETH2L", "delisted"))
        made.take(FlowsRequested(made.now_ms, (flow(FlowKind.REDEEM, 1, made.now_ms),)))
        (dealt,) = made.of(FlowDealt)
        assert (dealt.nav, dealt.cash) == (D(81), D(-81))
        assert (made.fund("ETH2L").shares, made.fund("ETH2L").closed) == (D(0), True)

    def test_until_then_its_flows_are_shut_and_no_rule_acts(self) -> None:
        made = self.settled()
        adopt(made, "90.5")
        for kind in FlowKind:
            with pytest.raises(CommandRefused, match="takes no flows: contract ETH/USDT:USDT"):
                made.take(FlowsRequested(made.now_ms, (flow(kind, "0.5", made.now_ms),)))
        made.now_ms = DUE
        made.known(100)
        made.wake()
        assert made.of(FlowDealt) == []
        assert {each.plan.fund for each in made.of(RunOpened)} == {"BTC3L"}

    @pytest.mark.parametrize("kind", [CommandKind.RESUME, CommandKind.REDUCE])
    def test_its_contract_stays_frozen(self, kind: CommandKind) -> None:
        made = self.settled()
        with pytest.raises(CommandRefused, match="ETH/USDT:USDT is listed no more: it stays fro"):
            made.command(kind, ETH, "x", Scope.CONTRACT)

    def test_an_account_that_was_halted_for_something_else_is_resumed_beside_it(self) -> None:
        made = self.settled()
        made.command(CommandKind.HALT, "main", "a drill", Scope.ACCOUNT)
        made.command(CommandKind.RESUME, "main", "over", Scope.ACCOUNT)
        assert not made.state.permission(made.fund()).halted

    def test_once_it_is_listed_again_the_account_is_halted(self) -> None:
        made = self.settled()
        made.desk = replace(made.desk, unlisted=frozenset())
        made = made.restarted()
        made.take(PositionsReported(made.now_ms, "main", {BTC: D(3)}))
        assert len(made.of(BreakFound)) == 1
        assert made.state.permission(made.fund()).halted


class TestTrades:
    def test_a_late_fill_of_an_order_that_was_closed_is_booked_and_on_record(self) -> None:
        made = started()
        order = made.orders[0]
        made.report(order, Outcome.ACCEPTED, venue_order_id="v")
        made.report(order, Outcome.CLOSED, filled_contracts=D(0))
        held = made.fund().holding.units[BTC]
        made.fill(order, "0.1", trade_id="late")
        assert made.fund().holding.units[BTC] == held + D("0.1")
        (found,) = made.of(BreakFound)
        assert found.found.kind is BreakKind.LATE_FILL
        assert "said to be closed" in found.found.cause
        assert [each.how for each in made.of(BreakEnded)] == [BreakEnd.BOOKED]
        assert not made.state.permission(made.fund()).halted
        made.fill(order, "0.1", trade_id="late")
        assert len(made.of(Traded)) == 1
        assert made.restarted().fund().holding.units == made.fund().holding.units

    @pytest.mark.parametrize("outcome", [Outcome.REJECTED, Outcome.ABSENT, Outcome.NEVER_SENT])
    def test_a_trade_of_an_order_that_was_proved_away_halts_the_account(
        self, outcome: Outcome
    ) -> None:
        made = started()
        order = made.orders[0]
        made.report(order, outcome)
        made.fill(order, "0.1")
        assert made.of(BreakFound)[0].found.kind is BreakKind.LATE_FILL
        assert len(made.of(Traded)) == 1
        assert made.state.permission(made.fund()).halted

    def test_a_trade_nobody_knows_is_recorded_once_and_can_be_explained(self) -> None:
        made = started()
        stranger = made.orders[0].__class__(
            **{
                name: getattr(made.orders[0], name)
                for name in made.orders[0].__slots__
                if name != "client_order_id"
            },
            client_order_id="rstranger",
        )
        for _ in range(2):
            made.fill(stranger, "0.1", trade_id="t9")
        (found,) = made.of(BreakFound)
        assert found.found.kind is BreakKind.FOREIGN_TRADE
        with pytest.raises(CommandRefused, match="nothing to adopt: explain it"):
            made.command(ADOPT, "1", "x", Scope.DESK)
        made.command(EXPLAIN, "1", "a drill", Scope.DESK)
        assert [each.how for each in made.of(BreakEnded)] == [BreakEnd.EXPLAINED]

    def test_evidence_that_contradicts_itself_is_a_break(self) -> None:
        made = started()
        order = made.orders[0]
        made.report(order, Outcome.ACCEPTED, venue_order_id="v")
        for _ in range(2):
            made.report(order, Outcome.REJECTED)
        (found,) = made.of(BreakFound)
        assert found.found.kind is BreakKind.EVIDENCE
        assert "is said to be rejected" in found.found.cause

    @pytest.mark.parametrize("units", ["-0.9", "0.9"])
    def test_what_the_venue_closes_by_itself_is_a_break(self, units: str) -> None:
        made = bench(small())
        event = LiquidationReported(
            made.now_ms, "main", BTC, PositionSide.NET, "liq", D(units), D(90), D(0)
        )
        made.take(event)
        made.take(event)
        (found,) = made.of(BreakFound)
        assert found.found.kind is BreakKind.LIQUIDATION
        booked = D(units) < 0  # a fund was long
        assert len(made.of(BreakEnded)) == booked
        assert bool(made.state.breaks) is not booked


@pytest.mark.parametrize("number", ["7", "x", "", "-1"])
def test_a_break_that_is_not_open_cannot_be_ended(number: str) -> None:
    made = told(bench(small()), "2.5")
    with pytest.raises(CommandRefused, match=r"there is no open break .*; open are 1"):
        made.command(ADOPT, number, "x", Scope.DESK)


def test_breaks_outlive_the_process_and_their_numbers_go_on() -> None:
    made = told(bench(small()), "2.5").restarted()
    assert list(made.state.breaks) == [1]
    made.known(100)
    told(made, "2.4")
    assert list(made.state.breaks) == [2]
    assert made.of(RunOpened) == []
