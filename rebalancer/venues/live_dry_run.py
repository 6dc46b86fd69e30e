"""A dry run over a live account: begins with what is held there, writes down orders, sends none.

Its keys may be keys that trade: the transport of its client refuses every request that is not on
the venue's list of reads, so nothing in here or in ccxt can reach a write.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account
from rebalancer.core.order import OrderIntent
from rebalancer.ports import Clock, Emit, Submission
from rebalancer.venues.answers import says_too_many
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.dry_run import DryRunVenue
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.exchange_checks import (
    Expected,
    StartChecks,
    ask_before_trading,
)
from rebalancer.venues.exchange_venue import (
    AS_CONFIGURED,
    REQUEST_SECONDS,
    facts_of,
    limiter_of,
    open_with_keys,
)
from rebalancer.venues.facts import VenueFacts
from rebalancer.venues.facts_shape import Ask
from rebalancer.venues.rates import Limiter
from rebalancer.venues.statements import held_units


class ReadOnlyClient(CcxtClient):
    """A client that cannot send a write."""

    def __init__(self, exchange: Any, facts: VenueFacts, limiter: Limiter | None = None) -> None:
        from rebalancer.venues.read_only import (  # noqa: PLC0415 - paper needs no client
            ReadOnlyTransport,
        )

        own = limiter or limiter_of(facts)
        transport = ReadOnlyTransport(REQUEST_SECONDS, facts.venue_id)
        super().__init__(exchange, transport, own, facts.limits.counters)
        self.too_many = partial(says_too_many, facts)


def open_read_only(
    facts: VenueFacts,
    keys: Mapping[str, str],
    endpoint: str = "",
    limiter: Limiter | None = None,
) -> ReadOnlyClient:
    """Return a client of the venue that can only ask; see `open_client` for its limiter."""
    return ReadOnlyClient(open_with_keys(facts, keys, endpoint), facts, limiter)


class LiveDryRunVenue:
    """One account on which nothing happens, as it stands at the venue when the desk starts."""

    def __init__(
        self,
        account: Account,
        client: ReadOnlyClient,
        contracts: Mapping[str, Contract],
        clock: Clock,
        expected: Expected = AS_CONFIGURED,
    ) -> None:
        self._name = account.name
        self._client = client
        self._contracts = contracts
        self._clock = clock
        self._facts = facts_of(account.venue)
        self.account = ExchangeAccount(account, client, self._facts, contracts, clock)
        self._checks = StartChecks(account, self._facts, self.account, expected)
        self._dry = DryRunVenue(account.name, {}, clock)

    @property
    def would_send(self) -> Sequence[OrderIntent]:
        """Every order of this process."""
        return self._dry.would_send

    async def start(self, emit: Emit) -> None:
        """Check the account as if it were to be traded, and take over what it holds.

        Raises ConfigRefused or VenueUnavailable: without positions there is nothing to run on.
        """
        await ask_before_trading(
            self._client, self._facts, self._contracts, self._clock, self._checks
        )
        held = held_units(await self.account.positions())
        self._dry = DryRunVenue(self._name, held, self._clock)
        await self._dry.start(emit)

    def prepare(self, intents: Sequence[OrderIntent]) -> None:
        """Nothing can be made ready for orders that go nowhere."""

    async def submit(self, intent: OrderIntent) -> None:
        """Write the order down and count it as filled at its mark."""
        await self._dry.submit(intent)

    def submit_all(self, intents: Sequence[OrderIntent]) -> Sequence[Submission]:
        """Submit the orders side by side."""
        return [self.submit(intent) for intent in intents]

    async def query(self, intent: OrderIntent) -> None:
        """Report an order of an earlier process as over: it was never sent."""
        await self._dry.query(intent)

    async def report_positions(self) -> None:
        """Report what was held at the start and this process's orders."""
        await self._dry.report_positions()

    async def read_markets(self) -> Mapping[str, Any]:
        """Return the venue's markets, read anew, as ccxt describes them."""
        await self._client.load_markets(self._facts.limits.costs[Ask.MARKETS])
        return self._client.markets

    async def close(self) -> None:
        """Give up every connection; may be called twice."""
        await self._client.close()
