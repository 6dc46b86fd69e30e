"""Booked trades are known as long as a report of them could be booked, and not for ever."""

from __future__ import annotations

from rebalancer.core.seen import ENDED_ORDERS_MAX, SeenTrades


def order(number: int) -> str:
    return f"r{number:025d}"


def test_a_trade_is_known_once_it_was_added() -> None:
    seen = SeenTrades()
    seen.add((order(1), "7"))
    assert (order(1), "7") in seen
    assert (order(1), "8") not in seen
    assert (order(2), "7") not in seen, "venues number trades per market only"


def test_the_memory_does_not_grow_with_the_orders_that_ended() -> None:
    seen = SeenTrades()
    seen.add((order(0), "working"))
    seen.add(("main/BTC", "closed by the venue"))
    for number in range(1, 10 * ENDED_ORDERS_MAX):
        seen.add((order(number), "7"))
        seen.end(order(number))
        assert (order(number), "7") in seen, "a venue may say it again soon"
    assert len(seen) == ENDED_ORDERS_MAX + 2
    assert (order(1), "7") not in seen


def test_what_could_be_booked_again_is_never_forgotten() -> None:
    seen = SeenTrades()
    seen.add((order(0), "working"))
    seen.add(("main/BTC", "closed by the venue"))
    for number in range(1, 2 * ENDED_ORDERS_MAX):
        seen.add((order(number), "7"))
        seen.end(order(number))
    assert (order(0), "working") in seen
    assert ("main/BTC", "closed by the venue") in seen


def test_an_order_that_ended_without_a_trade_takes_no_place() -> None:
    seen = SeenTrades()
    seen.end(order(1))
    assert len(seen) == 0
