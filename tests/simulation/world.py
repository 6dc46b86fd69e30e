"""One simulated day from its first life to its last, and everything that outlives a life."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from unittest import mock

import tenacity

from rebalancer.core.actions import Alert
from rebalancer.core.events import Event, FillReported, PricesObserved, PriceTick
from rebalancer.core.instant import SECOND_MS
from rebalancer.core.records import IntentCreated, Record
from rebalancer.core.state import Desk, DeskState
from rebalancer.desk import alert_book
from rebalancer.desk.daemon import Daemon
from rebalancer.desk.inbox import Inbox
from rebalancer.desk.kill_switch import KillSwitch
from rebalancer.desk.recovery import Start, recover
from rebalancer.desk.scheduler import TimeTeller
from rebalancer.desk.watcher import Watcher
from rebalancer.errors import StoreUnavailable, VenueUnavailable
from rebalancer.live import inquiries_of
from rebalancer.ports import Emit, NavView
from rebalancer.store.memory import MemoryStore
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.exchange_checks import Expected
from rebalancer.venues.exchange_venue import ExchangeVenue, facts_of, open_with_keys
from rebalancer.venues.rates import Budget, Limiter
from tests.loopback.accounts import Account as VenueAccount
from tests.loopback.dialect import Dialect
from tests.loopback.instruments import Depth
from tests.loopback.presets import KEY, SECRET, binance, binance_instruments, xt, xt_instruments
from tests.loopback.settling import Move, move_price
from tests.simulation import steps
from tests.simulation.day import (
    BEGIN_MS,
    CONTRACTS,
    DUE_TICK,
    INSTRUMENTS,
    ON_THE_WIRE,
    QUIET_TICKS,
    SHOCK_TICK,
    TICK_MS,
    TICKS,
    XT,
    Day,
    Trouble,
    desk_of_the_day,
)
from tests.simulation.exchange import Exchange, SimTransport
from tests.simulation.timeline import Killed, SimClock, VirtualLoop

#: a desk that died is started again this often at most
LIVES_MAX = 80
PULSE_SECONDS = 10.0
ACCOUNT_SECONDS = 300.0
#: alerts that go on are looked at this often: once a second would be half of a day's turns
ALERTS_SECONDS = 60.0
#: so long the feed goes by its old reading of the venue's clock after one of them was set
CLOCK_READ_TICKS = 2
#: an order of which nothing is to be found is absent within so long, at every venue
UNKNOWN_MS = 75 * SECOND_MS
#: so long it takes until a commit that met a locked store is tried again
LOCKED_MS = 60 * SECOND_MS
STORE_TROUBLES = (Trouble.STORE_BEFORE, Trouble.STORE_AFTER, Trouble.STORE_LOCKED)
#: troubles that come with a request of the desk, if one meets them
AT_THE_VENUE = ON_THE_WIRE | {Trouble.QUESTION, Trouble.MAINTENANCE, Trouble.EMPTY}
#: turns of the loop that no day needs; one that takes more does not come to rest
ROUNDS_MAX = 60_000
EXPECTED = Expected(accept_untold=True)
FACTS = {venue: facts_of(venue) for venue in CONTRACTS}


class Disk(MemoryStore):
    """Keeps its records over every life; fails at one commit, before or after they are kept."""

    def __init__(self, day: Day) -> None:
        super().__init__(through_codec=True)
        self._day = day
        self.commits = 0
        self.intents: set[str] = set()

    async def commit(
        self, records: Sequence[Record], meanwhile: Callable[[], None] | None = None
    ) -> None:
        """Append, with a moment before and after in which the desk may die."""
        self.commits += 1
        fails = self.commits == self._day.count
        await asyncio.sleep(0)
        locked = self._day.trouble is Trouble.STORE_LOCKED
        if locked and 0 <= self.commits - self._day.count < self._day.ticks:
            await asyncio.sleep(self._day.down_ms % 60_001 / SECOND_MS)
        if fails and self._day.trouble is Trouble.STORE_BEFORE:
            self._refuse(records)
        await self._keep(records, meanwhile)
        self.intents |= {
            record.intent.client_order_id for record in records if isinstance(record, IntentCreated)
        }
        await asyncio.sleep(0)
        if fails and self._day.trouble is Trouble.STORE_AFTER:
            raise StoreUnavailable("simulated: the disk went away after it wrote")

    async def _keep(
        self, records: Sequence[Record], meanwhile: Callable[[], None] | None = None
    ) -> None:
        await super().commit(records, meanwhile)

    def _refuse(self, records: Sequence[Record]) -> None:
        raise StoreUnavailable(f"simulated: no room for {len(records)} records")

    async def save_views(self, views: Sequence[NavView], prices: Any) -> None:
        """Keep nothing: no reader looks."""

    async def close(self) -> None:
        """Stay: the next life opens it again."""


class Wakes:
    """Stands in for the scheduler, whose library goes by the machine's clock."""

    def __init__(self, put: Callable[[], None], clock: SimClock) -> None:
        self._put = put
        self._clock = clock
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_ms: int | None = None
        self._beat: asyncio.TimerHandle | None = None
        self.woken = 0

    def start(self) -> None:
        """Begin to beat."""
        self._pulse()

    def wake_at(self, at_ms: int | None) -> None:
        """Wake the desk at `at_ms` instead of the time asked for before."""
        if at_ms == self._alarm_ms:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm, self._alarm_ms = None, at_ms
        if at_ms is not None:
            delay = max(0.0, self._clock.seconds_until(at_ms))
            self._alarm = asyncio.get_running_loop().call_later(delay, self._wake)

    def close(self) -> None:
        """Stop."""
        for timer in (self._alarm, self._beat):
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        self._alarm_ms = None
        self._put()

    def _pulse(self) -> None:
        self.woken += 1
        self._put()
        self._beat = asyncio.get_running_loop().call_later(PULSE_SECONDS, self._pulse)


@dataclass
class World:
    """What outlives a life of the desk: the venue, the disk, the true time, the alerts."""

    day: Day
    #: the true time of its first tick
    begins_ms: int = BEGIN_MS
    clock: SimClock = field(init=False)
    alerts: list[Alert] = field(default_factory=list)
    lives: int = 0
    rounds: int = 0
    #: the state the last life ended with
    state: DeskState | None = None
    #: where a test sets it: no day that is drawn has one
    kill_switch: KillSwitch | None = None
    violations: list[str] = field(default_factory=list)
    #: turns of the loop, over all lives, at which the desk is killed
    kills: tuple[int, ...] = ()
    #: ticks to go on for after a kill, where the rest of the day is of no interest
    short: int | None = None
    #: the day ends after so many ticks
    end_tick: int = TICKS + QUIET_TICKS
    #: turns before which disk, wire or venue had changed: where a crash means something else
    changes: list[int] = field(default_factory=list)
    #: makes what keeps the records
    disk_of: Callable[[Day], Disk] = Disk
    #: makes the funds of the day's venue
    desk_of: Callable[[str], Desk] = desk_of_the_day
    #: what a person does right before a tick, by the tick
    hands: Mapping[int, Callable[[World], None]] = field(default_factory=dict)
    #: whether that person stops and resumes trading
    operated: bool = False
    #: whether cash comes and goes besides what is traded
    capital_moves: bool = False
    #: called before a turn; says at which later turns this world is killed, or None to live on
    fork: Callable[[int], tuple[int, ...] | None] = lambda _turn: None

    def __post_init__(self) -> None:
        self.clock = SimClock(self.begins_ms)
        self.dice = random.Random(self.day.seed + 1)  # noqa: S311 - for tests, not for secrets
        self.disk = self.disk_of(self.day)
        self.desk = self.desk_of(self.day.venue)
        self.exchange = Exchange(_venue(self.day), self.clock)
        self.exchange.sight = self.day.sight
        self.exchange.faults.plan(*map(dataclasses.replace, self.day.wire))
        self.exchange.on_send = self._sending
        #: of the present life
        self.inbox = Inbox()
        self.next_tick = 0
        #: what the feed takes the venue's stamps to differ by from the desk's clock
        self.stamps_off_ms = 0
        self._clock_is_off = False
        if self.day.trouble is Trouble.KILL:
            self.kills = (*self.kills, self.day.count)
        self._seen = -1
        self._killed = False
        random.seed(self.day.seed)  # pauses between questions are drawn from the one source

    def live(self) -> None:
        """Live the day to its end, over as many lives of the desk as it takes."""
        with mock.patch.object(alert_book, "LOOK_SECONDS", ALERTS_SECONDS):
            self._live()

    def _live(self) -> None:
        while self.next_tick < self.end_tick:
            if self.lives == LIVES_MAX:
                self.violations.append(f"the desk died {LIVES_MAX} times")
                return
            self.lives += 1
            self._one_life()

    def _one_life(self) -> None:
        self.state = None  # that of a dead desk is void
        self.set_clock_right()
        loop = VirtualLoop(self._before_round, self.rounds)
        self.clock.live_on(loop)
        asyncio.set_event_loop(loop)
        retries: Any = tenacity
        retries.time = loop.as_time()  # how long to ask again goes by the monotonic clock
        try:
            loop.run_until_complete(self._desk())
        except Killed:
            self.end_tick = self._soon()
        except (StoreUnavailable, VenueUnavailable):
            # What was unknown before this start is asked for from its beginning again.
            self.end_tick = max(self.end_tick, self._soon())
        finally:
            retries.time = time
            asyncio.set_event_loop(None)
            self.clock.pass_ms(self._down_ms)
            loop.bury()

    def set_clock(self) -> None:
        """Set the desk's clock by what the day says."""
        self.clock.step(self.day.clock_step_ms)
        self._clock_is_off = True

    def set_clock_right(self) -> None:
        """Set it right again once it is time for that, whether the desk lives or not."""
        tick = self.day.clock_right_tick
        if tick is None or not self._clock_is_off:
            return
        if self.clock.true_ms() >= self.begins_ms + tick * TICK_MS:
            self.clock.step(-self.day.clock_step_ms)
            self._clock_is_off = False

    @property
    def struck(self) -> bool:
        """Whether the trouble of the day has come; prices, books and news are bad by themselves."""
        day = self.day
        if day.trouble in STORE_TROUBLES:
            return self.disk.commits >= day.count
        if day.trouble is Trouble.KILL:
            return self._killed
        return self.exchange.struck or day.trouble not in AT_THE_VENUE

    @property
    def _down_ms(self) -> int:
        """How long this life is followed by nothing."""
        return self.day.down_ms if self.lives == 1 else 5 * SECOND_MS

    def _before_round(self, number: int) -> None:
        self.rounds = number
        if number > ROUNDS_MAX:
            raise Restless(f"the desk does not come to rest within {ROUNDS_MAX} turns")
        # none of them ever falls, so that the sum stays the same only where all of them do
        seen = self.disk.commits + self.exchange.requests + self.exchange.answers
        if seen != self._seen:
            self._seen = seen
            self.changes.append(number)
            self._judge_step()
        self.kills = self.fork(number) or self.kills
        if number in self.kills:
            self._killed = True
            raise Killed

    def _judge_step(self) -> None:
        """Hold the venue's own count and the desk's together; told once, when they part."""
        if self.state is not None and not self.violations:
            core = self.exchange.core
            self.violations += steps.problems(core, self.state, self.day.contracts)

    def _soon(self) -> int:
        """Return a tick by which all is quiet again: well after what comes next, or the end."""
        if self.short is None or not self._killed:
            return self.end_tick
        sight = self.day.sight
        blind_ms = sight.down_ms + max(sight.stale_ms.values()) if sight is not None else 0
        # Each fault makes an order unknown for a while, and the next one may meet the next fault.
        blind_ms += sum(fault.times - 1 for fault in self.day.wire) * UNKNOWN_MS
        if self.day.trouble is Trouble.STORE_LOCKED:
            blind_ms += self.day.ticks * LOCKED_MS
        watched = self.short + blind_ms // TICK_MS
        # Not the next tick of the feed, which stands still while the desk is down.
        soon = (self.clock.true_ms() - self.begins_ms + self._down_ms) // TICK_MS + watched
        # Who asked in vain for long asks once a minute, and twice after the trouble is over.
        ends = self.day.clock_right_tick or self.day.tick + self.day.ticks
        over = ends + UNKNOWN_MS // TICK_MS
        for event in sorted((self.day.tick, over, DUE_TICK, SHOCK_TICK)):
            if event - 5 <= soon < event + watched:
                soon = event + watched
        return min(soon, TICKS + QUIET_TICKS)

    async def _desk(self) -> None:
        history = await self.disk.load()
        start = Start(self.clock.now_ms(), "live", "simulated", "simulation")
        recovered = await recover(self.disk, history, self.desk, start)
        self.inbox = inbox = Inbox()
        venue = Venue(self)
        if self.kill_switch is not None:
            venue._client.barred = self.kill_switch.reason
        daemon = Daemon(
            state=recovered.state,
            store=self.disk,
            clock=self.clock,
            inbox=inbox,
            venues={"main": venue},
            watcher=Watcher(Feed(self), inbox.put),
            open_orders=recovered.open_orders,
            inquiries=inquiries_of({"main": venue}, recovered.state),
            on_alert=self.alerts.append,
            view_interval_seconds=3_600.0,
            kill_switch=self.kill_switch,
        )
        _on_virtual_time(daemon, self.clock)
        self.state = daemon.state
        looking = asyncio.create_task(venue.watch_account(ACCOUNT_SECONDS))
        try:
            await daemon.run(asyncio.Event())
        finally:
            looking.cancel()

    def client(self) -> CcxtClient:
        """Return a client as a new life of the desk opens it."""
        facts = FACTS[self.day.venue]
        exchange = _exchange_object(self.day.venue)
        exchange.milliseconds = self.clock.now_ms
        exchange.options["timeDifference"] = 0
        loop = asyncio.get_running_loop()  # asked when it is buried, too, and runs no more
        limiter = Limiter(Budget(facts.limits.rate_windows), lambda: int(loop.time() * SECOND_MS))
        transport: Any = SimTransport(self.exchange, lambda: self.dice.uniform(0.002, 0.08))
        return CcxtClient(exchange, transport, limiter, facts.limits.counters)

    def _sending(self, client_order_id: str) -> None:
        if client_order_id not in self.disk.intents:
            self.violations.append(f"I2: {client_order_id} left before its intent was kept")
        if self.kill_switch is not None and self.kill_switch.reason() is not None:
            self.violations.append(f"{client_order_id} left while the kill switch was set")
        if self.exchange.sent[client_order_id]:
            self.violations.append(f"I1: {client_order_id} was sent twice")


class Restless(AssertionError):
    """The desk goes on and on."""


class Venue(ExchangeVenue):
    """The product's venue, whose news may come late, out of order and again."""

    def __init__(self, world: World) -> None:
        account = world.desk.accounts["main"]
        super().__init__(account, world.client(), world.day.contracts, world.clock, EXPECTED)
        self._world = world

    async def start(self, emit: Emit) -> None:
        """Start as the product does; the news go through the day's trouble."""
        echoes = self._world.day.trouble is Trouble.ECHO
        await super().start(self._echo(emit) if echoes else emit)

    def _echo(self, emit: Emit) -> Emit:
        dice, loop = self._world.dice, asyncio.get_running_loop()

        def tell(event: Event) -> None:
            if not isinstance(event, FillReported):
                emit(event)
                return
            if dice.random() < 0.5:
                emit(event)
            else:
                loop.call_later(dice.uniform(0, 4), emit, event)
            if dice.random() < 0.5:
                loop.call_later(dice.choice((0.01, 0.1, 1, 20)), emit, event)

        return tell


class Feed:
    """Prices of the day from the next tick on, each at its time; the venue's market moves along."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def prices(self) -> AsyncIterator[PricesObserved]:
        """Yield to the end of the day."""
        world = self._world
        while world.next_tick < world.end_tick:
            index = world.next_tick
            at_ms = world.begins_ms + index * TICK_MS
            wait_ms = at_ms - world.clock.true_ms()
            if wait_ms > 0:
                await asyncio.sleep(wait_ms / SECOND_MS)
            world.next_tick += 1
            _trouble(world, index)
            if index in world.hands:
                world.hands[index](world)
            seen = self._observed(index, at_ms)
            if seen is not None and wait_ms > -TICK_MS:
                yield seen

    def _observed(self, index: int, at_ms: int) -> PricesObserved | None:
        world, ticks = self._world, []
        market = world.exchange.core
        for contract, instrument in INSTRUMENTS.items():
            price = world.day.prices[contract][index]
            move_price(market, Move(at_ms=at_ms, instrument=instrument, last=price, mark=price))
            ticks += [
                PriceTick(contract, source, told, at_ms - age_ms + world.stamps_off_ms)
                for source, told, age_ms in world.day.told(contract, index)
            ]
        market.take_outbox()
        return PricesObserved(world.clock.now_ms(), tuple(ticks)) if ticks else None

    async def close(self) -> None:
        """Nothing to give up."""


def _trouble(world: World, index: int) -> None:
    day = world.day
    world.set_clock_right()
    if index - CLOCK_READ_TICKS in (day.tick, day.clock_right_tick):
        world.stamps_off_ms = world.clock.error_ms
    if index != day.tick:
        return
    if day.trouble is Trouble.MAINTENANCE:
        world.exchange.maintenance_until_ms = world.clock.true_ms() + day.ticks * TICK_MS
    elif day.trouble is Trouble.EMPTY:
        world.exchange.empties_from_ms = world.clock.true_ms()
    elif day.trouble is Trouble.CLOCK:
        world.set_clock()


def _venue(day: Day) -> Dialect:
    make, listed = (xt, xt_instruments) if day.venue == XT else (binance, binance_instruments)
    found = [each for each in listed() if each.name in INSTRUMENTS.values()]
    for each in found:
        each.last = each.mark = each.index = day.prices[f"{each.name}:USDT"][0]
        if day.trouble in (Trouble.THIN_BOOK, Trouble.THIN_LOST):
            coins = Decimal("0.06") * (1 + day.seed % 7)
            each.depth = Depth(levels=3, contracts=coins / each.contract_size)
    owner = VenueAccount(name="demo", key=KEY, secret=SECRET, wallet=Decimal(1_000_000))
    return make(found, [owner])


_OPENED: dict[str, tuple[Any, dict[str, Any]]] = {}


def _exchange_object(venue: str) -> Any:
    """Return ccxt's object as if it were new; opening one takes longer than a day with it."""
    if venue not in _OPENED:
        opened = open_with_keys(FACTS[venue], {"apiKey": KEY, "secret": SECRET})
        _OPENED[venue] = (opened, dict(vars(opened)))
    exchange, as_opened = _OPENED[venue]
    vars(exchange).clear()
    vars(exchange).update(as_opened, options=dict(as_opened["options"]))
    return exchange


def _on_virtual_time(daemon: Daemon, clock: SimClock) -> None:
    wakes: Any = Wakes(TimeTeller(daemon.inbox, clock), clock)
    daemon.scheduler = wakes
    daemon.loop._wake_at = wakes.wake_at
