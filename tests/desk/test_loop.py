"""Write first, then act: what the single writer does with one event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from rebalancer.core import engine
from rebalancer.core.actions import Action, SubmitOrder
from rebalancer.core.events import Commanded, CommandKind, Event
from rebalancer.core.folding import apply
from rebalancer.core.records import CommandTaken, DeskOpened, Record
from rebalancer.core.state import DeskState
from rebalancer.desk.inbox import Inbox, Letter
from rebalancer.desk.loop import DeskLoop
from rebalancer.errors import BrokenInvariant, CommandRefused, StoreUnavailable
from rebalancer.store.codec import CODEC
from rebalancer.store.memory import MemoryStore
from tests.desk.rig import DyingStore, tick, until
from tests.factories import DUE, NOON, desk, fund


class SlowStore(MemoryStore):
    """Says when a commit began and when it was durable; takes its time in between."""

    def __init__(self, log: list[str]) -> None:
        super().__init__()
        self._log = log
        self.open = asyncio.Event()
        self.open.set()
        self.fails = False

    async def commit(
        self, records: Sequence[Record], meanwhile: Callable[[], None] | None = None
    ) -> None:
        self._log.append("committing")
        await self.open.wait()
        if self.fails:
            raise StoreUnavailable("the disk is gone")
        await super().commit(records, meanwhile)
        self._log.append("committed")


class BusyDisk(SlowStore):
    """Has to wait for its disk at every commit."""

    async def commit(
        self, records: Sequence[Record], meanwhile: Callable[[], None] | None = None
    ) -> None:
        if meanwhile is not None:
            meanwhile()
        await super().commit(records)


class Bench:
    """A loop whose every effect is written into one log, in order."""

    def __init__(self, store: MemoryStore | None = None, *, launched: bool = True) -> None:
        self.log: list[str] = []
        self.acted: list[Action] = []
        self.store = store or SlowStore(self.log)
        self.inbox = Inbox()
        state = DeskState.fresh(desk(fund(), free_launch=launched))
        apply(state, DeskOpened(NOON, "test-desk", "test"))
        engine.begin(state)
        self.loop = DeskLoop(
            state,
            self.inbox,
            self.store,
            prepare=lambda _actions: self.log.append("prepared"),
            act=self._act,
            wake_at=lambda _at_ms: None,
        )
        self.loop.subscribe(self)

    def _act(self, actions: Sequence[Action]) -> None:
        self.log.append("acted")
        self.acted += actions

    def publish(self, records: Sequence[Record]) -> None:
        self.log.append("published")

    async def take(self, *events: Event) -> None:
        for event in events:
            await self.loop.take(Letter(event))

    async def command(self, kind: CommandKind, name: str = "BTC3L") -> asyncio.Future[object]:
        reply: asyncio.Future[object] = self.inbox.command(Commanded(NOON, kind, name, "test"))  # type: ignore[assignment]
        letter = self.inbox.take_now()
        assert letter is not None
        await self.loop.take(letter)
        return reply


FIRST = tick(100, NOON, confirmed=True)


async def test_nothing_leaves_before_the_records_are_durable() -> None:
    bench = Bench(launched=False)
    await bench.take(FIRST)
    assert bench.log == ["committing", "committed", "acted", "published"]
    assert [type(action) for action in bench.acted] == [SubmitOrder]


async def test_while_the_disk_is_at_work_orders_are_made_ready_and_nothing_else() -> None:
    log: list[str] = []
    bench = Bench(BusyDisk(log), launched=False)
    bench.log = log
    await bench.take(FIRST)
    assert bench.log == ["prepared", "committing", "committed", "acted", "published"]
    bench.log.clear()
    await bench.command(CommandKind.HALT)
    assert "committed" in bench.log
    assert "prepared" not in bench.log


async def test_while_a_commit_lasts_nothing_has_left() -> None:
    bench = Bench(launched=False)
    assert isinstance(bench.store, SlowStore)
    bench.store.open.clear()
    taking = asyncio.create_task(bench.take(FIRST))
    await until(lambda: bench.log, "the commit begins")
    await asyncio.sleep(0.01)
    assert bench.log == ["committing"]
    bench.store.open.set()
    await taking
    assert bench.log == ["committing", "committed", "acted", "published"]


@pytest.mark.parametrize("keeps", [False, True], ids=["lost", "kept"])
async def test_a_commit_that_fails_lets_nothing_leave(keeps: bool) -> None:
    bench = Bench(DyingStore(dies_at=1, keeps=keeps), launched=False)
    with pytest.raises(StoreUnavailable):
        await bench.take(FIRST)
    assert bench.log == []
    assert bench.acted == []


async def test_a_tick_that_crosses_nothing_writes_nothing() -> None:
    bench = Bench()
    await bench.take(FIRST)
    bench.log.clear()
    await bench.take(tick("100.01", NOON + 1_000, confirmed=True))
    assert bench.log == []


async def test_the_desk_asks_to_be_woken_when_the_engine_wants_it() -> None:
    asked: list[int | None] = []
    bench = Bench()
    bench.loop._wake_at = asked.append
    await bench.take(FIRST)
    assert asked == [engine.next_wake_ms(bench.loop.state)]
    assert asked[0] is not None
    assert NOON < asked[0] <= DUE


class TestCommands:
    async def test_a_command_is_answered_with_its_records(self) -> None:
        bench = Bench()
        await bench.take(FIRST)
        records = await (await bench.command(CommandKind.HALT))
        assert isinstance(records, tuple)
        assert isinstance(records[0], CommandTaken)
        assert records == tuple(bench.store.records[-len(records) :])

    @pytest.mark.parametrize(
        ("kind", "name", "why"),
        [
            (CommandKind.REBALANCE, "BTC9L", "there is no fund BTC9L"),
            (CommandKind.RESUME, "BTC3L", "is not halted"),
        ],
    )
    async def test_a_refused_command_changes_nothing_and_is_answered(
        self, kind: CommandKind, name: str, why: str
    ) -> None:
        bench = Bench()
        await bench.take(FIRST)
        before, kept = repr(bench.loop.state), bench.store.records
        bench.log.clear()
        reply = await bench.command(kind, name)
        with pytest.raises(CommandRefused, match=why):
            await reply
        assert bench.log == []
        assert bench.store.records == kept
        assert repr(bench.loop.state) == before

    async def test_the_desk_goes_on_after_a_refused_command(self) -> None:
        bench = Bench()
        await bench.take(FIRST)
        refused = await bench.command(CommandKind.RESUME)
        assert isinstance(refused.exception(), CommandRefused)
        taken = await bench.command(CommandKind.HALT)
        assert taken.exception() is None

    async def test_a_command_nobody_waits_for_any_more_is_carried_out_all_the_same(self) -> None:
        bench = Bench()
        await bench.take(FIRST)
        for kind in (CommandKind.HALT, CommandKind.HALT):  # the second one is refused
            reply = bench.inbox.command(Commanded(NOON, kind, "BTC3L", "test"))
            reply.cancel()
            letter = bench.inbox.take_now()
            assert letter is not None
            await bench.loop.take(letter)
        taken = [record for record in bench.store.records if isinstance(record, CommandTaken)]
        assert len(taken) == 1

    @pytest.mark.parametrize("reason", ["\ud800", "a\0b", "x" * 100_000, "\u202e\x1b[31m"])
    async def test_no_reason_is_too_strange_to_be_kept(self, reason: str) -> None:
        bench = Bench()
        await bench.take(FIRST)
        bench.inbox.command(Commanded(NOON, CommandKind.HALT, "BTC3L", reason))
        letter = bench.inbox.take_now()
        assert letter is not None
        await bench.loop.take(letter)
        for record in bench.store.records:
            encoded = CODEC.encode(record)
            assert CODEC.decode(encoded.kind, encoded.body) == record


class TestEnding:
    async def test_a_loop_that_is_ended_takes_nothing_more(self) -> None:
        bench = Bench()
        await bench.take(FIRST)
        running = asyncio.create_task(bench.loop.run())
        await asyncio.sleep(0)
        bench.log.clear()
        bench.loop.end(NOON)
        await asyncio.wait_for(running, 20)
        bench.inbox.put(tick(120, NOON + 1, confirmed=True))
        assert bench.log == []

    async def test_a_commit_under_way_is_seen_through_and_acted_upon(self) -> None:
        bench = Bench(launched=False)
        assert isinstance(bench.store, SlowStore)
        bench.store.open.clear()
        running = asyncio.create_task(bench.loop.run())
        bench.inbox.put(FIRST)
        await until(lambda: bench.log, "the commit begins")
        bench.loop.end(NOON)
        bench.store.open.set()
        await asyncio.wait_for(running, 20)
        assert bench.log == ["committing", "committed", "acted", "published"]

    async def test_a_commit_that_fails_at_the_end_is_not_swallowed(self) -> None:
        bench = Bench(launched=False)
        assert isinstance(bench.store, SlowStore)
        bench.store.open.clear()
        bench.store.fails = True
        running = asyncio.create_task(bench.loop.run())
        bench.inbox.put(FIRST)
        await until(lambda: bench.log, "the commit begins")
        bench.loop.end(NOON)
        bench.store.open.set()
        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(running, 20)


async def test_a_record_that_exists_already_ends_the_loop() -> None:
    bench = Bench()
    bench.store._keys.add("launch/BTC3L")
    bench.inbox.put(FIRST)
    with pytest.raises(BrokenInvariant, match="launch/BTC3L"):
        await asyncio.wait_for(bench.loop.run(), 20)
    assert bench.acted == []


async def test_orders_do_not_wait_for_the_ranges_and_the_next_event_finds_them_set() -> None:
    prompt, patient = Bench(launched=False), Bench(launched=False)
    await patient.take(FIRST)
    await asyncio.sleep(0)  # nothing came: it rests once the orders are on their way
    assert not patient.loop.state.unarmed
    await prompt.take(FIRST)
    assert (prompt.log[-2], prompt.loop.state.unarmed) == ("acted", {"BTC3L"})
    engine.react(prompt.loop.state, tick(100, NOON))  # something came first: it rests before that
    assert not prompt.loop.state.unarmed
    assert prompt.loop.state.watch == patient.loop.state.watch


async def test_an_order_without_a_committed_intent_ends_the_desk(monkeypatch) -> None:
    bench = Bench(launched=False)
    honest = engine.react

    def forgetful(state: DeskState, event: Event) -> engine.Step:
        step = honest(state, event)
        kept = tuple(record for record in step.records if type(record).__name__ != "IntentCreated")
        return engine.Step(kept, step.actions)

    monkeypatch.setattr(engine, "react", forgetful)
    with pytest.raises(BrokenInvariant, match="has no committed intent"):
        await bench.take(FIRST)
    assert bench.acted == []
