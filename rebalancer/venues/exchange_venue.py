"""One account at a real exchange, behind the venue port: our facts and transport, ccxt's words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from rebalancer.core.contract import Contract
from rebalancer.core.events import Event, OrderReported
from rebalancer.core.fund import Account
from rebalancer.core.order import OrderIntent
from rebalancer.errors import ConfigRefused, ensure
from rebalancer.exchanges import nearest, open_exchange
from rebalancer.ports import Clock, Emit, Submission
from rebalancer.venues.account_watch import NO_PAYMENTS, AccountWatch
from rebalancer.venues.answers import says_too_many
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.exchange_checks import (
    Expected,
    StartChecks,
    ask_before_trading,
    correct_clock,
)
from rebalancer.venues.exchange_orders import ExchangeOrders
from rebalancer.venues.facts import FACTS, VenueFacts
from rebalancer.venues.facts_shape import Ask
from rebalancer.venues.funding_watch import FundingWatch
from rebalancer.venues.rates import Budget, Limiter

REQUEST_SECONDS = 10.0
#: so many ids are remembered against a second send
SENT_MAX = 10_000
#: how an account has to be where nothing else is said
AS_CONFIGURED = Expected()


def facts_of(venue_id: str) -> VenueFacts:
    """Return the row of `venue_id`; a venue without one is refused with the nearest name."""
    facts = FACTS.get(venue_id)
    if facts is None:
        known = ", ".join(FACTS)
        raise ConfigRefused(
            f"venue {venue_id!r} cannot be traded on{nearest(venue_id, FACTS)}; known are {known}"
        )
    return facts


def open_with_keys(facts: VenueFacts, keys: Mapping[str, str], endpoint: str = "") -> Any:
    """Return a ccxt object set up as the table says, with `keys` by ccxt's names.

    `endpoint` takes the place of the venue's own addresses; "" leaves them.
    """
    exchange = open_exchange(facts.venue_id, endpoint)
    for name, key in keys.items():
        setattr(exchange, name, key)
    exchange.options.update(facts.presets)
    for method in facts.silenced:
        setattr(exchange, method, _nothing)
    return exchange


def open_client(
    facts: VenueFacts,
    keys: Mapping[str, str],
    endpoint: str = "",
    limiter: Limiter | None = None,
) -> CcxtClient:
    """Return a client of the venue with `keys` by ccxt's names: apiKey, secret, password, ...

    Clients that share an address share a `limiter`; without one it has its own.
    """
    own = limiter or limiter_of(facts)
    from rebalancer.venues.transport import Transport  # noqa: PLC0415 - paper needs no client

    transport = Transport(REQUEST_SECONDS)
    exchange = open_with_keys(facts, keys, endpoint)
    client = CcxtClient(exchange, transport, own, facts.limits.counters)
    client.too_many = partial(says_too_many, facts)
    return client


def limiter_of(facts: VenueFacts) -> Limiter:
    """Return a limiter that keeps to every window of the venue."""
    return Limiter(Budget(facts.limits.rate_windows))


async def _nothing(*_arguments: object, **_named: object) -> bool:
    return True


class ExchangeVenue:
    """Trades one account. `start` refuses whatever differs from the configuration."""

    def __init__(
        self,
        account: Account,
        client: CcxtClient,
        contracts: Mapping[str, Contract],
        clock: Clock,
        expected: Expected = AS_CONFIGURED,
    ) -> None:
        self._client = client
        self._contracts = contracts
        self._clock = clock
        self._facts = facts_of(account.venue)
        self._orders = ExchangeOrders(
            client, self._facts, contracts, clock, leverage=expected.leverage
        )
        self.account = ExchangeAccount(account, client, self._facts, contracts, clock)
        self._checks = StartChecks(account, self._facts, self.account, expected)
        self._watch = AccountWatch(account.name, self.account, contracts, clock)
        self._watch.mind_clock = self._mind_clock
        self._funding = FundingWatch(
            account.name, self.account.expected, contracts, clock, lambda: client.offset_ms
        )
        #: ids that were sent, oldest first; the values mean nothing
        self._sent: dict[str, None] = {}
        self._emit: Emit | None = None

    @property
    def clock_offset_ms(self) -> int:
        """How far the venue's clock was ahead when it was last measured."""
        return self._client.offset_ms

    async def start(self, emit: Emit) -> None:
        """Load markets, measure the clock, check the account; every answer asked for before orders.

        Raises ConfigRefused with the remedy where the account is not as configured,
        VenueUnavailable where the venue does not answer.
        """
        self._orders.departures.begin()
        await ask_before_trading(
            self._client, self._facts, self._contracts, self._clock, self._checks
        )
        self._emit = emit

    def prepare(self, intents: Sequence[OrderIntent]) -> None:
        """Write and sign the first request that sending the orders will take."""
        self._orders.prepare(intents)

    async def submit(self, intent: OrderIntent) -> None:
        """Send the order once and emit what is proved of it; an id that was sent is asked for."""
        if self._is_first_send(intent):
            await self._orders.submit(intent, self._tell)
        else:
            await self.query(intent)

    def submit_all(self, intents: Sequence[OrderIntent]) -> Sequence[Submission]:
        """Return a submission per order; batches where the venue has them and they are sooner."""
        first = [self._is_first_send(intent) for intent in intents]
        fresh = [intent for intent, is_first in zip(intents, first, strict=True) if is_first]
        submissions = iter(self._orders.submit_all(fresh, self._tell))
        return [
            next(submissions) if is_first else self.query(intent)
            for intent, is_first in zip(intents, first, strict=True)
        ]

    async def query(self, intent: OrderIntent) -> None:
        """Find out what became of the order and emit it; before the start there is nobody to."""
        if self._emit is not None:
            await self._orders.query(intent, self._tell)

    async def report_positions(self) -> None:
        """Emit what the account holds; nothing when the venue does not answer."""
        if self._emit is not None:
            await self._watch.report_positions(self._tell)

    async def report_history(self, read_ms: Mapping[str, int], ours: Collection[str] = ()) -> None:
        """Emit trades since `read_ms` by contract, else from now on, and orders that stand.

        `ours` are the venue's ids of orders known to be the desk's own. Raises VenueUnavailable
        where the venue does not tell all of it: then nothing may be traded.
        """
        if self._emit is not None:
            await self._watch.history.begin(read_ms, self._tell, ours)

    async def watch_account(
        self, seconds: float, funded_ms: Mapping[str, int] = NO_PAYMENTS
    ) -> None:
        """Emit positions and payments of funding every `seconds`, until cancelled.

        Payments by contract from `funded_ms` on, else from now on. Raises VenueUnavailable when
        the account was not seen for several rounds; it may be watched again then.
        """
        await self._watch.run(self._tell, seconds, funded_ms)

    def begin_funding(self, emit: Emit) -> Callable[[], Awaitable[None]]:
        """Emit that expected rates of funding will be told; return what tells them, for ever."""
        self._funding.begin(emit)
        return partial(self._funding.run, self._tell)

    async def read_markets(self) -> Mapping[str, Any]:
        """Return the venue's markets, read anew, as ccxt describes them."""
        await self._client.load_markets(self._facts.limits.costs[Ask.MARKETS])
        return self._client.markets

    async def close(self) -> None:
        """Give up every connection; may be called twice."""
        await self._client.close()

    async def _mind_clock(self) -> None:
        """Stamp requests anew where a clock was set."""
        await correct_clock(self._client, self._facts, self._clock, self.clock_offset_ms)

    def _is_first_send(self, intent: OrderIntent) -> bool:
        """Say whether the id was never sent, and remember that it is now.

        Most venues would trade it again: there an id is taken only while its order is open.
        """
        ensure(self._emit is not None, "no order is sent before the account was checked")
        if intent.client_order_id in self._sent:
            return False
        if len(self._sent) >= SENT_MAX:
            self._sent.pop(next(iter(self._sent)))
        self._sent[intent.client_order_id] = None
        return True

    def _tell(self, event: Event) -> None:
        if isinstance(event, OrderReported) and event.venue_order_id:
            self._watch.history.know(event.venue_order_id)
        if self._emit is not None:
            self._emit(event)
