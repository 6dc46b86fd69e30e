"""Orders of a contract that is listed no more: an operator says what became of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rebalancer.core.capital import FlowDealt
from rebalancer.core.contract import Contract
from rebalancer.core.events import (
    Commanded,
    CommandKind,
    ContractChanged,
    OrderSettled,
    PositionsReported,
    WindDownAsked,
)
from rebalancer.core.fund import Account
from rebalancer.core.order import Outcome
from rebalancer.core.records import OrderMoved, RunMoved, ShortfallCovered, Traded
from rebalancer.core.run import RunStatus
from rebalancer.core.scope import Scope
from rebalancer.errors import CommandRefused
from tests.core.test_flows import ask, flow
from tests.core.test_verification import verified
from tests.factories import BTC, ETH, Bench, D, Number, bench, contract, fund


def stranded(filled: Number = 0, outcome: Outcome = Outcome.UNKNOWN, **over: Any) -> Bench:
    """An order was open when the desk went down, and its contract is listed no more."""
    made = bench(
        fund(initial_shares=D(1)),
        fund("ETH2L", 2, initial_shares=D(1), basket={ETH: D(1)}),
        contracts=[contract(ETH, contract_size="0.01", lot="1")],
    )
    made.later(60).known(105, symbol=ETH)
    made.command(CommandKind.REBALANCE, "ETH2L")
    made.report(made.orders[0], outcome, **over)
    if filled:
        made.fill(made.orders[0], filled)
    known = {**made.desk.contracts, ETH: Contract(ETH)}  # nobody tells its size any more
    made.desk = replace(made.desk, contracts=known, unlisted=frozenset({ETH}))
    again = made.restarted()
    again.actions = made.actions[:1]
    again.known(100)
    again.take(ContractChanged(again.now_ms, ETH, "it is listed no more"))
    return again


def settle(made: Bench, filled: Number, price: Number | None = None, fee: Number = 0) -> None:
    (order,) = made.orders
    at = None if price is None else D(price)
    made.take(
        OrderSettled(made.now_ms, order.client_order_id, D(filled), at, D(fee), "by its history")
    )


def test_each_start_tells_of_it_with_the_command_that_ends_it() -> None:
    made = stranded()
    (told,) = [each for each in made.actions if getattr(each, "name", "") == "order_stranded"]
    order = made.orders[0].client_order_id
    assert told.subject == order  # type: ignore[union-attr]
    assert f"rebalancer settle {order} --filled CONTRACTS" in told.text  # type: ignore[union-attr]


def test_what_it_filled_is_booked_once_by_the_size_that_it_was_made_with() -> None:
    made = stranded()
    assert made.orders[0].contracts == 9, "0.0952 coins wanted, of 0.01"
    settle(made, 4, price=104, fee="0.05")
    (traded,) = made.of(Traded)
    assert (traded.units, traded.fill.price) == (D("0.04"), D(104))
    assert traded.fees == {"ETH2L": D("0.05")}
    assert made.of(OrderMoved)[-1].reason == "settled by an operator: by its history"
    assert made.state.orders == {}
    with pytest.raises(CommandRefused, match="is not open; to be settled by hand: none"):
        settle(made, 4, price=104)
    assert made.restarted().fund("ETH2L").holding.units == {ETH: D("2.04")}


def test_what_was_known_before_counts_in_and_is_not_booked_again() -> None:
    made = stranded(filled=3)
    settle(made, 5, price=104)
    assert [each.units for each in made.of(Traded)] == [D("0.03"), D("0.02")]


def test_a_close_and_its_open_are_settled_as_two_trades() -> None:
    made = bench(
        fund(initial_shares=D(1)),
        fund("S", -2, initial_shares=D(10)),
        account=Account(name="main", hedge=True),
    )
    made.later(60).known(90)
    made.command(CommandKind.REBALANCE, "S")
    made.desk = replace(made.desk, unlisted=frozenset({BTC}))
    again = made.restarted()
    for order in made.orders:
        sent, filled = order.client_order_id, order.contracts
        again.take(OrderSettled(again.now_ms, sent, filled, D(90), D(0), "by its history"))
    close, rest = again.of(Traded)
    assert close.position_side is not rest.position_side
    assert close.key != rest.key, "the store takes a key once"
    assert again.state.orders == {}


def test_a_sell_cannot_have_traded_under_its_limit() -> None:
    made = bench(fund(initial_shares=D(1))).later(60)
    made.known(90)
    made.command(CommandKind.REBALANCE)
    made.desk = replace(made.desk, unlisted=frozenset({BTC}))
    again = made.restarted()
    again.actions = made.actions
    with pytest.raises(CommandRefused, match=r"could not sell at 89: its limit was 89\.1"):
        settle(again, "0.5", price=89)
    settle(again, 0)


def test_one_that_filled_nothing_more_is_over() -> None:
    made = stranded(filled=3)
    settle(made, 3)
    assert len(made.of(Traded)) == 1
    assert made.state.orders == {}


def test_one_that_the_venue_had_closed_gets_the_fills_that_were_still_to_come() -> None:
    made = stranded(outcome=Outcome.CLOSED, filled_contracts=D(5))
    with pytest.raises(CommandRefused, match="filled 5 contracts in all, not 4"):
        settle(made, 4, price=104)
    settle(made, 5, price=104)
    assert made.state.orders == {}


def test_only_then_what_is_held_is_compared() -> None:
    made = stranded()
    empty = PositionsReported(made.now_ms + 60_000, "main", {BTC: D(3)})
    made.take(empty)
    assert made.state.breaks == {}
    settle(made, 0)
    made.later(60).take(empty)
    (found,) = made.state.breaks.values()
    assert (found.contract, found.units) == (ETH, D(-2))


def test_once_the_rest_is_adopted_and_the_fund_closed_its_holders_are_paid() -> None:
    made = stranded()
    settle(made, 4, price=104)
    assert made.fund("ETH2L").run is not None
    made.later(60).take(PositionsReported(made.now_ms, "main", {BTC: D(3)}))
    made.take(Commanded(made.now_ms, CommandKind.ADOPT, "1", "settled", Scope.DESK, D(100)))
    made.take(WindDownAsked(made.now_ms, "ETH2L", "its contract is gone"))
    last = made.of(RunMoved)[-1]
    assert (last.status, last.reason) == (
        RunStatus.HALTED,
        "none of its contracts is listed any more",
    )
    ask(made, flow("redeem", 1, name="ETH2L"))
    (paid,) = made.of(FlowDealt)
    assert (paid.shares_after, paid.cash) == (D(0), D("-99.84"))


def test_what_a_wiped_fund_owes_is_covered_once_its_rest_is_adopted() -> None:
    made = bench(fund(initial_shares=D(1)))
    for _ in range(2):
        made.later(1).known(60)
    made.report(made.orders[0], Outcome.UNKNOWN)
    made.desk = replace(made.desk, unlisted=frozenset({BTC}))
    again = made.restarted()
    again.actions = made.actions
    settle(again, 0)
    again.later(60).take(PositionsReported(again.now_ms, "main", {}))
    again.take(Commanded(again.now_ms, CommandKind.ADOPT, "1", "settled", Scope.DESK, D(50)))
    assert [each.amount for each in again.of(ShortfallCovered)] == [D(50)]
    assert verified(again, again.records).problems == []


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"filled": 10, "price": 1}, "filled 3 to 9 contracts in all, not 10"),
        ({"filled": 2}, "filled 3 to 9 contracts in all, not 2"),
        ({"filled": 5, "price": 1040}, "could not buy at 1040: its limit was 106.05"),
        ({"filled": 5}, "2 of order .* is not on record yet: say with --price"),
        ({"filled": 3, "price": 1}, "is on record: leave out --price and --fee"),
        ({"filled": 3, "fee": 1}, "is on record: leave out --price and --fee"),
    ],
)
def test_what_cannot_be_is_refused(said: dict[str, Number], why: str) -> None:
    made = stranded(filled=3)
    with pytest.raises(CommandRefused, match=why):
        settle(made, **said)
    assert len(made.state.orders) == 1


def test_an_order_of_a_contract_that_is_listed_is_asked_about() -> None:
    made = stranded()
    made.desk = replace(made.desk, unlisted=frozenset())
    again = made.restarted()
    again.actions = made.actions[:1]
    with pytest.raises(CommandRefused, match="was listed when the desk began: its venue is asked"):
        settle(again, 0)
