"""How each venue lists the orders of a contract, and how a list goes on past its first page.

The oldest instant stands among the parameters, not in ccxt's `since`: by that ccxt would also drop
rows of the answer, and a page would look shorter than it was.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rebalancer.core.instant import DAY_MS, SECOND_MS
from rebalancer.venues.facts_shape import (
    AllAtOnce,
    Halves,
    Newest,
    Onward,
    OrderList,
    Pages,
    Params,
)


def _since(name: str) -> Callable[[int], Params]:
    return lambda since_ms: {name: since_ms}


def _numbered(name: str) -> Onward:
    return Onward(name, lambda pages: {name: len(pages) + 1})


def _after_rows(name: str) -> Onward:
    return Onward(name, lambda pages: {name: sum(map(len, pages))})


def _before_id(name: str) -> Onward:
    # The venue's ids are numbers that rise, and its lists begin with the newest.
    return Onward(name, lambda pages: {name: str(min(int(row["id"]) for row in pages[-1]))})


def _bybit_cursor(pages: Pages) -> Params | None:
    # ccxt writes the cursor of an answer into one of its rows.
    told: list[Any] = [row["info"].get("nextPageCursor") for row in pages[-1]]
    cursor = next(filter(None, told), None)
    return {"cursor": cursor} if cursor else None


def _gate_since(since_ms: int) -> Params:
    # Without the word ccxt asks an endpoint that takes no instants.
    return {"historical": True, "from": since_ms // SECOND_MS}


def _mexc_since(since_ms: int) -> Params:
    # Neither goes without the other, and there may be no more than 90 days between them.
    return {"start_time": since_ms, "end_time": since_ms + 90 * DAY_MS - 1}


BINANCE = (
    OrderList(method="fetch_open_orders", limit=None, paging=AllAtOnce()),
    OrderList(
        method="fetch_orders",
        limit=1_000,
        since=_since("startTime"),
        paging=Halves("endTime", full=1_000),
    ),
)
BYBIT = (
    OrderList(method="fetch_open_orders", limit=50, paging=Onward("cursor", _bybit_cursor)),
    OrderList(
        method="fetch_canceled_and_closed_orders",
        limit=50,
        since=_since("startTime"),
        paging=Onward("cursor", _bybit_cursor),
    ),
)
OKX = (
    OrderList(method="fetch_open_orders", paging=_before_id("after")),
    # ccxt asks for one end of an order at a time.
    *(
        OrderList(method=method, since=_since("begin"), paging=_before_id("after"))
        for method in ("fetch_closed_orders", "fetch_canceled_orders")
    ),
)
GATE = (
    OrderList(method="fetch_open_orders", paging=_after_rows("offset")),
    OrderList(method="fetch_closed_orders", since=_gate_since, paging=_after_rows("offset")),
)
XT = (
    OrderList(method="fetch_open_orders", paging=_numbered("page")),
    OrderList(method="fetch_orders", since=_since("startTime"), paging=Halves("endTime")),
)
BITGET = (
    OrderList(method="fetch_open_orders", paging=_before_id("idLessThan")),
    OrderList(
        method="fetch_canceled_and_closed_orders",
        since=_since("startTime"),
        paging=_before_id("idLessThan"),
    ),
)
# ccxt leaves a number of rows out of the requests to KuCoin.
_KUCOIN_PAGE = {"pageSize": 100}
KUCOIN = (
    OrderList(
        method="fetch_open_orders",
        limit=None,
        params=_KUCOIN_PAGE,
        paging=_numbered("currentPage"),
    ),
    OrderList(
        method="fetch_closed_orders",
        limit=None,
        params=_KUCOIN_PAGE,
        since=_since("startAt"),
        paging=_numbered("currentPage"),
    ),
)
MEXC = (
    # The venue lists the open orders of all contracts, and ccxt asks for its longest page only
    # where it is told no number.
    OrderList(
        method="fetch_open_orders",
        limit=None,
        named=False,
        params={"type": "swap"},
        paging=_numbered("page_num"),
    ),
    OrderList(method="fetch_orders", since=_mexc_since, paging=_numbered("page_num")),
)
HYPERLIQUID = (
    OrderList(method="fetch_open_orders", limit=None, paging=AllAtOnce()),
    OrderList(method="fetch_orders", limit=None, named=False, paging=Newest("statusTimestamp")),
)
