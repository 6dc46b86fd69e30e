"""What volatility took, against the closed form (Avellaneda and Zhang 2010).

L_T / L_0 = (S_T / S_0)^M x exp((M - M^2) / 2 x V_T) for a fund that is reset continuously, where
V_T is the realised variance: the sum of squared logarithmic returns. Everything here is the
logarithm of what is left beside (S_T / S_0)^M, so the closed form is (M - M^2) / 2 x V_T.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext

from rebalancer.core.instant import DAY_MS
from rebalancer.core.money import ONE, ZERO
from rebalancer.report.tracking import YEAR_DAYS, Day

HALF = Decimal("0.5")
#: a logarithm of sixty digits takes long, and nothing here is money
_DIGITS = 28


@dataclass(frozen=True, slots=True)
class Decay:
    """Logarithms since the first daily NAV, one for each day from then on."""

    at_ms: Sequence[int]
    closed_form: Sequence[Decimal]
    #: the promise, compounded day by day
    promised: Sequence[Decimal]
    #: of the account NAV
    nav: Sequence[Decimal]
    #: of the underlying, a year
    volatility: Decimal


def decay_of(multiple: Decimal, days: Sequence[Day]) -> Decay | None:
    """Return the decay of a fund of that multiple; it ends where a level is no longer above zero.

    None where there is no such day.
    """
    at_ms = [day.begin_ms for day in days[:1]]
    variance, spot, promised, nav = ZERO, ZERO, ZERO, ZERO
    closed, ideal, real = [ZERO], [ZERO], [ZERO]
    with localcontext(prec=_DIGITS):
        for day in _sound(days):
            log = (ONE + day.underlying).ln()
            spot, variance = spot + log, variance + log * log
            promised += (ONE + day.promised).ln()
            nav += (ONE + day.nav).ln()
            at_ms.append(day.end_ms)
            closed.append(HALF * (multiple - multiple * multiple) * variance)
            ideal.append(promised - multiple * spot)
            real.append(nav - multiple * spot)
        if len(at_ms) < 2:
            return None
        years = Decimal(at_ms[-1] - at_ms[0]) / (YEAR_DAYS * DAY_MS)
        return Decay(at_ms, closed, ideal, real, (variance / years).sqrt())


def _sound(days: Sequence[Day]) -> Iterable[Day]:
    for day in days:
        if min(day.underlying, day.promised, day.nav) <= -ONE:
            return
        yield day
