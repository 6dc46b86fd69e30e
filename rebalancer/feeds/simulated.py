"""A market that does not exist: seeded prices and funding for the demo and for tests.

Index prices walk geometrically, tied together by one common factor, with a market-wide jump now
and then. The mark is the index plus a basis that is pulled back to its mean (Ornstein-Uhlenbeck),
and funding is what that basis was on average since the last settlement, as venues compute it.
Floating point stays inside this file: every number that leaves it was rounded and written as text.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from rebalancer.clock import sleep_until
from rebalancer.core.contract import Contract
from rebalancer.core.events import PricesObserved, PriceTick
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS
from rebalancer.core.money import number, positive
from rebalancer.errors import InputRefused
from rebalancer.feeds.pace import AheadSink, FundingAhead, FundingDue, FundingSink
from rebalancer.ports import Clock

FUNDING_INTERVAL_MS = 8 * HOUR_MS
#: how often what is expected of the next settlement is told
AHEAD_EVERY_MS = MINUTE_MS

_YEAR_MS = 365 * DAY_MS
_BASIS_MEAN = 1e-4
_BASIS_DEVIATION = 2e-4
_BASIS_MEMORY_MS = HOUR_MS
#: the widest funding that BTC perpetuals paid from 2019 to 2022, per eight hours
_MOST_FUNDING = 0.003
_MOST_VOLATILITY = Decimal(5)
#: a feed that fell further behind (a suspended machine) takes one long step, then these
_MOST_STEPS_BEHIND = 10_000
_STEPS_PER_BREATH = 256


@dataclass(frozen=True, slots=True)
class Quote:
    """The two prices of a contract, in quote currency."""

    mark: Decimal
    index: Decimal


class MarketStep(NamedTuple):
    """Where the market stands after a step, and the funding that fell due on the way."""

    at_ms: int
    quotes: Mapping[str, Quote]
    funding: tuple[FundingDue, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One contract of the market; prices are rounded to its tick, or to 8 significant digits."""

    contract: Contract
    start_price: Decimal
    #: standard deviation of the logarithmic return over a year, jumps apart; at most 5
    annual_volatility: Decimal = Decimal("0.6")
    #: correlation with the common factor, 0 to 1; two coins correlate by the product of theirs
    correlation: Decimal = Decimal("0.85")
    #: standard deviation of one jump's logarithmic size
    jump_size: Decimal = Decimal("0.03")

    def __post_init__(self) -> None:
        what = f"market {self.contract.symbol}"
        positive(self.start_price, f"{what}: start_price")
        for name, most in (
            ("annual_volatility", _MOST_VOLATILITY),
            ("correlation", Decimal(1)),
            ("jump_size", Decimal(1)),
        ):
            if not 0 <= number(getattr(self, name), f"{what}: {name}") <= most:
                raise InputRefused(f"{what}: {name} must lie between 0 and {most}")


class _Walk:
    """The state of one instrument, in floating point."""

    def __init__(self, instrument: Instrument) -> None:
        self.symbol = instrument.contract.symbol
        self.tick = instrument.contract.tick
        self.log_index = math.log(instrument.start_price)
        self.volatility = float(instrument.annual_volatility)
        self.shared = float(instrument.correlation)
        self.own = math.sqrt(1 - self.shared**2)
        self.jump_size = float(instrument.jump_size)
        self.basis = _BASIS_MEAN
        self.basis_sum = 0.0

    def move(self, common: float, own: float, years: float) -> None:
        """Diffuse over `years`; the drift makes the price its own expectation."""
        shock = self.shared * common + self.own * own
        variance = self.volatility**2 * years
        self.log_index += math.sqrt(variance) * shock - variance / 2

    def jump(self, common: float, own: float) -> None:
        """Jump at once, with the market as far as it is correlated."""
        self.log_index += self.jump_size * (self.shared * common + self.own * own)

    def pull_basis(self, shock: float, length_ms: int) -> None:
        """Let the basis forget and wander over `length_ms`, and add it to its average."""
        kept = math.exp(-length_ms / _BASIS_MEMORY_MS)
        self.basis = (
            _BASIS_MEAN
            + (self.basis - _BASIS_MEAN) * kept
            + _BASIS_DEVIATION * math.sqrt(1 - kept**2) * shock
        )
        self.basis_sum += self.basis * length_ms

    def quote(self) -> Quote:
        """Return mark and index, rounded."""
        index = math.exp(self.log_index)
        return Quote(_rounded(index * (1 + self.basis), self.tick), _rounded(index, self.tick))


class Market:
    """Seeded prices of several contracts: the same seed and the same steps give the same prices.

    `jumps_per_day` is the mean number of market-wide jumps.
    """

    def __init__(
        self,
        seed: int,
        instruments: Sequence[Instrument],
        *,
        start_ms: int,
        jumps_per_day: Decimal = Decimal("0.5"),
    ) -> None:
        """Stand at the start prices at `start_ms`; a contract named twice raises InputRefused."""
        self._random = random.Random(seed)  # noqa: S311 - a simulation wants to be repeatable
        self._walks = [_Walk(instrument) for instrument in instruments]
        if len({walk.symbol for walk in self._walks}) < len(self._walks):
            raise InputRefused("market: a contract is listed twice")
        if number(jumps_per_day, "market: jumps_per_day") < 0:
            raise InputRefused("market: jumps_per_day must not be negative")
        self._jumps_per_ms = float(jumps_per_day) / DAY_MS
        self._to_jump_ms = self._draw_jump()
        self._at_ms = start_ms
        self._settled_ms = start_ms

    @property
    def at_ms(self) -> int:
        """The instant the market stands at."""
        return self._at_ms

    def quotes(self) -> dict[str, Quote]:
        """Return the present prices by contract."""
        return {walk.symbol: walk.quote() for walk in self._walks}

    def step(self, dt_ms: int) -> MarketStep:
        """Move on by `dt_ms` (above zero), settling funding at each multiple of 8 h in UTC."""
        if dt_ms <= 0:
            raise InputRefused(f"market: a step of {dt_ms} ms leads nowhere")
        end_ms = self._at_ms + dt_ms
        funding: list[FundingDue] = []
        while (due_ms := _next_funding(self._at_ms)) <= end_ms:
            self._walk(due_ms - self._at_ms)
            funding.extend(self._settle())
        if end_ms > self._at_ms:
            self._walk(end_ms - self._at_ms)
        return MarketStep(self._at_ms, self.quotes(), tuple(funding))

    def ahead(self) -> tuple[FundingAhead, ...]:
        """Return what the next settlement would cost if the basis stayed what it was on average."""
        due_ms = _next_funding(self._at_ms)
        elapsed_ms = self._at_ms - self._settled_ms
        return tuple(
            FundingAhead(
                walk.symbol,
                _rate(walk.basis_sum / elapsed_ms if elapsed_ms else walk.basis),
                due_ms - FUNDING_INTERVAL_MS,
                due_ms,
            )
            for walk in self._walks
        )

    def _walk(self, length_ms: int) -> None:
        gauss = self._random.gauss
        common = gauss(0.0, 1.0)
        for walk in self._walks:
            walk.move(common, gauss(0.0, 1.0), length_ms / _YEAR_MS)
            walk.pull_basis(gauss(0.0, 1.0), length_ms)
        self._to_jump_ms -= length_ms
        while self._to_jump_ms <= 0:
            self._to_jump_ms += self._draw_jump()
            common = gauss(0.0, 1.0)
            for walk in self._walks:
                walk.jump(common, gauss(0.0, 1.0))
        self._at_ms += length_ms

    def _settle(self) -> list[FundingDue]:
        elapsed_ms = self._at_ms - self._settled_ms
        self._settled_ms = self._at_ms
        paid = []
        for walk in self._walks:
            mean_basis = walk.basis_sum / elapsed_ms
            walk.basis_sum = 0.0
            due = FundingDue(self._at_ms, walk.symbol, _rate(mean_basis), walk.quote().mark)
            paid.append(due)
        return paid

    def _draw_jump(self) -> float:
        return self._random.expovariate(self._jumps_per_ms) if self._jumps_per_ms else math.inf


class SimulatedFeed:
    """Plays a market on a fixed grid of ticks, each with a mark and an index price.

    Two sources per contract let the desk confirm a price at once. The market only ever takes steps
    of one tick interval, so a late loop skips ticks but does not change the prices of the others.
    """

    def __init__(
        self,
        market: Market,
        clock: Clock,
        tick_interval_ms: int,
        on_funding: FundingSink | None = None,
        on_ahead: AheadSink | None = None,
    ) -> None:
        """Take what to play; funding goes to `on_funding` before the prices that follow it.

        What is expected of the next settlement goes to `on_ahead` each minute, before the prices.
        """
        if tick_interval_ms <= 0:
            raise InputRefused(f"market: a tick interval of {tick_interval_ms} ms is not above 0")
        self._market = market
        self._clock = clock
        self._interval_ms = tick_interval_ms
        self._on_funding = on_funding
        self._on_ahead = on_ahead
        self._ahead_ms = market.at_ms
        self._closed = False

    async def prices(self) -> AsyncIterator[PricesObserved]:
        """Yield the newest prices at each tick until the feed is closed."""
        await sleep_until(self._clock, self._market.at_ms)
        while not self._closed:
            await self._catch_up()
            self._look_ahead()
            yield self._observed()
            await sleep_until(self._clock, self._market.at_ms + self._interval_ms)

    async def close(self) -> None:
        """End the play; may be called twice."""
        self._closed = True

    async def _catch_up(self) -> None:
        behind = (self._clock.now_ms() - self._market.at_ms) // self._interval_ms
        if behind > _MOST_STEPS_BEHIND:
            self._step((behind - _MOST_STEPS_BEHIND) * self._interval_ms)
        for count in range(min(behind, _MOST_STEPS_BEHIND)):
            self._step(self._interval_ms)
            if count % _STEPS_PER_BREATH == 0:
                await asyncio.sleep(0)

    def _step(self, dt_ms: int) -> None:
        for paid in self._market.step(dt_ms).funding:
            if self._on_funding is not None:
                self._on_funding(paid)

    def _look_ahead(self) -> None:
        if self._on_ahead is None or self._market.at_ms < self._ahead_ms:
            return
        self._ahead_ms = self._market.at_ms + AHEAD_EVERY_MS
        for ahead in self._market.ahead():
            self._on_ahead(ahead)

    def _observed(self) -> PricesObserved:
        at_ms = self._market.at_ms
        ticks: list[PriceTick] = []
        for contract, quote in self._market.quotes().items():
            ticks.append(PriceTick(contract, PriceSource.MARK, quote.mark, at_ms))
            ticks.append(PriceTick(contract, PriceSource.INDEX, quote.index, at_ms))
        return PricesObserved(self._clock.now_ms(), tuple(ticks))


def _next_funding(at_ms: int) -> int:
    return (at_ms // FUNDING_INTERVAL_MS + 1) * FUNDING_INTERVAL_MS


def _rate(basis: float) -> Decimal:
    return Decimal(f"{max(-_MOST_FUNDING, min(_MOST_FUNDING, basis)):.8f}")


def _rounded(value: float, tick: Decimal) -> Decimal:
    if not tick:
        return Decimal(f"{value:.8g}")
    return max((Decimal(f"{value:.17g}") / tick).to_integral_value(), Decimal(1)) * tick
