"""Every route of the Binance protocol: its handler, its weight and who may use it.

Weights are those of the venue's documentation as ccxt 4.5.90 carries them, except that placing an
order has none and a batch five, and all marks ten.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tests.loopback.binance import account, listening, market, trading
from tests.loopback.binance.budget import Cost
from tests.loopback.binance.request import Request
from tests.loopback.calls import Call


class Access(Enum):
    """What a route asks of its caller."""

    PUBLIC = 0
    KEY = 1  # the key in the header
    SIGNED = 2  # the key and a signature


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path."""

    handler: Callable[[Request], Any]
    access: Access = Access.SIGNED
    weight: int = 1
    #: where no symbol is given
    weight_of_all: int | None = None
    #: largest `limit` and the weight up to it, rising; beyond the last, `weight`
    by_limit: tuple[tuple[int, int], ...] = ()
    #: how many orders a call places, counted on the short limit
    places: Callable[[Call], int] | None = None

    def cost(self, call: Call) -> Cost:
        """Return what a call counts on each limit."""
        weight = self.weight
        limit = call.params.get("limit", "")
        if self.by_limit:
            asked = int(limit) if limit.isdigit() else DEFAULT_LIMIT
            weight = next((each for most, each in self.by_limit if asked <= most), weight)
        if self.weight_of_all is not None and not call.params.get("symbol"):
            weight = self.weight_of_all
        if self.places is None:
            return Cost(weight)
        return Cost(weight, short=self.places(call), long=1)


#: rows of a book or of candles where a call does not say
DEFAULT_LIMIT = 500


def _in_batch(call: Call) -> int:
    try:
        orders = json.loads(call.params.get("batchOrders", ""))
    except ValueError:
        return 1
    return len(orders) if isinstance(orders, list) and orders else 1


def _one(_call: Call) -> int:
    return 1


_BOOK = ((50, 2), (100, 5), (500, 10))
_CANDLES = ((99, 1), (499, 2), (1000, 5))
_PUBLIC, _KEY = Access.PUBLIC, Access.KEY
ROUTES: Mapping[tuple[str, str], Route] = {
    ("GET", "/fapi/v1/ping"): Route(market.ping, _PUBLIC),
    ("GET", "/fapi/v1/time"): Route(market.time, _PUBLIC),
    ("GET", "/fapi/v1/exchangeInfo"): Route(market.exchange_info, _PUBLIC),
    ("GET", "/fapi/v1/premiumIndex"): Route(market.premium_index, _PUBLIC, 1, 10),
    ("GET", "/fapi/v1/ticker/bookTicker"): Route(market.book_ticker, _PUBLIC, 2, 5),
    ("GET", "/fapi/v1/ticker/price"): Route(market.price_ticker, _PUBLIC, 1, 2),
    ("GET", "/fapi/v2/ticker/price"): Route(market.price_ticker, _PUBLIC, 1, 2),
    ("GET", "/fapi/v1/ticker/24hr"): Route(market.day_ticker, _PUBLIC, 1, 40),
    ("GET", "/fapi/v1/depth"): Route(market.depth, _PUBLIC, 20, by_limit=_BOOK),
    ("GET", "/fapi/v1/klines"): Route(market.klines, _PUBLIC, 10, by_limit=_CANDLES),
    ("GET", "/fapi/v1/fundingRate"): Route(market.funding_rates, _PUBLIC),
    ("GET", "/fapi/v1/fundingInfo"): Route(market.funding_info, _PUBLIC),
    ("POST", "/fapi/v1/order"): Route(trading.place, weight=0, places=_one),
    ("POST", "/fapi/v1/order/test"): Route(trading.place_test),
    ("GET", "/fapi/v1/order"): Route(trading.query),
    ("DELETE", "/fapi/v1/order"): Route(trading.cancel),
    ("POST", "/fapi/v1/batchOrders"): Route(trading.place_batch, weight=5, places=_in_batch),
    ("DELETE", "/fapi/v1/batchOrders"): Route(trading.cancel_batch),
    ("DELETE", "/fapi/v1/allOpenOrders"): Route(trading.cancel_all),
    ("GET", "/fapi/v1/openOrder"): Route(trading.query_open),
    ("GET", "/fapi/v1/openOrders"): Route(trading.open_orders, weight=1, weight_of_all=40),
    ("GET", "/fapi/v1/allOrders"): Route(trading.all_orders, weight=5),
    ("GET", "/fapi/v1/userTrades"): Route(trading.user_trades, weight=5),
    ("GET", "/fapi/v2/account"): Route(account.account_v2, weight=5),
    ("GET", "/fapi/v3/account"): Route(account.account_v3, weight=5),
    ("GET", "/fapi/v1/accountConfig"): Route(account.account_config, weight=5),
    ("GET", "/fapi/v2/balance"): Route(account.balance, weight=5),
    ("GET", "/fapi/v3/balance"): Route(account.balance, weight=5),
    ("GET", "/fapi/v2/positionRisk"): Route(account.position_risk_v2, weight=5),
    ("GET", "/fapi/v3/positionRisk"): Route(account.position_risk_v3, weight=5),
    ("GET", "/fapi/v1/income"): Route(account.income, weight=30),
    ("GET", "/fapi/v1/commissionRate"): Route(account.commission_rate, weight=20),
    ("GET", "/fapi/v1/rateLimit/order"): Route(account.order_limits),
    ("GET", "/fapi/v1/leverageBracket"): Route(account.leverage_bracket),
    ("GET", "/fapi/v1/symbolConfig"): Route(account.symbol_config, weight=5),
    ("GET", "/fapi/v1/positionSide/dual"): Route(account.position_mode, weight=30),
    ("POST", "/fapi/v1/positionSide/dual"): Route(account.change_position_mode),
    ("GET", "/fapi/v1/multiAssetsMargin"): Route(account.assets_mode, weight=30),
    ("POST", "/fapi/v1/marginType"): Route(account.change_margin),
    ("POST", "/fapi/v1/leverage"): Route(account.change_leverage),
    ("GET", "/sapi/v1/account/apiRestrictions"): Route(account.restrictions),
    ("POST", "/fapi/v1/listenKey"): Route(listening.start, _KEY),
    ("PUT", "/fapi/v1/listenKey"): Route(listening.keep, _KEY),
    ("DELETE", "/fapi/v1/listenKey"): Route(listening.stop, _KEY),
}
