"""An order from a mould is the one that ccxt would build, to the letter; else ccxt builds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.core.order import OrderSide, client_order_id
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.facts import FACTS
from rebalancer.venues.moulds import _ahead, _times
from rebalancer.venues.rates import Budget, Limiter
from rebalancer.venues.requests import OrderRequest, order_request
from rebalancer.venues.transport import Transport
from rebalancer.venues.wire import SignedRequest
from tests.venues.golden.markets import contracts_of
from tests.venues.golden.recorder import LEGS, LEVERAGE, NOW_MS, Recorder, intent_of

#: venues whose orders are learnt in every shape
LEARNT = {"binanceusdm", "bybit", "okx", "xt", "bitget", "kucoinfutures", "mexc"}
#: and where a sell is a size with a sign, which is none of an order's parts
LEARNT_BUYS = {"gate"}
#: and whose signature is our own, the same as ccxt's
SEALED = {"binanceusdm"}


def a_client(venue_id: str) -> CcxtClient:
    client = CcxtClient(
        Recorder(FACTS[venue_id]).exchange, Transport(1.0), Limiter(Budget(()), lambda: NOW_MS)
    )
    client._exchange.milliseconds = lambda: NOW_MS
    return client


CLIENTS = {venue_id: a_client(venue_id) for venue_id in FACTS}


def orders_of(venue_id: str, number: int, lots: int, price: Decimal) -> list[OrderRequest]:
    """One order per leg, book and contract."""
    facts = FACTS[venue_id]
    found = []
    for contract in contracts_of(venue_id):
        for _, side, reduces, leg_book in LEGS:
            for book in facts.spelling.books:
                if book.value not in ("net", leg_book.value):
                    continue
                intent = dataclasses.replace(
                    intent_of(contract, side, book, reduce_only=reduces),
                    contracts=contract.lot * lots,
                    limit_price=price,
                    client_order_id=client_order_id("d", "main", contract.symbol, number),
                )
                found.append(order_request(facts, intent, contract, leverage=LEVERAGE))
    return found


def finished(coroutine: Any) -> Any:
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")


def shown(request: SignedRequest) -> tuple[object, ...]:
    return (request.method, request.url, dict(request.headers), request.body)


@pytest.mark.parametrize("venue_id", FACTS)
@given(
    number=st.integers(1, 10**6),
    lots=st.integers(1, 10**7),
    price=st.decimals("2", "200000", places=4, allow_nan=False),
)
def test_an_order_from_a_mould_is_ccxts_own_to_the_letter(
    venue_id: str, number: int, lots: int, price: Decimal
) -> None:
    client = CLIENTS[venue_id]
    for teacher in orders_of(venue_id, 7, 7, Decimal("1234.5")):
        client._moulds.learn(teacher)
    for order in orders_of(venue_id, number, lots, price):
        moulded = client._moulds.fill(order)
        learnt = venue_id in LEARNT or (venue_id in LEARNT_BUYS and order.side == "buy")
        assert (moulded is not None) == learnt
        if moulded is not None:
            assert shown(moulded) == shown(finished(client._build(order)))


def test_a_stamp_that_ccxt_puts_into_the_order_is_never_cast() -> None:
    # Hyperliquid signs inside create_order: a second order with the nonce of the first is refused.
    (order, *_) = orders_of("hyperliquid", 1, 1, Decimal(1234))
    CLIENTS["hyperliquid"]._moulds.learn(order)
    assert CLIENTS["hyperliquid"]._moulds.fill(order) is None


def test_ccxts_time_is_right_again_after_learning() -> None:
    exchange = CLIENTS["binanceusdm"]._exchange
    before = exchange.milliseconds()
    with _ahead(exchange, 5_000):
        assert exchange.milliseconds() == before + 5_000
    assert exchange.milliseconds() == before
    assert "seconds" not in exchange.__dict__


def test_new_markets_start_the_moulds_anew() -> None:
    client = a_client("binanceusdm")
    (order, *_) = orders_of("binanceusdm", 1, 1, Decimal(1234))
    client._moulds.learn(order)
    assert client._moulds.fill(order)
    client._moulds.forget()
    assert client._moulds.fill(order) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda order: dataclasses.replace(order, symbol="ETH/USDT:USDT"),
        lambda order: dataclasses.replace(order, side=OrderSide.SELL.value),
        lambda order: dataclasses.replace(order, type="market"),
        lambda order: dataclasses.replace(order, params={**order.params, "x": True}),
    ],
)
def test_another_shape_has_another_mould(change: Callable[[OrderRequest], OrderRequest]) -> None:
    client = a_client("binanceusdm")
    (order, *_) = orders_of("binanceusdm", 1, 1, Decimal(1234))
    client._moulds.learn(order)
    assert client._moulds.fill(order)
    assert client._moulds.fill(change(order)) is None


@pytest.mark.parametrize("venue_id", FACTS)
def test_only_what_ccxt_signs_in_the_same_way_is_signed_without_it(venue_id: str) -> None:
    client = a_client(venue_id)
    orders = orders_of(venue_id, 1, 1, Decimal(1234))
    for order in orders:
        client._moulds.learn(order)
    seals = [mould.seal for mould in client._moulds._known.values() if mould is not None]
    assert all((seal is not None) == (venue_id in SEALED) for seal in seals)


def test_a_venue_that_signs_otherwise_than_it_did_is_left_to_ccxt() -> None:
    client = a_client("binanceusdm")
    (order, *_) = orders_of("binanceusdm", 1, 1, Decimal(1234))
    signs = client._moulds._sign

    def another(*arguments: Any) -> Any:
        signed = signs(*arguments)
        return signed | {"body": signed["body"].replace("&signature=", "&extra=1&signature=")}

    client._moulds._sign = another
    client._moulds.learn(order)
    (mould,) = client._moulds._known.values()
    assert mould is not None
    assert mould.seal is None


def test_a_signature_that_fails_is_left_to_ccxt_to_explain() -> None:
    client = a_client("bybit")
    (order, *_) = orders_of("bybit", 1, 1, Decimal(1234))
    client._moulds.learn(order)
    client._exchange.secret = ""
    assert client._moulds.fill(order) is None


@pytest.mark.parametrize(
    ("text", "factor", "product"),
    [("7", 2, "14"), ("0.007", 3, "0.021"), ("1192.805", 2, "2385.61"), ("0.5", 2, "1")],
)
def test_probes_stay_on_the_grid(text: str, factor: int, product: str) -> None:
    assert _times(text, factor) == product
