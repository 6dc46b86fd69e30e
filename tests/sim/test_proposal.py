"""What a plan says before anything is done: drift, trades, and how everything stands after them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rebalancer.core.events import CommandKind
from rebalancer.core.fingerprint import fingerprints
from rebalancer.core.money import total
from rebalancer.errors import InputRefused
from rebalancer.sim.proposal import Asked, propose
from tests.core.test_applying import FUNDS, drifted
from tests.factories import BTC, Bench, bench, fund


def proposal(made: Bench, *funds: str) -> dict[str, object]:
    return propose(made.state, Asked(made.now_ms, funds, 300_000, "drill"))


def test_two_funds_that_both_buy_are_one_trade() -> None:
    """3L and 3S of 100, +5 %: buy 30 and buy 60 = buy 90 (specification section 6)."""
    made = drifted()
    document = propose(made.state, Asked(made.now_ms, (), 300_000, "drill"))
    (trade,) = document["trades"]
    assert (trade["side"], trade["contracts"]) == ("buy", "0.857")
    assert Decimal(trade["notional"]) == Decimal("0.857") * 105
    long, short = (document["funds"][name] for name in FUNDS)
    assert (long["nav"], long["delta_notional"]) == ("115", {BTC: "30"})
    assert Decimal(long["drift"]) == Decimal(long["leverage"]) - 3
    for told, target in ((long, 3), (short, -3)):
        assert abs(Decimal(told["after"]["leverage"]) - target) < Decimal("0.002")
    assert document["apply"] == list(FUNDS)


def test_the_account_stands_on_what_its_funds_hold_together() -> None:
    made = drifted()
    document = propose(made.state, Asked(made.now_ms, (), 300_000, "drill"))
    account = document["accounts"]["main"]
    exposures = [Decimal(document["funds"][name]["after"]["exposure"]) for name in FUNDS]
    assert Decimal(account["exposure"]) == sum(exposures)
    assert Decimal(account["equity"]) == 200
    assert Decimal(account["initial_margin"]) == abs(total(exposures)) / 100


def test_only_the_named_fund_and_the_rest_of_the_account_as_it_stands() -> None:
    made = drifted()
    document = propose(made.state, Asked(made.now_ms, ["BTC3L"], 300_000, "drill"))
    assert list(document["funds"]) == document["apply"] == ["BTC3L"]
    held = made.fund("BTC3S").holding.units[BTC] * 105
    after = Decimal(document["funds"]["BTC3L"]["after"]["exposure"])
    assert Decimal(document["accounts"]["main"]["exposure"]) == after + held


def test_an_index_only_fund_is_at_its_target_after_it_without_a_trade() -> None:
    made = bench(fund(account="")).later(60)
    made.known(105)
    document = propose(made.state, Asked(made.now_ms, (), 300_000, "drill"))
    told = document["funds"]["BTC3L"]
    assert (document["trades"], document["orders"]) == ([], [])
    assert told["delta_notional"] == {BTC: "300000"}
    assert told["after"] == {"leverage": "3", "exposure": "3450000"}


def test_a_halted_fund_is_shown_with_its_reason_and_left_out() -> None:
    made = drifted(105)
    made.command(CommandKind.HALT, "BTC3S")
    document = propose(made.state, Asked(made.now_ms, (), 300_000, "drill"))
    assert document["apply"] == ["BTC3L"]
    assert "is halted: asked for" in document["funds"]["BTC3S"]["reason"]
    assert Decimal(document["trades"][0]["contracts"]) == Decimal("0.285")


def test_nothing_of_the_desk_changes_by_looking() -> None:
    made = drifted()
    before, records = fingerprints(made.state, FUNDS), list(made.records)
    first = proposal(made)
    assert (fingerprints(made.state, FUNDS), made.records) == (before, records)
    assert proposal(made) == first


def test_a_fund_that_the_desk_does_not_have() -> None:
    with pytest.raises(InputRefused, match="there is no fund X; the desk runs BTC3L, BTC3S"):
        proposal(drifted(), "X")
