"""The loop: the single writer. One event at a time: step, commit, adopt, hand on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import structlog

from rebalancer.core import engine
from rebalancer.core.actions import Action, SubmitOrder
from rebalancer.core.events import Woke
from rebalancer.core.records import IntentCreated, Record
from rebalancer.core.state import DeskState
from rebalancer.desk.inbox import Inbox, Letter
from rebalancer.errors import CommandRefused, ensure
from rebalancer.ports import Publisher, Store

_log = structlog.get_logger(__name__)


class DeskLoop:
    """Owns the state. Whatever it raises ends the desk: the state is void then."""

    def __init__(
        self,
        state: DeskState,
        inbox: Inbox,
        store: Store,
        *,
        prepare: Callable[[Sequence[Action]], None],
        act: Callable[[Sequence[Action]], None],
        wake_at: Callable[[int | None], None],
    ) -> None:
        self.state = state
        self.steps = 0
        #: whether all that is in the state is committed: only then may readers be shown it
        self.settled = True
        self._inbox = inbox
        self._store = store
        self._prepare = prepare
        self._act = act
        self._wake_at = wake_at
        self._publishers: list[Publisher] = []
        self._ending = False

    def subscribe(self, publisher: Publisher) -> None:
        """Have `publisher` told of every commit from now on."""
        self._publishers.append(publisher)

    async def run(self) -> None:
        """Take events until `end`; a cancel could fall into a commit, whose fate is open then."""
        while not self._ending:
            await self.take(await self._inbox.get())

    def end(self, now_ms: int) -> None:
        """Have `run` return once the event it is at is committed and acted upon."""
        self._ending = True
        self._inbox.put(Woke(now_ms))  # it may be waiting for an event

    async def take(self, letter: Letter) -> None:
        """Step, commit, and only then let anything leave."""
        try:
            step = engine.react(self.state, letter.event)
        except CommandRefused as refused:
            # A refused command has changed nothing: the check comes before the first record.
            if letter.reply is not None and not letter.reply.done():
                letter.reply.set_exception(refused)
            return
        sends = any(isinstance(action, SubmitOrder) for action in step.actions)
        if step.records:
            self.settled = False
            # What the orders will take is made ready while the disk is at work.
            meanwhile = partial(self._prepare, step.actions) if sends else None
            await self._store.commit(step.records, meanwhile)
            self.settled = True
        if sends:
            self._send_first(step)
        else:
            self._tell_first(step)
        self.steps += 1
        self._wake_at(engine.next_wake_ms(self.state))
        if letter.reply is not None and not letter.reply.done():
            letter.reply.set_result(step.records)

    def _send_first(self, step: engine.Step) -> None:
        """Let orders leave; they wait for no reader, nor for the price ranges to be set anew."""
        refuse_uncommitted(step)
        self._act(step.actions)
        self._publish(step.records)
        # Behind the tasks that send. The next event finds the ranges set, and whatever this raises
        # it raises again there.
        asyncio.get_running_loop().call_soon(engine.rest, self.state)

    def _tell_first(self, step: engine.Step) -> None:
        self._publish(step.records)
        if step.actions:
            self._act(step.actions)
        engine.rest(self.state)

    def _publish(self, records: Sequence[Record]) -> None:
        if records:
            for publisher in self._publishers:
                publisher.publish(records)


def refuse_uncommitted(step: engine.Step) -> None:
    """Raise BrokenInvariant when an order would leave whose intent is not among the records."""
    committed = {
        record.intent.client_order_id
        for record in step.records
        if isinstance(record, IntentCreated)
    }
    for action in step.actions:
        if isinstance(action, SubmitOrder):
            order_id = action.intent.client_order_id
            ensure(order_id in committed, f"order {order_id} has no committed intent")
