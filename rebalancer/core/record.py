"""What every record has: the time it was made, and the key that makes it unique, if it has one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Record:
    """A fact; `at_ms` is the time of the event that led to it."""

    at_ms: int

    @property
    def key(self) -> str | None:
        """What may exist only once, or None."""
        return None

    @property
    def made_ms(self) -> int:
        """When what it tells came to be: a trade is told later than its venue made it."""
        return self.at_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced(Record):
    """A record of what a fund was worth, with the prices that it was worth that at."""

    #: by contract, of all that counted; empty in records of before
    marks: Mapping[str, Decimal] = field(default_factory=dict)
    #: of the fund's own source; empty where the marks say the same
    prices: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def own_prices(self) -> Mapping[str, Decimal]:
        """Prices of the fund's own source, by contract."""
        return self.prices or self.marks
