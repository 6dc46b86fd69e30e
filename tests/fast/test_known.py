"""Every setting that the fast path does not know is the engine's, and said so."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from rebalancer.core.cash_account import CashAccount
from rebalancer.core.consolidation import Consolidation
from rebalancer.core.fund import Account, Execution, Limits
from rebalancer.core.methodology import BasketChange, LeverageBand, Reconstitution
from rebalancer.fast import known
from rebalancer.venues.paper import PaperCosts
from tests.factories import BTC, ETH, NOON, D, contract, desk, emergency_at, fund, history, only
from tests.fast.judge import differences

pytest_plugins = ["tests.fast.compiling"]
pytestmark = pytest.mark.usefixtures("compiled")

HOUR_MS = 3_600_000
BAND = LeverageBand(lower=D("2.5"), upper=D("3.5"), within_business_days=1)


@dataclass(frozen=True)
class Strange:
    """One setting that the engine alone knows, and how that is said."""

    said: str
    fund: dict[str, Any] = field(default_factory=dict)
    account: dict[str, Any] = field(default_factory=dict)
    costs: dict[str, Any] = field(default_factory=dict)


STRANGE = (
    Strange("a basket of several contracts", {"basket": {BTC: D("0.5"), ETH: D("0.5")}}),
    Strange(
        "rules.reconstitution",
        {
            "methodology": only(
                reconstitution=Reconstitution(
                    changes=(BasketChange(due_ms=NOON + HOUR_MS, basket={ETH: D(1)}),)
                )
            )
        },
    ),
    Strange("rules.leverage_band.within_business_days", {"methodology": only(leverage_band=BAND)}),
    Strange("cash_account", {"cash_account": CashAccount(reference=D("0.01"), spread=D(0))}),
    Strange(
        "consolidation.auto",
        {"consolidation": Consolidation(auto=True, below=D(80), restore=D(90))},
    ),
    Strange("limits", {"limits": Limits(max_runs_per_day=1)}),
    Strange("execution.max_child_*", {"execution": Execution(max_child_units=D(10))}),
    Strange(
        "rules.emergency.max_child_*",
        {"methodology": only(emergency=emergency_at(4, max_child_units=D(10)))},
    ),
    Strange("an account with latency", costs={"latency_ms": 50}),
    Strange("an account with slippage that grows with the order", costs={"impact_bps": D(5)}),
    Strange("an account that fills orders in part", costs={"fill_ratio": D("0.5")}),
    Strange("an account with a book for each side", account={"hedge": True}),
    Strange(
        "an account that asks for a minimum notional of orders that only reduce",
        account={"waives_min_notional": False},
    ),
    Strange("slippage beyond the collar", costs={"slippage_bps": D(5_000)}),
    Strange("a target near the account's margin", account={"initial_margin": D("0.2")}),
)


@pytest.mark.parametrize("strange", STRANGE, ids=lambda strange: strange.said)
def test_what_the_fast_path_does_not_know_is_the_engines_and_said(strange: Strange) -> None:
    account = Account(name="main", **strange.account)
    odd = desk(
        fund(**strange.fund),
        contracts=[contract(symbol, lot="0.01") for symbol in (BTC, ETH)],
        account=account,
    )
    prices = {
        symbol: history(
            [(f"2026-01-01T{hour}:00:00Z", price) for hour, price in enumerate(closes, 12)], symbol
        )
        for symbol, closes in ((BTC, ("100", "95", "84", "99")), (ETH, ("10", "10", "9", "9.1")))
    }
    held = {symbol: prices[symbol] for symbol in odd.funds["BTC3L"].symbols}
    found, fast, drawn = differences(odd, held, {"main": PaperCosts(**strange.costs)})
    assert found == []
    assert fast.replayed == {"BTC3L": strange.said}
    assert not drawn.funds


def test_every_reason_that_is_given_is_in_the_table() -> None:
    """A new reason without a case of its own, or a case without its reason, is seen here."""
    given = {
        each.value.value
        for each in ast.walk(ast.parse(inspect.getsource(known)))
        if isinstance(each, ast.Yield) and isinstance(each.value, ast.Constant)
    }
    assert given == {strange.said for strange in STRANGE}


def test_a_plain_fund_is_played() -> None:
    plain = replace(desk(), contracts={BTC: contract(lot="0.01")})
    prices = {BTC: history([("2026-01-01T12:00:00Z", "100"), ("2026-01-01T13:00:00Z", "84")])}
    found, fast, drawn = differences(plain, prices, {})
    assert found == []
    assert fast.replayed == {}
    assert list(drawn.funds) == ["BTC3L"]
