"""Bands, periods and recentring through the plan document: field.md b1, b3 and b5, with figures."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from rebalancer.core.calendar import WEEKDAYS, Calendar, DayTime
from rebalancer.core.fund import Execution, Fund
from rebalancer.core.instant import HOUR_MS, SECOND_MS
from rebalancer.core.methodology import (
    Destination,
    Elapsed,
    Fixed,
    Goal,
    LeverageBand,
    LeverageCap,
    Methodology,
)
from tests.factories import BTC, D, desk, emergency_at, fund, move_rule, planned, snapshot

FRIDAY, MONDAY, TUESDAY, WEDNESDAY = "2026-01-09", "2026-01-12", "2026-01-13", "2026-01-14"
CLOSE = DayTime(15 * HOUR_MS)
EDGE, RECENTRE = Goal(Destination.EDGE), Goal(Destination.RECENTRE, D("0.05"))


def band(lower: str = "1.23", upper: str = "1.27", **over: Any) -> LeverageBand:
    return LeverageBand(lower=D(lower), upper=D(upper), **over)


def etf(**over: Any) -> Fund:
    """The 125 % fund: band 1.23-1.27, two business days, due at the close, no fixed time."""
    chosen: dict[str, Any] = {"within_business_days": 2, "close": CLOSE} | over
    rule = band(**chosen)
    return fund("ETF", "1.25", methodology=Methodology(leverage_band=rule))


def held(leverage: str, price: str = "100", **over: Any) -> dict[str, Any]:
    """One share worth 100 with the given leverage."""
    exposure = D(leverage) * 100
    return {
        "shares": "1",
        "cash": str(100 - exposure),
        "units": {BTC: str(exposure / D(price))},
    } | over


def answer(known: Fund, holding: dict[str, Any], at: str, price: str = "100") -> dict[str, Any]:
    found = planned(desk(known), snapshot({known.name: holding}, price, at=at))
    told: dict[str, Any] = found["funds"][known.name]
    return told | {"orders": found["orders"], "skipped": found["skipped"]}


@pytest.mark.parametrize("leverage", ["1.27", "1.23", "1.25"])
def test_1_27_and_1_23_exactly_are_no_breach(leverage: str) -> None:
    told = answer(etf(), held(leverage), f"{FRIDAY}T12:00:00Z")
    assert told["trigger"] == "none"
    assert "due_by" not in told


@pytest.mark.parametrize("leverage", ["1.270000000000000001", "1.229999999999999999"])
def test_a_breach_of_a_125_percent_fund_on_a_friday_is_due_on_tuesday(leverage: str) -> None:
    told = answer(etf(), held(leverage), f"{FRIDAY}T12:00:00Z")
    assert (told["trigger"], told["orders"]) == ("none", [])
    assert told["due_by"] == f"{TUESDAY}T15:00:00Z"
    assert "breached" in told["reason"]


def test_a_breach_on_a_friday_before_a_holiday_is_due_on_wednesday() -> None:
    closed = Calendar(
        name="X", weekmask=WEEKDAYS.weekmask, holidays=frozenset({dt.date(2026, 1, 12)})
    )
    told = answer(etf(calendar=closed), held("1.28"), f"{FRIDAY}T12:00:00Z")
    assert told["due_by"] == f"{WEDNESDAY}T15:00:00Z"


def test_a_holiday_on_the_due_day_moves_it_on() -> None:
    closed = Calendar(
        name="X", weekmask=WEEKDAYS.weekmask, holidays=frozenset({dt.date(2026, 1, 13)})
    )
    told = answer(etf(calendar=closed), held("1.28"), f"{FRIDAY}T12:00:00Z")
    assert told["due_by"] == f"{WEDNESDAY}T15:00:00Z"


@pytest.mark.parametrize(
    ("at", "trigger"),
    [
        (f"{TUESDAY}T14:59:59Z", "none"),
        (f"{TUESDAY}T15:00:00Z", "leverage_band"),
        (f"{WEDNESDAY}T09:00:00Z", "leverage_band"),
    ],
)
@pytest.mark.parametrize(("leverage", "delta"), [("1.28", "-3"), ("1.25", "0"), ("1.2", "5")])
def test_a_duty_is_carried_out_at_its_deadline_cured_or_not(
    at: str, trigger: str, leverage: str, delta: str
) -> None:
    told = answer(etf(), held(leverage, breach_since=f"{FRIDAY}T12:00:00Z"), at)
    assert told["trigger"] == trigger
    assert told["due_by"] == f"{TUESDAY}T15:00:00Z"
    assert told["delta_notional"] == {BTC: delta if trigger != "none" else "0"}


@pytest.mark.parametrize(("leverage", "lapsed"), [("1.27", True), ("1.28", False)])
def test_a_duty_lapses_with_its_cure_only_where_the_rule_says_so(
    leverage: str, lapsed: bool
) -> None:
    known = etf(lapse_if_cured=True)
    told = answer(known, held(leverage, breach_since=f"{FRIDAY}T12:00:00Z"), f"{MONDAY}T12:00:00Z")
    assert ("due_by" not in told) is lapsed
    late = answer(
        known, held(leverage, breach_since=f"{FRIDAY}T12:00:00Z"), f"{WEDNESDAY}T12:00:00Z"
    )
    assert late["trigger"] == ("none" if lapsed else "leverage_band")


def test_with_a_fixed_rule_a_duty_is_due_at_the_first_fixed_time_of_its_day() -> None:
    skipping = Fixed(
        times_of_day_ms=(16 * HOUR_MS, 9 * HOUR_MS),
        utc_offset_ms=-5 * HOUR_MS,
        skip_within=(D("1.2"), D("1.3")),
    )
    known = fund(
        "ETF", "1.25", methodology=Methodology(leverage_band=band(within_business_days=2),
        fixed=skipping),
    )  # fmt: skip
    told = answer(known, held("1.28"), f"{FRIDAY}T15:00:00Z")
    assert told["due_by"] == f"{TUESDAY}T14:00:00Z"
    # 03:00 UTC on Saturday is still Friday at -05:00.
    told = answer(known, held("1.28", last_fixed=f"{FRIDAY}T21:00:00Z"), "2026-01-10T03:00:00Z")
    assert told["due_by"] == f"{TUESDAY}T14:00:00Z"


def test_without_close_and_fixed_time_a_duty_is_due_at_the_daily_strike() -> None:
    told = answer(etf(close=None), held("1.28"), f"{FRIDAY}T12:00:00Z")
    assert told["due_by"] == f"{TUESDAY}T16:00:00Z"


@pytest.mark.parametrize("target", ["3", "-3", "1.25", "-1", "1", "0.5"])
def test_a_band_without_a_deadline_acts_at_once_on_either_side(target: str) -> None:
    size = abs(D(target))
    rule = band(str(size * D("0.9")), str(size * D("1.1")))
    known = fund("F", target, methodology=Methodology(leverage_band=rule))
    sign = 1 if D(target) > 0 else -1
    for factor, trigger in (
        ("0.89", "leverage_band"),
        ("0.9", "none"),
        ("1.1", "none"),
        ("1.11", "leverage_band"),
    ):
        told = answer(known, held(str(sign * size * D(factor))), f"{FRIDAY}T12:00:00Z")
        assert told["trigger"] == trigger, factor
        if trigger != "none":
            assert told["delta_notional"] == {
                BTC: str((sign * (size - size * D(factor)) * 100).normalize().__format__("f"))
            }


@pytest.mark.parametrize(
    ("to", "leverage", "aim"),
    [
        (EDGE, "4.5", "4"),
        (EDGE, "1.5", "2"),
        (Goal(Destination.RECENTRE, D("0.5")), "4.5", "3.75"),
        (Goal(Destination.RECENTRE, D("0.1")), "4.5", "4"),
        (Goal(Destination.RECENTRE, D(1)), "4.5", "3"),
    ],
)
@pytest.mark.parametrize("sign", ["", "-"])
def test_where_a_run_out_of_a_band_goes(to: Goal, leverage: str, aim: str, sign: str) -> None:
    known = fund("F", f"{sign}3", methodology=Methodology(leverage_band=band("2", "4", goal=to)))
    told = answer(known, held(f"{sign}{leverage}"), f"{FRIDAY}T12:00:00Z")
    assert told["trigger"] == "leverage_band"
    assert told["target_leverage"] == f"{sign}{aim}"


def fli(cap: str = "0.5", *, target: str = "2", **over: Any) -> Fund:
    """The FLI engine of field.md b1: 1.7-2.0-2.3, 5 % a day, the ripcord at 2.6 with 60 s."""
    ripcord = emergency_at("2.6", max_child_units=D(2), collar_bps=D(500), goal=EDGE)
    chosen: dict[str, Any] = {
        "leverage_band": band("1.7", "2.3", goal=RECENTRE, cooldown_ms=3_000 * SECOND_MS),
        "elapsed": Elapsed(days=1, goal=RECENTRE, cooldown_ms=3_000 * SECOND_MS),
        "emergency": ripcord,
    } | over
    return fund(
        "F",
        target,
        methodology=Methodology(**chosen),
        execution=Execution(max_child_units=D(cap), interval_ms=3_000 * SECOND_MS),
    )


def collateral(units: str, debt: str, price: str, seconds: int, **over: Any) -> dict[str, Any]:
    """A fund of the FLI tests that was rebalanced so many seconds ago."""
    at = dt.datetime(2026, 1, 9, 12, tzinfo=dt.UTC) - dt.timedelta(seconds=seconds)
    point = {"at": at.isoformat(), "nav": "1000", "prices": {BTC: "1000"}, "leverage": "2"}
    return {
        "shares": "1",
        "cash": f"-{debt}",
        "units": {BTC: units},
        "last_rebalance": point,
        "last_run_at": at.isoformat(),
        "last_emergency_at": at.isoformat(),
    } | over


@pytest.mark.parametrize(
    ("case", "units", "debt", "price", "cap", "leverage", "aim", "total", "chunk"),
    [
        (5, "2", "1000", "1010", "0.5", "1.980392157", "1.981372549", "0.000990099", None),
        (8, "2", "1000", "1200", "0.01", "1.714285714", "1.728571429", "0.016666667", "0.01"),
        (13, "2", "1000", "990", "0.5", "2.020408163", "2.019387755", "-0.001010101", None),
        (14, "2", "1000", "850", "1.9", "2.428571429", "2.300000000", "-0.105882353", None),
    ],
)
def test_the_epochs_of_the_fli_engine(  # noqa: PLR0917 - one row of the published table
    case: int,
    units: str,
    debt: str,
    price: str,
    cap: str,
    leverage: str,
    aim: str,
    total: str,
    chunk: str | None,
) -> None:
    told = answer(fli(cap), collateral(units, debt, price, 100_000), f"{FRIDAY}T12:00:00Z", price)
    nine = D("1e-9")
    assert D(told["leverage"]).quantize(nine) == D(leverage), case
    assert D(told["target_leverage"]).quantize(nine) == D(aim)
    assert D(told["delta_units"][BTC]).quantize(nine) == D(total)
    (order,) = told["orders"]
    assert abs(D(order["units"]) - D(chunk or total)) <= nine


def test_the_ripcord_sells_to_the_upper_edge() -> None:
    told = answer(fli(), collateral("2", "1000", "800", 100_000), f"{FRIDAY}T12:00:00Z", "800")
    # elapsed and the band meet the ripcord; none of their places is stricter than the edge
    assert told["trigger"] == "emergency"
    assert told["target_leverage"] == "2.3"
    assert told["delta_units"] == {BTC: "-0.275"}
    assert told["delta_notional"] == {BTC: "-220"}
    (order,) = told["orders"]
    assert order["units"] == "-0.275"


@pytest.mark.parametrize(
    ("price", "seconds", "trigger"),
    [
        ("800", 100, "emergency"),
        ("800", 0, "none"),
        ("990", 100_000, "elapsed"),
        ("990", 0, "none"),
        ("650", 100_000, "emergency"),  # a rebalance is refused there: only the ripcord may act
    ],
)
def test_the_decision_matrix_of_the_fli_engine(price: str, seconds: int, trigger: str) -> None:
    told = answer(fli(), collateral("2", "1000", price, seconds), f"{FRIDAY}T12:00:00Z", price)
    assert told["trigger"] == trigger


@pytest.mark.parametrize(("seconds", "slices"), [(4_000, 1), (0, 0)])
def test_a_run_under_way_is_iterated_after_its_interval(seconds: int, slices: int) -> None:
    at = dt.datetime(2026, 1, 9, 12, tzinfo=dt.UTC) - dt.timedelta(seconds=seconds)
    run = {
        "trigger": "elapsed",
        "target_units": {BTC: "1.9"},
        "target_leverage": "2.2",
        "started_at": at.isoformat(),
        "last_slice_at": at.isoformat(),
    }
    told = answer(
        fli("0.01"), collateral("2", "1000", "900", seconds, run=run), f"{FRIDAY}T12:00:00Z", "900"
    )
    assert len(told["orders"]) == slices


@pytest.mark.parametrize(
    ("case", "held_units", "delta"), [(9, "2.01", "0.006666667"), (10, "2.0001", "0.016566667")]
)
def test_the_chunks_of_a_run_go_to_its_frozen_target(
    case: int, held_units: str, delta: str
) -> None:
    run = {
        "trigger": "elapsed",
        "target_units": {BTC: "2.016666666666666667"},
        "target_leverage": "1.728571429",
        "started_at": "2026-01-09T10:00:00Z",
        "last_slice_at": "2026-01-09T10:00:00Z",
    }
    told = answer(
        fli("0.01"), collateral(held_units, "1000", "1200", 9_000, run=run),
        f"{FRIDAY}T12:00:00Z", "1200",
    )  # fmt: skip
    assert D(told["delta_units"][BTC]).quantize(D("1e-9")) == D(delta), case


@pytest.mark.parametrize(("target", "total"), [("2", "1"), ("1.25", "0.25")])
def test_engaging_buys_the_whole_target_from_no_debt(target: str, total: str) -> None:
    """Cases 1 and 3: one unit, no debt, at 1000."""
    known = fund("F", target, methodology=Methodology(), execution=Execution(
        max_child_units=D("0.5")
    ))  # fmt: skip
    holding = {"shares": "1", "cash": "0", "units": {BTC: "1"}}
    document = snapshot({"F": holding}, "1000", at=f"{FRIDAY}T12:00:00Z", trigger="manual")
    found = planned(desk(known), document)
    assert found["funds"]["F"]["delta_units"] == {BTC: total}
    assert found["orders"][0]["units"] == min(total, "0.5", key=D)


@pytest.mark.parametrize(
    ("case", "units", "debt", "target", "total", "chunk"),
    [
        (4, "1.5", "500", "2", "0.5", "0.5"),  # the second chunk of an engagement: all that is left
        (21, "2", "1000", "1", "-1", "-0.5"),  # winding down takes two calls
        (23, "1.25", "250", "1", "-0.25", "-0.25"),  # and ends without any debt
    ],
)
def test_engaging_and_winding_down_go_by_chunks_to_their_target(
    case: int, units: str, debt: str, target: str, total: str, chunk: str
) -> None:
    """field.md b1: at 1000, at most 0.5 units an order."""
    known = fund("F", target, methodology=Methodology(), execution=Execution(
        max_child_units=D("0.5")
    ))  # fmt: skip
    holding = {"shares": "1", "cash": f"-{debt}", "units": {BTC: units}}
    document = snapshot({"F": holding}, "1000", at=f"{FRIDAY}T12:00:00Z", trigger="manual")
    found = planned(desk(known), document)
    assert found["funds"]["F"]["delta_units"] == {BTC: total}, case
    (order,) = found["orders"]
    assert order["units"] == chunk
    if chunk == total:
        rest = D(debt) + D(chunk) * 1000
        assert rest == (D(units) + D(chunk)) * 1000 * (D(target) - 1) / D(target)


@pytest.mark.parametrize(
    ("target", "band_edges", "prices"),
    [
        # field.md b3: 3x in [2, 4] from 100: +33.333 % and -11.111 %
        ("3", ("2", "4"), ("133.333333333333333333", "88.888888888888888889")),
        ("3", ("2.25", "4.125"), ("120", "88")),
        # -3x in [2, 4]: adverse +6.667 %, favourable -11.111 %
        ("-3", ("2", "4"), ("88.888888888888888889", "106.666666666666666666")),
    ],
)
def test_a_band_fires_beyond_the_published_prices_and_not_before(
    target: str, band_edges: tuple[str, str], prices: tuple[str, str]
) -> None:
    known = fund("F", target, methodology=Methodology(leverage_band=band(*band_edges)))
    for price in prices:
        outwards = D("1e-15") if D(price) > 100 else -D("1e-15")
        for at, trigger in ((D(price), "none"), (D(price) + outwards, "leverage_band")):
            told = answer(known, held(target), f"{FRIDAY}T12:00:00Z", str(at))
            assert told["trigger"] == trigger, at


def test_a_leverage_of_minus_1_at_four_thirds_is_14_286_percent_away_and_not_30() -> None:
    """One published page says 30 % (field.md b7); its own 1.33 x says otherwise."""
    rule = band("0.5", "1.333333333333333333")
    known = fund("F", -1, methodology=Methodology(leverage_band=rule))
    assert answer(known, held("-1"), f"{FRIDAY}T12:00:00Z", "114.28")["trigger"] == "none"
    assert answer(known, held("-1"), f"{FRIDAY}T12:00:00Z", "114.29")["trigger"] == "leverage_band"


def note(**over: Any) -> Fund:
    """The note of field.md b5: 125 %, 90 days or leverage above 135 %."""
    chosen: dict[str, Any] = {
        "elapsed": Elapsed(days=90),
        "leverage_cap": LeverageCap(upper=D("1.35")),
    } | over
    return fund("NOTE", "1.25", account="", methodology=Methodology(**chosen))


def noted(cash: str = "-250", at: str = "2026-01-01T12:00:00Z", **over: Any) -> dict[str, Any]:
    point = {"at": at, "nav": "1000", "prices": {BTC: "100"}}
    return {"shares": "1", "cash": cash, "units": {BTC: "12.5"}, "last_rebalance": point} | over


@pytest.mark.parametrize(
    ("at", "trigger"),
    [
        ("2026-03-31T12:00:00Z", "none"),
        ("2026-04-01T11:59:59Z", "none"),
        ("2026-04-01T12:00:00Z", "elapsed"),
        ("2026-06-01T12:00:00Z", "elapsed"),
    ],
)
def test_90_days_after_the_last_point_a_note_is_rebalanced(at: str, trigger: str) -> None:
    assert answer(note(), noted(), at, "104")["trigger"] == trigger


def test_the_day_90_rebalance_of_the_note_goes_back_to_1311_0547() -> None:
    # 1000 + 50 - 1.15625 of interest = 1048.84375, of which 1.25 is 1311.0546875
    told = answer(note(), noted(cash="-251.15625"), "2026-04-01T12:00:00Z", "104")
    assert told["nav"] == "1048.84375"
    assert D(told["leverage"]).quantize(D("1e-4")) == D("1.2395")
    assert D(told["target_units"][BTC]) * 104 == pytest.approx(D("1311.0546875"), abs=D("1e-12"))
    assert told["orders"] == []


def test_a_period_that_ends_on_a_closed_day_rolls() -> None:
    known = note(elapsed=Elapsed(days=93, calendar=WEEKDAYS))  # 2026-04-04 is a Saturday
    assert answer(known, noted(), "2026-04-06T11:59:59Z", "104")["trigger"] == "none"
    assert answer(known, noted(), "2026-04-06T12:00:00Z", "104")["trigger"] == "elapsed"


@pytest.mark.parametrize(("leverage", "trigger"), [("1.35", "none"), ("1.3501", "leverage_cap")])
def test_the_cap_of_the_note_is_strict(leverage: str, trigger: str) -> None:
    told = answer(note(), held(leverage), "2026-01-02T12:00:00Z")
    assert told["trigger"] == trigger


def test_triggers_that_meet_are_one_run_to_the_strictest_place_named_by_precedence() -> None:
    rules = Methodology(
        price_move=move_rule("0.1", goal=EDGE),
        leverage_band=band("2", "4", goal=RECENTRE),
        elapsed=Elapsed(days=1),
    )
    known = fund("F", methodology=rules)
    point = {"at": "2026-01-07T12:00:00Z", "nav": "100", "prices": {BTC: "100"}}
    told = answer(known, held("3", last_rebalance=point), f"{FRIDAY}T12:00:00Z", "86")
    assert (told["trigger"], told["target_leverage"]) == ("price_move", "3")
    alone = fund("F", methodology=Methodology(price_move=rules.price_move,
        leverage_band=rules.leverage_band))  # fmt: skip
    told = answer(alone, held("3", last_rebalance=point), f"{FRIDAY}T12:00:00Z", "86")
    assert (told["trigger"], told["target_leverage"]) == ("price_move", "4")
