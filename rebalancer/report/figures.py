"""The figures of a report: one fund's, and all of them with where they come from.

`Report.document` is the JSON of a report, version 1: ratios as parts of one, `_bp` in basis points,
amounts in quote currency, times in ISO 8601; numbers are text, None where nothing can be told.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from rebalancer.core.fund import Fund
from rebalancer.core.instant import iso
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ONE, ZERO, text, text_or_none, total
from rebalancer.report.decay import Decay, decay_of
from rebalancer.report.risk import (
    Band,
    Drawdown,
    Turnover,
    Within,
    band_of,
    drawdowns,
    turnover,
    within,
    worst_slippage,
)
from rebalancer.report.story import RunTold, Story
from rebalancer.report.tracking import CAUSES, YEAR_DAYS, Day, Tracking, days_of, tracking_of

VERSION = 1
WORST = 10


@dataclass(frozen=True)
class FundFigures:
    """One fund: its story and what follows from it, worked out when it is asked for."""

    story: Story

    @property
    def fund(self) -> Fund:
        """The fund as it was configured."""
        return self.story.fund

    @property
    def name(self) -> str:
        """The fund's name."""
        return self.fund.name

    @property
    def begin_ms(self) -> int:
        """When the fund is first known."""
        return self.story.samples[0].at_ms

    @property
    def end_ms(self) -> int:
        """When it is last known."""
        return self.story.samples[-1].at_ms

    @property
    def final_nav(self) -> Decimal:
        """The last account NAV, never under zero."""
        return max(ZERO, self.story.samples[-1].nav)

    @property
    def total_return(self) -> Decimal:
        """Return of the account NAV from first to last."""
        return self.final_nav / self.story.samples[0].nav - ONE

    @cached_property
    def days(self) -> list[Day]:
        """Days between daily NAVs."""
        return days_of(self.fund, self.story.strikes)

    @cached_property
    def tracking(self) -> Tracking | None:
        """Tracking over all days; None under two."""
        return tracking_of(self.days)

    @property
    def mean_bp(self) -> Decimal | None:
        """Mean tracking difference in basis points a day."""
        return None if self.tracking is None else self.tracking.mean_bp

    @property
    def error_bp(self) -> Decimal | None:
        """Tracking error in basis points a day."""
        return None if self.tracking is None else self.tracking.error_bp

    @property
    def outside(self) -> Decimal | None:
        """Share of time outside the band."""
        return None if self.within is None else self.within.outside

    @property
    def turnover_a_year(self) -> Decimal | None:
        """What was traded a year, in multiples of mean equity."""
        return None if self.turnover is None else self.turnover.a_year

    @cached_property
    def decay(self) -> Decay | None:
        """What volatility took; None without a day."""
        return decay_of(self.fund.target_leverage, self.days)

    @cached_property
    def band(self) -> Band | None:
        """The band of leverage, where a rule implies one."""
        return band_of(self.fund)

    @cached_property
    def within(self) -> Within | None:
        """How leverage kept to the band."""
        return None if self.band is None else within(self.band, self.story.samples)

    @cached_property
    def turnover(self) -> Turnover | None:
        """What was traded against equity."""
        return turnover(self.story.runs, self.story.strikes)

    @cached_property
    def drawdowns(self) -> list[Drawdown]:
        """The deepest falls."""
        return drawdowns(self.story.samples)

    @cached_property
    def worst_runs(self) -> list[RunTold]:
        """The rebalances whose slippage took most of the fund."""
        return worst_slippage(self.story.runs, WORST)

    @cached_property
    def worst_days(self) -> list[Day]:
        """The days on which the underlying moved most."""
        return sorted(self.days, key=lambda day: -abs(day.underlying))[:WORST]

    def runs_of(self, day: Day) -> list[RunTold]:
        """Return the rebalances that began within a day."""
        return [run for run in self.story.runs if day.begin_ms < run.at_ms <= day.end_ms]

    def runs_by_trigger(self) -> dict[str, int]:
        """Return how many rebalances each rule named."""
        counts = {str(trigger): 0 for trigger in Trigger}
        for run in self.story.runs:
            counts[str(run.trigger)] += 1
        return {trigger: count for trigger, count in counts.items() if count}

    def parts_a_year(self) -> dict[str, Decimal]:
        """Return what each cause took or brought a year, as a part of the NAV of each day."""
        if not self.days:
            return dict.fromkeys(CAUSES, ZERO)
        return {
            cause: total(day.parts[cause] for day in self.days) / len(self.days) * YEAR_DAYS
            for cause in CAUSES
        }

    def samples_document(self) -> list[dict[str, Any]]:
        """Return NAV and leverage at every instant that is known."""
        return [
            {
                "at": iso(each.at_ms),
                "nav": text_or_none(each.nav),
                "formula_nav": text_or_none(each.formula_nav),
                "leverage": text_or_none(each.leverage),
            }
            for each in self.story.samples
        ]

    def document(self) -> dict[str, Any]:
        """Return the figures as the report's JSON has them."""
        tracking, kept, turned = self.tracking, self.within, self.turnover
        decay, band = self.decay, self.band
        return {
            "target_leverage": text(self.fund.target_leverage),
            "from": iso(self.begin_ms),
            "to": iso(self.end_ms),
            "final_nav": text_or_none(self.final_nav),
            "return": text_or_none(self.total_return),
            "wiped_at": iso(self.story.wiped.at_ms) if self.story.wiped else None,
            "tracking": tracking and _tracking(tracking),
            "band": band
            and {
                "lower": text_or_none(band.lower),
                "upper": text_or_none(band.upper),
                "source": band.source,
            },
            "leverage": kept and _within(kept),
            "turnover": turned
            and {
                "traded": text_or_none(turned.traded),
                "of_mean_equity": text_or_none(turned.of_equity),
                "a_year": text_or_none(turned.a_year),
            },
            "rebalances": self.runs_by_trigger(),
            "worst_slippage": [run_document(run) for run in self.worst_runs],
            "decay": decay
            and {
                "volatility": text_or_none(decay.volatility),
                "closed_form_log": text_or_none(decay.closed_form[-1]),
                "promised_log": text_or_none(decay.promised[-1]),
                "nav_log": text_or_none(decay.nav[-1]),
            },
            "drawdowns": [_drawdown(each) for each in self.drawdowns],
            "worst_days": [day_document(day) for day in self.worst_days],
            "premiums": [
                {
                    "at": iso(each.at_ms),
                    "stage": str(each.stage),
                    "market": each.market,
                    "price": text_or_none(each.price),
                    "nav": text_or_none(each.nav),
                    "premium": text_or_none(each.premium),
                }
                for each in self.story.premiums
            ],
        }


@dataclass(frozen=True)
class Report:
    """A report: its funds, and in sentences where its figures come from."""

    title: str
    funds: Sequence[FundFigures]
    #: as a reader needs to judge the figures: files or store, spacing, costs assumed
    sources: Sequence[str]
    version: str

    @property
    def begin_ms(self) -> int:
        """The first instant of any fund."""
        return min(fund.begin_ms for fund in self.funds)

    @property
    def end_ms(self) -> int:
        """The last instant of any fund."""
        return max(fund.end_ms for fund in self.funds)

    def document(self) -> dict[str, Any]:
        """Return the report as JSON, version 1."""
        return {
            "version": VERSION,
            "title": self.title,
            "program": self.version,
            "sources": [*self.sources],
            "funds": {fund.name: fund.document() for fund in self.funds},
        }


def told_funds(stories: Mapping[str, Story]) -> list[FundFigures]:
    """Return the figures of every fund of which anything is known."""
    return [FundFigures(story) for story in stories.values() if story.samples]


def run_document(run: RunTold) -> dict[str, Any]:
    """Return one rebalance as JSON and CSV have it."""
    return {
        "at": iso(run.at_ms),
        "trigger": str(run.trigger),
        "status": str(run.status),
        "leverage_before": text_or_none(run.leverage_before),
        "leverage_after": text_or_none(run.leverage_after),
        "traded": text_or_none(run.traded),
        "fees": text_or_none(run.fees),
        "slippage": text_or_none(run.slippage),
        "slippage_bp_of_traded": text_or_none(run.slippage_bp_of_traded),
        "slippage_bp_of_nav": text_or_none(run.slippage_bp_of_nav),
        "reason": run.reason,
    }


def day_document(day: Day) -> dict[str, Any]:
    """Return one day as JSON and CSV have it."""
    return {
        "from": iso(day.begin_ms),
        "to": iso(day.end_ms),
        "underlying": text_or_none(day.underlying),
        "promised": text_or_none(day.promised),
        "nav": text_or_none(day.nav),
        "formula_nav": text_or_none(day.formula_nav),
        "difference": text_or_none(day.difference),
        **{cause: text_or_none(part) for cause, part in day.parts.items()},
    }


def months_of(days: Sequence[Day], runs: Sequence[RunTold]) -> dict[str, Decimal]:
    """Return what was traded in each calendar month (UTC), as a multiple of equity at each run.

    Months without a run have 0.
    """
    found = dict.fromkeys((iso(day.end_ms)[:7] for day in days), ZERO)
    for month, made in itertools.groupby(runs, key=lambda run: iso(run.at_ms)[:7]):
        if month in found:
            found[month] += total(run.traded / run.equity for run in made if run.equity > 0)
    return found


def _tracking(tracking: Tracking) -> dict[str, Any]:
    return {
        "days": tracking.days,
        "mean_bp": text_or_none(tracking.mean_bp),
        "error_bp": text_or_none(tracking.error_bp),
        "mean_parts_bp": {key: text(part) for key, part in tracking.mean_parts_bp.items()},
        "error_parts_bp": {
            key: text_or_none(part) for key, part in tracking.error_parts_bp.items()
        },
    }


def _within(kept: Within) -> dict[str, Any]:
    return {
        "outside": text_or_none(kept.outside),
        "below": text_or_none(kept.below),
        "above": text_or_none(kept.above),
        "lowest": text_or_none(kept.lowest),
        "highest": text_or_none(kept.highest),
        "spacing_ms": kept.spacing_ms,
    }


def _drawdown(fall: Drawdown) -> dict[str, Any]:
    return {
        "depth": text_or_none(fall.depth),
        "peak": iso(fall.peak_ms),
        "trough": iso(fall.trough_ms),
        "recovered": None if fall.recovered_ms is None else iso(fall.recovered_ms),
    }
