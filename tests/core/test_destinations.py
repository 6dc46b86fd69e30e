"""Where runs go, duties that survive, baskets that change, funds on paper: one event at a time."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from rebalancer.core.calendar import ALWAYS_OPEN
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import DAY_MS, HOUR_MS
from rebalancer.core.ledger import CASH, postings
from rebalancer.core.methodology import (
    BasketChange,
    Destination,
    Elapsed,
    Fixed,
    Goal,
    LeverageBand,
    LeverageCap,
    Methodology,
    Reconstitution,
    Trigger,
)
from rebalancer.core.money import split_pro_rata
from rebalancer.core.nav import ValueInputs, value
from rebalancer.core.planner import target_units
from rebalancer.core.position import Holding
from rebalancer.core.records import (
    BreachLapsed,
    BreachSeen,
    FixedSettled,
    PointSet,
    RunOpened,
    Settlement,
)
from rebalancer.core.rules.destination import aim_of, strictest
from rebalancer.core.state import Desk
from tests.factories import (
    BTC,
    ETH,
    NOON,
    Bench,
    D,
    bench,
    contract,
    desk,
    dice_of,
    fund,
    holding,
    move_rule,
    only,
    planned,
    snapshot,
)

EDGE, HALF = Goal(Destination.EDGE), Goal(Destination.RECENTRE, D("0.5"))


def band(lower: str = "2.5", upper: str = "3.5", **over: Any) -> LeverageBand:
    return LeverageBand(lower=D(lower), upper=D(upper), **over)


def owed(**over: Any) -> LeverageBand:
    """A breach is mended by 16:00 of the next day, whatever day that is."""
    chosen: dict[str, Any] = {"within_business_days": 1, "calendar": ALWAYS_OPEN} | over
    return band(**chosen)


def serve(made: Bench) -> None:
    for order in made.orders:
        if order.client_order_id in made.state.orders:
            made.complete(order)


def test_a_duty_survives_a_restart_and_is_carried_out_once() -> None:
    made = bench(fund(methodology=only(leverage_band=owed())))
    made.later(60).known("90")
    (seen,) = made.of(BreachSeen)
    assert seen.due_ms == NOON + 28 * HOUR_MS
    assert made.orders == []
    assert "band_breached" in made.alerts
    again = made.restarted()
    again.later(60).known("91")
    assert len(again.of(BreachSeen)) == 1
    duty = again.fund().duty
    assert duty is not None
    assert (duty.since_ms, duty.due_ms) == (seen.since_ms, seen.due_ms)
    again.later(27 * 3600).known("99")  # cured long before
    assert again.orders == []
    again.now_ms = seen.due_ms
    again.known("99")
    serve(again)
    assert [each.plan.trigger for each in again.of(RunOpened)] == ["leverage_band"]
    assert again.fund().duty is None
    again.later(60).known("99")
    assert len(again.of(RunOpened)) == 1


def test_a_duty_ends_with_any_run_that_is_done() -> None:
    known = fund(methodology=only(leverage_band=owed(), fixed=Fixed()))
    made = bench(known)
    made.later(60).known("90")
    assert made.fund().duty is not None
    made.now_ms = NOON + 14 * HOUR_MS + HOUR_MS // 2  # 02:30 UTC
    made.known("90")
    serve(made)
    assert made.fund().duty is None


def test_a_duty_lapses_where_the_rule_lets_it_and_is_seen_anew() -> None:
    made = bench(fund(methodology=only(leverage_band=owed(lapse_if_cured=True))))
    made.later(60).known("90")
    made.later(60).known("99")
    assert len(made.of(BreachLapsed)) == 1
    assert made.fund().duty is None
    made.later(60).known("90")
    assert len(made.of(BreachSeen)) == 2
    made.now_ms = NOON + 3 * DAY_MS
    made.known("101")
    assert made.orders == []


def test_a_breach_that_one_wild_tick_shows_is_no_duty() -> None:
    made = bench(fund(methodology=only(leverage_band=owed())))
    made.later(60).tick("80")
    made.later(60).tick("100")
    made.later(60).tick("100")
    assert made.of(BreachSeen) == []


def test_a_fixed_time_is_satisfied_only_by_a_run_that_goes_as_far() -> None:
    # 02:30: the band goes to its edge; the fixed rule goes to target, so the meeting does.
    rules = only(leverage_band=band(goal=EDGE), fixed=Fixed())
    made = bench(fund(methodology=rules))
    made.now_ms = NOON + 14 * HOUR_MS + HOUR_MS // 2
    made.known("85")
    serve(made)
    (opened,) = made.of(RunOpened)
    assert opened.plan.trigger is Trigger.LEVERAGE_BAND
    assert opened.plan.target_leverage == 3
    (settled,) = made.of(FixedSettled)
    assert (settled.settlement, settled.run_id) == (Settlement.RUN, opened.plan.run_id)


def test_an_edge_run_before_the_fixed_time_leaves_it_open() -> None:
    made = bench(fund(methodology=only(leverage_band=band(goal=EDGE), fixed=Fixed())))
    made.now_ms = NOON + 14 * HOUR_MS
    made.known("85")
    serve(made)
    made.now_ms = NOON + 14 * HOUR_MS + HOUR_MS // 2
    made.known("86")
    serve(made)
    assert [(each.plan.trigger, each.plan.target_leverage) for each in made.of(RunOpened)] == [
        ("leverage_band", D("3.5")),
        ("fixed", D(3)),
    ]
    points = made.of(PointSet)
    assert [each.leverage for each in points[1:]] == [D("3.5"), D(3)]


def test_a_fixed_rule_that_recentres_is_satisfied_by_its_own_run() -> None:
    made = bench(fund(methodology=only(leverage_band=band(), fixed=Fixed(goal=HALF))))
    made.now_ms = NOON + 14 * HOUR_MS + HOUR_MS // 2
    made.known("98")
    serve(made)
    made.later(60).known("98")
    assert len(made.of(RunOpened)) == len(made.of(FixedSettled)) == 1


def test_less_than_a_lot_beyond_the_edge_is_no_run_without_end() -> None:
    coarse = contract(lot="1000")
    made = Bench(
        desk(fund(methodology=only(leverage_band=band(goal=EDGE))), contracts=[coarse],
             free_launch=True)
    )  # fmt: skip
    made.known(100)
    # 29999 units keep 3x within a lot; at 90.88 leverage is a hair above 3.5
    for _ in range(5):
        made.later(3_600).known("93.30")
        serve(made)
    assert made.of(RunOpened) == []
    made.later(3_600).known("90")
    serve(made)
    assert len(made.of(RunOpened)) == 1


def test_the_strictest_place_wins_and_the_longer_step_of_two() -> None:
    assert strictest([HALF, EDGE]) == EDGE
    assert strictest([EDGE, Goal(), HALF]) == Goal()
    assert strictest([HALF, Goal(Destination.RECENTRE, D("0.9"))]).speed == D("0.9")


@pytest.mark.parametrize("seed", range(300))
def test_no_run_moves_leverage_away_from_where_it_goes(seed: int) -> None:
    """The way to L' is straight: every step on it is nearer, and none is beyond the target."""
    dice = dice_of(seed)
    target = D(dice.choice(["3", "-3", "1.25", "-1", "2", "0.5"]))
    size = abs(target)
    rule = band(str(size * D("0.8")), str(size * D("1.3")))
    known = fund("F", target, methodology=Methodology(leverage_band=rule))
    now = size * D(dice.randrange(10, 300)) / 100
    exposure = (now if target > 0 else -now) * 100
    worth = value(
        ValueInputs({BTC: D(1)}, D(1), Holding(100 - exposure, {BTC: exposure}), None, D(1),
                    wiped=False), {BTC: D(1)}, {BTC: D(1)},
    )  # fmt: skip
    for goal in (Goal(), EDGE, HALF, Goal(Destination.RECENTRE, D("0.01"))):
        aim = abs(aim_of(goal, known, worth))
        assert rule.lower <= aim <= rule.upper
        assert min(now, size) <= aim <= max(now, size) or aim in (rule.lower, rule.upper)
        assert abs(aim - size) <= abs(now - size)


def _random_funds(dice: Random) -> list[Any]:
    made = []
    for number in range(dice.randrange(2, 9)):
        target = dice.choice(["3", "-3", "2", "-1", "1.25", "5"])
        size = abs(D(target))
        narrow = band(str(size * D("0.95")), str(size * D("1.05")))
        chosen = [
            only(leverage_band=replace(narrow, goal=dice.choice([Goal(), EDGE, HALF]))),
            only(price_move=move_rule("0.03")),
            only(leverage_cap=LeverageCap(upper=size * D("1.02"))),
            only(elapsed=Elapsed(days=1)),
        ]
        made.append((f"F{number}", target, dice.choice(chosen)))
    return made


@pytest.mark.parametrize("seed", range(60))
def test_no_order_of_funds_changes_a_plan_and_every_plan_converges(seed: int) -> None:
    dice = dice_of(seed)
    given = _random_funds(dice)
    price = str(D(dice.randrange(9_000, 11_000)) / 100)
    documents = []
    for _ in range(2):
        dice.shuffle(given)
        known = desk(*(fund(name, target, methodology=rules) for name, target, rules in given))
        held = {name: holding(leverage=target) for name, target, _ in given}
        documents.append(planned(known, snapshot(held, price, at="2026-01-02T02:30:00Z")))
    one, other = documents
    assert one["funds"] == other["funds"]
    assert one["orders"] == other["orders"]
    units = {name: D(told["delta_units"][BTC]) for name, told in one["funds"].items()}
    traded = {name: D(0) for name in units}
    for order in one["orders"]:
        shares = {name: D(part) for name, part in order["allocations"].items()}
        assert sum(shares.values()) == D(order["units"])
        for name, part in shares.items():
            traded[name] += part
    for cross in one["crosses"]:
        assert sum(map(D, cross["units"].values())) == 0
        for name, part in cross["units"].items():
            traded[name] += D(part)
    for name, whole in units.items():
        assert abs(whole - traded[name]) <= D("1e-9"), "what is left is less than a lot"


def test_a_target_of_whole_lots_is_met_to_the_last_one() -> None:
    equal = split_pro_rata(D(1), {BTC: D(1), ETH: D(1), "SOL/USDT:USDT": D(1)}, step=D("1e-30"))
    marks = {BTC: D(10), ETH: D(20), "SOL/USDT:USDT": D(7)}
    found = target_units(D(2), D(120), equal, marks)
    assert [found[BTC], found[ETH]] == [D(8), D(4)]
    seventeenths = D(17) / D(7)
    assert target_units(seventeenths, D(7), {BTC: D(1)}, {BTC: D(17)}) == {BTC: 1}


@pytest.mark.parametrize("first", range(0, 1_000, 100))
def test_allocations_of_any_set_of_funds_are_exact(first: int) -> None:
    for seed in range(first, first + 100):
        dice = dice_of(seed)
        names = [f"F{number}" for number in range(dice.randrange(1, 40))]
        weights = {
            name: D(dice.randrange(1, 10**12)) / 10 ** dice.randrange(0, 12) for name in names
        }
        whole = D(dice.randrange(1, 10**15)) / 10 ** dice.randrange(0, 18)
        shares = split_pro_rata(whole, weights)
        assert sum(shares.values()) == whole
        total = sum(weights.values())
        for name in names:
            assert abs(shares[name] - whole * weights[name] / total) <= D("1e-18")


# --- baskets that change -----------------------------------------------------------------------


def turning(**over: Any) -> Reconstitution:
    change = BasketChange(due_ms=NOON + HOUR_MS, basket={BTC: D("0.5"), ETH: D("0.5")})
    last = BasketChange(due_ms=NOON + 2 * HOUR_MS, basket={ETH: D(1)})
    return Reconstitution(changes=(change, last), **over)


def test_members_join_and_leave_on_their_dates() -> None:
    made = bench(fund(methodology=only(reconstitution=turning())))
    assert made.fund().weights == {BTC: 1}
    for hour in (1, 2):
        made.now_ms = NOON + hour * HOUR_MS
        made.known("100", symbol=ETH)
        made.known("100")
        serve(made)
    assert [each.plan.trigger for each in made.of(RunOpened)] == ["reconstitution"] * 2
    assert made.fund().weights == {ETH: 1}
    assert list(made.fund().holding.units) == [ETH]
    assert made.of(PointSet)[-1].prices == {ETH: 100}


def test_a_change_waits_for_the_first_price_of_who_joins_and_nobody_else_does() -> None:
    made = bench(fund(methodology=only(reconstitution=turning())))
    blind = made.restarted()
    blind.now_ms = NOON + HOUR_MS
    blind.known("100")
    assert blind.of(RunOpened) == []
    verdict = blind.fund().verdict
    assert verdict is not None
    assert "first price of ETH" in verdict[1]
    blind.known("100", symbol=ETH)
    blind.later(1).known("100")
    assert [each.plan.trigger for each in blind.of(RunOpened)] == ["reconstitution"]


def test_the_formula_nav_counts_with_the_basket_of_the_last_point() -> None:
    made = bench(fund(methodology=only(reconstitution=turning())))
    made.now_ms = NOON + HOUR_MS - 1
    made.known("50", symbol=ETH)
    worth = made.state.worth(made.fund())
    assert worth is not None
    assert worth.formula_nav == 100


def test_weights_may_be_set_anew_without_another_member() -> None:
    equal = {BTC: D("0.5"), ETH: D("0.5")}
    again = Reconstitution(changes=(BasketChange(due_ms=NOON + HOUR_MS, basket=equal),))
    made = bench(fund(basket=equal, methodology=only(reconstitution=again)))
    made.now_ms = NOON + HOUR_MS
    made.known("110", symbol=ETH)
    made.known("100")
    serve(made)
    marks = {BTC: D(100), ETH: D(110)}
    values = [made.fund().holding.units[symbol] * marks[symbol] for symbol in (BTC, ETH)]
    assert abs(values[0] - values[1]) < D("1e-6")


# --- funds on paper ----------------------------------------------------------------------------


def test_an_index_only_fund_is_at_its_target_at_once_and_never_orders() -> None:
    note = fund("NOTE", "1.25", account="", basket={"SPX": D("0.5"), "BTC/USD:BTC": D("0.5")},
                price_source=PriceSource.INDEX,
                methodology=only(leverage_cap=LeverageCap(upper=D("1.3"))))  # fmt: skip
    made = Bench(Desk({"NOTE": note}, {}, {}, free_launch=True))
    for symbol, price in (("SPX", "100"), ("BTC/USD:BTC", "100")):
        made.tick(price, symbol=symbol, source=PriceSource.INDEX, trusted=True)
    made.later(60)
    for symbol, price in (("SPX", "80"), ("BTC/USD:BTC", "85")):
        made.tick(price, symbol=symbol, source=PriceSource.INDEX, trusted=True)
    (opened,) = made.of(RunOpened)
    assert opened.plan.trigger == "leverage_cap"
    worth = made.state.worth(made.fund("NOTE"))
    assert worth is not None
    assert worth.leverage is not None
    assert abs(worth.leverage - D("1.25")) < D("1e-25")
    assert abs(worth.nav - worth.formula_nav) < D("1e-25")
    books: dict[str, Decimal] = {}
    for record in made.records:
        for posting in postings(record):
            books[posting.book] = books.get(posting.book, D(0)) + (
                posting.amount if posting.asset == CASH else D(0)
            )
    assert sum(books.values()) == 0, "what is counted on paper still adds up to the last digit"
    assert made.orders == []
    assert made.restarted().fund("NOTE").holding == made.fund("NOTE").holding


def test_an_index_only_fund_that_is_wiped_owes_nobody() -> None:
    note = fund("NOTE", 3, account="", methodology=only())
    made = bench(note)
    made.later(60).known("60")
    state = made.fund("NOTE")
    assert state.trading == "wiped"
    assert state.holding.units == {}
    assert state.holding.cash == Decimal(0)
    assert made.state.desk_cash == 0
