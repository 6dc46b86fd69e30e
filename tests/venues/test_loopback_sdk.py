"""The exchange's own Python client, whose types are strict, reads the loopback Binance.

`binance-sdk-derivatives-trading-usds-futures` in an environment of its own; nobody here wrote it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.loopback.presets import KEY, SECRET
from tests.loopback.sdk import environment, reader_path

#: making the environment takes a while, once
pytestmark = pytest.mark.timeout(600)

TRAILING = {".activatePrice", ".priceRate"}
ORDER_EXTRA = {".avgPrice", ".cumQuote"}
FILTER_FIELDS = {
    f".symbols.filters.{name}"
    for name in (
        "limit",
        "maxPrice",
        "maxQty",
        "minPrice",
        "minQty",
        "multiplierDecimal",
        "multiplierDown",
        "multiplierUp",
        "notional",
        "stepSize",
        "tickSize",
    )
}
#: fields that the client knows and the loopback does not send, and why that is so
MISSING: Mapping[str, set[str]] = {
    # One type for filters of every kind: each has only its own fields. The plan of settlement is
    # younger than every recorded answer.
    "exchange_information": FILTER_FIELDS | {".symbols.settlePlan"},
    "get_funding_rate_history": {".rateType"},
    # Trailing-stop orders only; the desk sends none.
    **dict.fromkeys(
        (
            "query_order",
            "query_order by client id",
            "query_current_open_order",
            "current_all_open_orders",
            "all_orders",
            "cancel_order",
        ),
        TRAILING,
    ),
    # One type for the orders that were cancelled and for those that were not.
    "cancel_multiple_orders": TRAILING | {".code", ".msg"},
    # Not in the recorded answers: what is paid in BNB, and brackets and fees that only some have.
    "account_information_v2": {".feeBurn"},
    "notional_and_leverage_brackets": {".notionalCoef"},
    "notional_and_leverage_brackets of one": {".notionalCoef"},
    "user_commission_rate": {".rpiCommissionRate"},
}
#: fields that recorded answers have and the client does not know
EXTRA: Mapping[str, set[str]] = {
    "exchange_information": {
        ".futuresType",
        ".symbols.filters.positionControlSide",
        ".symbols.maxMoveOrderLimit",
        ".symbols.permissionSets",
    },
    "symbol_order_book_ticker": {".lastUpdateId"},
    "symbol_order_book_ticker of all": {".lastUpdateId"},
    "get_funding_rate_info": {".updateTime"},
    "cancel_order": {".cumQuote"},
    "cancel_multiple_orders": {".cumQuote"},
    **dict.fromkeys(
        (
            "new_order market",
            "new_order collared",
            "new_order that rests",
            "new_order that closes",
            "new_order of a long book",
            "place_multiple_orders",
        ),
        ORDER_EXTRA,
    ),
}
#: answers in which most of a type's fields stay empty, so that a list would say nothing:
#: a tried order is answered with nothing, and a refused one of a batch with a code
SPARSE = {"test_order", "place_multiple_orders"}
REFUSED = {
    "query_order that never was": ("BadRequestError", -2013),
    "cancel_order that never was": ("BadRequestError", -2011),
    "change_margin_type again": ("BadRequestError", -4046),
    "change_position_mode under a position": ("BadRequestError", -4068),
    "order_book of nothing": ("BadRequestError", -1121),
    "new_order off the lot": ("BadRequestError", -1111),
    "new_order of the wrong book": ("BadRequestError", -4061),
    "query_order while overloaded": ("ServerError", 503),
    "account_information_v3 by another key": ("BadRequestError", -1022),
}
ANSWERS = 57


@pytest.fixture(scope="module")
def noted() -> Iterator[dict[str, Any]]:
    """What the client made of every answer."""
    try:
        python = environment.python()
    except environment.NotToBeHad as why:
        pytest.skip(f"the exchange's own client is not to be had here: {why}")
    venue = subprocess.Popen(
        [sys.executable, "-m", "tests.loopback", "--venue", "binance", "--seconds", "120"],
        stdout=subprocess.PIPE,
    )
    try:
        assert venue.stdout is not None
        url = f"http://127.0.0.1:{json.loads(venue.stdout.readline())['port']}"
        done = subprocess.run(
            [python, reader_path(), url, KEY, SECRET],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2_000:]
        yield json.loads(done.stdout)
    finally:
        venue.terminate()
        venue.communicate()


def test_every_answer_fits_the_types_of_the_exchange(noted: dict[str, Any]) -> None:
    answered = {name: each for name, each in noted.items() if "parsed" in each}
    assert {name: each["raw"] for name, each in answered.items() if not each["parsed"]} == {}
    assert len(answered) == ANSWERS


def test_every_refusal_is_raised_with_its_code(noted: dict[str, Any]) -> None:
    refused = {
        name: (each["refused"], each["code"]) for name, each in noted.items() if "refused" in each
    }
    assert refused == REFUSED


def test_no_field_of_the_exchange_is_left_out_without_a_reason(noted: dict[str, Any]) -> None:
    missing = {name: set(each["missing"]) for name, each in noted.items() if "missing" in each}
    assert {name: each for name, each in missing.items() if name not in SPARSE} == MISSING


def test_no_field_is_sent_that_neither_the_client_nor_a_recorded_answer_knows(
    noted: dict[str, Any],
) -> None:
    extra = {name: set(each["extra"]) for name, each in noted.items() if "extra" in each}
    assert extra == EXTRA
