"""A plan that an operator agreed to: carried out to the order, or refused with what moved on."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from rebalancer.core.applying import orders_of, sizing_prices
from rebalancer.core.engine import Step, step
from rebalancer.core.events import Agreed, CommandKind, FundingPaid, PlannedOrder, PlanOffered
from rebalancer.core.fingerprint import fingerprints
from rebalancer.core.methodology import Trigger
from rebalancer.core.order import OrderSide, PositionSide
from rebalancer.core.records import CommandTaken, Crossed, PointSet, RunOpened
from rebalancer.core.scope import Scope
from rebalancer.core.trial import copy_of
from rebalancer.errors import CommandRefused
from tests.factories import BTC, Bench, D, bench, contract, fund

FUNDS = ("BTC3L", "BTC3S")


def drifted(price: int = 105) -> Bench:
    """A 3L and a 3S of one share each at 100, and a price that moved."""
    made = bench(
        *(fund(name, 3 if name == "BTC3L" else -3, initial_shares=D(1)) for name in FUNDS),
        contracts=[contract(lot="0.001")],
    )
    made.later(60).known(price)
    return made


def planned(made: Bench, names: tuple[str, ...] = FUNDS, **over: Any) -> PlanOffered:
    """Plan on a copy of the state, as the desk does, and agree to it."""
    prices = sizing_prices(made.state, names)
    event = PlanOffered(made.now_ms, names, "drill", prices)
    tried = step(copy_of(made.state), event)
    agreed: dict[str, Any] = {
        "as_of_ms": made.now_ms,
        "expires_ms": made.now_ms + 300_000,
        "max_move": D("0.005"),
        "desk_id": made.state.desk_id,
        "config_digest": made.state.config_digest,
        "fingerprints": fingerprints(made.state, names),
        "orders": orders_of(tried.records),
        "crosses": {
            (each.account, each.contract, name): units
            for each in tried.records
            if isinstance(each, Crossed)
            for name, units in each.units.items()
        },
    } | over
    return replace(event, agreed=Agreed(**agreed))


def applied(made: Bench, event: PlanOffered) -> Step:
    return made.take(replace(event, at_ms=made.now_ms))


def refused(made: Bench, event: PlanOffered, words: str) -> None:
    """Check that nothing at all happens, and which sentence says so."""
    before = fingerprints(made.state, FUNDS)
    count = len(made.records)
    with pytest.raises(CommandRefused, match=words):
        applied(made, event)
    assert fingerprints(made.state, FUNDS) == before
    assert len(made.records) == count


def test_exactly_the_planned_order_leaves_for_both_funds_together() -> None:
    """NAV 115 and 85: buy 30 and buy 60 at 105 are one order of 90 (specification section 6)."""
    made = drifted()
    event = planned(made)
    assert event.agreed is not None
    (shown,) = event.agreed.orders
    assert str(shown) == "main buy 0.857 BTC/USDT:USDT"
    taken = applied(made, event)
    (order,) = made.orders
    assert (order.contracts, order.side) == (D("0.857"), OrderSide.BUY)
    assert [each.plan.trigger for each in made.of(RunOpened)] == [Trigger.MANUAL, Trigger.MANUAL]
    assert [each.reason for each in taken.records if isinstance(each, CommandTaken)] == [
        "drill"
    ] * 2


def test_the_plan_prices_size_it_and_become_the_base() -> None:
    made = drifted()
    event = planned(made)
    made.later(1).known("105.2")
    applied(made, event)
    for run in made.of(RunOpened):
        assert run.plan.marks == {BTC: D(105)}
        assert run.plan.base_prices == {BTC: D(105)}
    made.complete(made.orders[0])
    points = {each.fund: each for each in made.of(PointSet)[-2:]}
    assert (points["BTC3L"].nav, points["BTC3L"].prices) == (D(115), {BTC: D(105)})


def test_a_plan_without_an_agreement_is_carried_out_only_on_a_copy_by_its_caller() -> None:
    made = drifted()
    before = fingerprints(made.state, FUNDS)
    step(copy_of(made.state), PlanOffered(made.now_ms, FUNDS, "look", {}))
    assert fingerprints(made.state, FUNDS) == before


class TestWhatMovedOn:
    def test_the_time(self) -> None:
        made = drifted()
        event = planned(made)
        made.later(301).known(105)
        refused(made, event, r"was good until .* which is 1s ago; make a new plan")

    def test_a_clock_that_went_back(self) -> None:
        made = drifted()
        event = planned(made)
        made.now_ms -= 1
        refused(made, event, "still to come by this desk's clock")

    @pytest.mark.parametrize("price", ["105.6", "104.4"])
    def test_the_price(self, price: str) -> None:
        made = drifted()
        event = planned(made)
        made.later(1).known(price)
        refused(made, event, rf"mark price of {BTC} moved by -?0.57 % .* from 105 to {price}")

    def test_the_price_within_what_is_allowed_is_no_obstacle(self) -> None:
        made = drifted()
        event = planned(made)
        made.later(1).known("105.5")
        assert applied(made, event).records

    def test_funding_that_was_booked(self) -> None:
        made = drifted()
        event = planned(made)
        made.take(FundingPaid(made.now_ms, "main", BTC, D("0.0001"), D(105)))
        refused(made, event, "moved on since the plan: fund BTC3L, fund BTC3S")

    def test_the_plan_that_was_carried_out_before(self) -> None:
        made = drifted()
        event = planned(made)
        applied(made, event)
        refused(made, event, "a run under way")
        made.complete(made.orders[0])
        made.later(1).known(105)
        refused(made, event, "moved on since the plan")

    def test_a_neighbour_on_the_same_account(self) -> None:
        made = drifted()
        event = planned(made, ("BTC3L",))
        made.command(CommandKind.HALT, "BTC3S")
        refused(made, event, "moved on since the plan: fund BTC3S")

    def test_what_may_be_traded(self) -> None:
        made = drifted()
        event = planned(made)
        made.command(CommandKind.REDUCE, BTC, scope=Scope.CONTRACT)
        refused(made, event, "moved on since the plan: what may be traded")

    def test_the_configuration(self) -> None:
        made = drifted()
        event = planned(made, config_digest="0" * 64)
        refused(made, event, "the configuration changed since the plan")

    def test_the_desk_itself(self) -> None:
        made = drifted()
        refused(made, planned(made, desk_id="another"), "is of another desk")

    def test_an_order_that_nobody_agreed_to(self) -> None:
        made = drifted()
        more = PlannedOrder(
            account="main",
            contract=BTC,
            side=OrderSide.BUY,
            position_side=PositionSide.NET,
            contracts=D(1),
            reduce_only=False,
        )
        words = "planned main buy 1 BTC/USDT:USDT; now main buy 0.857 BTC/USDT:USDT"
        refused(made, planned(made, orders=(more,)), words)

    def test_a_cross_that_nobody_agreed_to(self) -> None:
        made = drifted()
        refused(made, planned(made, crosses={("main", BTC, "BTC3L"): D(1)}), "what crosses inside")


class TestWhatCannotBePlanned:
    @pytest.mark.parametrize(
        ("command", "words"),
        [(CommandKind.HALT, "is halted"), (CommandKind.FLATTEN, "flat until it is resumed")],
    )
    def test_a_fund_that_must_not_trade(self, command: CommandKind, words: str) -> None:
        made = drifted()
        event = planned(made)
        made.command(command, "BTC3L")
        refused(made, event, words)

    def test_a_fund_that_is_not_there(self) -> None:
        made = drifted()
        refused(made, replace(planned(made), funds=("BTC9L",)), "there is no fund BTC9L")

    def test_no_fund(self) -> None:
        made = drifted()
        refused(made, replace(planned(made), funds=()), "no fund that could be rebalanced")

    def test_an_old_price(self) -> None:
        made = drifted()
        event = planned(made)
        made.later(200)
        refused(made, event, "waits for a fresh price")

    def test_a_limit_that_would_halt_the_fund_refuses_the_plan_instead(self) -> None:
        limits = replace(fund().limits, max_run_notional=Decimal(1))
        made = bench(fund("BTC3L", 3, initial_shares=D(1), limits=limits), fund("BTC3S", -3))
        made.later(60).known(105)
        event = planned(made)
        refused(made, event, "BTC3L would not be rebalanced: it would be halted: max_run_notional")
