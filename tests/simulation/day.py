"""What a seed means: funds, prices, and what goes wrong on that day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from random import Random

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account, Execution, Fund, PriceSource
from rebalancer.core.instant import MINUTE_MS, SECOND_MS, parse
from rebalancer.core.methodology import Emergency, Fixed, Methodology, PriceMove, Ratio
from rebalancer.core.state import Desk
from tests.loopback.faults import Fault, Shape, Taken

D = Decimal
ONE = D(1)
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
INSTRUMENTS = {BTC: "BTC/USDT", ETH: "ETH/USDT"}
START_PRICES = {BTC: D(50_000), ETH: D(3_000)}
BINANCE, XT = "binanceusdm", "xt"
#: by venue: counted in coins in one book, and in whole contracts in two
CONTRACTS = {
    BINANCE: {
        BTC: Contract(BTC, D(1), D("0.001"), D("0.1"), D("0.001"), D(100)),
        ETH: Contract(ETH, D(1), D("0.001"), D("0.01"), D("0.001"), D(20)),
    },
    XT: {
        BTC: Contract(BTC, D("0.0001"), D(1), D("0.1"), D(1), D(5)),
        ETH: Contract(ETH, D("0.01"), D(1), D("0.01"), D(1), D(5)),
    },
}
#: the default fixed time, 10:30 at +08:00
DUE_MS = parse("2026-01-02T02:30:00Z")
BEGIN_MS = DUE_MS - 20 * MINUTE_MS
TICK_MS = 5 * SECOND_MS
#: ticks of the day, and quiet ones after them in which everything comes to its end
TICKS, QUIET_TICKS = 500, 60
DUE_TICK = (DUE_MS - BEGIN_MS) // TICK_MS
SHOCK_TICK = 330
#: so long a clock stays off by more than the desk corrects for
CLOCK_OFF_TICKS = 60
#: right before orders leave: of the launch, the fixed time and the shock
ORDER_TICKS = (1, DUE_TICK - 1, SHOCK_TICK + 2)
PLACES = D("0.1")
#: so many days are lived at the venue with two books
XT_SHARE = 0.2
#: so many turns, commits and requests with orders each day has: a trouble that waits for more of
#: them would never come
ROUNDS_MIN, COMMITS_MIN, SENDS_MIN = 2_400, 44, 9
#: a venue that says this has not taken the order: its own code proves it
PROOFS = frozenset({Shape.UNAUTHORIZED, Shape.TOO_MANY, Shape.BANNED, Shape.NO_MARGIN})


class Trouble(StrEnum):
    """What may go wrong on a day; the first thing drawn from its seed."""

    WIRE = "an order's request or answer"
    QUESTION = "a question's request or answer"
    MAINTENANCE = "the venue is under maintenance"
    THIN_BOOK = "orders fill in part"
    THIN_LOST = "orders fill in part, and an order's request or answer goes wrong"
    LATE_SIGHT = "an order's answer is lost, and the venue shows the order late"
    ECHO = "fills are told late, out of order and again"
    EMPTY = "the venue tells an empty list of positions, every second time"
    FALSE_PRICE = "one source tells a false price"
    NO_PRICE = "every source tells what is no price"
    FUTURE_PRICE = "every source tells a false price from the future"
    OLD_PRICE = "prices come late"
    SILENCE = "no prices come"
    GAP = "the market jumps"
    TWO_GAPS = "the market jumps, and again while the rule cools down"
    CLOCK = "the desk's clock is set"
    STORE_BEFORE = "a commit fails"
    STORE_AFTER = "a commit fails and has happened"
    STORE_LOCKED = "the database is locked for a while"
    REFUSAL = "the venue refuses orders"
    KILL = "the desk is killed"


#: troubles in which an order's request or answer goes wrong, or the answer is no
ON_THE_WIRE = frozenset({Trouble.WIRE, Trouble.THIN_LOST, Trouble.LATE_SIGHT, Trouble.REFUSAL})
#: troubles that find something only while the desk trades or looks at the price
AT_WORK = ON_THE_WIRE | {
    Trouble.QUESTION,
    Trouble.MAINTENANCE,
    Trouble.OLD_PRICE,
    Trouble.NO_PRICE,
    Trouble.FUTURE_PRICE,
}
#: what a day's trouble is drawn from: more often, what there is more of
DRAWN = (*Trouble, Trouble.WIRE, Trouble.WIRE, Trouble.LATE_SIGHT, Trouble.LATE_SIGHT, Trouble.KILL)
NO_PRICES = (D("NaN"), D("sNaN"), D("Infinity"), D("-Infinity"), D(0), D(-50_000), D("-0.01"))


class Place(StrEnum):
    """Where an order can be looked for; each has a memory of its own at a venue."""

    ONE = "by its id"
    LISTS = "in the lists"
    TRADES = "in the trades"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the venue shows of an order whose answer was lost."""

    #: so long after that it answers nothing at all
    down_ms: int = 0
    #: and then, by place, so long it shows the world of before
    stale_ms: dict[Place, int]
    #: whether that time begins with the first question that is answered: it was asleep till then
    wakes: bool = False
    #: places that refuse to answer instead
    refusing: frozenset[Place] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One day, drawn whole before it begins; nothing in it depends on what the desk does."""

    seed: int
    trouble: Trouble
    #: when it goes wrong, as a tick of the day
    tick: int
    #: by contract, the true price at each tick
    prices: dict[str, tuple[Decimal, ...]]
    wire: tuple[Fault, ...] = ()
    sight: Sight | None = None
    venue: str = BINANCE
    #: what is told where no price is
    told_instead: Decimal = ONE
    #: how long it lasts, in ticks
    ticks: int = 0
    #: of the false price, the gap and the clock
    size: Decimal = ONE
    #: which commit fails, or at which turn of the loop the desk is killed
    count: int = 0
    #: how long the desk stays down after it died
    down_ms: int = 5_000

    @property
    def contracts(self) -> dict[str, Contract]:
        """The contracts as the venue of the day counts them."""
        return CONTRACTS[self.venue]

    def told(self, contract: str, index: int) -> Iterator[tuple[PriceSource, Decimal, int]]:
        """Yield source, price and age in ms of what the feed tells at one tick."""
        mark = index_price = self.prices[contract][index]
        age_ms = 0
        trouble = self.trouble if self.tick <= index < self.tick + self.ticks else None
        if trouble is Trouble.SILENCE:
            return
        if trouble is Trouble.OLD_PRICE:
            age_ms = (index - self.tick + 1) * TICK_MS
            mark = index_price = self.prices[contract][self.tick - 1]
        elif trouble is Trouble.FALSE_PRICE and contract == BTC:
            mark = self.lie(index)
        elif trouble is Trouble.NO_PRICE and contract == BTC:
            mark = index_price = self.told_instead
        elif trouble is Trouble.FUTURE_PRICE and contract == BTC:
            mark = index_price = self.lie(index)
            age_ms = -self.count * SECOND_MS
        yield PriceSource.MARK, mark, age_ms
        yield PriceSource.INDEX, index_price, age_ms

    @property
    def clock_step_ms(self) -> int:
        """How far the desk's clock is set: half a minute, some minutes, forward hours as well.

        Not backward: nothing is due then until the clock has come to where it was, which is
        longer than the day.
        """
        factors = (1, 10, 700 if self.size > 1 else 1)
        return int((self.size - 1) * MINUTE_MS) * factors[self.count % len(factors)]

    @property
    def clock_right_tick(self) -> int | None:
        """When somebody sets the clock right again: beyond a minute the desk waits for that."""
        if self.trouble is not Trouble.CLOCK or abs(self.clock_step_ms) <= MINUTE_MS:
            return None
        return self.tick + CLOCK_OFF_TICKS

    def lie(self, index: int) -> Decimal:
        """Return the false price of BTC at a tick."""
        return (self.prices[BTC][index] * self.size).quantize(PLACES)


def day_of(seed: int, trouble: Trouble | None = None) -> Day:
    """Return the day of a seed; `trouble` takes the place of the one it would draw."""
    dice = Random(seed)  # noqa: S311 - for tests, not for secrets
    drawn = dice.choice(DRAWN)
    chosen = trouble or drawn
    tick = dice.randrange(1, TICKS - 20)
    if chosen is Trouble.MAINTENANCE:
        tick = dice.choice(ORDER_TICKS)
    elif chosen in AT_WORK and dice.random() < 0.7:
        # where orders are under way: at the launch, at the fixed time, at the shock
        tick = dice.choice((1, DUE_TICK - 2, SHOCK_TICK)) + dice.randrange(4)
    low, high = (0.4, 0.99) if dice.random() < 0.5 else (1.01, 1.6)
    size = D(str(round(dice.uniform(low, high), 3)))
    return Day(
        seed=seed,
        trouble=chosen,
        tick=tick,
        prices=_paths(dice, _jumps(dice, chosen, tick, size)),
        wire=_wire(dice, chosen),
        sight=_sight(dice) if chosen is Trouble.LATE_SIGHT else None,
        venue=XT if dice.random() < XT_SHARE else BINANCE,
        told_instead=dice.choice(NO_PRICES),
        ticks=_length(dice, chosen),
        size=size,
        count=_count(dice, chosen),
        down_ms=dice.choice((50, 1_000, 5_000, 60_000, 400_000)),
    )


def _count(dice: Random, trouble: Trouble) -> int:
    low, high = (2, COMMITS_MIN) if "STORE" in trouble.name else (20, ROUNDS_MIN)
    return dice.randrange(low, high)


def _length(dice: Random, trouble: Trouble) -> int:
    lengths = {
        Trouble.FALSE_PRICE: (1, 2),
        Trouble.NO_PRICE: (1, 20),
        Trouble.FUTURE_PRICE: (1, 3),
        Trouble.OLD_PRICE: (1, 30),
        Trouble.SILENCE: (1, 60),
        Trouble.MAINTENANCE: (3, 40),
        Trouble.STORE_LOCKED: (1, 6),
    }
    low, high = lengths.get(trouble, (0, 0))
    return dice.randint(low, high)


def _wire(dice: Random, trouble: Trouble) -> tuple[Fault, ...]:
    if trouble is not Trouble.QUESTION and trouble not in ON_THE_WIRE:
        return ()
    method, path = ("GET", "") if trouble is Trouble.QUESTION else ("POST", "rder")
    shape = dice.choice(tuple(Shape))
    taken = dice.choice(tuple(Taken)) if method == "POST" else Taken.FIRST
    if shape in PROOFS:
        taken = Taken.NEVER
    if trouble is Trouble.WIRE and dice.random() < 0.25:
        shape = Shape.OTHER_ORDER
    if trouble is Trouble.LATE_SIGHT:
        shape, taken = dice.choice((Shape.CLOSE, Shape.RESET, Shape.CUT_BODY)), Taken.FIRST
    if trouble is Trouble.REFUSAL:
        shape, taken = Shape.NO_MARGIN, Taken.NEVER
    times = 1 if trouble is Trouble.LATE_SIGHT else dice.choice((1, 1, 1, 2, 5))
    return (
        Fault(
            shape=shape,
            taken=taken,
            method=method,
            path=path,
            skip=dice.randrange(0, 24 if method == "GET" else SENDS_MIN),
            times=times,
            late_ms=dice.choice((10, 500, 3_000, 4_900)),
        ),
    )


def _sight(dice: Random) -> Sight:
    """Draw a venue that lags: everywhere for less than the margin, in one place for minutes."""
    kind = dice.randrange(4)
    if kind == 0:  # everywhere, for less than what the desk allows for
        return Sight(stale_ms=dict.fromkeys(Place, dice.randrange(500, 9_000)))
    if kind == 1:  # it answers nothing, and then shows for a moment the world of before
        return Sight(
            down_ms=dice.randrange(20_000, 60_000),
            stale_ms=dict.fromkeys(Place, dice.randrange(800, 1_600)),
            wakes=True,
        )
    stale_ms = dice.randrange(30_000, 150_000)
    if kind == 2:  # one place has forgotten
        return Sight(stale_ms={dice.choice(tuple(Place)): stale_ms})
    knows = dice.choice(tuple(Place))  # the only one that would know does not answer
    return Sight(stale_ms=dict.fromkeys(Place, stale_ms), refusing=frozenset({knows}))


def _jumps(dice: Random, trouble: Trouble, tick: int, size: Decimal) -> dict[int, float]:
    """Return by how much the price of BTC jumps at which tick."""
    if trouble is Trouble.GAP:
        return {tick: float(size)}
    if trouble is Trouble.TWO_GAPS:
        factor = 1 + dice.choice((-1, 1)) * dice.uniform(0.15, 0.19)
        return {tick: factor, tick + dice.randrange(5, 10): factor}
    return {}


def _paths(dice: Random, jumps: dict[int, float]) -> dict[str, tuple[Decimal, ...]]:
    """Draw a calm walk with one shock of 16 to 20 % that rests, and perhaps jumps."""
    paths = {}
    shock = dice.choice((-1, 1)) * dice.uniform(0.16, 0.20)
    for contract, start in START_PRICES.items():
        price, path = float(start), []
        for index in range(TICKS + QUIET_TICKS):
            if index < TICKS:
                price *= 1 + dice.gauss(0, 0.0002)
            if contract == BTC and SHOCK_TICK <= index < SHOCK_TICK + 4:
                price *= 1 + shock / 4
            if contract == BTC:
                price *= jumps.get(index, 1)
            path.append(D(str(price)).quantize(PLACES))
        paths[contract] = tuple(path)
    return paths


def desk_of_the_day(venue: str = BINANCE) -> Desk:
    """Return three funds on two contracts of a venue, cut into child orders."""
    funds = {}
    for name, target, symbol in (("BTC3L", 3, BTC), ("BTC3S", -3, BTC), ("ETH2L", 2, ETH)):
        threshold = D("0.14") if symbol == BTC else D("0.2")
        funds[name] = Fund(
            name=name,
            account="main",
            target_leverage=D(target),
            basket={symbol: D(1)},
            initial_shares=D(700) if name == "BTC3L" else D(400),
            methodology=Methodology(
                fixed=Fixed(),
                price_move=PriceMove(threshold=threshold),
                emergency=Emergency(
                    level=Ratio(numerator=D("2.5")).times(abs(D(target))),
                    max_child_notional=D(60_000),
                ),
            ),
            execution=Execution(max_child_notional=D(25_000)),
        )
    return Desk(
        funds=funds,
        accounts={"main": Account(name="main", venue=venue, hedge=venue == XT)},
        contracts=CONTRACTS[venue],
    )
