"""Every route of the XT protocol, by host prefix, method and path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.loopback.xt import account, market, trading
from tests.loopback.xt.request import Request


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one path."""

    handler: Callable[[Request], Any]
    signed: bool = False


def _signed(handler: Callable[[Request], Any]) -> Route:
    return Route(handler, signed=True)


_PUBLIC, _TRADE, _USER = "/future/market/v1/public", "/future/trade/v1", "/future/user/v1"
LINEAR: Mapping[tuple[str, str], Route] = {
    ("GET", f"{_PUBLIC}/symbol/list"): Route(market.symbol_list),
    ("GET", f"{_PUBLIC}/symbol/detail"): Route(market.symbol_detail),
    ("GET", f"{_PUBLIC}/q/ticker"): Route(market.ticker),
    ("GET", f"{_PUBLIC}/q/tickers"): Route(market.tickers),
    ("GET", f"{_PUBLIC}/q/agg-ticker"): Route(market.aggregate),
    ("GET", f"{_PUBLIC}/q/agg-tickers"): Route(market.aggregates),
    ("GET", f"{_PUBLIC}/q/ticker/book"): Route(market.book),
    ("GET", f"{_PUBLIC}/q/ticker/books"): Route(market.books),
    ("GET", f"{_PUBLIC}/q/mark-price"): Route(market.marks),
    ("GET", f"{_PUBLIC}/q/symbol-mark-price"): Route(market.mark),
    ("GET", f"{_PUBLIC}/q/index-price"): Route(market.indexes),
    ("GET", f"{_PUBLIC}/q/symbol-index-price"): Route(market.index),
    ("GET", f"{_PUBLIC}/q/depth"): Route(market.depth),
    ("GET", f"{_PUBLIC}/q/kline"): Route(market.klines),
    ("GET", f"{_PUBLIC}/q/funding-rate"): Route(market.funding_rate),
    ("GET", f"{_PUBLIC}/q/funding-rate-record"): Route(market.funding_records),
    ("GET", f"{_PUBLIC}/leverage/bracket/detail"): Route(market.bracket),
    ("GET", f"{_PUBLIC}/leverage/bracket/list"): Route(market.brackets),
    ("POST", f"{_TRADE}/order/create"): _signed(trading.place),
    ("POST", f"{_TRADE}/order/cancel"): _signed(trading.cancel),
    ("POST", f"{_TRADE}/order/cancel-all"): _signed(trading.cancel_all),
    ("GET", f"{_TRADE}/order/detail"): _signed(trading.detail),
    ("GET", f"{_TRADE}/order/list"): _signed(trading.orders),
    ("GET", f"{_TRADE}/order/list-history"): _signed(trading.history),
    ("GET", f"{_TRADE}/order/trade-list"): _signed(trading.trades),
    ("GET", f"{_USER}/account/info"): _signed(account.account_info),
    ("GET", f"{_USER}/balance/list"): _signed(account.balances),
    ("GET", f"{_USER}/balance/funding-rate-list"): _signed(account.fundings),
    ("GET", f"{_USER}/position/list"): _signed(account.positions),
    ("GET", f"{_USER}/position/break-list"): _signed(account.breaks),
    ("POST", f"{_USER}/position/adjust-leverage"): _signed(account.change_leverage),
    ("POST", f"{_USER}/position/change-type"): _signed(account.change_margin),
    ("GET", f"{_USER}/user/step-rate"): _signed(account.step_rate),
    ("GET", f"{_USER}/user/listen-key"): _signed(account.listen_key),
}
INVERSE: Mapping[tuple[str, str], Route] = {
    ("GET", f"{_PUBLIC}/symbol/list"): Route(market.nothing),
}
SPOT: Mapping[tuple[str, str], Route] = {
    ("GET", "/v4/public/time"): Route(market.spot_time),
    ("GET", "/v4/public/symbol"): Route(market.spot_symbols),
    ("GET", "/v4/public/currencies"): Route(market.spot_currencies),
    ("GET", "/v4/public/wallet/support/currency"): Route(market.nothing),
}
HOSTS: Mapping[str, Mapping[tuple[str, str], Route]] = {
    "/fapi": LINEAR,
    "/dapi": INVERSE,
    "/sapi": SPOT,
}
