"""The executor: carries committed actions to venues. It answers nobody; outcomes are events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from decimal import Decimal

import structlog

from rebalancer.core.actions import Action, Alert, SubmitOrder
from rebalancer.core.events import Event, FillReported, KillSwitchFound, OrderReported
from rebalancer.core.money import text, total
from rebalancer.core.order import ENDS, OrderIntent, Outcome, PositionSide
from rebalancer.core.work import BookKey
from rebalancer.desk.kill_switch import KillSwitch
from rebalancer.ports import Clock, Emit, Submission, Venue

_log = structlog.get_logger(__name__)
#: the first question about an unknown order is asked at once, the next after 2, 4, 8 ... seconds,
#: and never later than this
LONGEST_PAUSE_SECONDS = 60.0
_DOUBLINGS_MAX = 6


class Executor:
    """Sends each order once, orders of one contract in their sequence, contracts side by side."""

    def __init__(
        self,
        venues: Mapping[str, Venue],
        emit: Emit,
        clock: Clock,
        tell: Callable[[Alert], None],
        kill_switch: KillSwitch | None = None,
        *,
        sends: bool = True,
    ) -> None:
        """Begin with nothing on its way; `sends` is false where venues only write orders down."""
        self._venues = venues
        self._emit = emit
        self._clock = clock
        self._tell = tell
        self._kill_switch = kill_switch
        self._last: dict[BookKey, asyncio.Task[None]] = {}
        #: by the id of a close that an open waits for: its fills so far, by trade
        self._closing: dict[str, dict[str, Decimal]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        #: by the id of an order whose fate is open: how often it was asked for
        self._asked: dict[str, int] = {}
        self._hurried = asyncio.Event()
        self._stopping = False
        self._sends = sends

    @property
    def busy(self) -> bool:
        """Whether anything is on its way to a venue."""
        return bool(self._tasks)

    def prepare(self, actions: Sequence[Action]) -> None:
        """Have venues make ready what will be sent once it is committed; sends nothing."""
        orders: dict[str, list[OrderIntent]] = {}
        for action in actions:
            if isinstance(action, SubmitOrder):
                orders.setdefault(action.intent.account, []).append(action.intent)
        for account, intents in orders.items():
            self._venues[account].prepare(intents)

    def carry_out(self, actions: Sequence[Action]) -> None:
        """Start every action; returns at once."""
        orders: list[OrderIntent] = []
        for action in actions:
            if isinstance(action, Alert):
                self.tell(action)
            elif isinstance(action, SubmitOrder):
                orders.append(action.intent)
            elif not self._stopping:  # else the next start asks
                self._start(self._ask(action.intent))
        self._send([each for each in orders if not (self._held_back(each) or self._killed(each))])

    def heard(self, event: Event) -> None:
        """Note what a venue reports, on its way to the core: an open waits for its close.

        Of an order that is over nobody asks any more.
        """
        if isinstance(event, FillReported) and event.fill.client_order_id in self._closing:
            fills = self._closing[event.fill.client_order_id]
            fills[event.fill.trade_id] = event.fill.contracts
        if self._asked and isinstance(event, OrderReported) and event.outcome in ENDS:
            self._asked.pop(event.client_order_id, None)

    def hurry(self) -> None:
        """Ask at once about every order whose fate is open, instead of after its pause."""
        self._hurried.set()
        # Whoever waits has been woken; whoever comes after this has a pause of its own again.
        self._hurried = asyncio.Event()

    def tell(self, alert: Alert) -> None:
        """Pass an alert on."""
        self._tell(alert)

    async def stop(self, within_seconds: float) -> int:
        """Take no more orders and wait for what is on its way; return how many did not end."""
        self._stopping = True
        waiting = {task for task in self._tasks if not task.done()}
        if not waiting:
            return 0
        _, pending = await asyncio.wait(waiting, timeout=within_seconds)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return len(pending)

    def _send(self, intents: Sequence[OrderIntent]) -> None:
        """Send together, by account, what waits for nothing; the rest behind its contract's last.

        Of one contract never two are together: a batch need not be carried out in its order.
        """
        together: dict[str, dict[str, OrderIntent]] = {}
        behind: list[OrderIntent] = []
        closes = {(each.account, each.contract): each for each in intents if each.reduce_only}
        for intent in intents:
            first_of = together.setdefault(intent.account, {})
            before = self._last.get((intent.account, intent.contract))
            if intent.contract in first_of or (before is not None and not before.done()):
                behind.append(intent)
            else:
                first_of[intent.contract] = intent
        for account, first_of in together.items():
            self._submit_all(account, list(first_of.values()))
        for intent in behind:
            key = (intent.account, intent.contract)
            close = closes.get(key)
            if close is not None and _opens_behind(close, intent):
                self._closing[close.client_order_id] = {}
                work = self._submit_open(self._last.get(key), close, intent)
            else:
                work = self._submit_after(self._last.get(key), intent)
            self._last[key] = self._start(work)

    def _submit_all(self, account: str, intents: Sequence[OrderIntent]) -> None:
        try:
            submissions = self._venues[account].submit_all(intents)
        except Exception as error:  # noqa: BLE001 - as in _submit
            for intent in intents:
                self._unknown(intent, f"{type(error).__name__} while sending")
            return
        for intent, submission in zip(intents, submissions, strict=True):
            key = (account, intent.contract)
            self._last[key] = self._start(self._submit(intent, submission))

    def _held_back(self, intent: OrderIntent) -> bool:
        if self._stopping:
            # The intent is committed and stays PREPARED: the next start asks what became of it.
            _log.info("order_held_back", order=intent.client_order_id)
        return self._stopping

    async def _submit_after(self, before: asyncio.Task[None] | None, intent: OrderIntent) -> None:
        if before is not None:
            await asyncio.wait({before})
        if not (self._held_back(intent) or self._killed(intent)):
            await self._submit(intent, self._venues[intent.account].submit(intent))

    async def _submit_open(
        self, before: asyncio.Task[None] | None, close: OrderIntent, intent: OrderIntent
    ) -> None:
        """Open one book of a contract once the other is closed; else it is planned again."""
        try:
            if before is not None:  # else the close was not even handed over
                await asyncio.wait({before})
        finally:
            closed = total(self._closing.pop(close.client_order_id).values())
        if closed >= close.contracts or self._stopping:
            await self._submit_after(None, intent)
            return
        why = f"{close.client_order_id}, which closes the other book, filled {text(closed)}"
        now_ms = self._clock.now_ms()
        self._emit(OrderReported(now_ms, intent.client_order_id, Outcome.NEVER_SENT, reason=why))

    async def _submit(self, intent: OrderIntent, submission: Submission) -> None:
        if self._sends:
            # In the next turn of the loop: the order does not wait for its log line.
            asyncio.get_running_loop().call_soon(self._say_sent, intent)
        try:
            await submission
        except asyncio.CancelledError:
            self._unknown(intent, "the desk stopped while the order was on its way")
            raise
        except Exception as error:  # noqa: BLE001 - whatever it was, the venue may have the order
            self._unknown(intent, f"{type(error).__name__} while sending")

    @staticmethod
    def _say_sent(intent: OrderIntent) -> None:
        _log.info("order_sent", **intent.log_fields)

    def _killed(self, intent: OrderIntent) -> bool:
        """Whether the kill switch is set; then it is certain that the order never left."""
        reason = self._kill_switch.reason() if self._kill_switch else None
        if reason is None:
            return False
        now_ms = self._clock.now_ms()
        # The halt goes first, or the rest of the run would be planned again.
        self._emit(KillSwitchFound(now_ms, reason))
        said = f"the kill switch is set: {reason}"
        self._emit(OrderReported(now_ms, intent.client_order_id, Outcome.NEVER_SENT, reason=said))
        return True

    def _unknown(self, intent: OrderIntent, reason: str) -> None:
        self._emit(
            OrderReported(
                self._clock.now_ms(), intent.client_order_id, Outcome.UNKNOWN, reason=reason
            )
        )

    async def _ask(self, intent: OrderIntent) -> None:
        asked = self._asked.get(intent.client_order_id, 0)
        self._asked[intent.client_order_id] = asked + 1
        pause = min(2.0 ** min(asked, _DOUBLINGS_MAX), LONGEST_PAUSE_SECONDS) if asked else 0.0
        await nap(pause, self._hurried)
        try:
            await self._venues[intent.account].query(intent)
        except Exception as error:  # noqa: BLE001 - a question that failed answers nothing
            self._unknown(intent, f"{type(error).__name__} while asking")

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _opens_behind(close: OrderIntent, intent: OrderIntent) -> bool:
    """Whether an order opens a book of a contract whose other book is being closed."""
    return (
        close.reduce_only
        and not intent.reduce_only
        and PositionSide.NET not in (close.position_side, intent.position_side)
    )


async def nap(seconds: float, hurried: asyncio.Event) -> None:
    """Sleep for `seconds`, or until somebody is in a hurry."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await hurried.wait()
