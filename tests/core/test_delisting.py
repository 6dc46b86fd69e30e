"""A basket of which one member is delisted: once nothing of it is held, the rest goes on."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from rebalancer.core.actions import Alert
from rebalancer.core.attribution import Standing, attribute
from rebalancer.core.capital import FlowDealt
from rebalancer.core.configuration import SourceChanged
from rebalancer.core.delisting import ContractDelisted, MemberListed, what_frees
from rebalancer.core.distances import distances_of
from rebalancer.core.events import (
    Commanded,
    CommandKind,
    ContractChanged,
    OrderSettled,
    PositionsReported,
    WindDownAsked,
)
from rebalancer.core.flow import FlowRule
from rebalancer.core.folding import apply, fold
from rebalancer.core.fund import Account, Limits, PriceSource
from rebalancer.core.instant import HOUR_MS
from rebalancer.core.methodology import (
    BasketChange,
    Destination,
    Fixed,
    Goal,
    LeverageBand,
    Manual,
    Methodology,
    Reconstitution,
    Trigger,
)
from rebalancer.core.nav import Valuation
from rebalancer.core.order import Outcome
from rebalancer.core.records import (
    Crossed,
    PointSet,
    PositionsAdopted,
    RunMoved,
    RunOpened,
    TradingState,
    VerdictChanged,
)
from rebalancer.core.run import RunStatus
from rebalancer.core.scope import Scope
from rebalancer.desk.views import oldest_price, view_fund
from rebalancer.errors import CommandRefused
from tests.core.test_applying import applied, planned
from tests.core.test_flows import ask, flow
from tests.core.test_random_days import durable
from tests.core.test_verification import changed, of_this_configuration
from tests.factories import (
    BTC,
    DUE,
    ETH,
    NOON,
    Bench,
    D,
    Number,
    bench,
    desk,
    emergency_at,
    fund,
    move_rule,
    only,
)

SOL = "SOL/USDT:USDT"
HALVES = {BTC: D("0.5"), ETH: D("0.5")}


def without_eth(made: Bench) -> Bench:
    """Restart a desk whose venue lists ETH no more, and settled what was held of it."""
    made.desk = replace(made.desk, unlisted=frozenset({ETH}))
    again = made.restarted()
    again.take(ContractChanged(again.now_ms, ETH, "it is listed no more"))
    return again


def adopted(made: Bench, price: Number = 90) -> Bench:
    """Book what the venue settled of ETH at a price."""
    held = {BTC: made.fund("MIX").holding.units[BTC]}
    made.later(60).take(PositionsReported(made.now_ms, "main", held))
    made.take(Commanded(made.now_ms, CommandKind.ADOPT, "1", "settled", Scope.DESK, D(price)))
    return made


def mixed(methodology: Methodology | None = None, price: Number = 90, **over: Any) -> Bench:
    """Return a 3x fund of halves at 100 whose ETH was settled at `price`, with a price of BTC.

    1.5 of each and -200 in cash become 1.5 BTC and -65: an equity of 85.
    """
    chosen = methodology or only(fixed=Fixed(), flow=FlowRule())
    terms = {"initial_shares": D(1), "basket": HALVES, "methodology": chosen} | over
    made = adopted(without_eth(bench(fund("MIX", 3, **terms))), price)
    made.known(100)
    return made


def worth(made: Bench) -> Valuation:
    found = made.state.worth(made.fund("MIX"))
    assert found is not None
    return found


def standing(made: Bench) -> Standing:
    now = worth(made)
    return made.fund("MIX").standing(now.marks, now.nav, now.formula_nav)


def target(made: Bench) -> dict[str, Decimal]:
    return dict(made.of(RunOpened)[-1].plan.target_units)


def held_and_sound(made: Bench) -> None:
    """Hold that no order was for what is delisted, and that the records alone tell the same."""
    assert {each.contract for each in made.orders} <= {BTC, SOL}
    assert of_this_configuration(made, made.records).problems == []
    assert durable(fold(made.desk, made.records)) == durable(made.state)


class TestWhileItIsHeld:
    def test_the_fund_has_no_nav_and_its_verdict_says_what_to_do(self) -> None:
        made = without_eth(bench(fund("MIX", 3, initial_shares=D(1), basket=HALVES)))
        made.known(100)
        assert made.state.worth(made.fund("MIX")) is None
        assert made.of(VerdictChanged)[-1].reason == (
            "ETH/USDT:USDT is listed no more and the fund holds 1.5 of it: once the venue settled "
            "that, `rebalancer adopt N --price PRICE --reason WHY` (N by `rebalancer breaks`)"
        )

    def test_so_it_is_while_nobody_knows_what_an_order_on_it_traded(self) -> None:
        made = Bench(desk(fund("MIX", 3, initial_shares=D(1), basket=HALVES)))
        for symbol in (BTC, ETH):
            made.known(100, symbol=symbol)
        for order in made.orders:
            if order.contract == BTC:
                made.complete(order)
        (lost,) = (each for each in made.orders if each.contract == ETH)
        made.report(lost, Outcome.UNKNOWN)
        again = without_eth(made)
        again.known(100)
        assert again.state.worth(again.fund("MIX")) is None
        assert what_frees(again.state, again.fund("MIX")) == (
            f"order {lost.client_order_id} on ETH/USDT:USDT, which is listed no more, is to be "
            "ended by `rebalancer settle`"
        )
        settled = OrderSettled(again.now_ms, lost.client_order_id, D(0), None, D(0), "nothing")
        again.take(settled)
        again.later(60).known(100)
        (point,) = again.of(PointSet)
        assert (point.prices, point.leverage) == ({BTC: D(100), ETH: D(100)}, D(3))
        assert worth(again).nav == 100
        held_and_sound(again)


class TestWhatItIsWorth:
    def test_the_account_counts_what_came_of_it_and_the_formula_sees_no_return_of_it(self) -> None:
        made = mixed()
        assert (worth(made).nav, worth(made).formula_nav) == (D(85), D(100))
        made.known(110)
        assert (worth(made).nav, worth(made).formula_nav) == (D(100), D(115)), "100 (1 + 3 x 5 %)"
        seen = view_fund(made.state, made.fund("MIX"), made.now_ms)
        assert (seen.nav, seen.stale) == (D(100), False)

    def test_a_restart_needs_no_price_of_it(self) -> None:
        made = mixed().restarted()
        made.known(110)
        assert (worth(made).nav, worth(made).formula_nav) == (D(100), D(115))
        held_and_sound(made)

    def test_only_the_prices_of_the_rest_grow_old(self) -> None:
        made = mixed().later(20)
        assert oldest_price(made.state, made.fund("MIX"), made.now_ms) == (NOON + 60_000, True)


class TestItsRules:
    def test_a_fixed_run_holds_its_weight_as_cash_and_sets_a_point_with_its_old_price(self) -> None:
        made = mixed()
        made.now_ms = DUE
        made.known(110)
        (order,) = made.orders
        assert target(made) == {BTC: (D(150) / 110).quantize(D("1e-36"))}
        made.complete(order)
        point = made.of(PointSet)[-1]
        assert (point.nav, point.leverage) == (D(115), D(3))
        assert point.prices == {BTC: D(110), ETH: D(100)}
        made.known(121)
        assert worth(made).formula_nav == D("132.25"), "115 (1 + 3 x 5 %)"
        held_and_sound(made)

    def test_the_emergency_rule_acts_at_what_the_account_owes(self) -> None:
        made = mixed(only(emergency=emergency_at(4)))
        for _ in range(2):
            made.later(1).known(57)
        assert made.of(RunOpened)[-1].plan.trigger is Trigger.EMERGENCY
        assert target(made) == {BTC: (D("30.75") / 57).quantize(D("1e-36"))}, "3 x 0.5 x 20.5"
        made.fill(made.orders[0], "0.5")
        made.report(made.orders[0], Outcome.CLOSED, filled_contracts=D("0.5"))
        made.later(60).known(57)
        assert worth(made).exposure == 57, "2.78 times: under 3, and half of 3 is where it goes"
        made.complete(made.orders[1])
        assert made.of(RunMoved)[-1].status is RunStatus.DONE
        assert round(worth(made).leverage or 0, 6) == D("1.5")
        held_and_sound(made)

    def test_the_losing_side_rule_looks_at_the_part_that_can_be_held(self) -> None:
        made = mixed(only(price_move=move_rule("0.15")))
        made.now_ms += HOUR_MS
        for _ in range(3):
            made.later(1).known(70)
        assert made.of(RunOpened)[-1].plan.trigger is Trigger.PRICE_MOVE
        assert target(made) == {BTC: (D(60) / 70).quantize(D("1e-36"))}, "2.6 was over half of 3"
        held_and_sound(made)

    def test_the_gap_rule_ends_it(self) -> None:
        made = mixed()
        for _ in range(3):
            made.later(1).known(40)
        assert made.of(RunOpened)[-1].plan.trigger is Trigger.GAP
        assert target(made) == {BTC: 0}
        held_and_sound(made)

    @pytest.mark.parametrize("goal", [Destination.RECENTRE, Destination.EDGE])
    def test_a_band_is_that_of_the_part_that_can_be_held(self, goal: Destination) -> None:
        speed = {"speed": D("0.5")} if goal is Destination.RECENTRE else {}
        band = LeverageBand(lower=D("2.5"), upper=D(4), goal=Goal(goal, **speed))
        made = mixed(only(leverage_band=band))
        made.now_ms += HOUR_MS
        made.later(1).known(100)
        assert made.of(RunOpened) == [], "1.76 is 3.53 of the half"
        quiet, mark = made.state.watch.quiet, (BTC, PriceSource.MARK)
        assert quiet(mark, D(96))
        assert not quiet(mark, D(95)), "from 4.4 % on the upper edge can be near"
        for _ in range(3):
            made.later(1).known(85)
        aim = D(4) if goal is Destination.EDGE else None
        plan = made.of(RunOpened)[-1].plan
        assert plan.trigger is Trigger.LEVERAGE_BAND
        if aim is not None:
            assert plan.target_leverage == aim
        else:
            before = D("127.5") / D("62.5") / D("0.5")
            assert abs(plan.target_leverage - (before + 3) / 2) < D("1e-50")
        half = plan.target_leverage / 2 * D("62.5") / 85
        assert abs(target(made)[BTC] - half) < D("1e-30")
        held_and_sound(made)

    @pytest.mark.parametrize("price", [90, 110])
    def test_a_run_that_was_under_way_ends_where_the_rest_of_it_gets(self, price: int) -> None:
        made = bench(fund("MIX", 3, initial_shares=D(1), basket=HALVES)).later(60)
        made.known(price)
        made.known(price, symbol=ETH)
        made.command(CommandKind.REBALANCE, "MIX")
        for order in made.orders:
            made.report(order, Outcome.REJECTED)
        again = adopted(without_eth(made))
        again.later(HOUR_MS // 1_000).known(price)
        for order in again.orders:
            again.complete(order)
        last = again.of(RunMoved)[-1]
        assert last.status is RunStatus.DONE
        assert set(again.of(PointSet)[-1].prices) == {BTC, ETH}
        held_and_sound(again)

    def test_how_far_each_rule_is_tells_of_the_rest_alone(self) -> None:
        band = LeverageBand(lower=D("1.6"), upper=D(4))
        made = mixed(only(leverage_band=band, price_move=move_rule("0.15", both=True)))
        made.known(110)
        told = [
            (each.trigger, name, each.fires, round(price, 6))
            for each in distances_of(made.fund("MIX"), worth(made))
            for name, price in each.prices.items()
        ]
        assert sorted(told) == [
            (Trigger.GAP, BTC, "at or below", round(D(100) / 3, 6)),  # 1 + 3 x half of -2/3
            (Trigger.GAP, BTC, "at or below", round(D(65) / D("1.5"), 6)),  # equity 0
            (Trigger.LEVERAGE_BAND, BTC, "below", round(D(2 * 65) / D("1.5"), 6)),  # 2, half of 4
            (Trigger.PRICE_MOVE, BTC, "at or above", D(130)),
            (Trigger.PRICE_MOVE, BTC, "at or below", D(70)),
        ]


class TestWhatIsAsked:
    def test_a_close_sells_the_rest_and_its_holders_are_paid(self) -> None:
        made = mixed()
        made.take(WindDownAsked(made.now_ms, "MIX", "enough"))
        made.complete(made.orders[0])
        assert made.fund("MIX").closed
        ask(made, flow("redeem", 1, name="MIX"))
        (paid,) = made.of(FlowDealt)
        assert (paid.shares_after, paid.nav, paid.cash) == (D(0), D(85), D(-85))
        held_and_sound(made)

    def test_a_flatten_sells_the_rest(self) -> None:
        made = mixed()
        made.command(CommandKind.FLATTEN, "MIX")
        made.complete(made.orders[0])
        assert (made.fund("MIX").holding.units, worth(made).nav) == ({}, D(85))
        held_and_sound(made)

    def test_a_redemption_is_dealt_and_keeps_what_each_share_has(self) -> None:
        made = mixed()
        ask(made, flow("redeem", "0.5", name="MIX"))
        made.complete(made.orders[0])
        (paid,) = made.of(FlowDealt)
        assert (paid.cash, made.fund("MIX").holding.units) == (D("-42.5"), {BTC: D("0.75")})
        held_and_sound(made)

    def test_a_subscription_into_a_flat_fund_buys_the_rest_only(self) -> None:
        made = mixed(limits=Limits(max_day_notional=D(300)))
        ask(made, flow("redeem", 1, name="MIX"))
        made.complete(made.orders[0])
        ask(made, flow("subscribe", 100, name="MIX", key="again"))
        assert target(made) == {BTC: D("1.5")}
        held_and_sound(made)

    def test_a_rebalance_is_what_an_operator_may_order(self) -> None:
        made = mixed()
        made.command(CommandKind.REBALANCE, "MIX")
        assert target(made) == {BTC: D("1.275")}
        held_and_sound(made)

    def test_a_plan_needs_no_price_of_it(self) -> None:
        made = mixed()
        applied(made, planned(made, ("MIX",)))
        assert target(made) == {BTC: D("1.275")}
        held_and_sound(made)


def test_a_reconstitution_brings_another_member_in_its_place() -> None:
    change = BasketChange(due_ms=NOON + HOUR_MS, basket={BTC: D("0.5"), SOL: D("0.5")})
    made = mixed(only(reconstitution=Reconstitution(changes=(change,))))
    made.now_ms = NOON + HOUR_MS
    for symbol in (BTC, SOL):
        made.known(100, symbol=symbol)
    made.later(1).known(100)
    assert made.of(RunOpened)[-1].plan.trigger is Trigger.RECONSTITUTION
    assert target(made) == {BTC: D("1.275"), SOL: D("1.275")}
    for order in made.orders:
        made.complete(order)
    point = made.of(PointSet)[-1]
    assert (point.weights, worth(made).listed) == (change.basket, D(1))
    assert set(worth(made).marks) == {BTC, SOL}
    held_and_sound(made)


def test_the_formula_follows_another_source_with_the_rest_alone() -> None:
    made = mixed()
    known = replace(made.desk.funds["MIX"], price_source=PriceSource.INDEX)
    made.desk = replace(made.desk, funds={"MIX": known})
    again = made.restarted()
    again.known(100)
    again.tick(99, source=PriceSource.INDEX, trusted=True)
    again.known(100)
    (changed,) = again.of(SourceChanged)
    assert changed.factors == {BTC: D("0.99")}
    assert worth(again).formula_nav == 100
    held_and_sound(again)


def test_a_member_that_no_run_may_leave_out_is_missed_by_verify() -> None:
    made = Bench(desk(fund("MIX", 3, initial_shares=D(1), basket=HALVES)))
    for symbol in (BTC, ETH):
        made.known(100, symbol=symbol)
    (opened,) = made.of(RunOpened)
    whole = opened.plan
    target_units, delta_units = (
        {BTC: each[BTC]} for each in (whole.target_units, whole.delta_units)
    )
    plan = replace(whole, target_units=target_units, delta_units=delta_units)
    records = [*made.records[: made.records.index(opened)], replace(opened, plan=plan)]
    found = of_this_configuration(made, records).problems
    assert any("it aims at" in each for each in found), found


def listed_again(made: Bench) -> Bench:
    """Restart a desk whose venue lists ETH again."""
    made.desk = replace(made.desk, unlisted=frozenset())
    again = made.restarted()
    again.take(ContractChanged(again.now_ms, ETH, "the venue lists ETH again"))
    return again


def resumed(made: Bench, eth: Number) -> Bench:
    """Let an operator resume the contract once ETH has a price."""
    made.known(eth, symbol=ETH)
    made.take(Commanded(made.now_ms, CommandKind.RESUME, ETH, "it is back", Scope.CONTRACT))
    return made


class TestOnceItIsListedAgain:
    def test_its_live_price_moves_nothing_before_its_contract_is_resumed(self) -> None:
        made = listed_again(mixed())
        made.known(100)
        for _ in range(5):
            made.later(20).known(20, symbol=ETH)  # 80 % down at 3x: nothing would be left
        assert made.fund("MIX").trading is TradingState.ACTIVE
        assert (worth(made).nav, worth(made).formula_nav) == (D(85), D(100))
        assert [each.name for each in made.actions if isinstance(each, Alert)][-1] == (
            "contract_listed_again"
        )
        held_and_sound(made)

    @pytest.mark.parametrize("eth", [20, 400])
    def test_the_formula_goes_on_from_the_frozen_price_as_if_it_were_the_live_one(
        self, eth: int
    ) -> None:
        made = listed_again(mixed())
        made.known(100)
        before = attribute(made.fund("MIX").gap, standing(made))
        resumed(made, eth)
        assert (worth(made).nav, worth(made).formula_nav) == (D(85), D(100))
        assert worth(made).listed == 1
        assert attribute(made.fund("MIX").gap, standing(made)) == before
        made.later(20).known(D(eth) * D("1.1"), symbol=ETH)
        assert worth(made).formula_nav == D(115), "3 x half of 10 %"
        held_and_sound(made)

    def test_the_next_run_holds_it_again(self) -> None:
        made = resumed(listed_again(mixed()), 50)
        made.now_ms = DUE
        for symbol, price in ((BTC, 100), (ETH, 50)):
            made.known(price, symbol=symbol)
        made.later(1).known(100)
        assert target(made) == {BTC: D("1.275"), ETH: D("2.55")}
        for order in made.orders:
            made.complete(order)
        assert made.of(PointSet)[-1].prices == {BTC: D(100), ETH: D(50)}
        assert of_this_configuration(made, made.records).problems == []

    def test_a_run_under_way_ends_at_a_point_without_a_step(self) -> None:
        made = mixed(only(fixed=Fixed(), manual=Manual()))
        made.command(CommandKind.REBALANCE, "MIX")
        made.later(1).known(100)
        order = made.orders[-1]
        again = resumed(listed_again(made), 20)
        again.known(100)
        again.complete(order)
        assert again.of(PointSet)[-1].prices == {BTC: D(100), ETH: D(20)}
        assert worth(again).formula_nav == 100
        held_and_sound(again)

    def test_nothing_is_told_of_one_that_no_fund_has_any_more(self) -> None:
        made = bench(fund("BTC3L", 3))
        apply(made.state, ContractDelisted(made.now_ms, ETH))
        made.take(ContractChanged(made.now_ms, ETH, "the venue lists ETH again"))
        assert "contract_listed_again" not in made.alerts

    def test_no_resume_before_a_price_of_it_is_known(self) -> None:
        made = listed_again(mixed())
        with pytest.raises(CommandRefused, match=r"MIX would go on from its live price.*try again"):
            made.take(Commanded(made.now_ms, CommandKind.RESUME, ETH, "back", Scope.CONTRACT))
        assert ETH in made.state.delisted
        assert made.of(MemberListed) == []

    def test_what_was_held_all_the_time_has_moved_with_its_price(self) -> None:
        made = listed_again(without_eth(bench(fund("MIX", 3, initial_shares=D(1), basket=HALVES))))
        made.known(100)
        resumed(made, 90)
        assert made.of(MemberListed) == []
        assert (worth(made).nav, worth(made).formula_nav) == (D(85), D(85))
        held_and_sound(made)


@pytest.mark.parametrize("hedge", [False, True])
@pytest.mark.parametrize("short", [-1, -3, -5])
def test_what_funds_hold_against_each_other_is_settled_with_what_the_venue_held(
    short: int, *, hedge: bool
) -> None:
    terms = {"initial_shares": D(1), "basket": HALVES}
    funds = (fund("MIX", 3, **terms), fund("S", short, **terms))
    made = without_eth(bench(*funds, account=Account(name="main", hedge=hedge)))
    held = made.state.accounts["main"].position(BTC)
    made.later(60).take(PositionsReported(made.now_ms, "main", {BTC: held}))
    (number,) = made.state.breaks
    assert made.state.breaks[number].units == -held, "as much of ETH as of BTC"
    answer = Commanded(made.now_ms, CommandKind.ADOPT, str(number), "settled", Scope.DESK, D(90))
    made.take(answer)
    made.known(100)
    navs = {"MIX": 100 - 3 * D(5), "S": 100 - short * D(5)}
    for name, nav in navs.items():
        each = made.fund(name)
        found = made.state.worth(each)
        assert ETH not in each.holding.units
        assert found is not None
        assert (found.nav, found.formula_nav) == (nav, D(100))
    assert not made.state.breaks
    books = made.state.accounts["main"].books
    assert not any(units for (symbol, _), units in books.items() if symbol == ETH)
    made.later(60).take(PositionsReported(made.now_ms, "main", {BTC: held}))
    assert not made.state.breaks
    held_and_sound(made)
    half = {name: units / 2 for name, units in made.of(Crossed)[-1].units.items()}
    records, seq = changed(made, Crossed, units=half)
    (problem,) = of_this_configuration(made, records[:seq]).problems
    assert problem.endswith("not all that was held against each other is settled")


def test_a_break_of_what_funds_hold_against_each_other_ends_once_it_is_listed_again() -> None:
    terms = {"initial_shares": D(1), "basket": HALVES}
    made = without_eth(bench(fund("MIX", 3, **terms), fund("S", -3, **terms))).later(60)
    for _ in range(2):
        made.take(PositionsReported(made.now_ms, "main", {}))
    (found,) = made.state.breaks.values()
    assert found.cause == (
        "the venue holds nothing of ETH/USDT:USDT, funds hold it against each other; the contract "
        "is listed no more"
    )
    again = listed_again(made)
    again.take(PositionsReported(again.now_ms, "main", {}))
    assert not again.state.breaks
    assert not again.state.permission(again.fund("MIX")).halted


class TestOnPaper:
    """Index-only funds: no venue will tell what became of it, so a person says it."""

    def delisted(self) -> Bench:
        terms = {"account": "", "basket": HALVES, "methodology": only(fixed=Fixed())}
        funds = [fund("MIX", 3, **terms), fund("DOWN", -1, **terms)]
        made = Bench(desk(*funds))
        for symbol in (BTC, ETH):
            made.known(100, symbol=symbol)
        # Nobody trades it here, so that the desk knows nothing of it once its venue is silent.
        known = {name: each for name, each in made.desk.contracts.items() if name != ETH}
        made.desk = replace(made.desk, contracts=known)
        again = without_eth(made)
        again.known(100)
        return again

    def test_a_break_asks_for_a_price_and_its_adoption_sets_the_funds_free(self) -> None:
        made = self.delisted()
        ((number, found),) = made.state.breaks.items()
        assert found.cause == "MIX, DOWN count with ETH/USDT:USDT, which is listed no more"
        assert found.repair.startswith("rebalancer adopt 1 --price PRICE")
        before = {name: each.holding.units[ETH] for name, each in made.state.funds.items()}
        cash = {name: each.holding.cash for name, each in made.state.funds.items()}
        adopt = Commanded(made.now_ms, CommandKind.ADOPT, str(number), "gone", Scope.DESK)
        with pytest.raises(CommandRefused, match="say with --price"):
            made.take(adopt)
        made.take(replace(adopt, price=D(90)))
        assert not made.state.breaks
        for name, each in made.state.funds.items():
            assert ETH not in each.holding.units
            assert each.holding.cash == cash[name] + before[name] * 90
            assert made.state.worth(each) is not None
        made.now_ms = DUE
        made.known(100)
        made.later(1).known(100)
        assert [each.plan.trigger for each in made.of(RunOpened)][-2:] == [Trigger.FIXED] * 2
        held_and_sound(made)

    def test_the_break_is_found_once_and_ends_where_the_contract_is_listed_again(self) -> None:
        made = self.delisted().restarted()
        made.take(ContractChanged(made.now_ms, ETH, "it is listed no more"))
        assert list(made.state.breaks) == [1]
        again = listed_again(made)
        assert not again.state.breaks
        resumed(again, 90)
        assert not again.state.delisted
        held_and_sound(again)

    def test_verify_misses_what_was_left_of_it(self) -> None:
        made = self.delisted()
        adopt = Commanded(made.now_ms, CommandKind.ADOPT, "1", "gone", Scope.DESK, D(90))
        made.take(adopt)
        place = next(
            place
            for place in reversed(range(len(made.records)))
            if isinstance(made.records[place], PositionsAdopted)
        )
        sold: Any = made.records[place]
        half = replace(sold, units={ETH: sold.units[ETH] / 2})
        found = of_this_configuration(made, [*made.records[:place], half]).problems
        assert any("another part of what is listed no more" in each for each in found), found
