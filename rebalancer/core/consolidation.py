"""Consolidation: fewer shares of a higher NAV (a merge), or its mirror, the split (spec section 5).

The equity does not change: NAV x shares before is NAV x shares after. What a holder's fraction
becomes is the share register's business; here are the shares outstanding.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from rebalancer.core.instant import DAY_MS
from rebalancer.core.money import ONE, ZERO, trunc_to_places
from rebalancer.errors import ConfigRefused

LADDER = (10, 20, 50, 100, 1_000, 10_000)


class ConversionKind(StrEnum):
    """Which way shares are converted."""

    MERGE = "merge"  # ratio old shares become one
    SPLIT = "split"  # one old share becomes ratio


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A merge of `ratio` shares into one, or a split of one into `ratio`."""

    kind: ConversionKind
    ratio: int

    def shares(self, before: Decimal) -> Decimal:
        """Return the shares that `before` become, cut at 18 decimals where they do not end."""
        if self.kind is ConversionKind.SPLIT:
            return before * self.ratio
        return trunc_to_places(before / self.ratio)

    @property
    def words(self) -> str:
        """Write it as operators do: "merge 10:1", "split 1:10"."""
        if self.kind is ConversionKind.MERGE:
            return f"merge {self.ratio}:1"
        return f"split 1:{self.ratio}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """A conversion that holders were told of."""

    conversion: Conversion
    #: from here until it is done no flow is dealt
    freeze_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Consolidation:
    """When shares are converted, and by how much."""

    #: NAV strictly under which a merge is proposed, and strictly above which a split is
    below: Decimal | None = None
    above: Decimal | None = None
    #: the ratios to choose from, ascending
    ladder: tuple[int, ...] = LADDER
    #: what a merge has to lift the NAV to, at least
    restore: Decimal = Decimal("0.1")
    #: between the announcement and the freeze
    notice_ms: int = DAY_MS
    #: whether a proposal announces itself
    auto: bool = False

    def refuse_impossible(self, where: str) -> None:
        """Raise ConfigRefused with the reason when this could not come to rest."""
        if not self.ladder or min(self.ladder) < 2:
            raise ConfigRefused(f"{where}.ladder: name ratios of 2 and more")
        if list(self.ladder) != sorted(set(self.ladder)):
            raise ConfigRefused(f"{where}.ladder: the ratios must ascend")
        if self.below is not None and self.restore < self.below:
            raise ConfigRefused(
                f"{where}.restore: {self.restore} is under below, {self.below}: the next merge "
                "would follow at once"
            )
        if self.above is not None:
            floor = max(self.restore, self.below or ZERO) * self.ladder[0]
            if self.above < floor:
                raise ConfigRefused(
                    f"{where}.above: {self.above} must be at least {floor}, or a split could lead "
                    "under the NAV that a merge restores"
                )

    def proposal(self, nav: Decimal) -> Conversion | None:
        """Return what the NAV asks for; None inside the thresholds, and for a NAV of nothing.

        A merge takes the smallest ratio that lifts the NAV to `restore`, a split the smallest that
        brings it down to `above`; where none does, the largest there is.
        """
        if self.below is not None and ZERO < nav < self.below:
            enough = (ratio for ratio in self.ladder if nav * ratio >= self.restore)
            return Conversion(kind=ConversionKind.MERGE, ratio=next(enough, self.ladder[-1]))
        if self.above is not None and nav > self.above:
            enough = (ratio for ratio in self.ladder if nav / ratio <= self.above)
            return Conversion(kind=ConversionKind.SPLIT, ratio=next(enough, self.ladder[-1]))
        return None


def scale(shares_before: Decimal, shares_after: Decimal) -> Decimal:
    """Return what every amount per share is multiplied with; both are above zero."""
    return ONE * shares_before / shares_after
