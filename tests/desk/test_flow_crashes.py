"""A desk that dies at any commit around a flow deals it exactly once."""

from __future__ import annotations

import asyncio

import pytest

from rebalancer.core.capital import FlowDealt, FlowTaken, ManagementFeeCharged
from rebalancer.core.fees import ManagementFee
from rebalancer.core.flow import FlowRule, OnBusy
from rebalancer.core.instant import HOUR_MS
from rebalancer.desk.requests import read_request
from rebalancer.errors import StoreUnavailable
from rebalancer.store.memory import MemoryStore
from tests.desk.rig import DyingStore, World, of
from tests.factories import BTC, NOON, D, desk, fund, rules

LINE = (
    b'{"command": "flows", "flows": '
    b'[{"fund": "BTC3L", "kind": "subscribe", "amount": "100000", "key": "a"}]}'
)


def world() -> World:
    rule = FlowRule(on_busy=OnBusy.QUEUE)
    known = fund(methodology=rules(3, flow=rule), management_fee=ManagementFee(daily=D("0.003")))
    made = World(desk(known))
    made.clock.set(NOON)
    return made


async def live(here: World, store: MemoryStore, *, asked: bool) -> None:
    """Run a desk over four hours; ask it for a subscription on the way."""
    moments = [(NOON + hour * HOUR_MS // 2, {BTC: D(100 + hour)}) for hour in range(10)]
    daemon = await here.wake(store, moments)
    if asked:
        daemon.inbox.put(read_request(LINE, here.clock.now_ms()))
    await daemon.run(asyncio.Event())


@pytest.mark.parametrize("keeps", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("dies_at", range(2, 9))
async def test_a_flow_is_dealt_once_whenever_the_desk_dies(dies_at: int, keeps: bool) -> None:
    here = world()
    first = MemoryStore()
    await live(here, first, asked=False)  # launched, with nothing under way
    store = DyingStore(first.records, dies_at=dies_at, keeps=keeps)
    try:
        await live(here, store, asked=True)
    except StoreUnavailable:
        store = DyingStore(store.records)
        here.clock.set(here.clock.now_ms() + HOUR_MS)
        await live(here, store, asked=True)  # the holder asks again with the same key
    assert len(of(store.records, FlowTaken)) == 1
    assert len(of(store.records, FlowDealt)) == 1
    charged = [each.due_ms for each in of(store.records, ManagementFeeCharged)]
    assert len(charged) == len(set(charged)) >= 1
    held = here.positions(store.records)[BTC]
    shares = 10_000 + of(store.records, FlowDealt)[0].shares
    assert abs(held / shares - D(3)) < D("0.6")
