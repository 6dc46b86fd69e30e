"""Our way to write parameters is ccxt's, to the letter."""

from __future__ import annotations

from typing import Any

import ccxt.async_support as ccxt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.venues.ccxt_client import urlencode

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.one_of(TEXT, st.integers(), st.booleans(), st.floats(allow_nan=False), st.none())


@given(st.dictionaries(TEXT, VALUES))
def test_any_parameters_are_written_as_ccxt_writes_them(params: dict[str, Any]) -> None:
    assert urlencode(params) == ccxt.Exchange.urlencode(params)


@given(st.dictionaries(TEXT, st.one_of(VALUES, st.lists(TEXT))))
def test_lists_are_written_as_ccxt_writes_them(params: dict[str, Any]) -> None:
    assert urlencode(params, doseq=True) == ccxt.Exchange.urlencode(params, True)


@pytest.mark.parametrize(
    ("params", "written"),
    [
        ({"symbol": "BTCUSDT", "quantity": "1.5", "reduceOnly": True}, None),
        ({"batchOrders": '[{"a": "b/c"}]', "s": "BTC/USDT:USDT"}, None),
        ({"a b": "c+d&e=f%", "é": "ü~._-", "n": 7, "f": 1.5, "x": None, "no": False}, None),
        ({}, ""),
    ],
)
def test_some_that_matter(params: dict[str, Any], written: str | None) -> None:
    expected = ccxt.Exchange.urlencode(params) if written is None else written
    assert urlencode(params) == expected


def test_every_venue_writes_parameters_with_the_one_that_ours_replaces() -> None:
    from rebalancer.venues.facts import FACTS  # noqa: PLC0415 - beside its use

    for venue_id in FACTS:
        assert getattr(ccxt, venue_id).urlencode is ccxt.Exchange.urlencode
