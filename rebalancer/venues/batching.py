"""How many orders go into each request, so that the last of them leaves soonest.

The venue's windows decide: whatever drains them soonest wins, and a venue that counts batches apart
from single orders (Bybit) is sent both side by side. Where the windows make no difference, fewer
requests are sooner, because each costs a signature and a round trip: on the loopback Binance, 300
orders in batches of five left in less time than 300 side by side (`make bench`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rebalancer.venues.facts_shape import Ask, Limits, VenueFacts
from rebalancer.venues.rates import Cost


def cost_of(limits: Limits, size: int) -> Cost:
    """Return what a request of `size` orders takes of the windows."""
    return limits.costs[Ask.ORDER] if size == 1 else limits.batch(size)


def bound_ms(limits: Limits, sizes: Iterable[int]) -> int:
    """Return how long requests of `sizes` orders take at least, from empty windows on."""
    spent: Counter[str] = Counter()
    for size, times in Counter(sizes).items():
        for name, units in cost_of(limits, size).items():
            spent[name] += units * times
    return max(
        (
            (spent[window.name] - 1) // window.limit * window.length_ms
            for window in limits.rate_windows
            if spent[window.name]
        ),
        default=0,
    )


def cut(facts: VenueFacts, count: int) -> tuple[int, ...]:
    """Return the sizes of the requests, in their order, that send `count` orders soonest."""
    if facts.batch is None or count < 2:
        return (1,) * count
    most = facts.batch.most
    ways = [_ways(min(batched, count), count, most) for batched in range(0, count + most, most)]
    return min(ways, key=lambda sizes: (bound_ms(facts.limits, sizes), len(sizes)))


def _ways(batched: int, count: int, most: int) -> tuple[int, ...]:
    """Return sizes where `batched` orders go in batches and the rest alone, evenly mixed.

    Mixed, because requests wait their turn in one queue: behind ten batches that wait for their own
    window, single orders would stand idle.
    """
    batches = [most] * (batched // most) + [batched % most] * (batched % most > 0)
    alone = count - batched
    spread = [((2 * place + 1) * alone, size) for place, size in enumerate(batches)]
    spread += [((2 * place + 1) * len(batches), 1) for place in range(alone)]
    return tuple(size for _, size in sorted(spread, key=lambda each: each[0]))
