"""Reads a loopback Binance with the exchange's own client: `python reader.py URL KEY SECRET`.

Run by the interpreter of the environment that `environment` makes; imports nothing of ours. Writes
one JSON document: for each call whether the client's strict types took the answer, which of their
fields were not in it (missing), and which fields they do not know (extra). The client itself hides
a failure: what its types refuse it hands out as plain JSON, and that is what counts as not parsed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import requests
from binance_common.configuration import ConfigurationRestAPI
from binance_common.errors import Error
from binance_sdk_derivatives_trading_usds_futures import DerivativesTradingUsdsFutures
from binance_sdk_derivatives_trading_usds_futures.rest_api.models import (
    PlaceMultipleOrdersBatchOrdersParameterInner as BatchOrder,
)
from pydantic import BaseModel

BTC, ETH = "BTCUSDT", "ETHUSDT"
TIMEOUT_S = 5


class Reading:
    """Makes calls and notes what became of each."""

    def __init__(self, url: str, key: str, secret: str) -> None:
        config = ConfigurationRestAPI(
            api_key=key, api_secret=secret, base_path=url, retries=0, timeout=TIMEOUT_S * 1_000
        )
        self.url = url
        self.venue = DerivativesTradingUsdsFutures(config_rest_api=config).rest_api
        self.venue._session.hooks["response"].append(self._keep)
        self.body: Any = None
        self.noted: dict[str, Any] = {}

    def _keep(self, response: requests.Response, **_named: Any) -> None:
        """Keep the last answer as it came."""
        self.body = response.json()

    def call(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Call one method of the client; `name` may end in a remark after a space."""
        method = getattr(self.venue, name.partition(" ")[0])
        try:
            answer = method(*arguments, **named).data()
        except Error as error:
            refusal = getattr(error, "status_code", None)
            self.noted[name] = {"refused": type(error).__name__, "code": refusal}
            return None
        raw = self.body
        missing, extra = set[str](), set[str]()
        parsed = all([*_compared(raw, answer, "", missing, extra)])
        noted: dict[str, Any] = {"parsed": parsed}
        if missing:
            noted["missing"] = sorted(missing)
        if extra:
            noted["extra"] = sorted(extra)
        if not parsed:
            noted["raw"] = raw
        self.noted[name] = noted
        return raw

    def command(self, name: str, document: Mapping[str, Any]) -> None:
        """Tell the loopback venue something that no exchange would take."""
        requests.post(f"{self.url}/-/{name}", json=document, timeout=TIMEOUT_S).raise_for_status()


def _compared(raw: Any, read: Any, at: str, missing: set[str], extra: set[str]) -> Iterator[bool]:
    """Walk an answer beside what the client made of it; yield whether each object was typed."""
    read = getattr(read, "actual_instance", None) or read
    if isinstance(raw, list):
        rows = read if isinstance(read, list) else []
        yield isinstance(read, list)
        for row, typed in zip(raw, rows, strict=False):
            yield from _compared(row, typed, at, missing, extra)
    elif isinstance(raw, dict):
        # An answer that says nothing has no type of its own.
        yield isinstance(read, BaseModel) or not raw
        if isinstance(read, BaseModel):
            known = {field.alias or name: name for name, field in type(read).model_fields.items()}
            del known["additional_properties"]
            missing.update(f"{at}.{name}" for name in known.keys() - raw.keys())
            extra.update(f"{at}.{name}" for name in raw.keys() - known.keys())
            for name in known.keys() & raw.keys():
                child = getattr(read, known[name])
                yield from _compared(raw[name], child, f"{at}.{name}", missing, extra)


def read(reading: Reading) -> None:
    """Make every call once, in an order in which there is something to see."""
    for part in (_market, _trade, _account, _settings, _refusals):
        part(reading)


def _market(reading: Reading) -> None:
    call = reading.call
    reading.command("fund", {"instrument": "BTC/USDT", "rate": "0.0001"})
    call("test_connectivity")
    call("check_server_time")
    call("exchange_information")
    call("order_book", BTC, 5)
    for name in (
        "symbol_order_book_ticker",
        "mark_price",
        "symbol_price_ticker",
        "symbol_price_ticker_v2",
        "ticker24hr_price_change_statistics",
    ):
        call(name, BTC)
        call(f"{name} of all")
    call("kline_candlestick_data", BTC, "1m", limit=3)
    call("get_funding_rate_history", BTC)
    call("get_funding_rate_info")


def _trade(reading: Reading) -> None:
    call = reading.call

    def order(name: str, **named: Any) -> Any:
        wanted = {"quantity": 0.01, "price": 49_000.0, "time_in_force": "GTC"} | named
        return call(f"new_order {name}", BTC, "BUY", "LIMIT", **wanted)

    call("new_order market", BTC, "BUY", "MARKET", quantity=0.5, new_order_resp_type="RESULT")
    order("collared", price=50_500.0, time_in_force="IOC", new_order_resp_type="RESULT")
    resting = order("that rests", new_client_order_id="rsdk1")
    call("test_order", BTC, "BUY", "MARKET", quantity=0.01)
    call("query_order", BTC, order_id=resting["orderId"])
    call("query_order by client id", BTC, orig_client_order_id="rsdk1")
    call("query_current_open_order", BTC, orig_client_order_id="rsdk1")
    call("current_all_open_orders", BTC)
    call("cancel_order", BTC, orig_client_order_id="rsdk1")
    batch = [
        BatchOrder(
            symbol=BTC,
            side="BUY",
            type="LIMIT",
            time_in_force="GTC",
            quantity=0.01,
            price=price,
            new_client_order_id=name,
        )
        for name, price in (("rsdk2", 49_000.0), ("rsdk3", 49_000.0), ("rsdk4", 49_000.001))
    ]
    call("place_multiple_orders", batch)
    call("cancel_multiple_orders", BTC, orig_client_order_id_list=["rsdk2"])
    call("cancel_all_open_orders", BTC)
    call("all_orders", BTC)
    call("account_trade_list", BTC)


def _account(reading: Reading) -> None:
    call = reading.call
    reading.command("fund", {"instrument": "BTC/USDT", "rate": "0.0001"})
    for name in (
        "account_information_v2",
        "account_information_v3",
        "futures_account_balance_v2",
        "futures_account_balance_v3",
        "futures_account_configuration",
        "position_information_v2",
        "position_information_v3",
        "get_current_position_mode",
        "get_current_multi_assets_mode",
        "query_user_rate_limit",
        "symbol_configuration",
        "notional_and_leverage_brackets",
        "get_income_history",
    ):
        call(name)
    call("notional_and_leverage_brackets of one", BTC)
    call("symbol_configuration of one", BTC)
    call("get_income_history of funding", BTC, "FUNDING_FEE")
    call("user_commission_rate", BTC)


def _settings(reading: Reading) -> None:
    call = reading.call
    call("change_initial_leverage", ETH, 10)
    call("change_margin_type", ETH, "ISOLATED")
    call("new_order that closes", BTC, "SELL", "MARKET", quantity=0.51, reduce_only="true")
    call("change_position_mode", "true")
    call("new_order of a long book", BTC, "BUY", "MARKET", quantity=0.5, position_side="LONG")
    call("position_information_v3 of both books")
    call("start_user_data_stream")
    call("keepalive_user_data_stream")
    call("close_user_data_stream")


def _refusals(reading: Reading) -> None:
    call = reading.call
    call("query_order that never was", BTC, orig_client_order_id="rnobody")
    call("cancel_order that never was", BTC, orig_client_order_id="rnobody")
    call("change_margin_type again", ETH, "ISOLATED")
    call("change_position_mode under a position", "false")
    call("order_book of nothing", "NOPEUSDT")
    call("new_order off the lot", BTC, "BUY", "MARKET", quantity=0.0001, position_side="LONG")
    call("new_order of the wrong book", BTC, "BUY", "MARKET", quantity=0.5)
    reading.command("fault", {"shape": "503 unknown", "path": "order$"})
    call("query_order while overloaded", BTC, orig_client_order_id="rsdk1")
    reading.venue.configuration.api_secret = "another"
    call("account_information_v3 by another key")


def main(arguments: list[str]) -> None:
    """Read the venue at the url given first, with the key and secret given after it."""
    reading = Reading(*arguments)
    read(reading)
    sys.stdout.write(json.dumps(reading.noted, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
