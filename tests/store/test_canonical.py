"""Values as canonical JSON: exact, and one text for what is equal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.errors import BrokenInvariant
from rebalancer.store.canonical import decimal_text, mapping_text, mapping_value, storable

FINITE = st.decimals(
    min_value=Decimal("-1e40"), max_value=Decimal("1e40"), allow_nan=False, allow_infinity=False
)


@given(FINITE)
def test_a_decimal_is_written_exactly_and_without_an_exponent(value: Any) -> None:
    text = decimal_text(value)
    assert Decimal(text) == value
    assert set(text) <= set("-0123456789.")


@pytest.mark.parametrize(
    ("value", "text"),
    [("1.50", "1.5"), ("1E+3", "1000"), ("-0.00", "0"), ("0E+9", "0"), ("-3.500", "-3.5")],
)
def test_equal_decimals_have_one_text(value: str, text: str) -> None:
    assert decimal_text(Decimal(value)) == text


@pytest.mark.parametrize("power", [1_000_000, -1_000_000])
def test_a_decimal_out_of_every_range_is_refused_instead_of_written_in_a_million_digits(
    power: int,
) -> None:
    with pytest.raises(BrokenInvariant, match="out of every range"):
        decimal_text(Decimal((0, (1,), power)))


def test_decimals_by_name_come_back_from_one_text() -> None:
    units = {"B": Decimal("-0.5"), "A": Decimal(3)}
    assert mapping_text(units) == '{"A":"3","B":"-0.5"}'
    assert mapping_value(mapping_text(units)) == units


def test_text_no_database_can_hold_is_written_out_and_all_other_text_is_left_alone() -> None:
    assert storable("plain") == "plain"
    assert storable("né ☃") == "né ☃"
    assert storable("a\0b") == "a\\x00b"
    assert storable("a\udc80b") == "a\\udc80b"


@pytest.mark.parametrize("units", [{1: Decimal(1), "A": Decimal(2)}, {1: Decimal(1)}])
def test_a_name_that_is_no_text_is_refused(units: Any) -> None:
    with pytest.raises(BrokenInvariant, match="1 is not text"):
        mapping_text(units)
