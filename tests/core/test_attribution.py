"""The gap between the two NAVs: each cause in its part, and the parts sum to it."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer.core.attribution import FOLLOWED, attribute, gap
from rebalancer.core.events import CommandKind, FundingPaid
from rebalancer.core.fees import ManagementFee
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import HOUR_MS
from rebalancer.core.methodology import Fixed
from rebalancer.core.money import total
from rebalancer.core.order import Outcome
from tests.core.test_consolidation import consolidate
from tests.core.test_flows import ask, flow
from tests.factories import (
    BTC,
    Bench,
    D,
    bench,
    contract,
    desk,
    fund,
    history,
    only,
    replayed,
)


def parts_of(made: Bench) -> dict[str, Decimal]:
    there = made.fund()
    worth = made.state.worth(there)
    assert worth is not None
    now = there.standing(worth.marks, worth.nav, worth.formula_nav)
    parts = attribute(there.gap, now)
    assert total(parts.values()) == gap(now)
    return parts


def others(parts: dict[str, Decimal], *named: str) -> set[Decimal]:
    return {amount for cause, amount in parts.items() if cause not in named}


def rebalance(made: Bench, *, fee: int = 0, dearer: int = 0) -> None:
    sent = len(made.orders)
    made.command(CommandKind.REBALANCE)
    for order in made.orders[sent:]:
        made.fill(order, price=order.mark + dearer, fee=fee)
        made.report(order, Outcome.CLOSED, filled_contracts=order.contracts)


def test_without_any_cause_there_is_no_gap() -> None:
    made = bench().later(60)
    made.known(110)
    assert set(parts_of(made).values()) == {D(0)}


def test_funding_fees_and_slippage_are_what_was_paid_per_share() -> None:
    made = bench().later(60)
    made.known(100)
    made.take(FundingPaid(made.now_ms, "main", BTC, D("0.001"), D(100)))
    parts = parts_of(made)
    assert parts["funding"] == D("-0.3")
    assert others(parts, "funding") == {D(0)}
    made.later(60).known(110)
    rebalance(made, fee=1_000, dearer=1)
    parts = parts_of(made)
    bought = made.orders[0].units
    assert parts["trading_fees"] == D("-0.1")
    assert parts["slippage"] == -(bought / 10_000).quantize(D("1e-18"))
    assert parts["funding"] == D("-0.3")
    assert parts["basis"] == 0
    assert abs(parts["timing"]) < D("1e-9")  # nothing moved between sizing and filling


def test_a_price_that_is_not_the_mark_is_basis() -> None:
    made = bench(fund(price_source=PriceSource.INDEX, methodology=only())).later(60)
    made.tick(100, source=PriceSource.INDEX, trusted=True)
    made.known(100)
    made.later(60).known(103)
    made.tick(101, source=PriceSource.INDEX, trusted=True)
    parts = parts_of(made)
    assert parts["basis"] == 6  # 3 x 3 % at the marks, 3 x 1 % in the formula
    assert others(parts, "basis") == {D(0)}
    rebalance(made)
    parts = parts_of(made)
    assert parts["basis"] == 6  # what was lies behind the new point, and is not forgotten
    assert abs(parts["timing"]) < D("1e-9")


def test_what_a_lot_leaves_over_is_rounding() -> None:
    made = Bench(desk(fund(methodology=only()), contracts=[contract(lot=7_000)], free_launch=True))
    made.known(100)
    made.later(60).known(110)
    rebalance(made)  # wants 35454.5, holds 30000, buys nothing: it is under a lot of 7000
    assert made.orders == []
    made.later(60).known(121)
    parts = parts_of(made)
    missing = (D(30_000) - D(3) * 1_300_000 / 110) / 10_000
    assert abs(parts["rounding"] - missing * 11) < D("1e-15")
    assert others(parts, "rounding", "timing") == {D(0)}
    assert abs(parts["timing"]) < D("1e-15")


def test_a_management_fee_falls_on_both_navs() -> None:
    made = bench(fund(management_fee=ManagementFee(daily=D("0.03")))).later(60)
    made.now_ms += 4 * HOUR_MS
    made.known(100)
    assert set(parts_of(made).values()) == {D(0)}
    assert made.fund().costs.management_fee == 10_000


def test_parts_are_per_share_after_a_merge_too() -> None:
    made = bench().later(60)
    made.known(100)
    made.take(FundingPaid(made.now_ms, "main", BTC, D("0.001"), D(100)))
    consolidate(made, ratio=10)
    made.later(86_400).known(100)
    assert made.fund().shares == 1_000
    assert parts_of(made)["funding"] == -3


def test_a_gap_beyond_its_bound_is_told_once() -> None:
    made = bench(fund(gap_alarm_bps=D(20))).later(60)
    made.known(100)
    made.take(FundingPaid(made.now_ms, "main", BTC, D("0.001"), D(100)))
    assert made.alerts == []
    for _ in range(3):
        made.later(3_600).known(100)  # looked at once an hour
    assert made.alerts.count("nav_gap") == 1


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["tick", "funding", "rebalance", "flow", "index"]),
        st.integers(92, 109),
    ),
    min_size=1,
    max_size=12,
)


@given(steps=STEPS, lot=st.sampled_from(["1e-9", "1", "500"]))
@settings(max_examples=60)
def test_the_parts_always_sum_to_the_gap(steps: list[tuple[str, int]], lot: str) -> None:
    config = fund(
        price_source=PriceSource.INDEX,
        methodology=only(fixed=Fixed()),
        management_fee=ManagementFee(daily=D("0.003")),
    )
    made = Bench(desk(config, contracts=[contract(lot=lot)], free_launch=True))
    made.tick(100, source=PriceSource.INDEX, trusted=True)
    made.known(100)
    for place, (kind, price) in enumerate(steps):
        made.later(3_600)
        made.tick(100 if kind != "index" else price, source=PriceSource.INDEX, trusted=True)
        made.known(price)
        if kind == "funding":
            made.take(FundingPaid(made.now_ms, "main", BTC, D("0.0003"), D(price)))
        elif kind == "rebalance":
            rebalance(made, fee=7, dearer=price % 3)
        elif kind == "flow" and made.fund().run is None:
            ask(made, flow("subscribe", 1_234, str(place)))
        for order in made.orders:
            if order.client_order_id in made.state.orders:
                made.complete(order)
        parts = parts_of(made)
        assert set(parts) == {*FOLLOWED, "timing"}
    assert made.restarted().fund().gap == made.fund().gap


def test_over_a_replay_with_costs_the_parts_are_the_costs_per_share() -> None:
    rows: list[tuple[str, int]] = [
        (f"2026-01-{day:02}T02:30:00Z", 100 + day % 3) for day in range(1, 20)
    ]
    result = replayed(
        desk(fund(methodology=only(fixed=Fixed()))),
        history(rows),
        fee_bps=D(5),
        slippage_bps=D(2),
    )
    there = result.replay.state.funds["BTC3L"]
    worth = result.replay.state.worth(there)
    assert worth is not None
    parts = attribute(there.gap, there.standing(worth.marks, worth.nav, worth.formula_nav))
    assert parts["trading_fees"] == (-there.costs.fees / 10_000).quantize(D("1e-18"))
    assert parts["slippage"] == (-there.costs.slippage / 10_000).quantize(D("1e-18"))
    # What is left is what the costs themselves earned or lost since: a small part of them.
    assert abs(parts["timing"]) < abs(parts["trading_fees"]) / 5


def test_an_index_only_fund_has_no_gap_and_no_cause_of_one() -> None:
    rows = [(f"2026-01-{n:02}T02:30:00Z", price) for n, price in enumerate((100, 105, 99, 104), 1)]
    result = replayed(desk(fund(account="")), history(rows))
    there = result.replay.state.funds["BTC3L"]
    worth = result.replay.state.worth(there)
    assert worth is not None
    assert result.funds["BTC3L"].fixed["run"] == 3
    parts = attribute(there.gap, there.standing(worth.marks, worth.nav, worth.formula_nav))
    assert {cause for cause, part in parts.items() if abs(part) > D("1e-15")} == set()


def test_a_fund_that_the_gap_rule_ended_has_no_basis() -> None:
    """The formula stays at 0 whatever the price does; what is left of the fund goes on."""
    rows = [(f"2026-01-01T0{n}:00:00Z", price) for n, price in enumerate((100, 60, 80))]
    result = replayed(desk(), history(rows))
    there = result.replay.state.funds["BTC3L"]
    worth = result.replay.state.worth(there)
    assert worth is not None
    parts = attribute(there.gap, there.standing(worth.marks, worth.nav, worth.formula_nav))
    assert (worth.formula_nav, parts["basis"]) == (D(0), D(0))
