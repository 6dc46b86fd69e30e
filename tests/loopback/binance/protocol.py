"""The Binance protocol as a whole: what it admits, how it answers, what its streams say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.loopback.binance import frames, security
from tests.loopback.binance.budget import BAN_MS, Budget, Cost
from tests.loopback.binance.errors import BinanceError
from tests.loopback.binance.request import Request
from tests.loopback.binance.routes import ROUTES, Access, Route
from tests.loopback.calls import Answer, Call
from tests.loopback.dialect import Channel, redirected
from tests.loopback.happenings import Happening
from tests.loopback.limits import Bans
from tests.loopback.matching import Core

PHRASES: Mapping[str, Answer] = {
    "busy": BinanceError(
        -1008,
        "Server is currently overloaded with other requests. Please try again in a few minutes.",
        503,
    ).answer(),
    "no_margin": BinanceError(-2019, "Margin is insufficient.").answer(),
    "error": BinanceError(
        -1001, "Internal error; unable to process your request. Please try again.", 200
    ).answer(),
    "unauthorized": BinanceError(
        -2015, "Invalid API-key, IP, or permissions for action.", 401
    ).answer(),
    "too_many": BinanceError(-1003, "Too many requests.", 429).answer({"Retry-After": "5"}),
    "unknown": BinanceError(
        -1, "Unknown error, please check your request or try again later.", 503
    ).answer(),
    "timeout": BinanceError(
        -1007,
        "Timeout waiting for response from backend server. "
        "Send status unknown; execution status unknown.",
        408,
    ).answer(),
    "maintenance": BinanceError(-1016, "This service is no longer available.", 503).answer(),
}


@dataclass(kw_only=True)
class Binance:
    """Binance USD-M futures over one core."""

    core: Core
    budget: Budget = field(default_factory=Budget)
    id_fields: tuple[str, ...] = ("orderId", "clientOrderId")
    symbol_field: str = "symbol"
    other_symbol: str = "DOGEUSDT"

    @property
    def bans(self) -> Bans:
        """Who is banned, and the violations so far."""
        return self.budget.bans

    def admit(self, call: Call) -> Answer | None:
        """Count the call; refuse it where its address or account is past a limit."""
        return self.budget.spend(call.peer, _spender(call), self._cost(call), call.at_ms)

    def act(self, core: Core, call: Call) -> Answer:
        """Check who calls, then answer."""
        route = ROUTES.get((call.method, call.path))
        if route is None:
            return Answer.page("404 Not Found", 404)
        try:
            return Answer.of(route.handler(self._request(core, call, route)))
        except BinanceError as error:
            return error.answer()

    def stamp(self, call: Call, answer: Answer) -> Answer:
        """Add the counters."""
        told = self.budget.headers(call.peer, _spender(call), self._cost(call), call.at_ms)
        return answer.with_headers(told)

    def phrase(self, name: str, now_ms: int) -> Answer:
        """Return what this venue says when `name` is the matter."""
        if name == "banned":
            return self.budget.banned(now_ms, BAN_MS)
        return PHRASES[name]

    def opened(self, channel: Channel, now_ms: int) -> bool:
        """Admit market streams always, private ones with a valid listen key."""
        return frames.opened(self.core, channel, now_ms)

    def received(self, channel: Channel, frame: str, now_ms: int) -> Iterable[Any]:
        """Take SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS."""
        return frames.received(channel, frame)

    def frames(self, channel: Channel, happened: Happening, now_ms: int) -> Iterable[Any]:
        """Yield what this stream is told of a happening."""
        return frames.told(self.core, channel, happened, now_ms)

    def beat(self, channel: Channel, now_ms: int) -> Iterable[Any]:
        """Yield the prices this stream asked for."""
        return frames.beat(self.core, channel, now_ms)

    def addresses(self, exchange_urls: Any, rest: str, stream: str) -> None:
        """Point a ccxt binanceusdm at this server, also where it serves nothing."""
        for name, address in exchange_urls["api"].items():
            if isinstance(address, str):
                path = address.partition("://")[2].partition("/")[2]
                exchange_urls["api"][name] = f"{rest}/{path}"
        if "ws" in exchange_urls["api"]:
            streams = redirected(exchange_urls["api"]["ws"], stream)
            exchange_urls["api"]["ws"] = streams | {"linear": f"{stream}/ws"}

    def _request(self, core: Core, call: Call, route: Route) -> Request:
        owner = None
        if route.access is Access.KEY:
            owner = security.key_owner(core, call)
        elif route.access is Access.SIGNED:
            owner = security.signer(core, call)
        return Request(
            core=core,
            params=call.params,
            now_ms=call.acts_ms,
            owner=owner,
            order_limits=self.budget.order_limits,
        )

    def _cost(self, call: Call) -> Cost:
        route = ROUTES.get((call.method, call.path))
        return Cost(1) if route is None else route.cost(call)


def _spender(call: Call) -> str:
    return call.headers.get("x-mbx-apikey", "")
