"""Verification finds what does not follow, and nothing in days that did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from rebalancer.core.configuration import ConfigurationChanged, FundReconfigured
from rebalancer.core.events import CommandKind, LiquidationReported
from rebalancer.core.fund import NavKind
from rebalancer.core.instant import iso
from rebalancer.core.order import Absence, Outcome, PositionSide
from rebalancer.core.records import (
    Crossed,
    DeskStarted,
    FixedSettled,
    FundingPosted,
    IntentCreated,
    NavStruck,
    OrderMoved,
    PointSet,
    Record,
    RunMoved,
    RunOpened,
    Traded,
)
from rebalancer.core.run import RunPlan
from rebalancer.core.scope import Scope
from rebalancer.core.verification import Verifier
from rebalancer.errors import BrokenInvariant
from tests.core.test_listing import listed, trade
from tests.core.test_random_days import Day, busy_funds
from tests.factories import BTC, DUE, NOON, AnyRecord, Bench, D, bench, desk, fund


def verified(made: Bench, records: Sequence[Record]) -> Verifier:
    verifier = Verifier(made.desk)
    for record in records:
        verifier.take(record)
    verifier.end()
    return verifier


def of_this_configuration(made: Bench, records: Sequence[Record]) -> Verifier:
    """Verify records with a start on the configuration at hand put first: each is one later."""
    verifier = Verifier(made.desk, "at hand")
    for record in (DeskStarted(records[0].at_ms, "live", "at hand"), *records):
        verifier.take(record)
    verifier.end()
    return verifier


@pytest.fixture(scope="module")
def lived() -> Bench:
    """Two thousand random events of six funds."""
    day = Day(Bench(desk(*busy_funds())), seed=5)
    for _ in range(2_000):
        day.play(day.next())
    return day.bench


@pytest.mark.parametrize("seed", range(3))
def test_whatever_a_desk_lived_through_holds_and_is_counted(seed: int) -> None:
    day = Day(Bench(desk(*busy_funds())), seed)
    for _ in range(800):
        day.play(day.next())
    found = verified(day.bench, day.bench.records)
    assert found.problems == []
    assert found.counts["records"] == len(day.bench.records)
    assert found.counts["NAVs"] > 50
    assert found.counts["postings"] > 200
    assert found.counts["orders"] == len(day.bench.of(IntentCreated))


def changed(made: Bench, kind: type[AnyRecord], **over: object) -> tuple[list[Record], int]:
    """Return the records with the last one of a kind changed, and its number."""
    place = max(n for n, record in enumerate(made.records) if isinstance(record, kind))
    records = list(made.records)
    records[place] = replace(records[place], **over)  # type: ignore[arg-type]
    return records, place + 1


def last(made: Bench, kind: type[AnyRecord]) -> AnyRecord:
    return made.of(kind)[-1]


def test_a_nav_that_does_not_follow_is_named_with_its_record(lived: Bench) -> None:
    nav = last(lived, RunMoved).nav
    assert nav is not None
    records, seq = changed(lived, RunMoved, nav=nav + D("1e-12"))
    (problem,) = verified(lived, records).problems
    assert problem.startswith(f"record {seq} (RunMoved): NAV is ")


def test_a_struck_nav_and_its_equity_are_worked_out_anew(lived: Bench) -> None:
    struck = last(lived, NavStruck)
    twice = {"nav": struck.nav * 2, "equity": struck.equity * 2}
    records, seq = changed(lived, NavStruck, **twice)
    problems = verified(lived, records).problems
    assert [problem.split(" is ")[0] for problem in problems] == [
        f"record {seq} (NavStruck): equity",
        f"record {seq} (NavStruck): NAV",
    ]


def test_an_order_under_a_foreign_id_is_found(lived: Bench) -> None:
    made = Bench(lived.desk)
    place = max(n for n, each in enumerate(lived.records) if isinstance(each, IntentCreated))
    intent = last(lived, IntentCreated).intent
    foreign = replace(last(lived, IntentCreated), intent=replace(intent, client_order_id="rx"))
    (problem,) = verified(made, [*lived.records[:place], foreign]).problems
    assert "the id rx is not of this desk" in problem


def test_a_cost_that_a_run_never_paid_is_found(lived: Bench) -> None:
    records, seq = changed(lived, RunMoved, cost=D(99))
    (problem,) = verified(lived, records).problems
    assert problem.startswith(f"record {seq} (RunMoved): cost is ")


def test_a_fill_that_was_dropped_is_found_by_what_comes_after(lived: Bench) -> None:
    place = next(n for n, each in enumerate(lived.records) if isinstance(each, Traded))
    records = [*lived.records[:place], *lived.records[place + 1 :]]
    with pytest.raises(
        BrokenInvariant, match=r"^record \d+ \(IntentCreated\): .* lack to the target"
    ):
        verified(lived, records)


def test_a_trade_with_other_units_breaks_the_books(lived: Bench) -> None:
    records, seq = changed(lived, Traded, units=last(lived, Traded).units + Decimal(1))
    with pytest.raises(BrokenInvariant, match=rf"^record {seq} \(Traded\): "):
        verified(lived, records)


def test_an_instant_that_is_settled_twice_is_found(lived: Bench) -> None:
    settled = last(lived, FixedSettled)
    verifier = verified(lived, lived.records)
    with pytest.raises(BrokenInvariant, match="is settled twice"):
        verifier.take(settled)
    assert "exists already" in verifier.problems[0]


def test_an_instant_that_was_passed_over_is_found(lived: Bench) -> None:
    settled = last(lived, FixedSettled)
    of_fund = [record for record in lived.of(FixedSettled) if record.fund == settled.fund]
    passed_over = of_fund[-2]
    assert of_this_configuration(lived, lived.records).problems == []
    missing = [record for record in lived.records if record != passed_over]
    (problem,) = of_this_configuration(lived, missing).problems
    assert problem.endswith(f"{iso(passed_over.due_ms)} was next")


def test_what_a_fund_did_under_other_settings_is_left_out_until_it_has_these(
    lived: Bench,
) -> None:
    name = last(lived, FixedSettled).fund
    others = tuple(each for each in lived.desk.funds if each != name)
    at_ms = lived.records[0].at_ms
    start = DeskStarted(at_ms, "live", "another")
    change = ConfigurationChanged(at_ms, "another", "at hand", ("a setting",), others)
    taken_up = FundReconfigured(at_ms, others[0], "at hand")

    def targets(*first: Record) -> int:
        verifier = Verifier(lived.desk, "at hand")
        for record in (*first, *lived.records):
            verifier.take(record)
        assert verifier.problems == []
        return verifier.counts["targets"]

    assert targets(start) == 0
    one = targets(start, change)
    assert 0 < one < targets(start, change, taken_up)


def nearer(plan: RunPlan) -> RunPlan:
    """Return a plan that is to go half as far."""
    return replace(plan, target_units={BTC: plan.target_units[BTC] - plan.delta_units[BTC] / 2})


@pytest.fixture
def rebalanced() -> Bench:
    """One fixed run, done."""
    made = bench(fund("BTC3L"))
    made.now_ms = DUE
    made.known(110)
    made.complete(made.orders[0])
    return made


def test_a_run_that_aims_at_other_units_than_its_leverage_takes_is_found(
    rebalanced: Bench,
) -> None:
    opened = last(rebalanced, RunOpened)
    records, seq = changed(rebalanced, RunOpened, plan=nearer(opened.plan))
    verifier = Verifier(rebalanced.desk, "at hand")
    for record in (DeskStarted(NOON, "live", "at hand"), *records[:seq]):
        verifier.take(record)
    (problem,) = verifier.problems
    assert problem.startswith(f"record {seq + 1} (RunOpened): it aims at ")


def test_a_run_by_another_configuration_than_its_fund_has_is_found(rebalanced: Bench) -> None:
    plan = replace(last(rebalanced, RunOpened).plan, config_digest="another")
    records, seq = changed(rebalanced, RunOpened, plan=plan)
    (problem,) = of_this_configuration(rebalanced, records).problems
    assert problem == f"record {seq + 1} (RunOpened): it follows another configuration"


def test_a_point_by_the_account_is_worked_out_at_the_prices_that_sized_its_run() -> None:
    made = bench(fund("BTC3L", formula_base=NavKind.ACCOUNT))
    made.now_ms = DUE
    made.known(110)
    (order,) = made.orders
    made.report(order, Outcome.ACCEPTED, venue_order_id="v")
    made.fill(order, fee=1_000)
    made.report(order, Outcome.CLOSED, filled_contracts=order.contracts)
    point = last(made, PointSet)
    assert point.nav == D("129.9")
    assert of_this_configuration(made, made.records).problems == []
    records, _ = changed(made, PointSet, nav=D(130))
    (problem,) = of_this_configuration(made, records).problems
    assert "(PointSet): NAV is 129.9" in problem
    assert verified(made, records).problems == [], "by its formula, as may have been configured"
    records, _ = changed(made, PointSet, nav=D(131))
    assert "(PointSet): NAV is 129.9" in verified(made, records).problems[0]


def test_trades_that_are_adopted_together_are_shared_by_what_was_held_before_the_first() -> None:
    made = listed(bench(fund("L", initial_shares=D(1)), fund("S", -1, initial_shares=D(1))))
    listed(made.later(60), trade("1", "-2"), trade("2", "-0.7"))
    made.command(CommandKind.ADOPT, "1", "by hand", Scope.DESK)
    found = verified(made, made.records)
    assert [each.allocations["S"] for each in made.of(Traded)] == [D("-0.5"), D("-0.175")]
    assert (found.problems, found.counts["fills"]) == ([], 2)
    records, seq = changed(made, Traded, allocations={"L": D("-0.35"), "S": D("-0.35")})
    assert f"record {seq} (Traded): it is not shared" in verified(made, records).problems[0]


def test_a_liquidation_that_is_shared_otherwise_is_found() -> None:
    made = bench(fund("L"), fund("M", 2), fund("S", -1))
    made.take(
        LiquidationReported(
            made.now_ms, "main", BTC, PositionSide.NET, "liq-1", D(-5_000), D(100), D(10)
        )
    )
    (trade,) = made.of(Traded)
    assert trade.allocations == {"L": D(-3_000), "M": D(-2_000)}
    assert verified(made, made.records).problems == []
    records, seq = changed(made, Traded, allocations={"L": D(-1_000), "M": D(-4_000)})
    (problem,) = verified(made, records[:seq]).problems
    assert problem.endswith("(Traded): it is not shared among those that hold the contract")


def test_a_trade_inside_the_desk_of_other_units_is_found(lived: Bench) -> None:
    crossed = last(lived, Crossed)
    assert verified(lived, lived.records).counts["crosses"] > 10
    half = {name: units / 2 for name, units in crossed.units.items()}
    records, seq = changed(lived, Crossed, units=half)
    assert verified(lived, records[:seq]).problems == [
        f"record {seq} (Crossed): the funds wanted other units of each other than these"
    ]


def test_an_order_that_goes_past_the_target_of_its_run_is_found(rebalanced: Bench) -> None:
    opened = last(rebalanced, RunOpened)
    records, _ = changed(rebalanced, RunOpened, plan=nearer(opened.plan))
    with pytest.raises(BrokenInvariant, match="lack to the target"):
        verified(rebalanced, records)


def test_a_run_that_went_past_its_target_is_found(rebalanced: Bench) -> None:
    done = rebalanced.records.index(last(rebalanced, RunMoved))
    verifier = Verifier(rebalanced.desk)
    for record in rebalanced.records[:done]:
        verifier.take(record)
    run = verifier.state.funds["BTC3L"].run
    assert run is not None
    run.plan = nearer(run.plan)
    verifier.take(rebalanced.records[done])
    assert "went past its target" in verifier.problems[-1]


def test_funding_that_was_shared_otherwise_is_found(lived: Bench) -> None:
    paid = last(lived, FundingPosted).paid
    records, seq = changed(
        lived, FundingPosted, paid={name: part * 2 for name, part in paid.items()}
    )
    assert f"record {seq} (FundingPosted): each fund's" in verified(lived, records).problems[0]


def test_a_fill_that_was_shared_otherwise_is_found(lived: Bench) -> None:
    place, trade = next(
        (place, each)
        for place, each in enumerate(lived.records)
        if isinstance(each, Traded) and len(set(each.allocations.values())) > 1
    )
    names = list(trade.allocations)
    swapped = dict(zip(names, reversed(list(trade.allocations.values())), strict=True))
    records = [*lived.records[:place], replace(trade, allocations=swapped)]
    verifier = Verifier(lived.desk)
    for record in records:
        verifier.take(record)
    assert "the units are shared as nobody wanted them" in verifier.problems[0]


def test_a_point_that_is_not_the_base_of_its_run_is_found(lived: Bench) -> None:
    place = max(
        place
        for place, each in enumerate(lived.records)
        if isinstance(each, PointSet) and isinstance(lived.records[place - 1], RunMoved)
    )
    point = lived.records[place]
    assert isinstance(point, PointSet)
    records = [*lived.records[:place], replace(point, nav=point.nav * 2)]
    (problem,) = of_this_configuration(lived, records).problems
    assert problem.startswith(f"record {place + 2} (PointSet): NAV is ")


def test_a_run_that_traded_more_than_it_planned_is_found(rebalanced: Bench) -> None:
    verifier = Verifier(rebalanced.desk)
    done = rebalanced.records.index(last(rebalanced, RunMoved))
    for record in rebalanced.records[:done]:
        verifier.take(record)
    run = verifier.state.funds["BTC3L"].run
    assert run is not None
    run.planned[BTC] = D(0)
    verifier.take(rebalanced.records[done])
    assert "were traded of" in verifier.problems[0]


def absent(absence: Absence | None, *, asked_before: bool = True) -> Verifier:
    """Verify an order that is absent in the end."""
    made = bench(fund("BTC3L"))
    made.now_ms = DUE
    made.known(110)
    (order,) = made.orders
    if asked_before:
        made.report(order, Outcome.UNKNOWN)
    known = len(made.records)
    made.report(order, Outcome.ABSENT, absence=FOUND_NOWHERE)
    return verified(
        made,
        [
            replace(record, absence=absence)
            if isinstance(record, OrderMoved) and record.outcome is Outcome.ABSENT
            else record
            for record in made.records[: known + 1]
        ],
    )


FOUND_NOWHERE = Absence(waited_ms=17_001, window_ms=17_000, looks=2)


def test_how_an_absent_order_was_looked_for_is_on_record_and_counted() -> None:
    found = absent(FOUND_NOWHERE)
    assert (found.problems, found.counts["absences"]) == ([], 1)
    of_a_model = absent(Absence(waited_ms=0, window_ms=0, looks=1), asked_before=False)
    assert (of_a_model.problems, of_a_model.counts["absences"]) == ([], 1)
    assert absent(None).left_out["OrderMoved"] == 1


@pytest.mark.parametrize("wrong", [{"waited_ms": 16_999}, {"looks": 1}])
def test_an_order_that_is_called_absent_too_soon_is_found(wrong: dict[str, int]) -> None:
    with pytest.raises(BrokenInvariant, match=r"\(OrderMoved\): order r\w+ is called absent too"):
        absent(replace(FOUND_NOWHERE, **wrong))


def test_an_order_that_nobody_had_looked_for_before_is_not_absent() -> None:
    (problem,) = absent(FOUND_NOWHERE, asked_before=False).problems
    assert problem.endswith("(OrderMoved): no look before it found the order nowhere")
