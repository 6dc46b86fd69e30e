"""What public requests take where a venue does not count them alike, by method and path.

The feeds ask for these: markets, the venue's time, prices of one contract or of all, books, and at
KuCoin where its sockets are. What stands nowhere here counts as `Ask.PUBLIC`, the dearest of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rebalancer.venues.facts_shape import Certainty, Params
from rebalancer.venues.rates import Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """What one kind of public request takes, and how we know."""

    #: a pattern of the whole path
    path: str
    cost: Cost
    source: str
    certainty: Certainty
    #: parameters by which the venue tells it from others of the path; "" stands for any value
    given: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"

    def fits(self, method: str, path: str, params: Params) -> bool:
        """Whether a request is of this kind."""
        if method != self.method or re.fullmatch(self.path, path) is None:
            return False
        return all(
            name in params and value in ("", str(params[name]))
            for name, value in self.given.items()
        )


_BINANCE_PAGES = "request weight on the endpoint's page"
_OKX_COSTS = "ccxt's cost, in twentieths of 2 s"
_KUCOIN_COSTS = "half of ccxt's cost"
_HYPERLIQUID_PAGE = "rate limits page"


def _binance(path: str, weight: int, **given: str) -> Weight:
    return Weight(
        path=f"/fapi/{path}",
        cost={"weight-1m": weight},
        given=given,
        source=_BINANCE_PAGES,
        certainty=Certainty.DOCUMENTED,
    )


def _of_ccxt(path: str, cost: Cost, source: str, method: str = "GET") -> Weight:
    certainty = Certainty.CCXT_SOURCE
    return Weight(method=method, path=path, cost=cost, source=source, certainty=certainty)


def _okx(path: str, weight: int) -> Weight:
    return _of_ccxt(f"/api/v5/{path}", {"public-2s": weight}, _OKX_COSTS)


def _kucoin(path: str, weight: int, method: str = "GET") -> Weight:
    return _of_ccxt(f"/api/v1/{path}", {"public-30s": weight}, _KUCOIN_COSTS, method)


def _hyperliquid(question: str) -> Weight:
    return Weight(
        method="POST",
        path="/info",
        given={"type": question},
        cost={"weight-1m": 2},
        source=_HYPERLIQUID_PAGE,
        certainty=Certainty.DOCUMENTED,
    )


BINANCE = (
    *(_binance(f"v1/{name}", 1) for name in ("time", "exchangeInfo", "fundingRate")),
    _binance("v1/premiumIndex", 1, symbol=""),
    _binance("v1/premiumIndex", 10),
    _binance("v[12]/ticker/price", 1, symbol=""),
    _binance("v[12]/ticker/price", 2),
    _binance("v1/ticker/bookTicker", 2, symbol=""),
    _binance("v1/ticker/bookTicker", 5),
    _binance("v1/ticker/24hr", 1, symbol=""),
    _binance("v1/ticker/24hr", 40),
    *(_binance("v1/depth", 2, limit=levels) for levels in ("5", "10", "20", "50")),
    _binance("v1/depth", 5, limit="100"),
    _binance("v1/depth", 20),
)
OKX = (
    *(
        _okx(path, 1)
        for path in (
            "public/instruments",
            "market/index-tickers",
            "market/tickers?",
            "market/books",
        )
    ),
    _okx("public/(mark-price|time)", 2),
)
KUCOIN = (
    _kucoin("timestamp", 2),
    _kucoin("contracts/active", 3),
    _kucoin("contract/funding-rates", 5),
    _kucoin("level2/depth100", 10),
    _kucoin("bullet-public", 10, "POST"),
)
MEXC = (_of_ccxt("/api/v1/contract/detail", {"detail-5s": 1}, "ccxt's cost: 100 of 20 a second"),)
HYPERLIQUID = tuple(_hyperliquid(each) for each in ("l2Book", "allMids", "exchangeStatus"))
