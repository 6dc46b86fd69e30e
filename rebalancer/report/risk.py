"""Leverage in its band, drawdowns, and what was traded: figures of a story, unrounded."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from rebalancer.core.fund import Fund
from rebalancer.core.instant import DAY_MS
from rebalancer.core.money import ONE, ZERO, text, total
from rebalancer.report.story import RunTold, Sample, Strike
from rebalancer.report.tracking import YEAR_DAYS

YEAR_MS = YEAR_DAYS * DAY_MS


@dataclass(frozen=True, slots=True)
class Band:
    """Magnitudes of leverage that a fund is meant to stay between, and where they come from."""

    lower: Decimal
    upper: Decimal
    source: str


@dataclass(frozen=True, slots=True)
class Within:
    """How a fund's leverage kept to its band, as shares of the time that was looked at."""

    below: Decimal
    above: Decimal
    lowest: Decimal
    highest: Decimal
    #: the longest time between two looks, in milliseconds
    spacing_ms: int

    @property
    def outside(self) -> Decimal:
        """Share of time outside the band."""
        return self.below + self.above


def band_of(fund: Fund) -> Band | None:
    """Return the band of the fund's own rule, else the leverages at which its price rule stands.

    At a move r since the last point leverage is M (1 + r) / (1 + M r).
    """
    band, move = fund.methodology.leverage_band, fund.methodology.price_move
    if band is not None:
        return Band(band.lower, band.upper, "the fund's leverage band")
    if move is None:
        return None
    target = fund.target_leverage
    edges = [
        abs(target * (ONE + r) / (ONE + target * r)) for r in (move.threshold, -move.threshold)
    ]
    percent = text(move.threshold * 100)
    return Band(min(edges), max(edges), f"where the price has moved {percent} % either way")


def within(band: Band, samples: Sequence[Sample]) -> Within | None:
    """Weigh each sample with the time until the next; None where leverage was never known."""
    looked, below, above, spacing_ms = 0, 0, 0, 0
    sizes = []
    for sample, following in itertools.pairwise(samples):
        if sample.leverage is None:
            continue
        lasted_ms, size = following.at_ms - sample.at_ms, abs(sample.leverage)
        sizes.append(size)
        looked += lasted_ms
        spacing_ms = max(spacing_ms, lasted_ms)
        if size < band.lower:
            below += lasted_ms
        elif size > band.upper:
            above += lasted_ms
    if not looked:
        return None
    whole = Decimal(looked)
    return Within(below / whole, above / whole, min(sizes), max(sizes), spacing_ms)


@dataclass(frozen=True, slots=True)
class Drawdown:
    """A fall of the NAV from a peak until it stood there again."""

    #: as a part of the peak, from 0 to 1
    depth: Decimal
    peak_ms: int
    trough_ms: int
    #: None: not yet
    recovered_ms: int | None


def underwater(samples: Sequence[Sample]) -> list[Decimal]:
    """Return how far each NAV is under the highest before it: 0 to -1."""
    peak, found = ZERO, []
    for sample in samples:
        peak = max(peak, sample.nav)
        found.append(max(ZERO, sample.nav) / peak - ONE if peak else ZERO)
    return found


def drawdowns(samples: Sequence[Sample], count: int = 5) -> list[Drawdown]:
    """Return the deepest falls, the deepest first."""
    found: list[Drawdown] = []
    peak = trough = None
    for sample in samples:
        if peak is None or trough is None or sample.nav >= peak.nav:
            if peak is not None and trough is not None and trough.nav < peak.nav:
                depth = ONE - max(ZERO, trough.nav) / peak.nav
                found.append(Drawdown(depth, peak.at_ms, trough.at_ms, sample.at_ms))
            peak = trough = sample
        elif sample.nav < trough.nav:
            trough = sample
    if peak is not None and trough is not None and trough.nav < peak.nav:
        depth = ONE - max(ZERO, trough.nav) / peak.nav
        found.append(Drawdown(depth, peak.at_ms, trough.at_ms, None))
    return sorted(found, key=lambda fall: -fall.depth)[:count]


@dataclass(frozen=True, slots=True)
class Turnover:
    """What was traded, as a multiple of the fund's mean equity."""

    traded: Decimal
    of_equity: Decimal
    a_year: Decimal


def turnover(runs: Sequence[RunTold], strikes: Sequence[Strike]) -> Turnover | None:
    """Set what the runs traded against the mean equity at the daily NAVs; None without any."""
    positive = [strike.equity for strike in strikes if strike.equity > 0]
    if len(strikes) < 2 or not positive:
        return None
    traded = total(run.traded for run in runs)
    of_equity = traded / (total(positive) / len(positive))
    years = Decimal(strikes[-1].at_ms - strikes[0].at_ms) / YEAR_MS
    return Turnover(traded, of_equity, of_equity / years)


def worst_slippage(runs: Sequence[RunTold], count: int = 10) -> list[RunTold]:
    """Return the rebalances whose slippage took most of the fund, the worst first."""
    traded = [run for run in runs if run.slippage_bp_of_nav is not None and run.traded]
    return sorted(traded, key=lambda run: -(run.slippage_bp_of_nav or ZERO))[:count]
