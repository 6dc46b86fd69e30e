"""The values of the core: exact numbers, instants, contracts, funds, what cannot be configured."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.core import instant
from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account
from rebalancer.core.methodology import (
    Emergency,
    Fixed,
    LeverageCap,
    PriceMove,
    Ratio,
    default_emergency_ratio,
    leverage_after_move,
    losing_move,
)
from rebalancer.core.money import (
    number,
    positive,
    split_pro_rata,
    text,
    text_or_none,
    trunc_to_step,
)
from rebalancer.core.position import leverage
from rebalancer.core.run import TRANSITIONS, Run, RunPlan, RunStatus
from rebalancer.errors import BrokenInvariant, ConfigRefused, InputRefused
from tests.factories import BTC, ETH, D, emergency_at, fund, move_rule, only, rules


class TestNumbers:
    @pytest.mark.parametrize(
        ("value", "exact"), [("1.10", "1.10"), (7, "7"), (D("0.1"), "0.1"), (" 3 ", "3")]
    )
    def test_text_whole_numbers_and_decimals_are_exact(self, value: Any, exact: str) -> None:
        assert number(value) == D(exact)

    @pytest.mark.parametrize(
        "value", [0.1, True, None, "ten", "", "NaN", "inf", D("NaN"), [], b"1"]
    )
    def test_anything_else_is_refused_by_name(self, value: Any) -> None:
        with pytest.raises(InputRefused, match=r"^fee: "):
            number(value, "fee")

    @pytest.mark.parametrize("value", ["0", "-1"])
    def test_zero_is_not_above_zero(self, value: str) -> None:
        with pytest.raises(InputRefused, match="must be above zero"):
            positive(value)

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ("115", "115"),
            ("115.000", "115"),
            ("-3.50", "-3.5"),
            ("1E+3", "1000"),
            ("0E-30", "0"),
            ("-1e-19", "0"),
            ("1.0000000000000000005", "1"),
            ("1.0000000000000000015", "1.000000000000000002"),
            ("2.739130434782608695652", "2.739130434782608696"),
        ],
    )
    def test_written_with_18_decimals_at_most_half_even_and_plain(
        self, value: str, written: str
    ) -> None:
        assert text(D(value)) == written
        assert text_or_none(D(value)) == written

    def test_what_is_not_there_stays_none(self) -> None:
        assert text_or_none(None) is None

    def test_floats_do_not_mix_with_decimals_even_by_accident(self) -> None:
        with pytest.raises(ArithmeticError):
            D(1) < 0.5  # noqa: B015

    @given(st.decimals("-1e12", "1e12", places=18), st.sampled_from(["1e-9", "0.001", "1", "3"]))
    def test_a_step_is_cut_toward_zero(self, value: Decimal, step: str) -> None:
        cut = trunc_to_step(value, D(step))
        assert cut % D(step) == 0
        assert abs(cut) <= abs(value) < abs(cut) + D(step)
        assert cut * value >= 0

    def test_nothing_can_be_split_over_nobody(self) -> None:
        with pytest.raises(InputRefused, match="at least one weight above zero"):
            split_pro_rata(D(1), {"a": D(0)})


class TestInstants:
    @pytest.mark.parametrize(
        "value",
        ["2026-01-02T02:30:00Z", "2026-01-02T10:30:00+08:00", "1767321000000", 1767321000000],
    )
    def test_one_instant_can_be_written_in_several_ways(self, value: Any) -> None:
        assert instant.parse(value) == 1_767_321_000_000
        assert instant.iso(1_767_321_000_000) == "2026-01-02T02:30:00Z"

    @pytest.mark.parametrize(
        "value",
        [
            *("2026-01-02", "2026-01-02T02:30", "x", True, None, 1.5, "\u00b2" * 10),
            *(10**18, -(10**18), "9" * 15, "-" + "9" * 15),
            *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
        ],
    )
    def test_what_is_no_instant_is_refused_with_the_way_to_write_it(self, value: Any) -> None:
        with pytest.raises(InputRefused, match="write it as 2026-01-02T02:30:00Z"):
            instant.parse(value)

    @given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
    def test_every_writable_instant_is_read_back(self, at_ms: int) -> None:
        assert instant.parse(instant.iso(at_ms)) == at_ms == instant.parse(at_ms)

    @pytest.mark.parametrize(
        ("value", "ms"),
        [("6h", 21_600_000), ("1d12h", 129_600_000), ("250ms", 250), ("1m30s", 90_000)],
    )
    def test_durations(self, value: str, ms: int) -> None:
        assert instant.parse_duration(value) == ms
        assert instant.duration(ms) == value

    @pytest.mark.parametrize("value", ["", "6", "6 h", "h6", 6, None, "-6h", "1h1d"])
    def test_what_is_no_duration_is_refused(self, value: Any) -> None:
        with pytest.raises(InputRefused, match="is not a duration"):
            instant.parse_duration(value)

    @pytest.mark.parametrize(("value", "hours"), [("+08:00", 8), ("-05:00", -5), ("Z", 0)])
    def test_fixed_offsets(self, value: str, hours: int) -> None:
        assert instant.parse_utc_offset(value) == hours * instant.HOUR_MS

    @pytest.mark.parametrize("value", ["Europe/Berlin", "+8", "+15:00", "+08:60", 8])
    def test_zones_with_daylight_saving_are_refused(self, value: Any) -> None:
        with pytest.raises(InputRefused, match="zones with daylight saving"):
            instant.parse_utc_offset(value)

    @pytest.mark.parametrize("value", ["24:00", "10:60", "10", "1:00", None])
    def test_what_is_no_time_of_day_is_refused(self, value: Any) -> None:
        with pytest.raises(InputRefused, match="is not a time of day"):
            instant.parse_time_of_day(value)

    def test_times_of_day(self) -> None:
        assert (
            instant.parse_time_of_day("10:30")
            == instant.parse_time_of_day("10:30:00")
            == 37_800_000
        )


class TestContracts:
    def test_described_nowhere_it_has_size_1_lot_1e_9_and_no_minimum(self) -> None:
        plain = Contract(BTC)
        assert (plain.contract_size, plain.lot) == (D(1), D("1e-9"))
        assert plain.too_small(D("1e-9"), D(1), waive_notional=False) is None

    @pytest.mark.parametrize("name", ["contract_size", "lot"])
    def test_sizes_are_above_zero(self, name: str) -> None:
        with pytest.raises(InputRefused, match=f"contract {BTC}: {name}: 0 must be above zero"):
            Contract(BTC, **{name: D(0)})

    @pytest.mark.parametrize("name", ["tick", "min_amount", "min_notional"])
    def test_minima_are_not_negative(self, name: str) -> None:
        with pytest.raises(InputRefused, match=f"{name} must not be negative"):
            Contract(BTC, **{name: D(-1)})

    def test_an_inverse_contract_is_refused_with_a_sentence(self) -> None:
        with pytest.raises(InputRefused, match="settles in BTC: this version trades linear"):
            Contract("BTC/USD:BTC")

    def test_its_quote_is_the_currency_it_settles_in(self) -> None:
        assert Contract("BTC/USDC:USDC").quote == "USDC"

    def test_contracts_and_base_coins(self) -> None:
        milli = Contract(BTC, contract_size=D("0.001"), lot=D(1))
        assert milli.contracts_in(D("-0.2857")) == -285
        assert milli.units_in(D(285)) == D("0.285")


def config(**over: Any) -> Any:
    return lambda: fund(**over)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (config(target=0, methodology=only()), "funds.BTC3L.target_leverage: must not be zero"),
        (config(basket={}), "basket: name at least one contract"),
        (config(basket={BTC: D("0.5"), ETH: D("0.4")}), "the weights sum to 0.9, not to 1"),
        (
            config(methodology=only(price_move=move_rule("0.25"))),
            "0.25 x 3 is a loss of 0.75, which must stay under 0.75",
        ),
        (config(methodology=only(price_move=move_rule("0"))), "threshold: 0 must be above zero"),
        (
            config(methodology=only(leverage_cap=LeverageCap(upper=D(3)))),
            "must be above the target",
        ),
        (config(methodology=only(emergency=emergency_at(3))), "must be above the target"),
        (
            config(methodology=only(price_move=move_rule("0.15"), emergency=emergency_at("4.63"))),
            "it would fire at 4.6300, inside price_move, which lets leverage reach 4.6364",
        ),
        (
            config(
                target=-3,
                methodology=only(price_move=move_rule("0.15"), emergency=emergency_at("6.27")),
            ),
            "inside price_move, which lets leverage reach 6.2727",
        ),
        (
            config(
                target="0.5",
                methodology=only(
                    price_move=move_rule("0.15", both=True), emergency=emergency_at("0.53")
                ),
            ),
            "inside price_move, which lets leverage reach 0.5349",
        ),
        (
            config(
                methodology=only(leverage_cap=LeverageCap(upper=D(4)), emergency=emergency_at(4))
            ),
            "before leverage_cap at 4",
        ),
        (
            config(methodology=rules(3, price_move=move_rule("0.1", cooldown_ms=59_999))),
            "price_move.cooldown: must not be shorter than the emergency's",
        ),
        (
            config(methodology=only(emergency=emergency_at(4, collar_bps=D(10_001)))),
            "collar_bps: must be above 0, 10000 at most",
        ),
        (config(methodology=only(fixed=Fixed(times_of_day_ms=()))), "name at least one time"),
        (config(methodology=only(fixed=Fixed(times_of_day_ms=(1, 1)))), "a time stands twice"),
        (config(methodology=only(fixed=Fixed(catch_up_ms=0))), "catch_up: must be above zero"),
        (
            config(methodology=only(fixed=Fixed(skip_within=(D(3), D(2))))),
            "the low end is above the high end",
        ),
        (
            lambda: Account(name="a", initial_margin=D("0.01"), maintenance_margin=D("0.02")),
            "margins must satisfy 0 < maintenance <= initial <= 1",
        ),
    ],
)
def test_what_cannot_work_is_refused_at_load_with_the_reason(make: Any, sentence: str) -> None:
    with pytest.raises(ConfigRefused, match=sentence.replace("(", r"\(").replace(")", r"\)")):
        make()


@pytest.mark.parametrize("target", ["2", "3", "5", "1.25", "-1", "-2", "-3", "0.5", "7", "-10"])
def test_every_leverage_in_use_has_defaults_that_work_together(target: str) -> None:
    made = fund(target=target)
    assert made.methodology.price_move is not None
    assert made.methodology.price_move.threshold == min(D("0.15"), D("0.45") / abs(D(target)))
    move = losing_move(D(target), made.methodology.price_move.threshold)
    assert made.methodology.emergency is not None
    assert leverage_after_move(D(target), move) < made.methodology.emergency.level.value


def test_the_emergency_stands_at_2_5_behind_a_price_rule_and_at_four_thirds_alone() -> None:
    assert default_emergency_ratio(has_price_rule=True) == Ratio(numerator=D("2.5"))
    alone = default_emergency_ratio(has_price_rule=False).times(D(3))
    assert alone.at_or_above(D(4), D(1))
    assert not alone.at_or_above(D("3.999999999999999999999999"), D(1))


def test_a_third_is_compared_without_dividing() -> None:
    third = Emergency(level=Ratio(numerator=D(4), denominator=D(3))).level
    assert third.at_or_above(D(4), D(3))
    assert not third.at_or_above(D(4), D(3) + D("1e-50"))


@pytest.mark.parametrize(
    ("target", "move", "reached"),
    [("3", "-0.15", "4.6364"), ("-3", "0.15", "6.2727"), ("1", "-0.5", "1")],
)
def test_leverage_after_a_move(target: str, move: str, reached: str) -> None:
    assert leverage_after_move(D(target), D(move)).quantize(D("1e-4")) == D(reached)


def test_leverage_after_the_end_is_infinite() -> None:
    assert leverage_after_move(D(3), D("-0.34")) == D("Infinity")


def test_the_default_threshold_of_a_fund_is_15_percent_or_45_over_its_leverage() -> None:
    assert PriceMove.default_threshold(D(3)) == D("0.15")
    assert PriceMove.default_threshold(D(-5)) == D("0.09")


def test_leverage_of_an_empty_fund_cannot_be_asked_for() -> None:
    assert leverage(D(-300), D(100)) == -3
    with pytest.raises(BrokenInvariant, match="leverage of an equity of 0"):
        leverage(D(1), D(0))


def test_a_run_moves_by_its_table_only() -> None:
    plan = RunPlan.__new__(RunPlan)
    object.__setattr__(plan, "run_id", "F-1")
    for status in RunStatus:
        for following in RunStatus:
            run = Run(plan, status=status)
            if following in TRANSITIONS[status]:
                run.moved_to(following)
                assert run.status is following
            else:
                with pytest.raises(BrokenInvariant, match=f"is {status} and cannot become"):
                    run.moved_to(following)
