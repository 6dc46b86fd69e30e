"""A snapshot is read strictly: whatever is wrong is refused with its place and the remedy."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from rebalancer.core.fund import Account, PriceSource
from rebalancer.core.instant import parse
from rebalancer.core.methodology import BasketChange, Reconstitution
from rebalancer.core.order import PositionSide
from rebalancer.errors import InputRefused
from rebalancer.sim.plan import plan
from rebalancer.sim.snapshot import read_snapshot
from tests.factories import BTC, ETH, D, desk, fund, holding, only, planned, snapshot

FUND = ("funds", "BTC3L")
RUN = {"trigger": "fixed", "target_units": {BTC: "3"}, "started_at": "2026-01-01T02:30:00Z"}
GONE = object()
LATER = "2026-01-02T02:30:00.001Z"


def changed(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return a good snapshot in which one place is replaced, or missing."""
    document = copy.deepcopy(snapshot({"BTC3L": holding()}))
    place = document
    for key in path[:-1]:
        place = place[key]
    if value is GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


REFUSED: list[tuple[tuple[str, ...], Any, str]] = [
    (("as_of",), GONE, "snapshot: the key 'as_of' is missing"),
    (("as_of",), "2026-01-02", "snapshot: as_of: '2026-01-02' is not a time; write it as 2026-01"),
    (("as_of",), "2026-01-02T02:30:00", "as_of: .* is not a time; write it as"),
    (("as_of",), 10**18, "as_of: 1000000000000000000 is not a time"),
    (("as_of",), True, "as_of: True is not a time"),
    (("version",), "2", "version: '2' is not known; this reads 1"),
    (("trigger",), "gap", "trigger: 'gap' is not one of auto, fixed, manual"),
    (("trigger",), [], r"trigger: \[\] is not one of"),
    (("pricse",), {}, "unknown key 'pricse'; did you mean 'prices'?"),
    (("funds",), GONE, "the key 'funds' is missing"),
    (("funds",), [], "funds: expected an object, got list"),
    (("funds",), {"BTC4L": holding()}, "funds.BTC4L is not in the configuration; did you mean"),
    (("prices",), GONE, "the key 'prices' is missing"),
    (("prices",), {}, f'prices."{BTC}": fund BTC3L needs its mark price'),
    (("prices", BTC), {"index": "1"}, "fund BTC3L needs its mark price"),
    (("prices", BTC), {"mark": "1", "foo": "2"}, "unknown key 'foo'; known are mark, index"),
    (("prices", BTC), "0", f'snapshot: prices."{BTC}": 0 must be above zero'),
    (("prices", BTC), "-1", "-1 must be above zero"),
    (("prices", BTC), "NaN", "'NaN' is not a finite number"),
    (("prices", BTC), "Infinity", "'Infinity' is not a finite number"),
    (("prices", BTC), "1e999999", "is out of reach"),
    (("prices", BTC), "1e-40", "is out of reach"),
    (("prices", BTC), "ten", "'ten' is not a decimal number"),
    (("prices", BTC), None, "expected a decimal number in text, got NoneType"),
    ((*FUND, "shares"), GONE, "funds.BTC3L: the key 'shares' is missing"),
    ((*FUND, "shares"), "0", "funds.BTC3L.shares: 0 must be above zero"),
    ((*FUND, "shares"), "1e-60", "funds.BTC3L.shares: .* is out of reach"),
    ((*FUND, "cash"), True, "funds.BTC3L.cash: expected a decimal number in text, got bool"),
    ((*FUND, "cash"), "1e45", "funds.BTC3L.cash: .* is out of reach"),
    ((*FUND, "shars"), "1", "funds.BTC3L: unknown key 'shars'; did you mean 'shares'?"),
    ((*FUND, "breach_since"), "x", "breach_since: 'x' is not a time"),
    ((*FUND, "units"), {ETH: "1"}, f"units: {ETH} is not in the fund's basket"),
    ((*FUND, "units"), None, "units: expected an object, got NoneType"),
    ((*FUND, "state"), "dead", "state: 'dead' is not one of active, reducing, halted, wiped"),
    ((*FUND, "last_run_at"), "nope", "last_run_at: 'nope' is not a time"),
    ((*FUND, "last_run_at"), LATER, "last_run_at: 2026.*001Z lies after as_of"),
    ((*FUND, "last_fixed"), LATER, "last_fixed: .* lies after as_of"),
    ((*FUND, "last_rebalance", "at"), LATER, "last_rebalance.at: .* lies after as_of"),
    ((*FUND, "last_rebalance", "at"), GONE, "last_rebalance: the key 'at' is missing"),
    ((*FUND, "last_rebalance", "nav"), "0", "last_rebalance.nav: 0 must be above zero"),
    ((*FUND, "last_rebalance", "prices"), {}, f"last_rebalance.prices: the key '{BTC}' is missing"),
    ((*FUND, "last_rebalance", "prices", BTC), "0", "0 must be above zero"),
    ((*FUND, "run"), {}, "funds.BTC3L.run: the key 'trigger' is missing"),
    ((*FUND, "run"), RUN | {"trigger": "none"}, "run.trigger: 'none' is not the name of a rule"),
    ((*FUND, "run"), RUN | {"target_units": {ETH: "1"}}, "target_units: ETH.* not in the fund's"),
    ((*FUND, "run"), RUN | {"target_units": {BTC: "inf"}}, "'inf' is not a finite number"),
    ((*FUND, "run"), RUN | {"started_at": LATER}, "run.started_at: .* lies after as_of"),
    (("contracts",), {BTC: {"lot": "0"}}, f"contract {BTC}: lot: 0 must be above zero"),
    (("contracts",), {BTC: {"lott": "1"}}, "unknown key 'lott'; did you mean 'lot'?"),
    (("contracts",), {BTC: {"min_notional": "-1"}}, "min_notional must not be negative"),
    (("contracts",), {"BTC/USD:BTC": {}}, "settles in BTC: this version trades linear contracts"),
    (("accounts",), {"other": {}}, "accounts.other is not configured; known are main"),
    (("accounts",), {"main": {"pos": {}}}, "accounts.main: unknown key 'pos'; known are positions"),
    (("accounts",), {"main": {"positions": {BTC: "2"}}}, "holds 2 base coins, its funds hold 3"),
    (("accounts",), {"main": {"positions": {ETH: "1"}}}, "holds 1 base coins, its funds hold 0"),
    (
        ("accounts",),
        {"main": {"positions": {BTC: {"long": "3", "shrt": "0"}}}},
        "unknown key 'shrt'; did you mean 'short'?",
    ),
]


@pytest.mark.parametrize(("path", "value", "sentence"), REFUSED)
def test_what_is_wrong_is_refused_with_its_place(
    path: tuple[str, ...], value: Any, sentence: str
) -> None:
    with pytest.raises(InputRefused, match=sentence):
        planned(desk(), changed(path, value))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "snapshot:1: not JSON"),
        ("{\n\n,}", "snapshot:3: not JSON"),
        ("[]", "snapshot: expected an object, got list"),
        ("null", "expected an object, got NoneType"),
        ('{"as_of": "a", "as_of": "b"}', "the key 'as_of' stands twice"),
        ('{"as_of": NaN}', "NaN is not a number"),
        ("[" * 100_000, "nested too deeply"),
        ('{"as_of": 1' + 5_000 * "0" + "}", "snapshot: a number in it is beyond what can be read"),
        ('{"prices": 1e99999999999999999999}', "a number in it is beyond what can be read"),
        (
            '{"as_of": "\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2\u00b2", "funds": {}}',
            "is not a time",
        ),
    ],
)
def test_what_is_not_a_document_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InputRefused, match=sentence):
        read_snapshot(text, desk())


def test_numbers_too_far_apart_are_refused_instead_of_rounded() -> None:
    document = changed((*FUND, "cash"), "1e24")
    document["funds"]["BTC3L"]["shares"] = "1e-24"
    with pytest.raises(InputRefused, match="too far apart to be computed exactly"):
        planned(desk(), document)


def test_a_run_to_a_contract_that_only_a_later_basket_has_is_refused() -> None:
    later = BasketChange(due_ms=parse("2026-02-01T00:00:00Z"), basket={ETH: D(1)})
    known = desk(fund(methodology=only(reconstitution=Reconstitution(changes=(later,)))))
    run = RUN | {"target_units": {ETH: "3"}}
    with pytest.raises(InputRefused, match=f"run.target_units: {ETH} is not in the fund's basket"):
        planned(known, changed((*FUND, "run"), run))


def test_the_good_snapshot_that_the_bad_ones_come_from_is_accepted() -> None:
    assert planned(desk(), changed(("version",), 1))["version"] == 1
    assert planned(desk(), changed((*FUND, "run"), RUN))["funds"]["BTC3L"]["trigger"] == "fixed"


def test_numbers_may_be_written_as_json_numbers_and_stay_exact() -> None:
    text = json.dumps(changed((*FUND, "cash"), "-200.1")).replace('"-200.1"', "-200.1")
    told = plan(read_snapshot(text, desk()))["funds"]["BTC3L"]
    assert told["nav"] == "114.9"


def test_a_price_by_source_drives_formula_and_account_apart() -> None:
    on_index = desk(fund(price_source=PriceSource.INDEX))
    document = snapshot({"BTC3L": holding()}, {"mark": "105", "index": "104"})
    told = planned(on_index, document)["funds"]["BTC3L"]
    assert (told["nav"], told["formula_nav"]) == ("115", "112")
    assert told["delta_notional"] == {BTC: "30"}


@pytest.mark.parametrize(
    ("last_fixed", "as_of", "trigger"),
    [
        ("2026-01-01T02:30:00Z", "2026-01-02T02:29:59.999Z", "none"),
        ("2026-01-01T02:30:00Z", "2026-01-02T02:30:00Z", "fixed"),
        ("2026-01-02T02:29:59.999Z", "2026-01-02T02:30:00Z", "fixed"),
        ("2026-01-02T02:30:00Z", "2026-01-02T02:30:00Z", "none"),
        ("2026-01-01T02:30:00Z", "2026-01-02T08:30:00Z", "fixed"),
        ("2026-01-01T02:30:00Z", "2026-01-02T08:30:00.001Z", "none"),
    ],
)
@pytest.mark.parametrize("given", ["last_fixed", "last_rebalance"])
def test_a_fixed_instant_is_due_after_last_fixed_up_to_as_of_and_not_older_than_catch_up(
    last_fixed: str, as_of: str, trigger: str, given: str
) -> None:
    told = holding(at=last_fixed) if given == "last_rebalance" else holding(last_fixed=last_fixed)
    answer = planned(desk(), snapshot({"BTC3L": told}, "101", at=as_of))
    assert answer["funds"]["BTC3L"]["trigger"] == trigger


def test_last_fixed_counts_before_the_last_rebalance() -> None:
    told = holding(at="2026-01-02T02:29:00Z", last_fixed="2026-01-01T02:30:00Z")
    answer = planned(desk(), snapshot({"BTC3L": told}, "101"))
    assert answer["funds"]["BTC3L"]["trigger"] == "fixed"


def test_a_fund_that_was_never_rebalanced_catches_up_what_is_still_open() -> None:
    bare = {"shares": "1", "cash": "100"}
    for at, trigger in (("2026-01-02T08:30:00Z", "fixed"), ("2026-01-02T08:30:01Z", "none")):
        told = planned(desk(), snapshot({"BTC3L": bare}, at=at))["funds"]["BTC3L"]
        assert told["trigger"] == trigger
        assert told["formula_nav"] == "100"


@pytest.mark.timeout(10)
def test_a_fund_that_slept_for_thousands_of_years_is_answered_at_once() -> None:
    answer = planned(desk(), snapshot({"BTC3L": holding()}, at="9999-12-31T23:59:59Z"))
    assert answer["funds"]["BTC3L"]["trigger"] == "none"


@pytest.mark.parametrize(
    ("field", "price", "trigger"),
    [("last_run_at", "84", "none"), ("last_emergency_at", "75", "price_move")],
)
def test_cool_downs_count_from_the_given_times(field: str, price: str, trigger: str) -> None:
    for seconds, expected in ((59, trigger), (60, "price_move" if price == "84" else "emergency")):
        told = holding(**{field: "2026-01-01T12:00:00Z"})
        document = snapshot(
            {"BTC3L": told}, price, at=f"2026-01-01T12:0{seconds // 60}:{seconds % 60:02d}Z"
        )
        assert planned(desk(), document)["funds"]["BTC3L"]["trigger"] == expected


def test_positions_are_told_as_a_number_or_by_book() -> None:
    document = changed(("accounts",), {"main": {"positions": {BTC: "3"}}})
    state = read_snapshot(json.dumps(document), desk()).state
    assert state.accounts["main"].books == {(BTC, PositionSide.NET): D(3)}
    state = read_snapshot(
        json.dumps(document), desk(account=Account(name="main", hedge=True))
    ).state
    assert state.accounts["main"].books == {(BTC, PositionSide.LONG): D(3)}


@pytest.mark.parametrize("hedge", [True, False])
@pytest.mark.parametrize(("long", "leg"), [("3", ("long", False)), ("3.5", ("short", True))])
def test_an_account_that_tells_its_books_apart_keeps_them_apart(
    long: str, leg: tuple[str, bool], *, hedge: bool
) -> None:
    """Hedge-book venues need a net delta split into a close and an open (section 4.7)."""
    books = {"long": long, "short": str(D(long) - 3)}
    document = changed(("accounts",), {"main": {"positions": {BTC: books}}})
    document |= {"trigger": "manual", "prices": {BTC: "105"}}
    (order,) = planned(desk(account=Account(name="main", hedge=hedge)), document)["orders"]
    assert (order["position_side"], order["reduce_only"]) == leg


def test_a_contract_of_the_snapshot_changes_only_what_it_names() -> None:
    document = changed(("contracts",), {BTC: {"contract_size": "0.001"}})
    contract = read_snapshot(json.dumps(document), desk()).state.desk.contracts[BTC]
    assert (contract.contract_size, contract.lot) == (D("0.001"), D("1e-9"))


def test_the_age_of_a_snapshots_prices_is_not_measured() -> None:
    answer = planned(desk(fund(max_age_ms=1)), snapshot({"BTC3L": holding()}))
    assert answer["funds"]["BTC3L"]["trigger"] == "fixed"
