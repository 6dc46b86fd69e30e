"""Rate limits: never above the venue's window, and hardly slower than it allows."""

from __future__ import annotations

import asyncio
import heapq
import random

import pytest

from rebalancer.errors import BrokenInvariant
from rebalancer.venues.rates import POLLED_MS, Budget, Limiter, Ticket, Window

BINANCE_ORDERS = (
    Window(name="orders-10s", limit=300, length_ms=10_000),
    Window(name="orders-1m", limit=1_200, length_ms=60_000),
)
ONE_ORDER = {"orders-10s": 1, "orders-1m": 1}


def dice(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a test wants to be repeatable


def most_in_any_window(arrivals_ms: list[float], length_ms: int) -> int:
    arrivals = sorted(arrivals_ms)
    most, first = 0, 0
    for last, at_ms in enumerate(arrivals):
        while arrivals[first] <= at_ms - length_ms:
            first += 1
        most = max(most, last - first + 1)
    return most


def send_all(budget: Budget, count: int, rng: random.Random) -> tuple[list[float], float]:
    """Send `count` orders as soon as the budget lets them; return arrivals and the last one."""
    now_ms, sent = 0, 0
    arrivals: list[float] = []
    answers: list[tuple[int, int, Ticket]] = []
    while sent < count:
        wait_ms = budget.wait_ms(ONE_ORDER, now_ms, urgent=True)
        if wait_ms == 0:
            ticket = budget.take(ONE_ORDER)
            there_ms, back_ms = rng.randint(1, 80), rng.randint(1, 80)
            arrivals.append(now_ms + there_ms)
            heapq.heappush(answers, (now_ms + there_ms + back_ms, sent, ticket))
            sent += 1
            continue
        next_answer_ms = answers[0][0] if answers else None
        if wait_ms is not None and (next_answer_ms is None or now_ms + wait_ms <= next_answer_ms):
            now_ms += wait_ms
            continue
        assert next_answer_ms is not None
        now_ms = max(now_ms, next_answer_ms)
        budget.close(heapq.heappop(answers)[2], now_ms)
    return arrivals, max(arrivals)


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_network_does_no_window_of_the_venue_is_exceeded(seed):
    arrivals, _ = send_all(Budget(BINANCE_ORDERS), 1_500, dice(seed))
    assert most_in_any_window(arrivals, 10_000) <= 300
    assert most_in_any_window(arrivals, 60_000) <= 1_200


@pytest.mark.parametrize("seed", range(4))
def test_five_hundred_orders_take_hardly_longer_than_the_limits_allow(seed):
    _, last_ms = send_all(Budget(BINANCE_ORDERS), 500, dice(seed))
    assert last_ms <= 1.05 * 10_000


def test_a_limiter_that_counted_from_the_send_would_be_caught():
    # The check can fail: close each ticket as if it were counted the moment it left.
    class Hasty(Budget):
        def take(self, cost):
            ticket = super().take(cost)
            super().close(ticket, self.sent_ms)
            return ticket

        def wait_ms(self, cost, now_ms, *, urgent, polled=False):
            self.sent_ms = now_ms
            return super().wait_ms(cost, now_ms, urgent=urgent, polled=polled)

        def close(self, ticket, now_ms):
            pass

    worst = 0
    for seed in range(4):
        budget = Hasty(BINANCE_ORDERS)
        arrivals, _ = send_all(budget, 700, dice(seed))
        worst = max(worst, most_in_any_window(arrivals, 10_000))
    assert worst > 300


def test_a_burst_up_to_the_limit_waits_for_nothing():
    budget = Budget(BINANCE_ORDERS)
    for _ in range(300):
        assert budget.wait_ms(ONE_ORDER, 0, urgent=True) == 0
        budget.close(budget.take(ONE_ORDER), 5)
    assert budget.wait_ms(ONE_ORDER, 5, urgent=True) == 10_000


def test_the_reserve_is_for_urgent_requests_only():
    budget = Budget([Window(name="w", limit=10, length_ms=1_000, reserve=4)])
    for _ in range(6):
        assert budget.wait_ms({"w": 1}, 0, urgent=False) == 0
        budget.close(budget.take({"w": 1}), 0)
    assert budget.wait_ms({"w": 1}, 0, urgent=False) == 1_000
    assert budget.wait_ms({"w": 1}, 0, urgent=True) == 0


def test_a_batch_counts_as_the_venue_counts_it():
    budget = Budget(BINANCE_ORDERS)
    batch = {"orders-10s": 5, "orders-1m": 1}
    for _ in range(60):
        budget.close(budget.take(batch), 0)
    assert budget.wait_ms(batch, 0, urgent=True) == 10_000
    assert budget.wait_ms({"orders-1m": 1}, 0, urgent=True) == 0


def test_the_venues_own_higher_count_is_believed():
    budget = Budget([Window(name="w", limit=10, length_ms=1_000)])
    budget.told("w", 10, 400, 500)
    assert budget.wait_ms({"w": 1}, 500, urgent=True) == 1_000
    budget.told("w", 3, 400, 500)
    assert budget.wait_ms({"w": 1}, 500, urgent=True) == 1_000


def test_a_count_that_is_read_late_is_not_taken_for_the_requests_of_somebody_else():
    window = Window(name="w", limit=10, length_ms=1_000)
    budget = Budget([window])
    for _ in range(2):
        budget.close(budget.take({"w": 1}), 100)
    budget.take({"w": 1})
    # The venue counted all three at 1,090; two have left our window by the time that we hear of it.
    budget.told("w", 3, 1_080, 1_200)
    assert budget.used(window, 1_200) == 1
    budget.told("w", 5, 1_080, 1_200)
    assert budget.used(window, 1_200) == 3, "two are somebody else's"
    budget.told("w", 5, 1_150, 1_200)
    assert budget.used(window, 1_200) == 5, "none of ours had yet to leave"


def test_a_ban_shuts_everything_until_the_time_the_venue_named():
    budget = Budget(BINANCE_ORDERS)
    budget.shut(60_000)
    assert budget.wait_ms(ONE_ORDER, 10_000, urgent=True) == 50_000
    assert budget.wait_ms(ONE_ORDER, 60_000, urgent=True) == 0


def test_while_all_places_are_under_way_nobody_knows_how_long_it_takes():
    budget = Budget([Window(name="w", limit=1, length_ms=1_000)])
    budget.take({"w": 1})
    assert budget.wait_ms({"w": 1}, 99_000, urgent=True) is None


def test_a_request_larger_than_its_window_is_a_mistake_of_ours():
    budget = Budget([Window(name="w", limit=5, length_ms=1_000, reserve=1)])
    with pytest.raises(BrokenInvariant, match="never fits"):
        budget.wait_ms({"w": 5}, 0, urgent=False)


class Wall:
    """The loop's own time in milliseconds."""

    def __call__(self) -> int:
        return int(asyncio.get_running_loop().time() * 1_000)


def test_while_prices_are_polled_other_questions_leave_them_half_of_what_is_no_reserve():
    budget = Budget([Window(name="w", limit=10, length_ms=60_000, reserve=2)])
    budget.poll({"w": 1}, 0)
    for _ in range(4):
        assert budget.wait_ms({"w": 1}, 0, urgent=False) == 0
        budget.ask({"w": 1})
    assert budget.wait_ms({"w": 1}, 0, urgent=False) is None
    assert budget.wait_ms({"w": 3}, 0, urgent=False, polled=True) == 0
    assert budget.wait_ms({"w": 5}, 0, urgent=True) == 0
    # Where they are polled no more, or hardly ever, the room is everybody's.
    assert budget.wait_ms({"w": 3}, POLLED_MS, urgent=False) == 0


def test_what_was_asked_long_ago_is_forgotten_also_where_no_price_is_ever_polled():
    budget = Budget([Window(name="w", limit=10, length_ms=1_000)])
    for now_ms in range(0, 100_000, 500):
        assert budget.wait_ms({"w": 1}, now_ms, urgent=False) == 0
        budget.close(budget.ask({"w": 1}), now_ms)
    kept = (*budget._uses.values(), *budget._asked.values())
    assert max(len(each.counted) + len(each.left) for each in kept) <= 5


def test_what_takes_more_than_that_half_is_not_kept_out_for_ever():
    budget = Budget([Window(name="w", limit=10, length_ms=1_000, reserve=2)])
    budget.poll({"w": 1}, 0)
    budget.close(budget.ask({"w": 1}), 0)
    assert budget.wait_ms({"w": 6}, 0, urgent=False) == 1_000
    assert budget.wait_ms({"w": 6}, 1_000, urgent=False) == 0


async def test_urgent_requests_overtake_the_others_and_prices_what_is_asked_of_an_account():
    limiter = Limiter(Budget([Window(name="w", limit=1, length_ms=20)]), Wall())
    order: list[str] = []

    async def ask(name: str, *, urgent: bool = False, polled: bool = False) -> None:
        ticket = await limiter.enter({"w": 1}, urgent=urgent, polled=polled)
        order.append(name)
        limiter.leave(ticket)

    first = await limiter.enter({"w": 1})
    waiting = [asyncio.create_task(ask(name)) for name in ("a", "b")]
    await asyncio.sleep(0)
    waiting.append(asyncio.create_task(ask("prices", polled=True)))
    await asyncio.sleep(0)
    waiting.append(asyncio.create_task(ask("urgent", urgent=True)))
    await asyncio.sleep(0)
    limiter.leave(first)
    async with asyncio.timeout(20):
        await asyncio.gather(*waiting)
    assert order == ["urgent", "prices", "a", "b"]


async def test_a_caller_that_gives_up_does_not_block_the_others():
    limiter = Limiter(Budget([Window(name="w", limit=1, length_ms=20)]), Wall())
    first = await limiter.enter({"w": 1})
    impatient = asyncio.create_task(limiter.enter({"w": 1}))
    patient = asyncio.create_task(limiter.enter({"w": 1}))
    await asyncio.sleep(0)
    impatient.cancel()
    limiter.leave(first)
    async with asyncio.timeout(20):
        limiter.leave(await patient)
