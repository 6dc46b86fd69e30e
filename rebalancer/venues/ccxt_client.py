"""ccxt behind our own transport: it builds, signs and parses; what leaves, and how often, is ours.

No ccxt object or exception gets out of here: their texts hold whole signed requests.
"""

from __future__ import annotations

import asyncio
import re
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

import structlog

from rebalancer.errors import BrokenInvariant, DeskError, VenueUnavailable, ensure
from rebalancer.exchanges import UNREADABLE, exactly, in_our_words, persistently
from rebalancer.venues.hiding import Credentials, without_secrets
from rebalancer.venues.moulds import Moulds
from rebalancer.venues.rates import Cost, Limiter, Ticket, Window
from rebalancer.venues.requests import OrderRequest
from rebalancer.venues.shared_rates import believe, stay_away
from rebalancer.venues.wire import Carrier, Reply, SignedRequest

_log = structlog.get_logger(__name__)
T = TypeVar("T")

#: a question is asked again after network failures for this long, and no longer
QUESTION_SECONDS = 15.0
#: a write that the limits hold back for longer does not leave any more: its price is old, and who
#: sent it may want something else by now
WRITE_WAIT_SECONDS = 60.0
#: a request that was signed ahead is used for so long; then it is signed anew, with a new stamp
READY_SECONDS = 0.5

#: so much of a refusal is told to the operator whose command was refused
SAID_CHARACTERS = 200
#: statuses that mean "too many requests"
SHUT_OUT = frozenset({418, 429})
NO_COUNTERS: Mapping[str, str] = MappingProxyType({})

_captured: ContextVar[list[SignedRequest] | None] = ContextVar("captured", default=None)


#: what urllib leaves as it is
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")


def urlencode(
    params: Mapping[str, Any],
    doseq: bool = False,
    sort: bool = False,  # noqa: ARG001 - ccxt's signature
) -> str:
    """Do what ccxt's own does, which is a third of what it takes to build and sign an order.

    urllib goes through every part letter by letter; ours are plain nearly always.
    """
    if doseq:
        words = {name: _word(value) for name, value in params.items()}
        return urllib.parse.urlencode(words, doseq, quote_via=urllib.parse.quote)
    return "&".join([f"{_quoted(name)}={_quoted(_word(value))}" for name, value in params.items()])


def _word(value: Any) -> Any:
    return ("true" if value else "false") if isinstance(value, bool) else value


def _quoted(part: Any) -> str:
    text = part if isinstance(part, (str, bytes)) else str(part)
    if isinstance(text, str) and _PLAIN.fullmatch(text):
        return text
    return urllib.parse.quote(text, safe="")


class _Captured(Exception):
    """Raised through ccxt once it has signed a request that it must not send."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """An order's request, signed at `signed_s` of the loop's time, before it may leave."""

    order: OrderRequest
    request: SignedRequest
    signed_s: float


class HeldBack(VenueUnavailable):
    """A write waited too long for the venue's limits and was not sent."""


class NoSuchOrder(VenueUnavailable):
    """The venue answered, and what it answered is that it knows no such order."""


class CcxtClient:
    """One venue with one set of keys. Use inside the running loop."""

    def __init__(
        self,
        exchange: Any,
        transport: Carrier,
        limiter: Limiter,
        counters: Mapping[str, str] = NO_COUNTERS,
    ) -> None:
        """Take over `exchange`: from now on every request of it goes through `transport`.

        `counters` name the windows that the venue's headers tell the count of.
        """
        self._exchange = exchange
        self._transport = transport
        self._limiter = limiter
        self._counters = counters
        self._credentials = Credentials.of(exchange)
        self.venue_id: str = exchange.id
        #: how far the venue's clock was ahead of ours when it was last measured
        self.offset_ms = 0
        #: asked right before a write leaves, after every wait: why it must not
        self.barred: Callable[[], str | None] = lambda: None
        #: whether a body says, in the venue's own code, that there were too many requests
        self.too_many: Callable[[str], bool] = lambda _body: False
        exchange.enableRateLimit = False
        exchange.fetch = self._fetch
        # A pause for its own sockets when it is closed; it has none.
        exchange.timeout_on_exit = 0
        exchange.urlencode = urlencode
        self._moulds = Moulds(exchange, self._build)
        self._ready: _Ready | None = None
        # A second send hidden inside ccxt would be a second order.
        ensure(not exchange.options.get("maxRetriesOnFailure"), "ccxt must never send again")

    @property
    def markets(self) -> Mapping[str, Any]:
        """The venue's markets as ccxt describes them; empty before they are loaded."""
        return self._exchange.markets or {}

    def used(self) -> Mapping[Window, int]:
        """Return what is taken up of each window of requests."""
        return self._limiter.used()

    async def sign(self, build: Callable[[Any], Awaitable[Any]]) -> SignedRequest:
        """Return the one request that `build(exchange)` would send, without sending it.

        Raises VenueUnavailable where ccxt itself refuses it: then nothing was sent.
        """
        import ccxt.async_support as ccxt  # noqa: PLC0415 - loaded with the exchange already

        captured: list[SignedRequest] = []
        token = _captured.set(captured)
        try:
            await build(self._exchange)
        except _Captured:
            return captured[0]
        except (ccxt.BaseError, *UNREADABLE) as error:
            refusal: DeskError = VenueUnavailable(f"{self.venue_id} {in_our_words(error)}")
        else:
            refusal = BrokenInvariant(f"{self.venue_id}: ccxt built no request")
        finally:
            _captured.reset(token)
        raise refusal

    def parse_orders(self, raw: Sequence[Any], market: Any) -> list[Mapping[str, Any]]:
        """Return the venue's own order entries as ccxt's unified orders."""
        return [self._exchange.parse_order(each, market) for each in raw]

    def correct_clock(self, offset_ms: int) -> None:
        """Stamp requests with the venue's time, which is `offset_ms` ahead of ours."""
        self._ready = None  # by the old time
        self._exchange.options["timeDifference"] = -offset_ms
        self.offset_ms = offset_ms

    async def load_markets(self, cost: Cost) -> None:
        """Load the venue's markets anew."""
        await self.ask(lambda exchange: exchange.load_markets(reload=True), cost)
        self._moulds.forget()

    async def write(self, build: Callable[[Any], Awaitable[Any]], cost: Cost) -> Reply:
        """Send the one request that `build(exchange)` makes, once, as soon as the limits let it.

        It is signed after the wait: a stamp that waited its turn may be too old for the venue.
        Raises VenueUnavailable where ccxt refuses to build it or `barred` says why it must not
        leave, HeldBack where the limits did not let it leave in time: then nothing was sent.
        """
        return await self._write(lambda: self.sign(build), cost)

    async def write_order(self, order: OrderRequest, cost: Cost) -> Reply:
        """Send one order as `write` does, from the mould of earlier ones where there is one."""

        async def signed() -> SignedRequest:
            ready = self._take_ready(order)
            return ready or self._moulds.fill(order) or await self._build(order)

        return await self._write(signed, cost)

    def prepare_order(self, order: OrderRequest) -> None:
        """Sign an order that will be written soon, where there is a mould; sends nothing."""
        request = self._moulds.fill(order)
        if request is not None:
            self._ready = _Ready(order, request, asyncio.get_running_loop().time())

    def _take_ready(self, order: OrderRequest) -> SignedRequest | None:
        """Return the request that was signed for just this order, while its stamp is new."""
        ready, self._ready = self._ready, None
        if ready is None or ready.order is not order:
            return None
        age_s = asyncio.get_running_loop().time() - ready.signed_s
        return ready.request if age_s < READY_SECONDS else None

    def learn(self, order: OrderRequest) -> None:
        """Make the mould for orders like this one, at a time when nobody waits; sends nothing."""
        self._moulds.learn(order)

    async def change(self, build: Callable[[Any], Awaitable[Any]], cost: Cost) -> None:
        """Change a setting of the account by the one request that `build(exchange)` makes, once.

        Raises VenueUnavailable with the venue's own words where it refuses, and where its answer
        does not come: what is set then, a question tells.
        """
        import ccxt.async_support as ccxt  # noqa: PLC0415 - loaded with the exchange already

        sent: list[SignedRequest] = []

        async def signed() -> SignedRequest:
            sent.append(await self.sign(build))
            return sent[0]

        reply = await self._write(signed, cost)
        try:
            self._read(sent[0], reply)
        except ccxt.NoChange:
            return  # it was set to that already
        except (ccxt.BaseError, *UNREADABLE) as error:
            said = (reply.evidence.body or "")[:SAID_CHARACTERS]
            told = f": {said}" if said else ""
            refusal = VenueUnavailable(f"{self.venue_id} {in_our_words(error)}{told}")
        else:
            return
        raise refusal

    async def _build(self, order: OrderRequest) -> SignedRequest:
        return await self.sign(lambda exchange: exchange.create_order(*order.call.arguments))

    async def _write(self, signed: Callable[[], Awaitable[SignedRequest]], cost: Cost) -> Reply:
        ticket = self._limiter.enter_now(cost) or await self._wait_for_limits(cost)
        try:
            request = await signed()
            if (barred := self.barred()) is not None:
                raise VenueUnavailable(barred)
            return await self._send(request)
        finally:
            self._limiter.leave(ticket)

    async def _wait_for_limits(self, cost: Cost) -> Ticket:
        try:
            async with asyncio.timeout(WRITE_WAIT_SECONDS):
                return await self._limiter.enter(cost, urgent=True)
        except TimeoutError:
            raise HeldBack(
                f"{self.venue_id}: its limits let nothing leave for {WRITE_WAIT_SECONDS:.0f} s"
            ) from None

    async def ask(
        self, question: Callable[[Any], Awaitable[T]], cost: Cost, rows_per_unit: int = 0
    ) -> T:
        """Ask something that changes nothing, again after network failures.

        `cost` covers every request of the question; for `rows_per_unit` rows of the answer it takes
        one unit more, where that is above 0. Raises VenueUnavailable in our own words.
        """
        import ccxt.async_support as ccxt  # noqa: PLC0415 - loaded with the exchange already

        async def once() -> T:
            # Waiting comes before signing here too, and each try is a request of its own.
            ticket = await self._limiter.enter(cost)
            try:
                answer = await question(self._exchange)
            finally:
                self._limiter.leave(ticket)
            if rows_per_unit and isinstance(answer, list):
                more = -(-len(answer) // rows_per_unit)
                self._limiter.took(dict.fromkeys(cost, more))
            return answer

        try:
            return await persistently(once, QUESTION_SECONDS)
        except ccxt.OrderNotFound:
            refusal: VenueUnavailable = NoSuchOrder(f"{self.venue_id} knows no such order")
        except (ccxt.BaseError, *UNREADABLE) as error:
            refusal = VenueUnavailable(f"{self.venue_id} {in_our_words(error)}")
        # Not raised in there: ccxt's error, which holds the signed request, would hang behind it.
        raise refusal

    async def close(self) -> None:
        """Give up every connection; may be called twice."""
        await self._transport.close()
        await self._exchange.close()

    async def _fetch(
        self,
        url: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
    ) -> Any:
        """Stand in for ccxt's own fetch: hand a write out unsent, send a read."""
        exchange = self._exchange
        request = SignedRequest(method, url, exchange.prepare_request_headers(headers), body)
        captured = _captured.get()
        if captured is not None:
            captured.append(request)
            raise _Captured
        return self._read(request, await self._send(request))

    async def _send(self, request: SignedRequest) -> Reply:
        asked_ms = self._limiter.now_ms()
        reply = await self._transport.send(request)
        reply = without_secrets(reply, request, self._credentials)
        self._heed(reply, asked_ms)
        return reply

    def _heed(self, reply: Reply, asked_ms: int) -> None:
        """Believe the venue's own counts, and stay away as long as it says."""
        believe(self._limiter, self._counters, reply.headers, asked_ms)
        body = reply.evidence.body
        if reply.evidence.status in SHUT_OUT or (body and self.too_many(body)):
            stay_away(self._limiter, self.venue_id, reply.headers)

    def _read(self, request: SignedRequest, reply: Reply) -> Any:
        """Return the decoded body, or raise what ccxt would raise for it."""
        import ccxt.async_support as ccxt  # noqa: PLC0415 - loaded with the exchange already

        evidence, exchange = reply.evidence, self._exchange
        if evidence.status is None or evidence.body is None:
            raise ccxt.NetworkError(evidence.failure)
        try:
            decoded = exactly(evidence.body)
        except ValueError:
            decoded = None
        told = (evidence.status, "", request.url, request.method)
        sent = (dict(request.headers), request.body)
        exchange.handle_errors(*told, dict(reply.headers), evidence.body, decoded, *sent)
        exchange.handle_http_status_code(*told, evidence.body)
        if decoded is None:
            # Of a text ccxt would make an answer that tells nothing, and nothing is not False.
            raise ccxt.BadResponse("no document")
        return decoded
