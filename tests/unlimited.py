"""A limiter for tests of what is asked of a venue, not of how often."""

from __future__ import annotations

from rebalancer.venues.rates import Budget, Limiter


def unlimited(*_facts: object) -> Limiter:
    """Return a limiter that keeps to no window, whatever the venue.

    XT lets through six questions a second and Bitget five; that is tested where the windows are.
    """
    return Limiter(Budget(()))
