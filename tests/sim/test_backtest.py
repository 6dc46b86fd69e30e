"""The replay of history: what is known when, what is charged when, and where funds start."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rebalancer.core.fund import Account, Execution, NavKind, PriceSource
from rebalancer.core.instant import parse
from rebalancer.core.methodology import Fixed, LeverageCap
from rebalancer.core.records import (
    Crossed,
    FundingPosted,
    PointSet,
    PositionsAdopted,
    RunOpened,
    Traded,
)
from rebalancer.errors import InputRefused
from rebalancer.feeds.candles import History, merge, read_history
from rebalancer.sim.replay import Replay, desk_for_history
from rebalancer.venues.paper import PaperCosts
from tests.factories import (
    BTC,
    DUE,
    ETH,
    D,
    Number,
    desk,
    dice_of,
    fund,
    history,
    move_rule,
    only,
    replayed,
    rules,
    with_spot,
)

MIDNIGHT_UTC8 = Fixed(times_of_day_ms=(0,))  # 16:00 UTC, when funding is paid too


def hours(first: str, *prices: Number) -> list[tuple[str, Number]]:
    start = parse(first)
    return [(str(start + hour * 3_600_000), price) for hour, price in enumerate(prices)]


def only_fund(result: Any, name: str = "BTC3L") -> dict[str, Any]:
    found: dict[str, Any] = result.document()["funds"][name]
    return found


def records_of(known: Any, *histories: History, **costs: Any) -> list[Any]:
    kept: list[Any] = []
    replay = Replay(
        desk_for_history(known, {each.contract: each for each in histories}),
        {name: PaperCosts(**costs) for name in known.accounts},
        on_records=kept.extend,
    )
    replay.run(merge(histories))
    return kept


def test_the_document_has_exactly_the_published_keys() -> None:
    document = replayed(
        desk(), history(hours("2026-01-02T00:30:00Z", 100, 100, 105, 105))
    ).document()
    assert document["version"] == 1
    assert document["bars"] == 4
    told = document["funds"]["BTC3L"]
    assert list(told) == [
        "start_nav",
        "final_nav",
        "final_formula_nav",
        "final_leverage",
        "rebalances",
        "costs",
    ]
    assert told["rebalances"] == [
        {
            "at": "2026-01-02T02:30:00Z",
            "trigger": "fixed",
            "reason": "fixed time 2026-01-02T02:30:00Z",
            "prices": {BTC: "105"},
            "nav": "115",
            "leverage_before": "2.739130434782608696",
            "leverage_after": "2.999999999999921739",
            "delta_units": {BTC: "2857.142857142857142857"},
            "cost": "0",
        }
    ]
    assert told["costs"] == {"fees": "0", "slippage": "0", "funding": "0", "management_fee": "0"}


def test_funds_start_at_the_first_price_fully_exposed_as_a_point_at_no_cost() -> None:
    kept = records_of(
        desk(), history(hours("2026-01-02T02:30:00Z", 100, 100)), fee_bps=D(10), slippage_bps=D(10)
    )
    (adopted,) = [each for each in kept if isinstance(each, PositionsAdopted)]
    (point,) = [each for each in kept if isinstance(each, PointSet)]
    assert dict(adopted.units) == {BTC: D(30_000)}
    assert (point.nav, dict(point.prices), point.leverage) == (D(100), {BTC: D(100)}, D(3))
    assert point.at_ms == parse("2026-01-02T02:30:00Z"), "the fixed time itself"
    assert not [each for each in kept if isinstance(each, RunOpened | Traded)]


def test_a_price_exactly_at_the_due_instant_counts_for_its_run() -> None:
    rows = hours("2026-01-02T00:30:00Z", 100, 101, 110, 120)
    (run,) = only_fund(replayed(desk(), history(rows)))["rebalances"]
    assert (run["at"], run["prices"]) == ("2026-01-02T02:30:00Z", {BTC: "110"})


def test_a_run_that_crosses_whole_inside_the_desk_is_done_with_the_order_beside_it() -> None:
    """Opposite deltas cross at the mark; a rebalancing point is a *done* run, at its instant."""
    rows = hours("2026-01-02T00:30:00Z", 100, 100, 105)
    kept = records_of(desk(fund("L", 3), fund("H", "0.5")), history(rows))
    (crossed,) = [each for each in kept if isinstance(each, Crossed)]
    (traded,) = [each for each in kept if isinstance(each, Traded)]
    assert (crossed.units["H"] < 0, list(traded.allocations)) == (True, ["L"])
    points = [each for each in kept if isinstance(each, PointSet) and each.at_ms == DUE]
    assert {each.fund for each in points} == {"L", "H"}


def test_the_start_of_a_replay_begins_a_cool_down_as_any_point_does() -> None:
    """Funds start with their full exposure, recorded as a point; a point is a *done* run."""
    rule = LeverageCap(upper=D("3.5"), cooldown_ms=90_000)
    minutes = [(f"2026-01-02T12:0{at}:00Z", price) for at, price in enumerate((100, 90, 90))]
    result = replayed(desk(fund(methodology=only(leverage_cap=rule))), history(minutes))
    assert [run["at"] for run in only_fund(result)["rebalances"]] == ["2026-01-02T12:02:00Z"]


def test_a_base_of_the_account_counts_no_move_of_the_market_twice() -> None:
    """`S_k` and the prices that sized the run, fixed when it is done; `formula_base = "account"`.

    A third of the delta at 105, 106 and 107 each: at 105 the account is worth 115 less what the
    dearer two cost, and it is from 105 that the formula counts.
    """
    minutes = enumerate((100, 105, 106, 107))
    rows = [(f"2026-01-02T02:{29 + at}:00Z", price) for at, price in minutes]
    slices = Execution(max_child_units=D("0.1"), interval_ms=60_000)
    known = fund(initial_shares=D(1), execution=slices, formula_base=NavKind.ACCOUNT)
    told = only_fund(replayed(desk(known), history(rows)))
    base = 115 - D("0.1") * 1 - D("0.085714285") * 2
    formula = base * (1 + 3 * (D(107) / 105 - 1))
    assert D(told["final_formula_nav"]) == pytest.approx(formula, abs=D("1e-17"))
    assert D(told["final_nav"]) == pytest.approx(formula, abs=D("0.03"))


def test_without_one_the_latest_before_it_within_one_interval_counts() -> None:
    rows = hours("2026-01-02T00:00:00Z", 100, 101, 110, 120)
    (run,) = only_fund(replayed(desk(), history(rows)))["rebalances"]
    assert (run["at"], run["prices"]) == ("2026-01-02T02:30:00Z", {BTC: "110"})


def test_an_older_price_is_not_used_and_the_run_waits_for_the_next() -> None:
    rows = hours("2026-01-01T23:00:00Z", 100, 101, 102)
    rows += hours("2026-01-02T04:00:00Z", 120, 121)
    (run,) = only_fund(replayed(desk(), history(rows)))["rebalances"]
    assert (run["at"], run["prices"]) == ("2026-01-02T04:00:00Z", {BTC: "120"})
    assert run["reason"].endswith("caught up 90 min late")


def test_a_run_without_a_price_in_six_hours_is_missed() -> None:
    rows = hours("2026-01-01T23:00:00Z", 100, 101) + hours("2026-01-02T09:00:00Z", 102, 103)
    result = replayed(desk(), history(rows))
    assert only_fund(result)["rebalances"] == []
    assert result.book.fixed["BTC3L"] == {"missed": 1}


def test_a_bar_is_known_when_it_closes(tmp_path: Any) -> None:
    file = tmp_path / "bars.csv"
    file.write_text(
        "timestamp,open,high,low,close\n"
        "2026-01-02T00:30:00Z,100,100,100,100\n"
        "2026-01-02T01:30:00Z,100,125,84,105\n"
        "2026-01-02T02:30:00Z,120,150,50,130\n"
    )
    told = only_fund(replayed(desk(), read_history(BTC, file)))
    (run,) = told["rebalances"]
    assert (run["at"], run["prices"]) == ("2026-01-02T02:30:00Z", {BTC: "105"})
    assert told["final_formula_nav"] == "197.142857142857142857"  # 115 x (1 + 3 (130 / 105 - 1))


def test_funding_is_charged_once_at_its_time_on_the_units_held_just_before() -> None:
    rows = hours("2026-01-01T14:00:00Z", 100, 110, 120, 120)
    paid = [("2026-01-01T15:30:00Z", "0.001")]
    result = replayed(desk(), history(rows, funding=paid))
    told = only_fund(result)
    assert told["costs"]["funding"] == "3300"  # 30 000 units x the last known price of 110 x 0.001
    assert told["final_nav"] == text_of(100 + 3 * 20 - D("0.33"))


def text_of(value: Any) -> str:
    return str(D(value).normalize())


def test_a_short_receives_what_a_long_pays() -> None:
    rows = hours("2026-01-01T14:00:00Z", 100, 110, 120)
    paid = [("2026-01-01T15:30:00Z", "0.001")]
    result = replayed(desk(fund("L"), fund("S", -3)), history(rows, funding=paid))
    assert only_fund(result, "L")["costs"]["funding"] == "3300"
    assert only_fund(result, "S")["costs"]["funding"] == "-3300"


def test_funding_at_the_instant_of_a_price_uses_that_price_and_the_units_before_its_run() -> None:
    known = desk(fund(methodology=only(fixed=MIDNIGHT_UTC8)))
    rows = hours("2026-01-01T15:00:00Z", 100, 110, 110)
    result = replayed(known, history(rows, funding=[("2026-01-01T16:00:00Z", "0.001")]))
    told = only_fund(result)
    assert told["costs"]["funding"] == "3300"
    (run,) = told["rebalances"]
    assert run["prices"] == {BTC: "110"}
    assert run["cost"] == "0"
    assert run["nav"] == "129.67"


def test_all_funding_of_an_instant_is_charged_before_any_run_of_it() -> None:
    both = fund(basket={BTC: D("0.5"), ETH: D("0.5")}, methodology=only(fixed=MIDNIGHT_UTC8))
    paid = [("2026-01-01T16:00:00Z", "0.001")]
    result = replayed(
        desk(both),
        history(hours("2026-01-01T15:00:00Z", 100, 110), funding=paid),
        history(hours("2026-01-01T15:00:00Z", 100, 90), ETH, funding=paid),
    )
    told = only_fund(result)
    assert told["costs"]["funding"] == "3000"  # 15 000 x 110 x 0.001 + 15 000 x 90 x 0.001
    assert len(told["rebalances"]) == 1


def test_funding_before_the_first_price_is_not_charged() -> None:
    rows = hours("2026-01-01T16:00:00Z", 100, 100)
    result = replayed(desk(), history(rows, funding=[("2026-01-01T08:00:00Z", "0.01")]))
    assert only_fund(result)["costs"]["funding"] == "0"


def test_funding_can_be_switched_off() -> None:
    rows = hours("2026-01-01T15:00:00Z", 100, 100)
    paid = [("2026-01-01T16:00:00Z", "0.01")]
    result = replayed(desk(), history(rows, funding=paid), funding=False)
    assert only_fund(result)["costs"]["funding"] == "0"


def test_funding_that_takes_the_last_of_the_equity_wipes_with_the_next_price() -> None:
    rows = hours("2026-01-01T15:00:00Z", 100, 100, 100)
    kept = records_of(desk(), history(rows, funding=[("2026-01-01T15:30:00Z", "0.34")]))
    assert [type(each) for each in kept if isinstance(each, FundingPosted | RunOpened)] == [
        FundingPosted,
        RunOpened,
    ]


def test_fees_and_slippage_are_itemised_and_leave_the_formula_alone() -> None:
    rows = hours("2026-01-02T01:30:00Z", 100, 105, 105)
    told = only_fund(replayed(desk(), history(rows), fee_bps=D(10), slippage_bps=D(20)))
    bought = D("2857.142857142")
    slippage = bought * 105 * D("0.002")
    fees = bought * 105 * D("1.002") * D("0.001")
    assert D(told["costs"]["slippage"]) == slippage
    assert D(told["costs"]["fees"]) == fees
    assert told["final_formula_nav"] == "115"
    assert D(told["final_nav"]) == D(115) - (slippage + fees) / 10_000
    assert D(told["rebalances"][0]["cost"]) == slippage + fees
    assert told["rebalances"][0]["nav"] == told["final_nav"], "after its costs"


def test_a_basket_waits_until_every_member_has_a_price() -> None:
    both = fund(basket={BTC: D("0.5"), ETH: D("0.5")})
    kept = records_of(
        desk(both),
        history(hours("2026-01-01T12:00:00Z", 100, 101, 102)),
        history(hours("2026-01-01T14:00:00Z", 50), ETH),
    )
    (adopted,) = [each for each in kept if isinstance(each, PositionsAdopted)]
    assert adopted.at_ms == parse("2026-01-01T14:00:00Z")
    assert dict(adopted.prices) == {BTC: D(102), ETH: D(50)}


def test_a_fund_that_never_had_a_price_is_not_in_the_document() -> None:
    known = desk(fund("B"), fund("E", basket={ETH: D(1)}))
    result = replayed(known, history(hours("2026-01-01T12:00:00Z", 100, 101)), history([], ETH))
    assert list(result.document()["funds"]) == ["B"]


def test_a_contract_without_a_history_is_refused_with_the_remedy() -> None:
    with pytest.raises(InputRefused, match=r'funds.BTC3L holds BTC.*--prices "BTC/USDT:USDT=FILE"'):
        replayed(desk(), history([], ETH))


def test_lots_of_a_billionth_are_what_a_contract_described_nowhere_has() -> None:
    kept = records_of(desk(), history(hours("2026-01-02T01:30:00Z", 100, 105)))
    (traded,) = [each for each in kept if isinstance(each, Traded)]
    assert traded.units == D("2857.142857142")


def test_latency_fills_at_the_price_of_the_arrival() -> None:
    rows = hours("2026-01-02T01:30:00Z", 100, 105, 106, 106)
    kept = records_of(desk(), history(rows), latency_ms=3_600_000)
    (traded,) = [each for each in kept if isinstance(each, Traded)]
    assert traded.fill.price == 106
    assert traded.fill.at_ms == parse("2026-01-02T03:30:00Z")


def test_a_hedge_venue_is_closed_and_opened_and_books_net_to_the_funds() -> None:
    known = desk(fund("L"), fund("S", -3), account=Account(name="main", hedge=True))
    rows = hours("2026-01-02T00:30:00Z", 100, 95, 90, 105, 120)
    result = replayed(known, history(rows))
    account = result.replay.state.accounts["main"]
    held = sum(each.holding.units[BTC] for each in result.replay.state.funds.values())
    assert account.position(BTC) == held
    assert {str(side) for (_, side), units in account.books.items() if units} == {"long", "short"}
    paper = result.replay.books["main"]
    assert paper.books == account.books


def wild_rows(seed: int, count: int = 400) -> list[tuple[str, Number]]:
    dice, price = dice_of(seed), D(100)
    rows: list[tuple[str, Number]] = []
    for hour in range(count):
        price = (price * (1 + D(dice.randrange(-60, 61)) / 1000)).quantize(D("0.01"))
        rows.append((str(parse("2026-01-01T00:00:00Z") + hour * 3_600_000), price))
    return rows


def wild_desk() -> Any:
    return desk(
        fund("L"),
        fund("S", -3),
        fund("B", "1.5", basket={BTC: D("0.5"), ETH: D("0.5")}),
        fund("H", -1, methodology=rules(-1)),
    )


def wild_result(seed: int) -> Any:
    paid = [(str(parse("2026-01-01T08:00:00Z") + n * 28_800_000), "0.0003") for n in range(40)]
    return replayed(
        wild_desk(),
        history(wild_rows(seed), funding=paid),
        history(wild_rows(seed + 1000), ETH),
        fee_bps=D(5),
        slippage_bps=D(3),
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_same_history_gives_the_same_document_to_the_last_digit(seed: int) -> None:
    assert json.dumps(wild_result(seed).document()) == json.dumps(wild_result(seed).document())


@pytest.mark.parametrize("seed", range(3))
def test_what_the_funds_hold_is_what_the_venue_holds(seed: int) -> None:
    replay = wild_result(seed).replay
    paper, funds = replay.books["main"], replay.state.funds.values()
    assert paper.cash == sum(each.holding.cash for each in funds)
    for symbol in (BTC, ETH):
        held = sum(each.holding.units.get(symbol, D(0)) for each in funds)
        assert paper.position(symbol) == held == replay.state.accounts["main"].position(symbol)


def test_a_spot_beside_a_perpetual_drives_formula_and_rules_and_the_marks_the_money() -> None:
    """The mark falls 14 %, the spot 15 %: 3L loses 42 of its 100 and is sold down to 3 x 58."""
    known = desk(
        fund(price_source=PriceSource.SPOT, methodology=only(price_move=move_rule("0.15")))
    )
    both = with_spot(
        history(hours("2026-01-01T05:00:00Z", 100, 86)), hours("2026-01-01T05:00:00Z", 99, "84.15")
    )
    told = only_fund(replayed(known, both))
    (run,) = told["rebalances"]
    assert (run["trigger"], run["prices"]) == ("price_move", {BTC: "86"})
    assert (told["final_nav"], told["final_formula_nav"]) == ("58", "55")
    assert D(run["delta_units"][BTC]) == pytest.approx(D(58) * 3 / 86 * 10_000 - 30_000)


def test_a_fund_begins_when_mark_and_spot_are_known() -> None:
    known = desk(fund(price_source=PriceSource.SPOT))
    both = with_spot(
        history(hours("2026-01-01T05:00:00Z", 100, 90, 99)), hours("2026-01-01T06:00:00Z", 80, 88)
    )
    result = replayed(known, both)
    assert (only_fund(result)["final_nav"], only_fund(result)["final_formula_nav"]) == (
        "130",
        "130",
    )
    assert result.bars == 3
