"""The codec: every record comes back as it was, and nothing inexact ever gets in or out."""

from __future__ import annotations

import functools
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer.core.capital import FlowDealt
from rebalancer.core.events import CommandKind
from rebalancer.core.order import Outcome
from rebalancer.core.record import Priced
from rebalancer.core.records import (
    RECORD_TYPES,
    CommandTaken,
    FundingPosted,
    FundLaunched,
    OrderMoved,
    PointSet,
    Record,
    RunMoved,
    TradingChanged,
    TradingState,
    VerdictChanged,
)
from rebalancer.core.run import RunStatus
from rebalancer.core.scope import Scope
from rebalancer.errors import BrokenInvariant, StoreUnavailable
from rebalancer.store.codec import CODEC, Codec
from rebalancer.store.upgrades import UPGRADERS

#: with zeros at the end and exponents of all kinds: what is equal must have one text
FINITE = st.builds(
    lambda negative, digits, exponent: Decimal((negative, tuple(digits), exponent)),
    st.integers(0, 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=40),
    st.integers(-40, 10),
)


@functools.cache
def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """A strategy for whatever a field of this type may hold."""
    simple = {Decimal: FINITE, str: st.text(), int: st.integers(), bool: st.booleans()}
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint in simple:
        return simple[hint]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(hint)
    if is_dataclass(hint):
        return instances_of(hint)
    if origin is types.UnionType:
        return st.one_of(*(st.none() if p is type(None) else values_of(p) for p in parts))
    if origin is tuple:
        return st.lists(values_of(parts[0]), max_size=3).map(tuple)
    return st.dictionaries(st.text(), values_of(parts[1]), max_size=3)


def instances_of(cls: Any) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{part.name: values_of(hints[part.name]) for part in fields(cls)})


def launched(*, shares: Any = Decimal("1.50"), fund: Any = "BTC3L") -> FundLaunched:
    return FundLaunched(at_ms=7, fund=fund, account="main", shares=shares, cash=Decimal(-200))


def point(prices: Mapping[str, Any]) -> PointSet:
    return PointSet(
        at_ms=1, fund="F", nav=Decimal(100), prices=prices, leverage=Decimal(3), opened_ms=1
    )


@pytest.mark.parametrize("cls", RECORD_TYPES, ids=lambda cls: cls.__name__)
def test_every_kind_of_record_comes_back_equal(cls: type[Record]) -> None:
    @settings(max_examples=60)
    @given(instances_of(cls))
    def round_trip(record: Record) -> None:
        encoded = CODEC.encode(record)
        assert CODEC.decode(encoded.kind, encoded.body) == record
        assert (encoded.at_ms, encoded.kind) == (record.at_ms, cls.__name__)
        canonical = json.dumps(json.loads(encoded.body), sort_keys=True, separators=(",", ":"))
        assert encoded.body == canonical

    round_trip()


def test_equal_records_have_one_text_whatever_the_order_of_their_mappings() -> None:
    one = point({"A": Decimal("1.0"), "B": Decimal(2)})
    other = point({"B": Decimal("2.00"), "A": Decimal(1)})
    assert CODEC.encode(one) == CODEC.encode(other)


def test_the_text_is_one_line_of_ascii_with_sorted_keys_and_a_version() -> None:
    body = CODEC.encode(launched(fund="B\nTC\0é")).body
    assert body.isascii()
    assert "\n" not in body
    assert list(json.loads(body)) == sorted(json.loads(body))
    assert json.loads(body)["v"] == 1


@pytest.mark.parametrize("value", [Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), 1.5, 3])
def test_what_is_no_finite_decimal_is_refused_on_the_way_in_with_its_place(value: Any) -> None:
    with pytest.raises(BrokenInvariant, match=r"FundLaunched\.shares"):
        CODEC.encode(launched(shares=value))


@pytest.mark.parametrize(
    "shares",
    ["1.5", "NaN", "Infinity", '"NaN"', '"Infinity"', '"1e5"', '"1_000"', '" 1"', '"1."', "null"],
)
def test_what_is_no_plain_decimal_in_text_is_refused_on_the_way_out(shares: str) -> None:
    body = CODEC.encode(launched(shares=Decimal(17))).body.replace('"17"', shares)
    with pytest.raises(BrokenInvariant, match="FundLaunched"):
        CODEC.decode("FundLaunched", body)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"at_ms":7', '"at_ms":true'),
        ('"at_ms":7', '"at_ms":"7"'),
        ('"account":"main"', '"account":1'),
        ('"account":"main",', ""),
        ('"account":"main"', '"account":"main","extra":1'),
        ('"v":1', '"v":0'),
        ('"v":1', '"v":true'),
        (',"v":1', ""),
        ("}", ""),
    ],
)
def test_text_that_is_not_exactly_such_a_record_is_refused(old: str, new: str) -> None:
    body = CODEC.encode(launched()).body
    assert old in body
    with pytest.raises(BrokenInvariant):
        CODEC.decode("FundLaunched", body.replace(old, new))


def test_a_value_outside_an_enum_is_refused_both_ways() -> None:
    record = TradingChanged(at_ms=1, fund="F", state=TradingState.HALTED, reason="")
    body = CODEC.encode(record).body.replace("halted", "asleep")
    with pytest.raises(BrokenInvariant, match=r"TradingChanged\.state"):
        CODEC.decode("TradingChanged", body)
    untyped = TradingChanged(at_ms=1, fund="F", state="halted", reason="")  # type: ignore[arg-type]
    with pytest.raises(BrokenInvariant, match=r"TradingChanged\.state"):
        CODEC.encode(untyped)


def test_the_place_of_a_bad_value_inside_a_mapping_is_named() -> None:
    with pytest.raises(BrokenInvariant, match=r"PointSet\.prices\['B'\]"):
        CODEC.encode(point({"A": Decimal(1), "B": 2.0}))


def test_none_is_kept_where_a_type_allows_it_and_refused_elsewhere() -> None:
    moved = RunMoved(
        at_ms=1,
        fund="F",
        run_id="r",
        status=RunStatus.DONE,
        reason="",
        nav=Decimal(1),
        leverage=None,
        cost=Decimal(0),
        marks={},
    )
    encoded = CODEC.encode(moved)
    assert CODEC.decode(encoded.kind, encoded.body) == moved
    with pytest.raises(BrokenInvariant, match=r"FundLaunched\.fund"):
        CODEC.encode(launched(fund=None))


def test_a_kind_or_a_version_from_a_newer_program_is_not_taken_for_damage() -> None:
    body = CODEC.encode(launched()).body
    with pytest.raises(StoreUnavailable, match="newer program"):
        CODEC.decode("Teleported", body)
    with pytest.raises(StoreUnavailable, match="version 2"):
        CODEC.decode("FundLaunched", body.replace('"v":1', '"v":2'))


def test_a_record_that_is_not_ours_is_refused() -> None:
    with pytest.raises(BrokenInvariant, match="Record"):
        CODEC.encode(Record(at_ms=1))


def test_text_of_older_versions_is_upgraded_step_by_step_when_it_is_read() -> None:
    def name_the_fund(raw: dict[str, Any]) -> dict[str, Any]:
        return {"fund": raw.pop("token"), **raw}

    def add_a_reason(raw: dict[str, Any]) -> dict[str, Any]:
        return {**raw, "reason": "not recorded then"}

    codec = Codec([VerdictChanged], {"VerdictChanged": [name_the_fund, add_a_reason]})
    first = codec.decode("VerdictChanged", '{"at_ms":1,"token":"F","trigger":"none","v":1}')
    second = codec.decode("VerdictChanged", '{"at_ms":1,"fund":"F","trigger":"none","v":2}')
    assert isinstance(first, VerdictChanged)
    assert (first.fund, first.reason) == ("F", "not recorded then")
    assert second == first
    assert json.loads(codec.encode(first).body)["v"] == 3


@dataclass(frozen=True, slots=True)
class Measured(Record):
    reading: float


@dataclass(frozen=True, slots=True)
class Counted(Record):
    pair: tuple[int, str]
    by_number: Mapping[int, Decimal]


@dataclass(frozen=True, slots=True)
class Paired(Record):
    pair: tuple[int, str]


@pytest.mark.parametrize("cls", [Measured, Counted])
def test_a_record_type_with_a_field_no_codec_can_keep_is_refused_at_once(cls: type[Record]) -> None:
    with pytest.raises(BrokenInvariant, match="no record may hold"):
        Codec([cls])


def test_a_tuple_of_fixed_length_keeps_its_length() -> None:
    codec = Codec([Paired])
    body = codec.encode(Paired(at_ms=1, pair=(2, "b"))).body
    assert codec.decode("Paired", body) == Paired(at_ms=1, pair=(2, "b"))
    with pytest.raises(BrokenInvariant, match=r"Paired\.pair"):
        codec.decode("Paired", body.replace('[2,"b"]', "[2]"))


def test_a_command_of_the_first_version_was_about_a_fund() -> None:
    body = '{"at_ms":7,"fund":"BTC3L","kind":"halt","reason":"drill","v":1}'
    read = CODEC.decode("CommandTaken", body)
    assert read == CommandTaken(7, CommandKind.HALT, Scope.FUND, "BTC3L", "drill")
    assert '"v":2' in CODEC.encode(read).body


def test_a_payment_of_before_settlements_were_told_apart_is_still_read() -> None:
    body = (
        '{"account":"main","at_ms":5,"contract":"BTC/USDT:USDT","mark":"100",'
        '"paid":{"L":"1"},"rate":"0.01","v":1}'
    )
    assert CODEC.decode("FundingPosted", body) == FundingPosted(
        5, "main", "BTC/USDT:USDT", Decimal("0.01"), Decimal(100), {"L": Decimal(1)}
    )


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (
            "FlowDealt",
            (
                '{"account":"main","at_ms":5,"cash":"115","fee":"0","flow":"a","fund":"L",'
                '"kind":"subscribe","nav":"115","shares":"1","shares_after":"11","v":1}'
            ),
        ),
        (
            "ManagementFeeCharged",
            (
                '{"account":"main","amount":"1","at_ms":5,"due_ms":5,"equity":"1000",'
                '"formula_nav":"100","fund":"L","share":"0.001","v":1}'
            ),
        ),
        (
            "ConsolidationProposed",
            '{"at_ms":5,"fund":"L","kind":"merge","nav":"0.03","ratio":10,"v":1}',
        ),
        (
            "Consolidated",
            (
                '{"at_ms":5,"equity":"30","fund":"L","kind":"merge","nav_after":"0.3",'
                '"nav_before":"0.03","number":1,"ratio":10,"shares_after":"100",'
                '"shares_before":"1000","v":1}'
            ),
        ),
    ],
)
def test_a_nav_of_before_prices_were_kept_beside_it_is_still_read(kind: str, body: str) -> None:
    read = CODEC.decode(kind, body)
    assert isinstance(read, Priced)
    assert (read.marks, read.own_prices) == ({}, {})
    written = json.loads(CODEC.encode(read).body)
    version = len(UPGRADERS[kind]) + 1
    assert written.items() >= {**json.loads(body), "v": version}.items()


def test_a_flow_of_before_funding_accrued_is_still_read() -> None:
    body = (
        '{"account":"main","at_ms":5,"cash":"115","fee":"0","fee_accrued":"2","flow":"a",'
        '"fund":"L","kind":"subscribe","marks":{"B":"1"},"nav":"115","prices":{},"shares":"1",'
        '"shares_after":"11","v":2}'
    )
    read = CODEC.decode("FlowDealt", body)
    assert isinstance(read, FlowDealt)
    assert (read.fee_accrued, read.marks) == (Decimal(2), {"B": Decimal(1)})
    assert (read.funding_accrued, read.funding_unknown) == ({}, ())
    assert read.funding_expected == {}


def test_an_absent_order_of_before_its_search_was_kept_is_still_read() -> None:
    body = (
        '{"at_ms":5,"client_order_id":"r1","filled_contracts":null,"outcome":"absent",'
        '"reason":"found nowhere, twice","v":1,"venue_order_id":""}'
    )
    assert CODEC.decode("OrderMoved", body) == OrderMoved(
        5, "r1", Outcome.ABSENT, None, "", "found nowhere, twice"
    )


@pytest.mark.parametrize(
    ("kind", "body", "later"),
    [
        (
            "NavStruck",
            (
                '{"at_ms":5,"boundary_ms":5,"equity":"10","formula_nav":"10","fund":"L",'
                '"marks":{"B":"1"},"nav":"10","shares":"1","v":1}'
            ),
            {"prices": {"B": "2"}},
        ),
        (
            "RunMoved",
            (
                '{"at_ms":5,"cost":"0","fund":"L","leverage":null,"marks":{},"nav":null,'
                '"reason":"","run_id":"L-1","status":"done","v":1}'
            ),
            {"slippage": "1", "traded_notional": "2"},
        ),
    ],
)
def test_what_came_to_a_record_within_its_first_version_may_be_missing(
    kind: str, body: str, later: dict[str, Any]
) -> None:
    assert CODEC.decode(kind, body).at_ms == 5
    whole = json.dumps({**json.loads(body), **later})
    assert json.loads(CODEC.encode(CODEC.decode(kind, whole)).body).items() >= later.items()
