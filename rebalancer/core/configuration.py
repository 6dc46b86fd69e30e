"""The configuration that a fund runs on: which one it was, and one that waits to take its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from rebalancer.core.fund import Fund, PriceSource
from rebalancer.core.record import Record


@dataclass(frozen=True, slots=True)
class ConfigurationChanged(Record):
    """An operator's new configuration was taken over by a running desk."""

    #: SHA-256 (hex) of the configuration before, and of the one from now on
    before: str
    digest: str
    #: one line for each setting that differs: key, value before, value now, when it counts
    differences: tuple[str, ...]
    #: funds that keep their settings of before until a `FundReconfigured` of theirs
    waiting: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FundReconfigured(Record):
    """From here on everything that the desk decides for the fund follows this configuration."""

    fund: str
    digest: str


@dataclass(frozen=True, slots=True)
class SourceChanged(Record):
    """The formula NAV follows prices of another source from here on, from where it stood."""

    fund: str
    source: PriceSource
    #: by contract, its price over that of the source before: the prices of the point times this
    #: are told by the new source
    factors: Mapping[str, Decimal]


RECORDS: tuple[type[Record], ...] = (ConfigurationChanged, FundReconfigured, SourceChanged)


@dataclass(frozen=True, slots=True)
class Renewal:
    """A start with other settings than before it; nothing on record says what those were."""

    at_ms: int
    #: the newest record before it: the desk was alive then
    alive_ms: int

    def brought(self, settled_by_ms: int) -> bool:
        """Whether a schedule is new that has an instant which nobody settled.

        Had it been in force, the desk would have settled it by `settled_by_ms` while it was alive.
        """
        return settled_by_ms <= self.alive_ms


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a fund becomes once it may: whole, so that it never runs on a mixture."""

    fund: Fund
    digest: str
    #: it waits for the next time a rule asks for a run, not only for the end of one under way
    for_point: bool
