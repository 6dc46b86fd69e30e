"""How the doctor judges a number."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Execution, Fund
from rebalancer.doctor.findings import (
    Level,
    coarseness,
    judge_budget,
    judge_clock,
    judge_disk,
    judge_sizes,
    named,
)
from rebalancer.venues.rates import Window

D = Decimal
BTC = "BTC/USDT:USDT"


@pytest.mark.parametrize(
    ("ahead_ms", "uncertain_ms", "level"),
    [
        (0, 5, Level.OK),
        (505, 5, Level.OK),
        (506, 5, Level.WARN),
        (-2_000, 5, Level.WARN),
        (2_000, 1_600, Level.OK),
        (60_005, 5, Level.WARN),
        (-60_006, 5, Level.FAIL),
    ],
)
def test_a_clock_is_judged_by_what_it_is_off_for_certain(
    ahead_ms: int, uncertain_ms: int, level: Level
) -> None:
    finding = judge_clock("accounts.main", ahead_ms, uncertain_ms, 60_000)
    assert finding.level is level
    assert bool(finding.fix) is (level is not Level.OK)


@pytest.mark.parametrize(
    ("free", "level"),
    [(2**30, Level.OK), (2**30 - 1, Level.WARN), (100 * 2**20 - 1, Level.FAIL)],
)
def test_little_space_is_seen_before_there_is_none(free: int, level: Level) -> None:
    assert judge_disk(free, "/var/lib/desk").level is level


def fund(shares: int, *, target: int = 3, least: int = 0) -> Fund:
    return Fund(
        name="BTC3L",
        account="main",
        target_leverage=D(target),
        basket={BTC: D(1)},
        initial_shares=D(shares),
        execution=Execution(min_notional=D(least)),
    )


@pytest.mark.parametrize(
    ("contract", "least", "smallest"),
    [
        # a lot of 0.001 coins at 50,000
        (Contract(BTC, lot=D("0.001")), 0, 50),
        # ten contracts of 0.0001 coins each at least, in lots of four: twelve
        (Contract(BTC, D("0.0001"), D(4), min_amount=D(10)), 0, 60),
        (Contract(BTC, lot=D("0.001"), min_notional=D(100)), 0, 100),
        (Contract(BTC, lot=D("0.001"), min_notional=D(100)), 250, 250),
    ],
)
def test_the_smallest_order_is_the_largest_of_all_minimums(
    contract: Contract, least: int, smallest: int
) -> None:
    described, marks = {BTC: contract}, {BTC: D(50_000)}
    (found,) = coarseness(fund(100, target=-3, least=least), D(10_000), described, marks)
    assert (found.smallest, found.exposure) == (D(smallest), D(30_000))


@pytest.mark.parametrize(
    ("equity", "level"), [(1_667, Level.OK), (1_666, Level.WARN), (16, Level.FAIL)]
)
def test_a_fund_that_its_lots_are_too_coarse_for_is_warned(equity: int, level: Level) -> None:
    # 50 of 3 x 1,667 is just under 1 %; of 3 x 16 it is more than there is.
    contracts, marks = {BTC: Contract(BTC, lot=D("0.001"))}, {BTC: D(50_000)}
    (finding,) = judge_sizes("here", coarseness(fund(1), D(equity), contracts, marks))
    assert finding.level is level


def test_a_contract_without_a_price_is_not_judged() -> None:
    assert coarseness(fund(1), D(100), {BTC: Contract(BTC)}, {}) == []
    assert judge_sizes("here", []) == []


def test_a_window_is_full_when_only_the_reserve_is_left() -> None:
    orders = Window(name="orders", limit=10, length_ms=1_000)
    weight = Window(name="weight", limit=100, length_ms=1_000, reserve=40)
    good = judge_budget("here", {orders: 10, weight: 60})
    assert (good.level, good.seen) == (Level.OK, "used: orders 10 of 10, weight 60 of 100")
    assert judge_budget("here", {orders: 0, weight: 61}).level is Level.WARN


def test_many_names_are_cut_short() -> None:
    assert named(["a", "b"]) == "a, b"
    assert named([str(number) for number in range(9)]) == "0, 1, 2, 3, 4, 5 and 3 more"
