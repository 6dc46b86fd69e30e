"""One account at a real exchange, behind the venue port: our facts and transport, ccxt's words."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import structlog

from rebalancer.core.contract import Contract
from rebalancer.core.events import PositionsReported
from rebalancer.core.fund import Account
from rebalancer.core.money import ZERO, number
from rebalancer.core.order import OrderIntent
from rebalancer.errors import ConfigRefused, VenueUnavailable
from rebalancer.exchanges import contract_of, nearest, open_exchange
from rebalancer.ports import Clock, Emit
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.exchange_orders import ExchangeOrders
from rebalancer.venues.facts import FACTS, VenueFacts
from rebalancer.venues.facts_shape import Ask, Unit
from rebalancer.venues.rates import Budget, Limiter
from rebalancer.venues.transport import Transport

_log = structlog.get_logger(__name__)

REQUEST_SECONDS = 10.0
#: the venue's clock is asked this often, and the median counts
CLOCK_SAMPLES = 5
#: a clock further off than this must be mended, not corrected for
CLOCK_OFFSET_MS_MAX = 60_000
#: an answer without positions is believed when a second one agrees, this much later
EMPTY_AGAIN_SECONDS = 0.5


def facts_of(venue_id: str) -> VenueFacts:
    """Return the row of `venue_id`; a venue without one is refused with the nearest name."""
    facts = FACTS.get(venue_id)
    if facts is None:
        known = ", ".join(FACTS)
        raise ConfigRefused(
            f"venue {venue_id!r} cannot be traded on{nearest(venue_id, FACTS)}; known are {known}"
        )
    return facts


def open_client(facts: VenueFacts, keys: Mapping[str, str], clock: Clock) -> CcxtClient:
    """Return a client of the venue with `keys` by ccxt's names: apiKey, secret, password, ..."""
    exchange = open_exchange(facts.venue_id)
    for name, key in keys.items():
        setattr(exchange, name, key)
    exchange.options.update(facts.presets)
    for method in facts.silenced:
        setattr(exchange, method, _nothing)
    limiter = Limiter(Budget(facts.limits.rate_windows), clock.now_ms)
    return CcxtClient(exchange, Transport(REQUEST_SECONDS), limiter, facts.limits.counters)


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
    ) -> None:
        self._account = account
        self._client = client
        self._contracts = contracts
        self._clock = clock
        self._facts = facts_of(account.venue)
        self._orders = ExchangeOrders(client, self._facts, contracts, clock)
        self._emit: Emit | None = None
        self.clock_offset_ms = 0

    async def start(self, emit: Emit) -> None:
        """Load markets, measure the clock, check modes; every answer asked for before any order.

        Raises ConfigRefused with the remedy where the account is not as configured.
        """
        self._emit = emit
        await self._client.load_markets(self._facts.limits.costs[Ask.MARKETS])
        self._refuse_other_contracts()
        await self._measure_clock()
        await self._refuse_other_position_mode()

    async def submit(self, intent: OrderIntent) -> None:
        """Send the order once and emit what is proved of it."""
        await self._orders.submit(intent, self._tell)

    async def query(self, intent: OrderIntent) -> None:
        """Find out what became of the order and emit it."""
        await self._orders.query(intent, self._tell)

    async def report_positions(self) -> None:
        """Emit what the account holds; nothing when the venue does not answer."""
        try:
            units = await self._positions()
            if not units:
                # A venue under stress has answered with an empty list (docs/venues.md).
                await asyncio.sleep(EMPTY_AGAIN_SECONDS)
                units = await self._positions()
        except VenueUnavailable as outage:
            _log.warning("positions_unavailable", account=self._account.name, reason=str(outage))
            return
        self._tell(PositionsReported(self._clock.now_ms(), self._account.name, units))

    async def close(self) -> None:
        """Give up every connection; may be called twice."""
        await self._client.close()

    def _tell(self, event: Any) -> None:
        if self._emit is not None:
            self._emit(event)

    def _refuse_other_contracts(self) -> None:
        for symbol, contract in self._contracts.items():
            market = self._client.markets.get(symbol)
            if market is None:
                raise ConfigRefused(
                    f"{symbol}: {self._facts.venue_id} has no such contract"
                    f"{nearest(symbol, self._client.markets)}"
                )
            told = contract_of(market, self._facts.venue_id)
            for name in ("contract_size", "lot", "tick"):
                if getattr(told, name) != getattr(contract, name):
                    raise ConfigRefused(
                        f'contracts."{symbol}".{name}: the configuration says '
                        f"{getattr(contract, name)}, {self._facts.venue_id} says "
                        f"{getattr(told, name)}; take the lines away, the venue tells its own"
                    )

    async def _measure_clock(self) -> None:
        """Estimate the venue's clock: the median of five, each at half its round trip."""
        offsets = []
        for _ in range(CLOCK_SAMPLES):
            asked_ms = self._clock.now_ms()
            told = await self._client.ask(
                lambda exchange: exchange.fetch_time(), self._facts.limits.costs[Ask.PRICES]
            )
            answered_ms = self._clock.now_ms()
            offsets.append(int(told) - (asked_ms + answered_ms) // 2)
        self.clock_offset_ms = int(statistics.median(offsets))
        if abs(self.clock_offset_ms) > CLOCK_OFFSET_MS_MAX:
            raise ConfigRefused(
                f"the clock is {self.clock_offset_ms} ms off {self._facts.venue_id}'s: "
                "synchronise it (timedatectl set-ntp true) and start again"
            )
        self._client.correct_clock(self.clock_offset_ms)

    async def _refuse_other_position_mode(self) -> None:
        mode = self._facts.position_mode
        if not mode.read:
            return
        answer = await self._client.ask(
            lambda exchange: getattr(exchange, mode.read)(next(iter(self._contracts))),
            self._facts.limits.costs[Ask.SETTINGS],
        )
        hedged = bool(answer["hedged"])
        if hedged != self._account.hedge:
            raise ConfigRefused(
                f"accounts.{self._account.name}.hedge is {str(self._account.hedge).lower()}, the "
                f"account at {self._facts.venue_id} keeps {'two books' if hedged else 'one book'}; "
                "change the one or the other while nothing is held"
            )

    async def _positions(self) -> dict[str, Decimal]:
        answer = await self._client.ask(
            lambda exchange: exchange.fetch_positions(list(self._contracts)),
            self._facts.limits.costs[Ask.POSITIONS],
        )
        units: dict[str, Decimal] = {}
        for position in answer:
            symbol = position["symbol"]
            if symbol not in self._contracts or position.get("contracts") is None:
                continue
            size = number(position["contracts"], f"{symbol}: a position of the venue")
            if self._facts.units.position is Unit.CONTRACTS:
                size = self._contracts[symbol].units_in(size)
            signed = -abs(size) if position.get("side") == "short" else size
            units[symbol] = units.get(symbol, ZERO) + signed
        return {symbol: size for symbol, size in units.items() if size}
