"""The market as the desk knows it: the newest price of each contract, and how far to trust it.

Prices are volatile: they are not recorded, and a desk that starts knows none.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from decimal import Decimal

from rebalancer.core.events import PriceTick
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import SECOND_MS, duration

#: a price from further ahead of our clock than this is refused
FUTURE_TOLERANCE_MS = SECOND_MS
#: digits of a price before the point or behind it; what lies beyond, such as the largest float, is
#: some venue's word for none
_DIGITS_MAX = 24
#: two opinions on a price agree when they are this near to each other, in time and in value
AGREEMENT_MS = 10 * SECOND_MS
AGREEMENT = Decimal("0.01")
#: the calm range begins so far under a price, and is so wide as a share of where it begins: a hair
#: less than the agreement, so that no rounding of the two edges makes it wider than that
_CALM_BELOW = Decimal("0.995")
_CALM_WIDTH = Decimal("1.00999")

Key = tuple[str, PriceSource]


@dataclass(slots=True)
class Quote:
    """The newest price of one source, and how steadily it came there."""

    price: Decimal
    at_ms: int
    #: ticks since the price last jumped by more than the agreement
    steady_ticks: int = 1
    #: venue time between this tick and the one before
    gap_ms: int = 0
    #: a snapshot or history: beyond doubt
    trusted: bool = False
    #: any two prices in this open range are near each other: while prices stay in it, that takes
    #: two comparisons instead of arithmetic. It is set around the first price that left the last.
    calm_low: Decimal = field(init=False)
    calm_high: Decimal = field(init=False)

    def __post_init__(self) -> None:
        self.calm()

    def calm(self) -> None:
        """Set the calm range around the price."""
        self.calm_low = self.price * _CALM_BELOW
        self.calm_high = self.calm_low * _CALM_WIDTH


def near(one: Decimal, other: Decimal) -> bool:
    """Whether two prices agree within 1 % of the second."""
    return abs(one - other) <= AGREEMENT * other


@dataclass(slots=True)
class Market:
    """Quotes by contract and source."""

    contracts: frozenset[str]
    quotes: dict[Key, Quote] = field(default_factory=dict)
    #: keys whose last tick was refused, so that an alert is raised once
    refusing: dict[Key, str] = field(default_factory=dict)

    def observe(self, tick: PriceTick, now_ms: int, *, trusted: bool) -> str | None:
        """Take a tick; return why it was refused, or None when it is now the newest price."""
        key = (tick.contract, tick.source)
        quote = self.quotes.get(key)
        price, at_ms = tick.price, tick.at_ms
        if (
            quote is None
            or self.refusing
            or not quote.at_ms <= at_ms <= now_ms + FUTURE_TOLERANCE_MS
            or not price.is_finite()  # what is not cannot be compared
            or not quote.calm_low < price < quote.calm_high
        ):
            return self._observe_doubtful(tick, quote, now_ms, trusted=trusted)
        # Nearly every tick comes this way, so it is the same as below in the fewest steps.
        if at_ms > quote.at_ms:
            quote.steady_ticks += 1
            quote.gap_ms = at_ms - quote.at_ms
            quote.at_ms = at_ms
        quote.price = price
        quote.trusted = trusted
        return None

    def _observe_doubtful(
        self, tick: PriceTick, quote: Quote | None, now_ms: int, *, trusted: bool
    ) -> str | None:
        """Take a tick that is refused, the first, or out of the calm range."""
        problem = self._problem(tick, quote, now_ms)
        if problem is not None:
            return problem
        key, price = (tick.contract, tick.source), tick.price
        self.refusing.pop(key, None)
        if quote is None:
            self.quotes[key] = Quote(price, tick.at_ms, trusted=trusted)
            return None
        if not near(price, quote.price):
            quote.steady_ticks = 1
        elif tick.at_ms > quote.at_ms:  # the same instant told twice is one opinion
            quote.steady_ticks += 1
            quote.gap_ms = tick.at_ms - quote.at_ms
        quote.price = price
        quote.at_ms = tick.at_ms
        quote.trusted = trusted
        quote.calm()
        return None

    def _problem(self, tick: PriceTick, quote: Quote | None, now_ms: int) -> str | None:
        if not tick.price.is_finite() or tick.price <= 0:
            return f"{tick.price} is not a price"
        if abs(tick.price.adjusted()) > _DIGITS_MAX:
            return f"{tick.price:e} is no price that anything has"
        if tick.at_ms > now_ms + FUTURE_TOLERANCE_MS:
            return f"it is {duration(tick.at_ms - now_ms)} from the future"
        if quote is None:
            if tick.contract not in self.contracts:
                return "no fund holds this contract"
        elif tick.at_ms < quote.at_ms:
            return f"it is {duration(quote.at_ms - tick.at_ms)} older than the one before"
        return None

    def forget_after(self, at_ms: int) -> None:
        """Forget prices that are from later: none would be newer until the clock is there again."""
        self.quotes = {key: each for key, each in self.quotes.items() if each.at_ms <= at_ms}

    def price(self, symbol: str, source: PriceSource) -> Decimal | None:
        """Return the newest price, however old; None when there was never one."""
        quote = self.quotes.get((symbol, source))
        return quote.price if quote else None

    def age_ms(self, symbol: str, source: PriceSource, now_ms: int) -> int | None:
        """Return how old the newest price is by its venue's stamp."""
        quote = self.quotes.get((symbol, source))
        return now_ms - quote.at_ms if quote else None

    def fresh(self, symbol: str, source: PriceSource, now_ms: int, limit_ms: int | None) -> bool:
        """Whether a price came and is no older than `limit_ms`; of any age without a limit."""
        age_ms = self.age_ms(symbol, source, now_ms)
        return age_ms is not None and (limit_ms is None or age_ms <= limit_ms)

    def second_source_agrees(self, symbol: str, source: PriceSource) -> bool:
        """Whether another source says the same within 1 % and 10 s, or the price is trusted."""
        quote = self.quotes.get((symbol, source))
        if quote is None:
            return False
        if quote.trusted:
            return True
        for other in PriceSource:
            second = self.quotes.get((symbol, other)) if other is not source else None
            if (
                second is not None
                and abs(second.at_ms - quote.at_ms) <= AGREEMENT_MS
                and near(second.price, quote.price)
            ):
                return True
        return False

    def steady(self, symbol: str, source: PriceSource, ticks: int = 2) -> bool:
        """Whether the price confirmed itself: so many near ticks within 10 s, or one more."""
        quote = self.quotes.get((symbol, source))
        if quote is None:
            return False
        if ticks <= 1 or (quote.steady_ticks >= ticks and quote.gap_ms <= AGREEMENT_MS):
            return True
        return quote.steady_ticks > ticks

    def confirmed(self, symbol: str, source: PriceSource, ticks: int = 2) -> bool:
        """Whether a second source agrees on the price, or so many ticks of its own do."""
        return self.second_source_agrees(symbol, source) or self.steady(symbol, source, ticks)


@dataclass(slots=True)
class Suspicion:
    """Ticks in a row beyond one trigger of one fund, until they confirm it (spec section 3)."""

    #: level of the basket, relative to the rebalancing point, at the last counted tick
    level: Decimal
    #: venue time of the last counted tick, of the newest one in a basket
    at_ms: int
    count: int = 1
    confirmed: bool = False

    def count_tick(
        self, level: Decimal, stamps_ms: Collection[int], *, falling: bool, ticks_needed: int
    ) -> None:
        """Count a tick beyond the trigger, if its venue time is later than the last one's.

        A basket ticked when all its members did: one wild member is not confirmed by the others.
        The tick that completes `ticks_needed` must come within 10 s and be near the previous one
        or further beyond the trigger; one tick more confirms in any case.
        """
        if self.confirmed or min(stamps_ms) <= self.at_ms:
            return
        at_ms = max(stamps_ms)
        in_time = at_ms - self.at_ms <= AGREEMENT_MS
        further = level < self.level if falling else level > self.level
        agrees = in_time and (further or near(level, self.level))
        self.count += 1
        self.level, self.at_ms = level, at_ms
        self.confirmed = self.count > ticks_needed or (self.count == ticks_needed and agrees)
