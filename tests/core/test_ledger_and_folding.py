"""Every movement is a balanced entry, and a record that cannot follow is refused."""

from __future__ import annotations

from typing import Any

import pytest

from rebalancer.core import ledger
from rebalancer.core.capital import ManagementFeeCharged
from rebalancer.core.events import FundingPaid, WindDownAsked
from rebalancer.core.fees import ManagementFee
from rebalancer.core.folding import apply, fold
from rebalancer.core.instant import DAY_MS, HOUR_MS
from rebalancer.core.money import total
from rebalancer.core.nav import Point, ValueInputs, basket_move, formula_nav, value
from rebalancer.core.order import Fill, Outcome, PositionSide
from rebalancer.core.position import Holding
from rebalancer.core.records import (
    Crossed,
    FixedSettled,
    FundingPosted,
    FundLaunched,
    IntentCreated,
    NavStruck,
    OrderMoved,
    PositionsAdopted,
    Record,
    RunMoved,
    RunOpened,
    Settlement,
    ShortfallCovered,
    Traded,
    VerdictChanged,
)
from rebalancer.core.run import RunStatus
from rebalancer.errors import BrokenInvariant
from tests.factories import BTC, DUE, ETH, NOON, Bench, D, bench, desk, fund, only


def fill(**over: Any) -> Fill:
    fields: dict[str, Any] = {
        "trade_id": "1",
        "client_order_id": "",
        "price": D(100),
        "contracts": D(3),
        "fee": D("0.3"),
        "at_ms": NOON,
    } | over
    return Fill(**fields)


def traded(**over: Any) -> Traded:
    fields: dict[str, Any] = {
        "at_ms": NOON,
        "account": "main",
        "contract": BTC,
        "position_side": PositionSide.NET,
        "fill": fill(),
        "units": D(3),
        "allocations": {"A": D(1), "B": D(2)},
        "fees": {"A": D("0.1"), "B": D("0.2")},
        "slippage": {},
        "forced": True,
    } | over
    return Traded(**fields)


ENTRIES: list[Record] = [
    FundLaunched(NOON, "A", "main", D(1), D(100)),
    PositionsAdopted(NOON, "A", "main", {BTC: D(3), ETH: D(-1)}, {BTC: D(100), ETH: D("0.3")}),
    Crossed(NOON, "main", BTC, D("100.1"), {"A": D("0.5"), "B": D("-0.5")}),
    traded(),
    FundingPosted(NOON, "main", BTC, D("0.01"), D(100), {"A": D(3), "B": D(-2)}),
    ShortfallCovered(NOON, "A", "main", D(20)),
]


@pytest.mark.parametrize("record", ENTRIES, ids=lambda record: type(record).__name__)
def test_every_entry_sums_to_zero_in_every_asset(record: Record) -> None:
    entry = ledger.postings(record)
    assert entry
    for asset in {posting.asset for posting in entry}:
        assert total(posting.amount for posting in entry if posting.asset == asset) == 0


@pytest.mark.parametrize(
    ("record", "sentence"),
    [
        (Crossed(NOON, "main", BTC, D(100), {"A": D(1), "B": D(-2)}), "leaves -1 BTC"),
        (traded(allocations={"A": D(1)}), "allocations do not sum to the trade"),
        (traded(fees={"A": D(1)}), "fees do not sum to the trade's"),
    ],
)
def test_an_entry_that_does_not_balance_is_refused(record: Record, sentence: str) -> None:
    with pytest.raises(BrokenInvariant, match=sentence):
        ledger.postings(record)


def test_what_moves_nothing_has_no_entry() -> None:
    record = VerdictChanged(NOON, "A", next(iter(bench().of(VerdictChanged))).trigger, "x")
    assert ledger.postings(record) == ()


def impossible() -> list[tuple[str, Record]]:
    made = bench(fund(initial_shares=D(1)))
    made.later(60).known(85)
    opened = made.of(RunOpened)[0]
    intent = made.of(IntentCreated)[0]
    return [
        ("is launched twice", FundLaunched(NOON, "BTC3L", "main", D(1), D(1))),
        (
            "names the fund GONE, which is not configured",
            FundLaunched(0, "GONE", "main", D(1), D(1)),
        ),
        ("opens a run while one is under way", opened),
        ("is out of turn", intent),
        ("is not working", OrderMoved(NOON, "x", Outcome.CLOSED, None, "", "")),
        (
            "has no working order",
            traded(forced=False, allocations={"BTC3L": D(3)}, fees={"BTC3L": D("0.3")}),
        ),
        (
            "a run moved that is not there",
            RunMoved(NOON, "BTC3L", "other", RunStatus.DONE, "", D(1), None, D(0), {}),
        ),
        (
            "NAV x shares is not the equity",
            NavStruck(NOON, "BTC3L", NOON, D(1), D(1), D(2), D(1)),
        ),
    ]


@pytest.mark.parametrize("number", range(8))
def test_a_record_that_cannot_follow_is_refused(number: int) -> None:
    sentence, record = impossible()[number]
    made = bench(fund(initial_shares=D(1)))
    made.later(60).known(85)
    with pytest.raises(BrokenInvariant, match=sentence):
        apply(made.state, record)


def test_a_fixed_instant_is_settled_once_and_in_order() -> None:
    made = bench(fund())
    apply(made.state, FixedSettled(DUE, "BTC3L", DUE, Settlement.SKIPPED, "x"))
    for due_ms in (DUE, DUE - DAY_MS):
        with pytest.raises(BrokenInvariant, match="is settled twice"):
            apply(made.state, FixedSettled(DUE, "BTC3L", due_ms, Settlement.RUN, "x"))


def test_the_fold_of_nothing_is_a_desk_that_never_opened() -> None:
    state = fold(bench().desk, [])
    assert state.desk_id == ""
    assert state.funds["BTC3L"].launched_ms is None


class TestFunding:
    def test_it_is_rate_times_units_times_mark_whatever_the_venue_nets(self) -> None:
        made = bench(fund("L", initial_shares=D(1)), fund("S", -3, initial_shares=D(1)))
        made.take(FundingPaid(made.now_ms, "main", BTC, D("0.001"), D(110)))
        (posted,) = made.of(FundingPosted)
        assert dict(posted.paid) == {"L": D("0.330"), "S": D("-0.330")}
        assert made.state.funds["L"].holding.cash == -200 - D("0.33")
        assert made.state.funds["S"].costs.funding == D("-0.33")

    def test_it_touches_no_fund_without_units_and_no_other_account(self) -> None:
        made = bench(fund("L"), fund("E", basket={ETH: D(1)}))
        made.take(FundingPaid(made.now_ms, "other", BTC, D("0.001"), D(110)))
        assert made.of(FundingPosted) == []
        made.take(FundingPaid(made.now_ms, "main", ETH, D("0.001"), D(110)))
        assert set(made.of(FundingPosted)[0].paid) == {"E"}

    def test_a_settlement_that_is_told_again_is_booked_once(self) -> None:
        made = bench(fund("L"))
        for settled_ms in (NOON, NOON, NOON - 1, NOON + 28_800_000):
            made.take(
                FundingPaid(made.now_ms, "main", BTC, D("0.001"), D(110), settled_ms=settled_ms)
            )
        assert [each.settled_ms for each in made.of(FundingPosted)] == [NOON, NOON + 28_800_000]
        assert made.state.accounts["main"].funded_ms == {BTC: NOON + 28_800_000}

    def test_payments_that_nobody_could_tell_twice_are_all_booked(self) -> None:
        made = bench(fund("L"))
        for _ in range(2):
            made.take(FundingPaid(made.now_ms, "main", BTC, D("0.001"), D(110)))
        assert len(made.of(FundingPosted)) == 2

    def test_what_the_venue_did_not_book_is_owed_at_the_mark_of_the_desk(self) -> None:
        made = bench(fund("L"), fund("S", -3), price=110)
        made.take(FundingPaid(made.now_ms, "main", BTC, D("0.001"), None))
        (posted,) = made.of(FundingPosted)
        units = {name: made.fund(name).holding.units[BTC] for name in ("L", "S")}
        assert posted.mark == D(110)
        assert not sum(units.values())
        assert posted.paid == {name: D("0.11") * held for name, held in units.items()}
        nobody = Bench(desk(fund("L")))
        nobody.take(FundingPaid(nobody.now_ms, "main", BTC, D("0.001"), None))
        assert nobody.of(FundingPosted) == []

    def test_the_alarm_of_the_same_instant_is_not_lost(self) -> None:
        made = bench(fund())
        made.now_ms = DUE
        made.take(FundingPaid(DUE, "main", BTC, D("0.001"), D(100)))
        assert made.of(RunOpened) == []
        made.known(105)
        assert len(made.of(RunOpened)) == 1

    def test_a_leverage_that_funding_lifted_over_an_edge_is_seen_with_the_next_price(self) -> None:
        made = bench(fund(initial_shares=D(1))).later(60)
        made.take(FundingPaid(made.now_ms, "main", BTC, D("0.21"), D(100)))
        assert made.of(RunOpened) == []
        made.known(100)
        assert [str(each.plan.trigger) for each in made.of(RunOpened)] == ["emergency"]


class TestDailyNav:
    def test_it_is_struck_once_at_16_00_utc_with_both_navs(self) -> None:
        made = bench(fund(initial_shares=D(7)))
        made.state.funds["BTC3L"].holding.cash -= 7
        for later_ms in (-1, 0, 1, HOUR_MS):
            made.now_ms = NOON + 4 * HOUR_MS + later_ms
            made.known(105)
        (struck,) = made.of(NavStruck)
        assert struck.boundary_ms == NOON + 4 * HOUR_MS
        assert (struck.nav, struck.formula_nav, struck.shares) == (D(114), D(115), D(7))
        assert struck.equity == 7 * 114

    def test_a_halted_fund_is_struck_too(self) -> None:
        made = bench(fund())
        made.state.funds["BTC3L"].trading = type(made.state.funds["BTC3L"].trading).HALTED
        made.now_ms = NOON + 5 * HOUR_MS
        made.wake()
        assert made.of(NavStruck) == []  # the price is five hours old
        made.later(1).tick(101)
        assert made.of(NavStruck) == []  # nor has another one agreed with this
        made.later(1).tick(101)
        (struck,) = made.of(NavStruck)
        assert (struck.boundary_ms, struck.nav) == (NOON + 4 * HOUR_MS, D(103))

    def test_a_wild_tick_makes_neither_the_daily_nav_nor_the_fee(self) -> None:
        fee = ManagementFee(daily=D("0.003"))
        made = bench(fund(initial_shares=D(1), management_fee=fee, methodology=only()))
        made.now_ms = NOON + 4 * HOUR_MS - 1_000
        made.tick(100)
        made.later(1).tick(150)
        assert not made.of(NavStruck)
        assert not made.of(ManagementFeeCharged)
        made.later(1).tick(101)
        made.later(1).tick(101)
        assert [each.nav for each in made.of(NavStruck)] == [D(103)]
        assert [each.amount for each in made.of(ManagementFeeCharged)] == [D("0.103")]

    def test_what_holds_nothing_needs_no_price_to_be_struck(self) -> None:
        made = bench(fund()).later(60)
        made.take(WindDownAsked(made.now_ms, "BTC3L", "the end"))
        made.known(100)
        made.complete(made.orders[-1])
        made.now_ms = NOON + 4 * HOUR_MS
        made.wake()
        assert [each.nav for each in made.of(NavStruck)] == [D(100)]

    def test_a_fund_is_not_struck_for_a_boundary_before_its_start(self) -> None:
        made = Bench(bench(fund()).desk, now_ms=NOON + 5 * HOUR_MS)
        made.known(100)
        made.later(60).known(100)
        assert made.of(NavStruck) == []


class TestNav:
    POINT = Point(NOON, D(100), {BTC: D(100), ETH: D(50)}, D(3))

    def test_the_move_of_a_basket_is_weighted(self) -> None:
        basket = {BTC: D("0.6"), ETH: D("0.4")}
        assert basket_move(basket, self.POINT, {BTC: D(110), ETH: D(40)}) == D("-0.02")

    def test_the_formula_uses_the_leverage_of_the_last_run_and_stops_at_zero(self) -> None:
        assert formula_nav(self.POINT, D("0.05")) == 115
        assert formula_nav(self.POINT, D("-0.5")) == 0

    def test_before_the_first_point_the_formula_is_the_initial_nav(self) -> None:
        inputs = ValueInputs({BTC: D(1)}, D(4), Holding(D(400)), None, D(100), wiped=False)
        worth = value(inputs, {BTC: D(1)}, {BTC: D(1)})
        assert (worth.nav, worth.formula_nav, worth.move, worth.leverage) == (
            D(100),
            D(100),
            D(0),
            D(0),
        )

    def test_without_equity_there_is_no_leverage(self) -> None:
        inputs = ValueInputs(
            {BTC: D(1)}, D(1), Holding(D(-100), {BTC: D(1)}), None, D(1), wiped=False
        )
        assert value(inputs, {BTC: D(100)}, {BTC: D(100)}).leverage is None
