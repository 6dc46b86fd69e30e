"""The real ccxt classes with `fetch` replaced: what would go out is written down, nothing does.

Times stand still and whatever differs between two keys or two instants is masked, so the same code
always writes the same file.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from rebalancer.core.contract import Contract
from rebalancer.core.order import OrderIntent, OrderSide, PositionSide, client_order_id
from rebalancer.exchanges import open_exchange
from rebalancer.venues.exchange_lists import own_trades
from rebalancer.venues.exchange_settings import (
    leverage_changes,
    margin_mode_changes,
    position_mode_changes,
)
from rebalancer.venues.facts import FACTS, VenueFacts
from rebalancer.venues.facts_shape import Call, Halves, Onward, OrderList, Params
from rebalancer.venues.requests import named, order_request
from tests.venues.golden.markets import contracts_of, markets_of

HERE = Path(__file__).parent
NOW_MS = 1_767_225_600_000
#: lists are asked for since this instant
SINCE_MS = NOW_MS - 65_000
LEVERAGE = 5
MASK = "***"
#: values that depend on keys or on the instant, by their name in lower case
_MASKED = frozenset(
    {
        *("signature", "sign", "timestamp", "nonce", "apikey", "key", "request-time"),
        *("x-mbx-apikey", "x-bapi-api-key", "x-bapi-sign", "x-bapi-timestamp"),
        *("ok-access-key", "ok-access-sign", "ok-access-timestamp", "ok-access-passphrase"),
        *("access-key", "access-sign", "access-timestamp", "access-passphrase"),
        *("kc-api-key", "kc-api-sign", "kc-api-timestamp", "kc-api-passphrase"),
        *("kc-api-partner", "kc-api-partner-sign"),
        *("xt-validate-appkey", "xt-validate-timestamp", "xt-validate-signature"),
        "user",
    }
)
#: (what, side, reduce-only, the book it acts on in hedge mode)
LEGS = (
    ("open long", OrderSide.BUY, False, PositionSide.LONG),
    ("close long", OrderSide.SELL, True, PositionSide.LONG),
    ("open short", OrderSide.SELL, False, PositionSide.SHORT),
    ("close short", OrderSide.BUY, True, PositionSide.SHORT),
)
Written = dict[str, Any]


class Recorder:
    """One exchange of ccxt that sends nothing, set up as the table says. Close it."""

    def __init__(self, facts: VenueFacts) -> None:
        self.facts = facts
        self.requests: list[Written] = []
        exchange = self.exchange = open_exchange(facts.venue_id)
        exchange.apiKey, exchange.secret, exchange.password = "api-key", "c2VjcmV0", "phrase"
        exchange.walletAddress, exchange.privateKey = "0x" + "1" * 40, "0x" + "2" * 64
        exchange.options = exchange.deep_extend(exchange.options, dict(facts.presets))
        exchange.enableRateLimit = False
        exchange.fetch = self._fetch
        exchange.milliseconds = lambda: NOW_MS
        exchange.nonce = lambda: NOW_MS
        for method in facts.silenced:
            setattr(exchange, method, self._nothing)
        exchange.set_markets(markets_of(facts.venue_id))

    async def _nothing(self, *_: Any) -> bool:
        return True

    async def _fetch(
        self, url: str, method: str = "GET", headers: Any = None, body: Any = None
    ) -> Any:
        parts = urllib.parse.urlsplit(url)
        self.requests.append(
            {
                "method": method,
                "host": parts.netloc,
                "path": parts.path,
                "query": _masked(dict(urllib.parse.parse_qsl(parts.query))),
                "headers": _masked(dict(sorted((headers or {}).items()))),
                "body": _masked(_decoded(body)),
            }
        )
        return {}

    async def record(self, call: Call) -> list[Written]:
        """Return the requests that `call` would send."""
        self.requests = []
        try:
            await call.carry_out(self.exchange)
        except Exception as error:  # noqa: BLE001 - ccxt stumbles over an empty answer in many ways
            if not self.requests:
                raise AssertionError(f"{self.facts.venue_id} built no request: {error!r}") from None
        return self.requests

    async def close(self) -> None:
        """Give up what ccxt opened."""
        await self.exchange.close()


def _decoded(body: Any) -> Any:
    if body is None:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return dict(urllib.parse.parse_qsl(body))


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: MASK if key.lower() in _MASKED else _masked(inner) for key, inner in value.items()
        }
    return [_masked(inner) for inner in value] if isinstance(value, list) else value


def intent_of(
    contract: Contract, side: OrderSide, book: PositionSide, *, reduce_only: bool
) -> OrderIntent:
    price = Decimal("87654.37") if contract.symbol.startswith("BTC") else Decimal("3210.987")
    contracts = contract.lot * 7
    return OrderIntent(
        client_order_id=client_order_id("golden", "main", contract.symbol, 1),
        account="main",
        contract=contract.symbol,
        seq=1,
        side=side,
        position_side=book,
        contracts=contracts,
        units=contract.units_in(contracts) * (1 if side is OrderSide.BUY else -1),
        mark=price,
        limit_price=price,
        reduce_only=reduce_only,
        wanted={"BTC3L": Decimal(1)},
        created_ms=NOW_MS,
    )


def next_page_of(listing: OrderList) -> Params | None:
    """Return how a list goes on after a first page; None where there is no other."""
    match listing.paging:
        case Onward(_, after):
            return after([[{"id": "4711", "info": {"nextPageCursor": "cursor"}}]])
        case Halves(until):
            return {until: NOW_MS}
        case _:
            return None


def calls_of(facts: VenueFacts) -> dict[str, Call]:
    """Return every call at a venue about an order or a setting, by what it does."""
    contract, other = contracts_of(facts.venue_id)
    calls: dict[str, Call] = {}
    for what, side, reduce_only, book in LEGS:
        for mode in (PositionSide.NET, book):
            if mode in facts.spelling.books:
                intent = intent_of(contract, side, mode, reduce_only=reduce_only)
                request = order_request(facts, intent, contract, leverage=LEVERAGE)
                calls[f"{what}, {mode} book"] = request.call
    if facts.batch is not None:
        orders = [
            order_request(
                facts,
                intent_of(each, OrderSide.BUY, PositionSide.NET, reduce_only=False),
                each,
                leverage=LEVERAGE,
            ).in_batch
            for each in (contract, other)
        ]
        calls["batch of two"] = Call("create_orders", (orders,))
    ours = client_order_id("golden", "main", contract.symbol, 1)
    market_id = markets_of(facts.venue_id)[0]["id"]
    order = named(facts, contract.symbol, market_id, ours, order_id="4711")
    for number, step in enumerate(facts.lookup.steps(order), start=1):
        calls[f"look up, step {number}"] = step
    for number, listing in enumerate(facts.lookup.lists, start=1):
        calls[f"look up, list {number}"] = listing.call(order.symbol, SINCE_MS)
        page = next_page_of(listing)
        if page:
            calls[f"look up, next page of list {number}"] = listing.call(
                order.symbol, SINCE_MS, page
            )
    traded = own_trades(facts)
    calls["look up, own trades"] = traded.call(order.symbol, SINCE_MS, traded.told.bounds(NOW_MS))
    cancel = facts.cancel(order)
    if cancel is not None:
        calls["cancel"] = cancel
    return calls | _settings_of(facts, contract)


def _settings_of(facts: VenueFacts, contract: Contract) -> dict[str, Call]:
    """Return every call that sets what an account trades with."""
    one = {contract.symbol: contract}
    return {
        f"set the {change.setting} to {change.value}, call {number}": call
        for change in (
            *position_mode_changes(facts, one, hedge=False),
            *position_mode_changes(facts, one, hedge=True),
            *margin_mode_changes(facts, one, LEVERAGE),
            *leverage_changes(facts, one, LEVERAGE),
        )
        for number, call in enumerate(change.calls, start=1)
    }


async def requests_of(venue_id: str) -> dict[str, list[Written]]:
    """Return what every call about an order or a setting would send."""
    recorder = Recorder(FACTS[venue_id])
    try:
        calls = calls_of(recorder.facts)
        return {what: await recorder.record(call) for what, call in calls.items()}
    finally:
        await recorder.close()


def file_of(venue_id: str) -> Path:
    return HERE / f"{venue_id}.json"


def as_text(requests: Mapping[str, list[Written]]) -> str:
    """Return the golden file of one request per call."""
    single = {what: written[0] for what, written in requests.items()}
    return json.dumps(single, indent=1, ensure_ascii=False) + "\n"
