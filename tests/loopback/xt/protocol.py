"""The XT protocol as a whole: what it admits, how it answers, what its streams say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.loopback.calls import Answer, Call
from tests.loopback.dialect import Channel, redirected
from tests.loopback.happenings import Happening
from tests.loopback.limits import Bans
from tests.loopback.matching import Core
from tests.loopback.xt import frames, security
from tests.loopback.xt.budget import Budget
from tests.loopback.xt.errors import XtError, spot_success, success
from tests.loopback.xt.request import Request
from tests.loopback.xt.routes import HOSTS

_FREQUENT = "The request is too frequent, please control the request rate"
PHRASES: Mapping[str, Answer] = {
    "busy": XtError("COMMON_002", "System busy, please try it later", 503).answer(),
    "no_margin": XtError("insufficient_balance", "insufficient balance").answer(),
    "error": XtError("500", "Service exception").answer(),
    "unauthorized": XtError("AUTH_101", "ApiKey does not exist", 401).answer(),
    "too_many": XtError("429", _FREQUENT, 429).answer(),
    "banned": XtError("429", _FREQUENT, 418).answer(),
    "unknown": XtError("502", "Gateway exception", 503).answer(),
    "timeout": Answer.page("408 Request Timeout", 408),
    "maintenance": XtError("503", "Service unavailable, please try again later", 503).answer(),
}


@dataclass(kw_only=True)
class Xt:
    """XT linear futures over one core."""

    core: Core
    budget: Budget = field(default_factory=Budget)
    id_fields: tuple[str, ...] = ("orderId", "result", "clientOrderId")
    symbol_field: str = "symbol"
    other_symbol: str = "doge_usdt"

    @property
    def bans(self) -> Bans:
        """Who is locked out, and the violations so far."""
        return self.budget.bans

    def admit(self, call: Call) -> Answer | None:
        """Count the call; refuse it where its address is past the limit."""
        return self.budget.spend(call.peer, call.at_ms)

    def act(self, core: Core, call: Call) -> Answer:
        """Check who calls, then answer."""
        host, path = _host(call.path)
        route = HOSTS.get(host, {}).get((call.method, path))
        if route is None:
            return XtError("404", "interface does not exist", 404).answer()
        try:
            owner = security.signer(core, call, path) if route.signed else None
            params = call.params if call.method == "GET" else _body(call)
            request = Request(core=core, params=params, now_ms=call.acts_ms, owner=owner)
            result = route.handler(request)
        except XtError as error:
            return error.answer()
        return spot_success(result) if host == "/sapi" else success(result)

    def stamp(self, call: Call, answer: Answer) -> Answer:
        """Add nothing: the venue tells no counters."""
        return answer

    def phrase(self, name: str, now_ms: int) -> Answer:
        """Return what this venue says when `name` is the matter."""
        return PHRASES[name]

    def opened(self, channel: Channel, now_ms: int) -> bool:
        """Admit both kinds of streams."""
        return frames.opened(channel)

    def received(self, channel: Channel, frame: str, now_ms: int) -> Iterable[Any]:
        """Take SUBSCRIBE, UNSUBSCRIBE and ping."""
        return frames.received(self.core, channel, frame)

    def frames(self, channel: Channel, happened: Happening, now_ms: int) -> Iterable[Any]:
        """Yield what this stream is told of a happening."""
        return frames.told(self.core, channel, happened, now_ms)

    def beat(self, channel: Channel, now_ms: int) -> Iterable[Any]:
        """Yield the prices this stream asked for."""
        return frames.beat(self.core, channel, now_ms)

    def addresses(self, exchange_urls: Any, rest: str, stream: str) -> None:
        """Point a ccxt xt at this server: its hosts become prefixes."""
        hosts = {"linear": "/fapi", "inverse": "/dapi", "spot": "/sapi", "user": "/sapi"}
        for name, prefix in hosts.items():
            exchange_urls["api"][name] = rest + prefix
        if "ws" in exchange_urls["api"]:
            streams = redirected(exchange_urls["api"]["ws"], stream)
            exchange_urls["api"]["ws"] = streams | {"contract": f"{stream}/ws"}


def _host(path: str) -> tuple[str, str]:
    """Return the host that a path is meant for, and the path there.

    A client that was given one address for all hosts leaves the prefix away; spot's paths are its
    own, and futures are taken for linear ones.
    """
    host, rest = path[:5], path[5:]
    if host in HOSTS:
        return host, rest
    return ("/sapi" if path.startswith("/v4/") else "/fapi"), path


def _body(call: Call) -> Mapping[str, Any]:
    try:
        document = call.document
    except ValueError:
        raise XtError("invalid_params", "The body is not JSON") from None
    if not isinstance(document, dict):
        raise XtError("invalid_params", "The body is no object")
    return document
