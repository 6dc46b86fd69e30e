"""Seals: the signature of an order's text where it is a plain one, proved against ccxt's.

ccxt's `sign` looks at every way in which its venue signs anything. For an order of a known mould
the way is always the same, and at Binance it is short: the stamp, the parameters, and the
HMAC-SHA256 of that text behind them. The text is taken from what ccxt signs for marks in place of
size, price and id. A seal that does not give ccxt's own request to the letter, at the same instant
and for a real order, is not used.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping
from typing import Any

from rebalancer.venues.wire import SignedRequest

#: what stands for a part of the order in the text that ccxt signs
_MARKS = {"id": "markofid", "amount": "markofamount", "price": "markofprice"}
_BODY = re.compile(r"timestamp=[0-9]+&(?P<text>.+)&signature=[0-9a-f]{64}")

Sign = Callable[[Mapping[str, str]], SignedRequest]
"""Has ccxt sign an order with these parts: id, amount and price, as text."""


class Seal:
    """Signs orders of one mould."""

    def __init__(self, secret: str, request: SignedRequest, text: str) -> None:
        self._request = request
        self._text = text
        self._keyed = hmac.new(secret.encode(), digestmod=hashlib.sha256)

    @classmethod
    def learn(cls, exchange: Any, sign: Sign, parts: Mapping[str, str]) -> Seal | None:
        """Return the seal of orders that `sign` signs; None where it would not be ccxt's request.

        The exchange's clock must stand still: `parts` are signed both ways and compared.
        """
        secret = getattr(exchange, "secret", None)
        marked = sign(_MARKS)
        found = _BODY.fullmatch(marked.body or "")
        if not secret or found is None:
            return None
        text = found["text"].replace("%", "%%")
        for part, mark in _MARKS.items():
            if text.count(f"={mark}") != 1:
                return None
            text = text.replace(f"={mark}", f"=%({part})s")
        seal = cls(secret, marked, text)
        return seal if seal.sign(exchange.nonce(), parts) == sign(parts) else None

    def sign(self, stamp_ms: int, parts: Mapping[str, str]) -> SignedRequest:
        """Return the signed request of an order; its parts must need no quoting."""
        text = f"timestamp={stamp_ms}&{self._text % parts}"
        keyed = self._keyed.copy()
        keyed.update(text.encode())
        body = f"{text}&signature={keyed.hexdigest()}"
        request = self._request
        return SignedRequest(request.method, request.url, request.headers, body)
