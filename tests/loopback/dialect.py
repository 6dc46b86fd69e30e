"""What every protocol must do: admit a call, answer it from the core, and speak on streams."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from tests.loopback.calls import Answer, Call
from tests.loopback.happenings import Happening
from tests.loopback.limits import Bans
from tests.loopback.matching import Core


class Channel(Protocol):
    """One open stream of one client, as a protocol sees it."""

    #: path and query it was opened with
    path: str
    query: Mapping[str, str]
    #: names it is subscribed to
    topics: set[str]


CLOSED = "/closed"


def redirected(addresses: Any, prefix: str) -> Any:
    """Return a tree of addresses, each replaced by one under `prefix` that nobody serves."""
    if isinstance(addresses, dict):
        return {name: redirected(value, prefix) for name, value in addresses.items()}
    return f"{prefix}{CLOSED}"


class Dialect(Protocol):
    """One exchange protocol. Everything in it is computed: it never waits."""

    core: Core
    #: fields of an order's answer that identify it, and its market
    id_fields: tuple[str, ...]
    symbol_field: str
    #: a market that no order here is of
    other_symbol: str

    @property
    def bans(self) -> Bans:
        """Who is locked out, and the violations so far."""

    def admit(self, call: Call) -> Answer | None:
        """Count the call against the limits; an answer is a refusal, and the end of it."""

    def act(self, core: Core, call: Call) -> Answer:
        """Answer an admitted call from `core`, which may be a copy; errors are answers too."""

    def stamp(self, call: Call, answer: Answer) -> Answer:
        """Add what every answer of this venue carries."""

    def phrase(self, name: str, now_ms: int) -> Answer:
        """Return what this venue says when `name` is the matter: busy, banned, maintenance, ..."""

    def opened(self, channel: Channel, now_ms: int) -> bool:
        """Say whether a stream may be opened, and note what its address subscribes to."""

    def received(self, channel: Channel, frame: str, now_ms: int) -> Iterable[Any]:
        """Take a frame of a client; yield what it is answered."""

    def frames(self, channel: Channel, happened: Happening, now_ms: int) -> Iterable[Any]:
        """Yield what a stream is told of something that happened; most streams are told nothing."""

    def beat(self, channel: Channel, now_ms: int) -> Iterable[Any]:
        """Yield what a stream is told of prices from time to time, news or not."""

    def addresses(self, exchange_urls: Any, rest: str, stream: str) -> None:
        """Point the urls of a ccxt exchange at this server, in place."""
