"""Balances: money that an account lacks of what its funds own is told, and explained for good."""

from __future__ import annotations

from rebalancer.core.breaks import BreakEnd, BreakEnded, BreakFound, BreakKind
from rebalancer.core.events import BalanceReported, CommandKind
from rebalancer.core.scope import Scope
from tests.factories import Bench, D, bench, fund

#: what a 3x fund of ten thousand shares at 100 owns
OWNED = D(1_000_000)


def standing() -> Bench:
    made = bench(fund("BTC3L")).later(60)
    made.known(100)
    assert made.state.accounts["main"].cash + 300 * OWNED / 100 == OWNED
    return made


def told(made: Bench, equity: object, times: int = 1) -> Bench:
    for _ in range(times):
        made.take(BalanceReported(made.now_ms, "main", "USDT", D(str(equity))))
    return made


def test_money_that_is_missing_twice_is_a_break() -> None:
    made = told(standing(), OWNED - 50_000)
    assert made.of(BreakFound) == []
    told(made, OWNED - 50_000, times=3)
    (found,) = made.of(BreakFound)
    assert (found.found.kind, found.found.units) == (BreakKind.BALANCE, D(-50_000))
    assert found.found.cause == (
        "account main is worth 950000.00 USDT at the venue, its funds own 1000000.00: 50000.00 was "
        "taken out, or never paid in"
    )
    assert not made.state.permission(made.fund()).halted


def test_what_marks_of_two_moments_differ_by_and_money_of_the_operator_are_none() -> None:
    made = told(standing(), OWNED - 30_000, times=3)
    assert told(made, OWNED * 2, times=3).of(BreakFound) == []


def test_a_break_ends_once_the_money_is_there_and_one_look_in_between_counts_anew() -> None:
    made = told(told(standing(), OWNED - 50_000, times=2), OWNED)
    assert [each.how for each in made.of(BreakEnded)] == [BreakEnd.VANISHED]
    told(told(made, OWNED - 50_000), OWNED)
    assert made.state.breaks == {}


def test_what_is_explained_stays_so_and_more_is_a_new_break() -> None:
    made = told(standing(), OWNED - 50_000, times=2)
    made.command(CommandKind.EXPLAIN, "1", "kept in the treasury", Scope.DESK)
    again = told(made, OWNED - 50_000, times=3).restarted()
    again.known(100)
    assert told(again, OWNED - 60_000, times=3).state.breaks == {}
    assert list(told(again, OWNED - 100_000, times=2).state.breaks) == [2]


def test_without_a_present_mark_nothing_is_compared() -> None:
    made = standing().later(120)
    assert told(made, 1, times=3).of(BreakFound) == []
