"""The fast path is the engine's equal: the same runs at the same instants, to the last digit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rebalancer.core.fund import PriceSource
from rebalancer.core.methodology import Trigger
from rebalancer.fast.backtest import fast_backtest
from rebalancer.fast.tape import Tapes
from rebalancer.feeds.candles import History
from rebalancer.venues.paper import PaperCosts
from tests.factories import BTC, ETH, D, contract, desk, fund, history, move_rule, only, with_spot
from tests.fast.cases import FILES, case_of, real_case
from tests.fast.judge import differences

pytest_plugins = ["tests.fast.compiling"]
pytestmark = pytest.mark.usefixtures("compiled")

COSTS = {"main": PaperCosts(fee_bps=D(4), slippage_bps=D(1))}


@pytest.mark.parametrize("seed", range(8))
def test_a_random_desk_over_a_random_history_is_equal(seed: int) -> None:
    case = case_of(seed)
    found, _, _ = differences(case.desk, case.histories, case.costs)
    assert found == []


def minutes(prices: list[str], symbol: str = BTC) -> History:
    return history([(f"2026-01-01T12:{n:02}:00Z", price) for n, price in enumerate(prices)], symbol)


@pytest.mark.parametrize("price", ["85.01", "85", "84.99"])
def test_a_price_at_the_very_edge_of_a_threshold_is_decided_as_the_core_does(price: str) -> None:
    known = desk(fund("BTC3L"))
    prices = {BTC: minutes(["100", "99", price, "99"])}
    found, fast, _ = differences(known, prices, COSTS)
    assert found == []
    runs = [each.plan.trigger for each in fast.funds["BTC3L"].rebalances]
    assert runs == ([] if price == "85.01" else [Trigger.PRICE_MOVE])


def test_funds_that_trade_together_are_netted_into_the_same_orders() -> None:
    both = only(price_move=move_rule("0.1", both=True))
    known = desk(
        fund("LONG", 3, methodology=both),
        fund("SHORT", -3, methodology=both),
        fund("HALF", "0.5", methodology=both),
        contracts=[contract(lot="0.01", min_notional=5)],
    )
    found, fast, _ = differences(known, {BTC: minutes(["100", "111", "99", "112"])}, COSTS)
    assert found == []
    assert all(fund.count(Trigger.PRICE_MOVE) == 3 for fund in fast.funds.values())


def test_a_spot_of_its_own_is_the_engines_and_said() -> None:
    known = desk(fund(), fund("SPOT3L", price_source=PriceSource.SPOT, account=""))
    spot = [(f"2026-01-01T12:{n:02}:30Z", price) for n, price in enumerate(("99", "80", "99"))]
    both = with_spot(minutes(["100", "84", "99"]), spot)
    found, fast, _ = differences(known, {BTC: both}, COSTS)
    assert found == []
    assert fast.replayed == {"SPOT3L": "a history of its own for spot"}
    assert fast.bars == 6


def test_slippage_that_grows_with_the_order_is_the_engines_and_said() -> None:
    costs = {"main": PaperCosts(slippage_bps=D(1), impact_bps=D(5))}
    found, fast, _ = differences(desk(), {BTC: minutes(["100", "84", "99"])}, costs)
    assert found == []
    assert fast.replayed == {"BTC3L": "an account with slippage that grows with the order"}
    assert fast.funds["BTC3L"].costs.slippage > 0


def test_a_fund_that_is_wiped_ends_alike() -> None:
    found, fast, _ = differences(desk(), {BTC: minutes(["100", "60", "80"])}, COSTS)
    assert found == []
    assert fast.funds["BTC3L"].count(Trigger.GAP) == 1
    assert fast.replayed == {}


def test_an_index_only_fund_needs_no_contract_described() -> None:
    known = replace(desk(fund(account="")), contracts={}, accounts={})
    found, fast, _ = differences(known, {BTC: minutes(["100", "84", "99"])}, {})
    assert found == []
    assert fast.funds["BTC3L"].count(Trigger.PRICE_MOVE) == 1


def test_a_basket_is_left_to_the_engine_and_takes_its_account_along() -> None:
    mixed = fund("MIX", 2, basket={BTC: D("0.5"), ETH: D("0.5")})
    paper = fund("PAPER", 3, account="")
    known = desk(fund("BTC3L"), mixed, paper)
    prices = {BTC: minutes(["100", "84"]), ETH: minutes(["10", "9"], ETH)}
    found, fast, _ = differences(known, prices, COSTS)
    assert found == []
    assert fast.replayed == {
        "MIX": "a basket of several contracts",
        "BTC3L": "it shares the account main with MIX",
    }
    assert list(fast.columns) == ["PAPER"]


def test_navs_are_told_at_every_bar() -> None:
    fast = fast_backtest(desk(), Tapes({BTC: minutes(["100", "101", "102"])}), {})
    assert np.allclose(fast.navs("BTC3L"), [100, 103, 106], rtol=1e-12)


@pytest.mark.data
@pytest.mark.skipif(not FILES, reason="the shared data folder is absent")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name.partition(".")[0])
def test_the_beginnings_of_real_histories_are_equal(path: Path) -> None:
    case = real_case(path, rows=400)
    found, fast, _ = differences(case.desk, case.histories, case.costs)
    assert found == []
    assert fast.columns
