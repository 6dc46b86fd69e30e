"""Worked numbers of flows, fees and the cash account (specification section 6, field.md b2-b5)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from rebalancer.core.cash_account import CashAccount, DayCount
from rebalancer.core.fees import ManagementFee
from rebalancer.core.flow import FlowRule, OnBusy
from rebalancer.core.instant import DAY_MS, parse
from rebalancer.core.methodology import Fixed
from rebalancer.errors import InputRefused
from tests.factories import (
    BTC,
    D,
    desk,
    fund,
    history,
    holding,
    only,
    planned,
    replayed,
    rules,
    snapshot,
)

#: an hour before the default fixed time
BETWEEN = "2026-01-01T12:00:00Z"


def told(document: dict[str, Any], name: str = "BTC3L") -> dict[str, Any]:
    found: dict[str, Any] = document["funds"][name]
    return found


def near(value: str, expected: Any, tolerance: str = "1e-15") -> bool:
    return abs(D(value) - D(expected)) <= D(tolerance)


# --- flows ------------------------------------------------------------------------------------


def flowing(*flows: dict[str, Any], **over: Any) -> dict[str, Any]:
    """Plan one 3L that rose to NAV 115 and leverage 2.7391, with these flows pending."""
    known = desk(fund(methodology=rules(3, flow=over.pop("rule", FlowRule()))))
    at = over.pop("at", BETWEEN)
    return planned(known, snapshot({"BTC3L": holding(flows=list(flows), **over)}, at=at))


def test_a_subscription_of_115_buys_315_and_leaves_the_leverage_at_2_7391() -> None:
    document = flowing({"kind": "subscribe", "cash": "115"})
    found = told(document)
    assert (found["trigger"], found["leverage"]) == ("flow", "2.739130434782608696")
    assert found["delta_notional"] == {BTC: "315"}
    assert found["target_units"] == {BTC: "6"}
    assert found["target_leverage"] == found["leverage"]
    assert found["flows"] == [
        {
            "key": "1",
            "kind": "subscribe",
            "status": "dealt",
            "nav": "115",
            "shares": "1",
            "cash": "115",
            "fee": "0",
        }
    ]
    assert [(each["side"], each["units"]) for each in document["orders"]] == [("buy", "3")]


def test_a_redemption_of_half_sells_half_of_every_unit() -> None:
    found = told(flowing({"kind": "redeem", "shares": "0.5"}))
    assert found["delta_units"] == {BTC: "-1.5"}
    assert found["flows"][0] | {"key": ""} == {
        "key": "",
        "kind": "redeem",
        "status": "dealt",
        "nav": "115",
        "shares": "-0.5",
        "cash": "-57.5",
        "fee": "0",
    }


@pytest.mark.parametrize(
    ("flow", "same"),
    [
        ({"kind": "redemption", "amount": "0.5"}, {"kind": "redeem", "shares": "0.5"}),
        ({"kind": "subscription", "amount": "115"}, {"kind": "subscribe", "cash": "115"}),
    ],
)
def test_a_flow_may_be_called_by_the_specifications_nouns(
    flow: dict[str, Any], same: dict[str, Any]
) -> None:
    """A subscription or redemption scales every held unit; what it is of is its amount."""
    assert flowing(flow) == flowing(same)


def test_a_redemption_of_everything_flattens_the_fund() -> None:
    found = told(flowing({"kind": "redeem", "shares": "1"}))
    assert (found["trigger"], found["target_units"]) == ("flow", {BTC: "0"})
    assert found["delta_units"] == {BTC: "-3"}


def test_a_redemption_beyond_what_is_there_is_refused_and_moves_nothing() -> None:
    document = flowing({"kind": "redeem", "shares": "1.00000001"})
    found = told(document)
    assert (found["trigger"], found["delta_units"]) == ("none", {BTC: "0"})
    assert found["flows"][0]["status"] == "refused"
    assert found["flows"][0]["reason"] == "1 shares are outstanding"
    assert document["orders"] == []


def test_flows_of_both_kinds_deal_at_one_nav_and_only_the_difference_is_traded() -> None:
    document = flowing(
        {"key": "a", "kind": "subscribe", "cash": "230"},
        {"key": "b", "kind": "redeem", "shares": "1"},
    )
    assert told(document)["target_units"] == {BTC: "6"}
    same = flowing(
        {"key": "a", "kind": "subscribe", "cash": "115"},
        {"key": "b", "kind": "redeem", "shares": "1"},
    )
    assert told(same)["delta_units"] == {BTC: "0"}
    assert same["orders"] == []


def test_opposite_flows_of_two_funds_cross_inside_the_desk() -> None:
    known = desk(fund("A"), fund("B"))
    document = planned(
        known,
        snapshot(
            {
                "A": holding(flows=[{"kind": "subscribe", "cash": "115"}]),
                "B": holding(flows=[{"kind": "redeem", "shares": "1"}]),
            },
            at=BETWEEN,
        ),
    )
    assert document["orders"] == []
    assert [each["units"] for each in document["crosses"]] == [{"A": "3", "B": "-3"}]


@pytest.mark.parametrize(("target", "units"), [("3", "6"), ("-2", "-4")])
def test_into_a_flat_fund_a_subscription_buys_the_target(target: str, units: str) -> None:
    known = desk(fund("F", target))
    flat = {"shares": "1", "cash": "100", "flows": [{"kind": "subscribe", "cash": "100"}]}
    found = told(planned(known, snapshot({"F": flat}, price="100", at=BETWEEN)), "F")
    assert found["trigger"] in {"flow", "fixed"}
    assert found["target_units"] == {BTC: units}


def test_an_empty_fund_issues_its_first_shares_at_the_initial_nav() -> None:
    empty = {"shares": "0", "cash": "0", "flows": [{"kind": "subscribe", "cash": "250"}]}
    found = told(planned(desk(), snapshot({"BTC3L": empty}, price="100", at=BETWEEN)))
    assert (found["trigger"], found["leverage"]) == ("flow", None)
    assert found["flows"][0]["shares"] == "2.5"
    assert found["target_units"] == {BTC: "7.5"}


def test_a_flow_at_a_fixed_time_joins_the_run_which_goes_to_target() -> None:
    found = told(flowing({"kind": "subscribe", "cash": "115"}, at="2026-01-02T02:30:00Z"))
    assert found["trigger"] == "fixed"
    assert found["target_units"] == {BTC: "6.571428571428571429"}  # 3 x 230 / 105


def test_a_flow_waits_while_a_run_is_under_way() -> None:
    run = {
        "trigger": "fixed",
        "target_units": {BTC: "3.5"},
        "started_at": "2026-01-01T11:59:59Z",
    }
    found = told(flowing({"kind": "subscribe", "cash": "115"}, run=run))
    assert (found["trigger"], found["target_units"]) == ("fixed", {BTC: "3.5"})
    assert found["flows"] == [{"key": "1", "kind": "subscribe", "status": "waiting"}]


@pytest.mark.parametrize(
    ("as_of", "asked", "trigger", "status"),
    [
        ("2026-01-02T02:20:00Z", None, "flow", "dealt"),
        ("2026-01-02T02:20:01Z", None, "none", "waiting"),
        ("2026-01-02T02:30:00Z", None, "fixed", "dealt"),
        ("2026-01-02T02:30:00Z", "2026-01-02T02:20:00Z", "fixed", "dealt"),
        ("2026-01-02T02:30:00Z", "2026-01-02T02:20:01Z", "fixed", "waiting"),
    ],
)
def test_the_cut_off_keeps_late_flows_out_of_the_fixed_run(
    as_of: str, asked: str | None, trigger: str, status: str
) -> None:
    flow = {"kind": "subscribe", "cash": "115"} | ({"at": asked} if asked else {})
    rule = FlowRule(cutoff_ms=10 * 60_000, on_busy=OnBusy.QUEUE)
    found = told(flowing(flow, rule=rule, at=as_of))
    assert (found["trigger"], found["flows"][0]["status"]) == (trigger, status)
    if status == "waiting" and trigger == "none":
        assert "cut-off" in found["reason"]


@pytest.mark.parametrize(
    ("flow", "nav", "fee"),
    [
        # field.md b2, case 45: 200 x 7 x 0.05 % and 100 x 10 x 0.05 %
        ({"kind": "subscribe", "cash": "1400"}, 7, "0.7"),
        ({"kind": "redeem", "shares": "100"}, 10, "0.5"),
    ],
)
def test_creation_and_redemption_fees_of_a_published_example(
    flow: dict[str, Any], nav: int, fee: str
) -> None:
    rule = FlowRule(creation_fee=D("0.0005"), redemption_fee=D("0.0005"))
    known = desk(fund(methodology=rules(3, flow=rule)))
    shares = 1_000
    held = holding(nav=nav * shares, price=100, flows=[flow]) | {"shares": str(shares)}
    found = told(planned(known, snapshot({"BTC3L": held}, price="100", at=BETWEEN)))
    assert found["flows"][0]["fee"] == fee


def test_a_flow_that_names_what_it_should_not_is_refused_with_its_place() -> None:
    for flow, sentence in (
        ({"kind": "gift", "cash": "1"}, "kind: 'gift' is not one of subscribe, redeem"),
        ({"kind": "redeem", "cash": "1"}, "cash: a flow to redeem is given by its shares"),
        ({"kind": "subscribe"}, "the key 'cash' is missing"),
        ({"kind": "subscribe", "cash": "0"}, "cash: 0 must be above zero"),
        ({"kind": "subscribe", "cash": "1", "x": 1}, "unknown key 'x'"),
        ({"kind": "subscribe", "cash": "1", "amount": "1"}, "amount: means the cash"),
    ):
        with pytest.raises(InputRefused, match=sentence):
            flowing(flow)


# --- the management fee -------------------------------------------------------------------------


def after_a_day(fee: ManagementFee, *prices: int, at: str = "2026-01-01T00:00:00Z") -> Any:
    rows = [(str(parse(at) + hour * 3_600_000), price) for hour, price in enumerate(prices)]
    known = desk(fund(methodology=only(), management_fee=fee))
    return told(replayed(known, history(rows)).document())


def test_a_fee_of_0_3_percent_a_day_compounds_to_99_7002999() -> None:
    # field.md b2, case 53; the sum of the three parts would be 99.7
    found = after_a_day(ManagementFee(daily=D("0.003")), *[100] * 25)
    assert found["final_nav"] == "99.7002999"
    assert found["final_formula_nav"] == "99.7002999"
    assert found["final_nav"] != "99.7"
    assert found["costs"]["management_fee"] == "2997.001"


def test_a_fee_of_0_005_percent_a_day_of_200_shares_at_10_is_0_1() -> None:
    # field.md b2, case 45
    fee = ManagementFee(daily=D("0.00005"), times_of_day_ms=(0,))
    assert fee.charge(D(200) * 10) == D("0.1")


def test_nothing_is_due_at_the_start_and_every_instant_is_charged_once() -> None:
    fee = ManagementFee(daily=D("0.003"))
    assert after_a_day(fee, 100)["costs"]["management_fee"] == "0"
    assert after_a_day(fee, *[100] * 8)["costs"]["management_fee"] == "0"
    assert after_a_day(fee, *[100] * 9)["costs"]["management_fee"] == "1000"
    assert after_a_day(fee, *[100] * 16)["costs"]["management_fee"] == "1000"


def test_fees_of_instants_between_two_prices_are_charged_too() -> None:
    rows = [("2026-01-01T00:00:00Z", 100), ("2026-01-02T01:00:00Z", 100)]
    known = desk(fund(methodology=only(), management_fee=ManagementFee(daily=D("0.003"))))
    assert told(replayed(known, history(rows)).document())["final_nav"] == "99.7002999"


def test_at_one_instant_the_fee_comes_before_the_run() -> None:
    midnight = Fixed(times_of_day_ms=(0,), utc_offset_ms=0)
    known = desk(
        fund(
            methodology=only(fixed=midnight),
            management_fee=ManagementFee(daily=D("0.01"), times_of_day_ms=(0,)),
        )
    )
    rows = [("2026-01-01T12:00:00Z", 100), ("2026-01-02T00:00:00Z", 110)]
    found = told(replayed(known, history(rows)).document())
    run = found["rebalances"][0]
    assert run["nav"] == "128.7"  # 130 less 1 %
    assert near(run["leverage_after"], 3, "1e-9")
    assert found["final_formula_nav"] == "128.7"


def test_funding_of_the_same_instant_comes_before_the_fee() -> None:
    known = desk(
        fund(
            methodology=only(),
            management_fee=ManagementFee(daily=D("0.01"), times_of_day_ms=(0,)),
        )
    )
    rows = [("2026-01-01T12:00:00Z", 100), ("2026-01-02T00:00:00Z", 100)]
    paid = [("2026-01-02T00:00:00Z", "0.01")]
    found = told(replayed(known, history(rows, funding=paid)).document())
    assert found["costs"]["funding"] == "30000"
    assert found["costs"]["management_fee"] == "9700"
    assert found["final_nav"] == "96.03"


# --- the cash account ----------------------------------------------------------------------------


TERMS = CashAccount(reference=D("0.007"), spread=D("0.0115"))


def note(
    target: str, units: str, cash: str, price: str, terms: CashAccount = TERMS, **over: Any
) -> dict[str, Any]:
    """Plan a fund 90 days after its last rebalance, which was at a price of 100."""
    start = parse("2026-01-01T02:30:00Z")
    known = desk(fund("NOTE", target, methodology=only(), cash_account=terms))
    fields = {
        "shares": "1",
        "cash": cash,
        "units": {BTC: units},
        "last_rebalance": {"at": start, "nav": "1000", "prices": {BTC: "100"}},
        "cash_account": {"level": "1000", "rate": "0.007", "at": start},
    } | over
    as_of = start + 90 * DAY_MS
    document = snapshot({"NOTE": fields}, price=price, at=str(as_of))
    return told(planned(known, document | {"as_of": as_of, "trigger": "manual"}), "NOTE")


def test_the_note_of_the_product_document_after_90_days() -> None:
    # field.md b5: 1000 + 50 - 1.15625; 1300 / 1048.84375 = 1.2395; back to 1311.0547
    found = note("1.25", "12.5", "-250", "104")
    assert found["index_level"] == "1048.84375"
    assert found["nav"] == "1048.84375"
    assert D(found["leverage"]).quantize(D("1e-4")) == D("1.2395")
    exposure = D(found["target_units"][BTC]) * 104
    assert exposure.quantize(D("1e-4")) == D("1311.0547")


@pytest.mark.parametrize(
    ("day_count", "level"),
    [
        (DayCount.ACT_360, "1048.84375"),
        (DayCount.ACT_365, "1048.859589041095890411"),
        # 1 January to 1 April is three months: 90 days in both conventions
        (DayCount.THIRTY_360, "1048.84375"),
    ],
)
def test_the_day_count_is_a_setting(day_count: DayCount, level: str) -> None:
    terms = CashAccount(reference=D("0.007"), spread=D("0.0115"), day_count=day_count)
    assert note("1.25", "12.5", "-250", "104", terms)["index_level"] == level


def test_a_coupon_lowers_the_level() -> None:
    terms = CashAccount(reference=D("0.007"), spread=D("0.0115"), coupon=D("0.04"))
    assert note("1.25", "12.5", "-250", "104", terms)["index_level"] == "1038.84375"


@pytest.mark.parametrize(
    ("earn", "level"),
    [
        # -1x: 2000 of cash at 0.70 % - 0.25 % for 90 days, or at what the setting says
        (None, "962.25"),
        (D("0.01"), "965"),
    ],
)
def test_a_short_earns_on_its_cash_the_reference_less_the_spread(
    earn: Decimal | None, level: str
) -> None:
    terms = CashAccount(reference=D("0.007"), spread=D("0.0025"), earn=earn)
    assert note("-1", "-10", "2000", "104", terms)["index_level"] == level


def test_a_level_that_is_not_the_equity_moves_in_proportion_to_it() -> None:
    found = note("1.25", "1.25", "-25", "104", cash_account={"level": "1000", "rate": "0.007"})
    assert found["index_level"] == "1048.84375"
    assert found["nav"] == "104.884375"


def test_a_replay_charges_the_cash_account_at_each_rebalance() -> None:
    quarter = Fixed(times_of_day_ms=(0,), utc_offset_ms=0, skip_below_move=D("0.01"))
    known = desk(
        fund(
            "NOTE", "1.25", methodology=only(fixed=quarter), cash_account=TERMS, initial_nav=D(1000)
        )
    )
    start = parse("2026-01-01T00:00:00Z")
    rows = [(str(start + day * DAY_MS), 100 if day < 90 else 104) for day in range(91)]
    found = told(replayed(known, history(rows)).document(), "NOTE")
    run = found["rebalances"][0]
    assert (len(found["rebalances"]), run["nav"]) == (1, "1048.84375")
    assert near(run["leverage_after"], "1.25", "1e-9")
    assert found["final_nav"] == "1048.84375"
    assert found["costs"]["financing"] == "11562.5"
    assert found["final_index_level"] == "1048.84375"
