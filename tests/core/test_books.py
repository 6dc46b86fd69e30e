"""A book as the planner sees it: what reduces a fund need not reduce its account."""

from __future__ import annotations

from rebalancer.core.methodology import Trigger
from tests.factories import contract, desk, fund, history, only, replayed


def test_a_wiped_fund_whose_rest_its_account_cannot_sell_waits_and_the_desk_goes_on() -> None:
    """Its 180 are under a minimum of 200, which is waived only where the account gets smaller."""
    known = desk(
        fund("LONG", 3, initial_shares=1, methodology=only()),
        fund("SHORT", -3, initial_shares=10, methodology=only()),
        contracts=[contract(min_notional=200)],
    )
    prices = history(
        [("2026-01-01T12:00:00Z", 100), ("2026-01-01T12:01:00Z", 60), ("2026-01-02T17:00:00Z", 50)]
    )
    gone = replayed(known, prices).funds["LONG"]
    assert gone.count(Trigger.GAP) == 1
    assert gone.rebalances[0].document()["delta_units"] == {"BTC/USDT:USDT": "-3"}
    assert gone.worth is not None
    assert gone.worth.exposure == 150
