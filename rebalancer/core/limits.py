"""May we: what is checked before an order leaves. A breach halts the fund; nothing is clamped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from rebalancer.core.fund import Account, Fund, Limits
from rebalancer.core.money import ZERO
from rebalancer.core.nav import Valuation
from rebalancer.core.run import Run
from rebalancer.errors import ensure

#: what sharing an order among funds may leave, in base coins
DUST = Decimal("1e-17")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One fund's part of an order about to be made."""

    #: signed base coins, at this mark
    units: Decimal
    mark: Decimal
    #: what the fund holds of the contract before, in signed base coins
    held: Decimal

    @property
    def notional(self) -> Decimal:
        """Size in quote currency at the mark."""
        return abs(self.units) * self.mark

    @property
    def reduces(self) -> bool:
        """Whether it only makes the fund's exposure smaller, without crossing zero."""
        return self.held * self.units < 0 and abs(self.units) <= abs(self.held)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Notional that a fund ordered so far in a day and a minute of the clock."""

    day: Decimal = ZERO
    minute: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Refused:
    """A limit would be breached; the reason names it and both figures."""

    reason: str


def check_run(fund: Fund, runs_today: int, planned_notional: Decimal) -> Refused | None:
    """Check a run before it is opened; `runs_today` counts the ones opened before it."""
    limits = fund.limits
    if limits.max_runs_per_day is not None and runs_today >= limits.max_runs_per_day:
        return Refused(f"max_runs_per_day: {runs_today} runs were made today")
    if limits.max_run_notional is not None and planned_notional > limits.max_run_notional:
        return Refused(
            f"max_run_notional: the run would trade {planned_notional:.2f}, "
            f"more than {limits.max_run_notional:f}"
        )
    return None


def check_part(fund: Fund, run: Run, spent: Spent, part: Part) -> Refused | None:
    """Check a fund's part of an order against its size limits."""
    limits, notional = fund.limits, part.notional
    if run.orders >= limits.max_orders_per_run:
        return Refused(f"max_orders_per_run: {run.orders} orders were sent for this run")
    return check_sizes(
        limits,
        {
            "max_order_notional": notional,
            "max_run_notional": run.ordered_notional + notional,
            "max_day_notional": spent.day + notional,
            "max_minute_notional": spent.minute + notional,
        },
    )


def check_sizes(limits: Limits, sizes: Mapping[str, Decimal]) -> Refused | None:
    """Check notional sizes against the limits of the same names."""
    for name, size in sizes.items():
        limit: Decimal | None = getattr(limits, name)
        if limit is not None and size > limit:
            return Refused(f"{name}: {size:.2f} would be more than {limit:f}")
    return None


def check_gross(run: Run, symbol: str, more: Decimal, lot_units: Decimal) -> Refused | None:
    """Check that a run never trades more of a contract than its plan and a lot (safety.md I3).

    `more` is what it would trade now, inside the desk and outside, in base coins without sign.
    """
    done, planned = run.traded.get(symbol, ZERO), run.planned.get(symbol, ZERO)
    if done + more > planned + lot_units:
        return Refused(
            f"gross traded: {done + more:f} of {symbol} would be more than the {planned:f} planned"
        )
    return None


def ensure_toward(run: Run, symbol: str, held: Decimal, units: Decimal) -> None:
    """Raise BrokenInvariant unless an order takes a fund nearer to its run's frozen target.

    `held` and `units`, its part of the order, are signed base coins. An order that goes away from
    the target or beyond it is a mistake of the desk's own (safety.md I3 and I12).
    """
    target = run.plan.target_units.get(symbol)
    if target is None:
        return
    gap = target - held
    ensure(
        gap * units > 0 and abs(units) <= abs(gap) + DUST,
        f"run {run.plan.run_id}: an order of {units:f} {symbol} where {gap:f} lack to the target",
    )


def check_exposure(
    fund: Fund, account: Account, worth: Valuation, gross: Decimal, part: Part
) -> Refused | None:
    """Check leverage and margin after the trade; parts that only reduce pass.

    `gross` is the fund's sum of position magnitudes at the marks before the trade.
    """
    if part.reduces:
        return None
    before = abs(part.held) * part.mark
    after = abs(part.held + part.units) * part.mark
    exposure = worth.exposure + part.units * part.mark
    limit = fund.limits.max_leverage
    if limit is not None and abs(exposure) > limit * worth.equity:
        return Refused(
            f"max_leverage: the trade would lead to {abs(exposure) / worth.equity:.4f}, "
            f"more than {limit:f}"
        )
    margin = (gross - before + after) * account.initial_margin
    if margin > worth.equity:
        return Refused(
            f"margin: the trade would need {margin:.2f} of initial margin, "
            f"the fund's equity is {worth.equity:.2f}"
        )
    return None


def check_account(account: Account, margin: tuple[Decimal, Decimal]) -> Refused | None:
    """Check that the account's (equity, gross notional) covers its initial margin."""
    equity, gross = margin
    needed = gross * account.initial_margin
    if needed > equity:
        return Refused(
            f"margin: account {account.name} needs {needed:.2f} of initial margin, "
            f"its equity is {equity:.2f}"
        )
    return None
