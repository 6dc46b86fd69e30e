"""Moulds: how ccxt writes an order, learnt from ccxt, so that the next one is filled in and signed.

Most of what ccxt does for an order leads to the same answer every time. The first order of a shape
(contract, side, book, kind) goes out as ccxt builds it. Then ccxt builds two more that go nowhere,
with other sizes, prices and ids, at other times: what is the same in all three is the mould, what
differs must be one of the three to the letter. Anything else, a stamp for instance, and the shape
is left to ccxt for good. The signature, with its own stamp, is ccxt's in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rebalancer.core.instant import HOUR_MS
from rebalancer.errors import DeskError
from rebalancer.venues.requests import OrderRequest
from rebalancer.venues.seals import Seal
from rebalancer.venues.wire import SignedRequest

_CLIENT_ID = "clientOrderId"
_CASTS: tuple[Callable[[str], Any], ...] = (str, int, float)
#: what an order is multiplied by for the two that go nowhere: it stays on the grids of lot and tick
_PROBES = (2, 3)

#: and how far ahead of each other ccxt believes to be, so that no stamp passes for a constant
_PROBES_APART_MS = HOUR_MS

Own = Callable[[OrderRequest], Coroutine[Any, Any, SignedRequest]]
"""Has ccxt build and sign an order without sending it."""

_heard: ContextVar[list[tuple[Any, ...]] | None] = ContextVar("heard", default=None)


class _UnlearnableError(Exception):
    """The orders differ in something that is neither size, price nor id."""


@dataclass(frozen=True, slots=True)
class _Slot:
    """Where a part of the order goes, and as what."""

    part: str
    cast: Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class _Mould:
    """How ccxt signs orders of a shape."""

    #: path, api, method and parameters, with slots
    arguments: tuple[Any, ...]
    #: does the same without ccxt, where that was proved
    seal: Seal | None


class Moulds:
    """The moulds of one ccxt object."""

    def __init__(self, exchange: Any, own: Own) -> None:
        self._exchange = exchange
        self._own = own
        self._sign = exchange.sign
        exchange.sign = self._listening
        #: by shape; None where ccxt has to build
        self._known: dict[tuple[Any, ...], _Mould | None] = {}

    def fill(self, order: OrderRequest) -> SignedRequest | None:
        """Return the signed request of `order`; None where ccxt has to build it."""
        mould = self._known.get(_shape(order))
        if mould is None:
            return None
        parts = _parts(order)
        try:
            if mould.seal is not None:
                return mould.seal.sign(self._exchange.nonce(), parts)
            return self._signed(mould.arguments, parts)
        except Exception:  # noqa: BLE001 - ccxt's own call says in its words what is wrong
            return None

    def learn(self, order: OrderRequest) -> None:
        """Make the mould of an order's shape, where that is not done; sends nothing."""
        shape = _shape(order)
        if shape in self._known:
            return
        orders = [order, *(_probe(order, factor) for factor in _PROBES)]
        try:
            written = [self._arguments(each, place) for place, each in enumerate(orders)]
            arguments = _mould(written, [_parts(each) for each in orders])
        except (_UnlearnableError, DeskError):
            self._known[shape] = None
            return
        self._known[shape] = _Mould(arguments, self._seal(arguments, _parts(order)))

    def _signed(self, arguments: tuple[Any, ...], parts: Mapping[str, str]) -> SignedRequest:
        path, api, method, params = arguments
        signed = self._sign(path, api, method, _filled(params, parts))
        headers = self._exchange.prepare_request_headers(signed["headers"])
        return SignedRequest(signed["method"], signed["url"], headers, signed["body"])

    def _seal(self, arguments: tuple[Any, ...], parts: Mapping[str, str]) -> Seal | None:
        try:
            with _ahead(self._exchange, 0, stands=True):
                return Seal.learn(self._exchange, partial(self._signed, arguments), parts)
        except Exception:  # noqa: BLE001 - a venue whose orders hold no text, for instance
            return None

    def forget(self) -> None:
        """Start anew: the venue's markets may have changed."""
        self._known.clear()

    def _arguments(self, order: OrderRequest, place: int) -> tuple[Any, ...]:
        """Return what ccxt signs for an order: path, api, method and parameters."""
        heard: list[tuple[Any, ...]] = []
        token = _heard.set(heard)
        building = self._own(order)
        try:
            with _ahead(self._exchange, place * _PROBES_APART_MS):
                # Nobody else may run while ccxt has a wrong time: it has to build in one go.
                building.send(None)
        except StopIteration:
            pass
        finally:
            building.close()
            _heard.reset(token)
        if len(heard) != 1:
            raise _UnlearnableError
        return heard[0]

    def _listening(
        self, path: str, api: Any = "public", method: str = "GET", params: Any = None, *rest: Any
    ) -> Any:
        params = {} if params is None else params
        heard = _heard.get()
        if heard is not None:
            heard.append((path, api, method, _copied(params), *rest))
        return self._sign(path, api, method, params, *rest)


@contextmanager
def _ahead(exchange: Any, by_ms: int, *, stands: bool = False) -> Iterator[None]:
    """Let ccxt believe that it is later, or that its clock stands still."""
    own = {name: getattr(exchange, name) for name in ("seconds", "milliseconds", "microseconds")}
    kept = {name: exchange.__dict__[name] for name in own if name in exchange.__dict__}
    if stands:
        own = {name: partial(int, tell()) for name, tell in own.items()}
    exchange.seconds = lambda: own["seconds"]() + by_ms // 1_000
    exchange.milliseconds = lambda: own["milliseconds"]() + by_ms
    exchange.microseconds = lambda: own["microseconds"]() + by_ms * 1_000
    try:
        yield
    finally:
        for name in own:
            del exchange.__dict__[name]
        exchange.__dict__.update(kept)


def _shape(order: OrderRequest) -> tuple[Any, ...]:
    others = [(name, repr(value)) for name, value in order.params.items() if name != _CLIENT_ID]
    return (order.symbol, order.type, order.side, type(order.amount), *others)


def _parts(order: OrderRequest) -> dict[str, str]:
    return {
        "id": str(order.params[_CLIENT_ID]),
        "amount": str(order.amount),
        "price": order.price,
    }


def _probe(order: OrderRequest, factor: int) -> OrderRequest:
    client_id = str(order.params[_CLIENT_ID])
    last = next(digit for digit in "4567"[factor:] + "89" if digit != client_id[-1])
    amount = _times(str(order.amount), factor)
    return replace(
        order,
        amount=amount if isinstance(order.amount, str) else int(amount),
        price=_times(order.price, factor),
        params={**order.params, _CLIENT_ID: client_id[:-1] + last},
    )


def _times(text: str, factor: int) -> str:
    whole, _, decimals = text.partition(".")
    product = str(int(whole + decimals) * factor).rjust(len(decimals) + 1, "0")
    if not decimals:
        return product
    return f"{product[: -len(decimals)]}.{product[-len(decimals) :]}".rstrip("0").rstrip(".")


def _mould(samples: Sequence[Any], orders: Sequence[Mapping[str, str]]) -> Any:
    """Return what is the same in all samples, with slots for the parts of their orders."""
    first = samples[0]
    kind = type(first)
    if any(type(sample) is not kind for sample in samples):
        raise _UnlearnableError
    if isinstance(first, dict):
        if any(list(sample) != list(first) for sample in samples):
            raise _UnlearnableError
        return {name: _mould([sample[name] for sample in samples], orders) for name in first}
    if isinstance(first, (list, tuple)):
        if any(len(sample) != len(first) for sample in samples):
            raise _UnlearnableError
        return kind(_mould(each, orders) for each in zip(*samples, strict=True))
    if all(sample == first for sample in samples):
        return first
    for part in orders[0]:
        for cast in _CASTS:
            texts = [order[part] for order in orders]
            if kind is cast and _all_cast(samples, texts, cast):
                return _Slot(part, cast)
    raise _UnlearnableError


def _all_cast(samples: Sequence[Any], texts: Sequence[str], cast: Callable[[str], Any]) -> bool:
    try:
        return all(sample == cast(text) for sample, text in zip(samples, texts, strict=True))
    except ValueError:
        return False


def _filled(mould: Any, parts: Mapping[str, str]) -> Any:
    if isinstance(mould, _Slot):
        return mould.cast(parts[mould.part])
    if isinstance(mould, dict):
        return {name: _filled(inner, parts) for name, inner in mould.items()}
    if isinstance(mould, (list, tuple)):
        return type(mould)(_filled(inner, parts) for inner in mould)
    return mould


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_copied(inner) for inner in value)
    return value
