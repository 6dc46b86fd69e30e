"""What a fresh reader of the plan document found: each test quotes the sentence that it holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rebalancer.errors import InputRefused
from tests.oracle.documents import BTC, ETH, SOL, planned

ACCOUNT = '[accounts.main]\nvenue = "paper"\n'
AT, NOON = "2026-01-01T12:00:00Z", "2026-01-09T12:00:00Z"


def a_fund(name: str, target: str, rules: str = "", members: str = f'"{BTC}" = 1') -> str:
    return (
        f'[funds.{name}]\naccount = "main"\ntarget_leverage = {target}\n'
        f"basket = {{ {members} }}\n{rules}\n"
    )


def held(**over: Any) -> dict[str, Any]:
    """Three times 100, all in bitcoin at 100."""
    point = {"at": AT, "nav": "100", "prices": {BTC: "100"}}
    return {"shares": "1", "cash": "-200", "units": {BTC: "3"}, "last_rebalance": point} | over


def asked(prices: dict[str, str], at: str = NOON, **funds: Any) -> dict[str, Any]:
    return {"as_of": at, "prices": prices, "funds": funds}


def test_an_emergency_into_a_new_basket_buys_all_of_its_members() -> None:
    """`orders` holds the first slice and `delta_units` the whole.

    L leaves bitcoin by a cross inside the desk, which takes its leverage to nothing: that is its
    own doing, and no reason to leave out a member that it is to buy.
    """
    basket = f'basket = {{ "{ETH}" = 0.5, "{SOL}" = 0.5 }}'
    change = f'changes = [{{ effective = "2026-01-05", {basket} }}]'
    rules = f"[funds.L.rules.reconstitution]\n{change}\n[funds.L.rules.emergency]\nleverage = 4"
    config = ACCOUNT + a_fund("L", "3", rules) + a_fund("B", "3")
    buyer = held(cash="1000", units={}, last_fixed="2026-01-09T00:00:00Z")
    prices = {BTC: "85", ETH: "20", SOL: "10"}
    found = planned(config, asked(prices, "2026-01-09T02:30:00Z", L=held(), B=buyer))
    assert found["funds"]["L"]["trigger"] == "emergency"
    assert found["funds"]["L"]["delta_units"] == {ETH: "4.125", SOL: "8.25", BTC: "-3"}
    (cross,) = found["crosses"]
    assert cross["units"] == {"L": "-3", "B": "3"}
    wanted = {order["contract"]: order["allocations"] for order in found["orders"]}
    assert (wanted[ETH], wanted[SOL]) == ({"L": "4.125"}, {"L": "8.25"})


@pytest.mark.parametrize(
    ("nav", "price", "trigger"), [("100", "2", "gap"), ("100", "2.000000001", "none")]
)
def test_the_gap_rule_sees_a_formula_of_exactly_zero(nav: str, price: str, trigger: str) -> None:
    """A fresh, confirmed price makes `1 + L_k * r <= 0`; 2/3 less 1, times 3, is exactly -1."""
    config = ACCOUNT + a_fund("L", "3", "[funds.L.rules.fixed]\nenabled = false\n"
                              "[funds.L.rules.emergency]\nenabled = false")  # fmt: skip
    point = {"at": AT, "nav": nav, "prices": {BTC: "3"}}
    fields = held(cash="500", units={BTC: "100"}, last_rebalance=point)
    told = planned(config, asked({BTC: price}, L=fields))["funds"]["L"]
    assert told["trigger"] == trigger


def test_a_basket_of_thirds_that_moved_exactly_its_threshold_triggers() -> None:
    """abs(r) since the last rebalancing point *reaches* the threshold: 10, 15 and 20 % are 15 %."""
    rules = "[funds.S.rules.price_move]\nthreshold = 0.15"
    config = ACCOUNT + (
        f'[funds.S]\naccount = "main"\ntarget_leverage = -3\nbasket = ["{BTC}", "{ETH}", "{SOL}"]'
        f"\n{rules}\n"
    )
    fields = held(
        cash="400",
        units=dict.fromkeys((BTC, ETH, SOL), "-10"),
        last_rebalance={"at": AT, "nav": "100", "prices": dict.fromkeys((BTC, ETH, SOL), "10")},
    )
    now = {BTC: "11", ETH: "11.5", SOL: "12"}
    assert planned(config, asked(now, S=fields))["funds"]["S"]["trigger"] == "price_move"


def test_the_notional_of_a_delta_is_computed_from_unrounded_units() -> None:
    """Results are computed from unrounded values and written with 18 decimals at most, half-even.

    0.5 x 511.874999999999999995 less what is held is 6.5625000000000001025: even is ...102.
    """
    point = {"at": AT, "nav": "200", "prices": {BTC: "242"}}
    fields = held(
        shares="2.5",
        cash="262.5000000000000001",
        units={BTC: "0.98140495867768595"},
        last_rebalance=point,
    )
    config = ACCOUNT + a_fund("H", "0.5")
    told = planned(config, asked({BTC: "254.1"}, H=fields) | {"trigger": "manual"})["funds"]["H"]
    assert told["delta_notional"] == {BTC: "6.562500000000000102"}


@pytest.mark.parametrize(("seconds", "trigger"), [("59", "none"), ("60", "leverage_cap")])
def test_the_last_rebalance_begins_a_cool_down_where_no_later_run_is_told(
    seconds: str, trigger: str
) -> None:
    """A rebalancing point is a *done* run; cool-downs delay the same fund's price_move and cap."""
    config = ACCOUNT + a_fund("L", "3", "[funds.L.rules.leverage_cap]\nupper = 3.5")
    at = f"2026-01-01T12:00:{seconds}Z" if seconds == "59" else "2026-01-01T12:01:00Z"
    assert planned(config, asked({BTC: "90"}, at, L=held()))["funds"]["L"]["trigger"] == trigger


def test_a_duty_that_is_carried_out_keeps_the_deadline_it_had() -> None:
    """A band duty adds `due_by`: that of the breach, also where the run cannot trade a lot."""
    rules = (
        "[funds.L.rules.leverage_band]\nlower = 2.9\nupper = 3.1\nwithin_business_days = 1\n"
        'close = "15:00"\n'
    )
    config = ACCOUNT + a_fund("L", "3", rules) + f'[contracts."{BTC}"]\nlot = 1\n'
    told = planned(config, asked({BTC: "97"}, "2026-01-13T15:00:00Z", L=held(breach_since=NOON)))[
        "funds"
    ]["L"]
    assert (told["trigger"], told["due_by"]) == ("leverage_band", "2026-01-12T15:00:00Z")


@pytest.mark.parametrize("told", [{}, {"cash_account": {}}, {"cash_account": {"level": "1000"}}])
def test_a_cash_account_fund_adds_its_index_level_also_where_the_snapshot_is_silent(
    told: dict[str, Any],
) -> None:
    """A cash-account fund adds `index_level`; `cash_account` of a snapshot is optional (b5)."""
    terms = "[funds.NOTE.cash_account]\nreference = 0.007\nspread = 0.0115\n"
    config = ACCOUNT + a_fund("NOTE", "1.25", terms)
    point = {"at": "2026-01-01T12:00:00Z", "nav": "1000", "prices": {BTC: "100"}}
    fields = held(cash="-250", units={BTC: "12.5"}, last_rebalance=point) | told
    found = planned(config, asked({BTC: "104"}, "2026-04-01T12:00:00Z", NOTE=fields))
    assert found["funds"]["NOTE"]["index_level"] == "1048.84375"
    assert found["funds"]["NOTE"]["nav"] == "1048.84375"


def test_a_cash_account_without_a_price_to_count_from_is_refused_in_a_sentence() -> None:
    terms = "[funds.NOTE.cash_account]\nreference = 0.007\n"
    change = f'changes = [{{ effective = "2025-12-01", basket = {{ "{ETH}" = 1 }} }}]'
    rules = f"[funds.NOTE.rules.reconstitution]\n{change}\n"
    config = ACCOUNT + a_fund("NOTE", "1.25", rules + terms)
    point = {"at": AT, "nav": "100", "prices": {ETH: "20"}}
    fields = held(last_rebalance=point, cash_account={})
    with pytest.raises(InputRefused, match=f"the fund holds {BTC}, which was not in its basket"):
        planned(config, asked({BTC: "104", ETH: "20"}, NOTE=fields))
    del fields["cash_account"]
    found = planned(config, asked({BTC: "104", ETH: "20"}, NOTE=fields))
    assert "index_level" not in found["funds"]["NOTE"]


@pytest.mark.parametrize("name", ["cap", "leverage_cap", "band", "leverage_band", "price_move"])
def test_a_run_under_way_may_be_named_as_the_order_of_precedence_names_it(name: str) -> None:
    """Precedence, which also names the run: gap, emergency, cap, price_move, band, ..."""
    run = {
        "trigger": name,
        "target_units": {BTC: "2.5"},
        "target_leverage": "3",
        "started_at": NOON,
    }
    config = ACCOUNT + a_fund("L", "3")
    found = planned(config, asked({BTC: "85"}, L=held(run=run)))
    assert found["funds"]["L"]["delta_units"] == {BTC: "-0.5"}
    assert json.dumps(found)


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("max_run_notional", "the run would trade 30.00, more than 10"),
        ("max_order_notional", "30.00 would be more than 10"),
    ],
)
def test_a_breach_halts_with_a_reason_and_nothing_is_clamped(limit: str, words: str) -> None:
    """A breach halts with a reason; nothing is clamped silently."""
    config = ACCOUNT + a_fund("L", "3", f"[funds.L.limits]\n{limit} = 10")
    found = planned(config, asked({BTC: "105"}, "2026-01-02T02:30:00Z", L=held()))
    assert f"halted: {limit}: {words}" in found["funds"]["L"]["reason"]
    assert found["orders"] == []


@pytest.mark.parametrize(
    ("target", "units", "cash", "trigger"),
    [
        ("3", "3", "-225", "emergency"),
        ("3", "3", "-224.999999999999999999", "none"),
        ("1.25", "1", "-40", "emergency"),
        ("1.25", "1", "-39.999999999999999999", "none"),
        ("-1", "-1", "175", "emergency"),
        ("-1", "-1", "175.000000000000000001", "none"),
    ],
)
def test_the_backstop_of_a_fund_without_a_price_rule_is_four_thirds_exactly(
    target: str, units: str, cash: str, trigger: str
) -> None:
    """`emergency`: ratio 2.5 where a price, band or cap rule is enabled, else 4/3 exactly."""
    config = ACCOUNT + a_fund("F", target, "[funds.F.rules.fixed]")
    fields = {"shares": "1", "cash": cash, "units": {BTC: units}}
    told = planned(config, asked({BTC: "100"}, AT, F=fields))["funds"]["F"]
    assert told["trigger"] == trigger
