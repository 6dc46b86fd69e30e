"""Verification of capital: every NAV, fee and amount of it is worked out anew from its record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from rebalancer.core.capital import (
    CashPeriodBegun,
    Consolidated,
    ConsolidationProposed,
    FinancingPosted,
    FlowDealt,
    FlowRefused,
    ManagementFeeCharged,
)
from rebalancer.core.cash_account import CashAccount, DayCount
from rebalancer.core.events import FlowsRequested
from rebalancer.core.fees import ManagementFee
from rebalancer.core.flow import Flow, FlowKind, FlowRule, OnBusy
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import DAY_MS, HOUR_MS
from rebalancer.core.money import round_to_places
from rebalancer.core.premium import PremiumStaged
from rebalancer.core.record import Priced, Record
from rebalancer.core.records import (
    DeskStarted,
    FundLaunched,
    FundWiped,
    NavStruck,
    PositionsAdopted,
    ShortfallCovered,
    Traded,
)
from rebalancer.core.verification import Verifier
from tests.core.test_cash_periods import made_of, rebalance
from tests.core.test_consolidation import consolidate, low
from tests.core.test_premium import quote, watched
from tests.factories import BTC, NOON, AnyRecord, Bench, D, bench, desk, fund, only, rules

SUBSCRIBE, REDEEM = FlowKind.SUBSCRIBE, FlowKind.REDEEM


def checked(made: Bench, records: list[Record] | None = None, digest: str = "at hand") -> Verifier:
    """Verify the records of a desk that ran on one configuration, by default the one at hand."""
    verifier = Verifier(made.desk, "at hand")
    verifier.take(DeskStarted(NOON, "live", digest))
    for record in made.records if records is None else records:
        verifier.take(record)
    verifier.end()
    return verifier


def ask(made: Bench, *flows: tuple[FlowKind, int]) -> None:
    """Ask for flows of one instant, and fill what is ordered for them."""
    known = len(made.records)
    asked = tuple(
        Flow(fund="BTC3L", key=f"{known}-{n}", kind=kind, amount=D(amount))
        for n, (kind, amount) in enumerate(flows)
    )
    sent = len(made.orders)
    made.take(FlowsRequested(made.now_ms, asked))
    made.known(101)
    for order in made.orders[sent:]:
        made.complete(order)


@cache
def with_flows() -> Bench:
    """Three flows and one that is refused, dealt at one NAV with fees that accrue; then the fee."""
    flows = FlowRule(creation_fee=D("0.001"), redemption_fee=D("0.002"), maximum=D(5_000))
    terms = ManagementFee(daily=D("0.03"))
    made = bench(fund(methodology=rules(3, flow=flows), management_fee=terms)).later(60)
    ask(made, (SUBSCRIBE, 999), (REDEEM, 7), (REDEEM, 700), (SUBSCRIBE, 333))
    made.now_ms = NOON + 4 * HOUR_MS
    made.known(102)
    return made


@cache
def merged() -> Bench:
    """A merge of NAV 0.03, proposed, announced and done."""
    made = low()
    made.known(100)
    consolidate(made)
    made.later(3_600).known(101)
    return made


@cache
def borrowing() -> Bench:
    """A cash account over two periods."""
    made = made_of(CashAccount(reference=D("0.02"), spread=D("0.01"), coupon=D("0.005")))
    made.known(100)
    made.now_ms += 36 * DAY_MS
    made.known(104)
    rebalance(made)
    return made


@cache
def quoted() -> Bench:
    """A token at a premium of 31 %."""
    made = watched()
    quote(made, "131")
    return made


@cache
def on_paper() -> Bench:
    """An index-only fund that starts."""
    made = Bench(desk(fund("NOTE", 3, account="")))
    made.known(100)
    return made


@cache
def wiped() -> Bench:
    """A 3x fund by the spot whose account owes before its formula NAV is nothing."""
    ended = fund(price_source=PriceSource.SPOT, methodology=only())
    made = Bench(desk(ended, free_launch=True))
    prices = ((100, 100), (60, 70), (60, 70), (60, 70))
    for mark, spot in prices:
        made.tick(spot, source=PriceSource.SPOT, trusted=True)
        made.known(mark)
        made.later(1)
    for order in made.orders:
        made.complete(order)
    return made


MADE: dict[str, Callable[[], Bench]] = {
    made.__name__: made for made in (with_flows, merged, borrowing, quoted, on_paper, wiped)
}


@pytest.mark.parametrize("name", MADE)
def test_what_was_lived_holds_and_no_figure_of_capital_is_left_out(name: str) -> None:
    found = checked(MADE[name]())
    assert found.problems == []
    assert set(found.left_out) <= {"PositionsAdopted", "PointSet"}, "a free launch, and no more"


def test_each_figure_that_was_worked_out_is_counted() -> None:
    dealt = checked(with_flows()).counts
    assert (dealt["flows"], dealt["fees"], dealt["formula NAVs"]) == (3, 1, 3)
    assert checked(merged()).counts["NAVs"] == 3
    period = checked(borrowing()).counts
    assert (period["cash periods"], period["financing"]) == (2, 1)
    assert checked(wiped()).counts["shortfalls"] == 1
    assert checked(on_paper()).counts["paper trades"] == 1


def planted(made: Bench, kind: type[AnyRecord], over: dict[str, Any]) -> str:
    """Change the last record of a kind; return the first problem that the verification names."""
    place = max(n for n, record in enumerate(made.records) if isinstance(record, kind))
    wrong = replace(made.records[place], **over)
    verifier = Verifier(made.desk, "at hand")
    for record in (DeskStarted(NOON, "live", "at hand"), *made.records[:place], wrong):
        verifier.take(record)
    problem = verifier.problems[0]
    start = f"record {place + 2} ({kind.__name__}): "
    assert problem.startswith(start)
    return problem.removeprefix(start)


HALF = D("0.5")


@pytest.mark.parametrize(
    ("made", "kind", "over", "problem"),
    [
        (with_flows, FlowDealt, {"nav": D(99)}, "NAV is 102."),
        (with_flows, FlowDealt, {"fee": D(1)}, "the flow deals as Deal("),
        (with_flows, FlowDealt, {"cash": D(334)}, "the flow deals as Deal("),
        (with_flows, ManagementFeeCharged, {"amount": HALF}, "fee is "),
        (with_flows, ManagementFeeCharged, {"formula_nav": HALF}, "formula NAV is "),
        (with_flows, ManagementFeeCharged, {"share": HALF, "amount": HALF}, "fee is "),
        (merged, ConsolidationProposed, {"nav": D("0.04")}, "NAV is 0.030"),
        (merged, ConsolidationProposed, {"ratio": 20}, "a NAV of 0.030"),
        (merged, Consolidated, {"ratio": 20}, "the merge 20:1 was not announced for then"),
        (borrowing, CashPeriodBegun, {"equity": HALF}, "equity is "),
        (borrowing, CashPeriodBegun, {"borrowed": HALF}, "borrowed cash is "),
        (borrowing, CashPeriodBegun, {"rate": HALF}, "rate is 0.03"),
        (borrowing, CashPeriodBegun, {"level": HALF}, "index level is "),
        (borrowing, CashPeriodBegun, {"reference": HALF}, "reference rate is 0.02"),
        (borrowing, CashPeriodBegun, {"coupon": HALF}, "coupon is 0.005"),
        (borrowing, CashPeriodBegun, {"day_count": DayCount.ACT_365}, "the day count is ACT/360"),
        (borrowing, CashPeriodBegun, {"units": {}}, "the units are not the fund's"),
        (borrowing, FinancingPosted, {"financing": HALF}, "financing is 3000"),
        (borrowing, FinancingPosted, {"coupon": HALF}, "coupon is "),
        (quoted, PremiumStaged, {"nav": D(90)}, "premium is "),
        (quoted, PremiumStaged, {"nav": D(50), "premium": D("1.62")}, "NAV is 100"),
        (with_flows, Traded, {"slippage": {"BTC3L": HALF}}, "the slippage is not that to its mark"),
        (on_paper, FundLaunched, {"cash": HALF}, "cash is 1000000"),
        (on_paper, PositionsAdopted, {"units": {BTC: HALF}}, "the units are not those of its run"),
        (on_paper, PositionsAdopted, {"prices": {BTC: HALF}}, "the prices are not its run's"),
        (wiped, FundWiped, {"nav": D(3)}, "NAV is -20"),
        (wiped, ShortfallCovered, {"amount": HALF}, "amount is 200000"),
    ],
)
def test_a_figure_that_does_not_follow_is_named_with_its_record(
    made: Callable[[], Bench], kind: type[Record], over: dict[str, Any], problem: str
) -> None:
    assert planted(made(), kind, over).startswith(problem)


def test_a_merge_to_another_nav_is_found() -> None:
    done = merged().of(Consolidated)[-1]
    over = {name: getattr(done, name) * 2 for name in ("equity", "nav_before", "nav_after")}
    assert planted(merged(), Consolidated, over).startswith("equity is 30.9")


def test_a_fee_of_another_equity_is_found() -> None:
    fee = with_flows().of(ManagementFeeCharged)[-1]
    equity = fee.equity * 2
    over = {"equity": equity, "amount": round_to_places(equity * fee.share)}
    assert planted(with_flows(), ManagementFeeCharged, over).startswith("equity is ")


def test_a_fee_that_passes_an_instant_over_is_found() -> None:
    due_ms = with_flows().of(ManagementFeeCharged)[-1].due_ms
    later = {"due_ms": due_ms + 8 * HOUR_MS}
    assert planted(with_flows(), ManagementFeeCharged, later) == (
        "the fee of 2026-01-02T00:00:00Z is charged, 2026-01-01T16:00:00Z was next"
    )


def test_what_had_grown_due_of_the_fee_is_part_of_the_nav_of_a_flow() -> None:
    made = with_flows()
    first = made.of(FlowDealt)[0]
    place = made.records.index(first)
    verifier = Verifier(made.desk, "at hand")
    without = replace(first, fee_accrued=Decimal(0))
    for record in (DeskStarted(NOON, "live", "at hand"), *made.records[:place], without):
        verifier.take(record)
    accrued, nav = verifier.problems[:2]
    assert ": accrued fee is " in accrued
    assert ": NAV is " in nav


def test_flows_that_are_dealt_together_are_held_to_the_nav_of_before_the_first() -> None:
    made = with_flows()
    dealt = made.of(FlowDealt)
    assert len(dealt) == 3
    assert len({each.nav for each in dealt}) == 1
    (refused,) = made.of(FlowRefused)
    first, last = made.records.index(dealt[0]), made.records.index(dealt[2])
    assert first < made.records.index(refused) < last, "and a refused one among them changes none"
    assert checked(made).problems == []


def test_a_flow_into_an_empty_fund_is_held_to_the_formula_nav() -> None:
    made = bench(fund(methodology=rules(3, flow=FlowRule(on_busy=OnBusy.QUEUE)))).later(60)
    ask(made, (REDEEM, 10_000))
    made.later(60)
    ask(made, (SUBSCRIBE, 1_000))
    found = checked(made)
    assert found.problems == []
    assert found.counts["flows"] == 2
    assert set(found.left_out) == {"PositionsAdopted", "PointSet"}, "its free launch"
    nav = made.of(FlowDealt)[-1].nav
    assert planted(made, FlowDealt, {"nav": nav - 1}).startswith(f"NAV is {nav}")


def test_flows_into_an_empty_fund_are_left_out_together_under_other_settings() -> None:
    flows = FlowRule(on_busy=OnBusy.QUEUE)
    made = bench(fund(methodology=rules(3, flow=flows), initial_nav=D(7))).later(60)
    ask(made, (REDEEM, 10_000))
    made.later(60)
    ask(made, (SUBSCRIBE, 1_000), (SUBSCRIBE, 1_000))
    found = checked(made, digest="another")
    assert (found.problems, found.left_out["FlowDealt"]) == ([], 2)


def test_a_struck_nav_by_prices_of_another_source_is_worked_out_too() -> None:
    made = Bench(desk(fund(price_source=PriceSource.SPOT, methodology=only()), free_launch=True))
    for hours, spot in ((0, 100), (4, 103)):
        made.now_ms = NOON + hours * HOUR_MS
        made.tick(spot, source=PriceSource.SPOT, trusted=True)
        made.known(spot - 1)
    struck = made.of(NavStruck)[-1]
    assert (struck.marks, struck.prices) == ({BTC: D(102)}, {BTC: D(103)})
    assert checked(made).counts["formula NAVs"] == 1
    assert planted(made, NavStruck, {"formula_nav": struck.nav}) == (
        f"formula NAV is {struck.formula_nav}, the record says {struck.nav}"
    )


def older(record: Record) -> Record:
    """Return a record as an older program wrote it: its NAV without the prices."""
    if isinstance(record, Priced) and not isinstance(record, NavStruck):
        record = replace(record, marks={}, prices={})
    if isinstance(record, FlowDealt):
        record = replace(record, fee_accrued=Decimal(0))
    if isinstance(record, FundWiped | CashPeriodBegun):
        record = replace(record, marks={})
    return record


@pytest.mark.parametrize(
    ("made", "left_out"),
    [
        (with_flows, {"FlowDealt": 3, "ManagementFeeCharged": 1}),
        (merged, {"ConsolidationProposed": 1, "Consolidated": 1}),
        (quoted, {"PremiumStaged": 1}),
        (borrowing, {"CashPeriodBegun": 2}),
        (wiped, {"FundWiped": 1}),
    ],
)
def test_what_an_older_program_did_not_say_is_left_out_by_the_name_of_its_record(
    made: Callable[[], Bench], left_out: dict[str, int]
) -> None:
    lived = made()
    found = checked(lived, [older(record) for record in lived.records])
    assert found.problems == []
    assert left_out.items() <= found.left_out.items()
    assert found.counts["left out"] == found.left_out.total()


def test_what_follows_from_the_records_alone_is_held_under_other_settings_too() -> None:
    made = with_flows()
    found = checked(made, digest="another")
    assert found.problems == []
    assert (found.counts["flows"], found.counts["NAVs"]) == (0, 7), "flows need their rule"
    place = made.records.index(made.of(FlowDealt)[0])
    wrong = replace(made.of(FlowDealt)[0], nav=D(102))
    verifier = Verifier(made.desk, "at hand")
    for record in (DeskStarted(NOON, "live", "another"), *made.records[:place], wrong):
        verifier.take(record)
    assert "(FlowDealt): NAV is " in verifier.problems[0]
