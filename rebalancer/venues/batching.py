"""How many orders go into each request, so that the last of them leaves soonest.

The venue's windows decide: whatever drains them soonest wins, and a venue that counts batches apart
from single orders (Bybit) is sent both side by side. Where the windows make no difference, fewer
requests are sooner, because each costs a signature and a round trip: on the loopback Binance, 300
orders in batches of five left in less time than 300 side by side (`make bench`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from rebalancer.venues.facts_shape import Ask, Limits, VenueFacts
from rebalancer.venues.rates import Cost


def cost_of(limits: Limits, size: int) -> Cost:
    """Return what a request of `size` orders takes of the windows."""
    return limits.costs[Ask.ORDER] if size == 1 else limits.batch(size)


def bound_ms(limits: Limits, requests: Mapping[int, int]) -> int:
    """Return how long requests take at least, from empty windows on: by size, how many."""
    spent: Counter[str] = Counter()
    for size, times in requests.items():
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
    most, limits = facts.batch.most, facts.limits
    ways = [_way(min(batched, count), count, most) for batched in range(0, count + most, most)]
    return _mixed(min(ways, key=lambda way: (bound_ms(limits, way), way.total())))


def _way(batched: int, count: int, most: int) -> Counter[int]:
    """Return how many requests there are of each size, if `batched` orders go in batches."""
    way = Counter({most: batched // most, 1: count - batched})
    way[batched % most] += 1
    way[0] = 0
    return +way


def _mixed(way: Counter[int]) -> tuple[int, ...]:
    """Return the sizes of a way, single orders spread evenly among the batches.

    Requests wait their turn in one queue: behind ten batches that wait for their own window, single
    orders would stand idle.
    """
    batches = [size for size in sorted(way, reverse=True) for _ in range(way[size]) if size > 1]
    spread = [((2 * place + 1) * way[1], size) for place, size in enumerate(batches)]
    spread += [((2 * place + 1) * len(batches), 1) for place in range(way[1])]
    return tuple(size for _, size in sorted(spread, key=lambda each: each[0]))
