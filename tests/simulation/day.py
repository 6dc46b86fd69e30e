"""What a seed means: funds, prices, and what goes wrong on that day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from random import Random

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account, Execution, Fund
from rebalancer.core.instant import MINUTE_MS, SECOND_MS, parse
from rebalancer.core.methodology import Emergency, Fixed, Methodology, PriceMove, Ratio
from rebalancer.core.state import Desk
from tests.loopback.faults import Fault, Shape, Taken

D = Decimal
ONE = D(1)
BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
INSTRUMENTS = {BTC: "BTC/USDT", ETH: "ETH/USDT"}
START_PRICES = {BTC: D(50_000), ETH: D(3_000)}
CONTRACTS = {
    BTC: Contract(BTC, D(1), D("0.001"), D("0.1"), D("0.001"), D(100)),
    ETH: Contract(ETH, D(1), D("0.001"), D("0.01"), D("0.001"), D(20)),
}
#: the default fixed time, 10:30 at +08:00
DUE_MS = parse("2026-01-02T02:30:00Z")
BEGIN_MS = DUE_MS - 20 * MINUTE_MS
TICK_MS = 5 * SECOND_MS
#: ticks of the day, and quiet ones after them in which everything comes to its end
TICKS, QUIET_TICKS = 500, 60
DUE_TICK = (DUE_MS - BEGIN_MS) // TICK_MS
SHOCK_TICK = 330
PLACES = D("0.1")
#: a venue that says this has not taken the order: its own code proves it
PROOFS = frozenset({Shape.UNAUTHORIZED, Shape.TOO_MANY, Shape.BANNED})


class Trouble(StrEnum):
    """What may go wrong on a day; the first thing drawn from its seed."""

    WIRE = "an order's request or answer"
    QUESTION = "a question's request or answer"
    MAINTENANCE = "the venue is under maintenance"
    THIN_BOOK = "orders fill in part"
    FALSE_PRICE = "one source tells a false price"
    OLD_PRICE = "prices come late"
    SILENCE = "no prices come"
    GAP = "the market jumps"
    CLOCK = "the desk's clock is set"
    STORE_BEFORE = "a commit fails"
    STORE_AFTER = "a commit fails and has happened"
    KILL = "the desk is killed"


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
    #: how long it lasts, in ticks
    ticks: int = 0
    #: of the false price, the gap and the clock
    size: Decimal = ONE
    #: which commit fails, or at which turn of the loop the desk is killed
    count: int = 0
    #: how long the desk stays down after it died
    down_ms: int = 5_000

    def told(self, contract: str, index: int) -> Iterator[tuple[str, Decimal, int]]:
        """Yield source, price and age in ms of what the feed tells at one tick."""
        price = self.prices[contract][index]
        troubled = self.tick <= index < self.tick + self.ticks
        if troubled and self.trouble is Trouble.SILENCE:
            return
        age_ms = 0
        if troubled and self.trouble is Trouble.OLD_PRICE:
            age_ms = (index - self.tick + 1) * TICK_MS
            price = self.prices[contract][self.tick - 1]
        mark = price
        if troubled and self.trouble is Trouble.FALSE_PRICE and contract == BTC:
            mark = (price * self.size).quantize(PLACES)
        yield "mark", mark, age_ms
        yield "index", price, age_ms


def day_of(seed: int, trouble: Trouble | None = None) -> Day:
    """Return the day of a seed; `trouble` takes the place of the one it would draw."""
    dice = Random(seed)  # noqa: S311 - for tests, not for secrets
    drawn = dice.choice(tuple(Trouble))
    chosen = trouble or drawn
    tick = dice.randrange(1, TICKS - 20)
    if chosen in (Trouble.WIRE, Trouble.QUESTION, Trouble.MAINTENANCE) and dice.random() < 0.7:
        # where orders are under way: at the launch, at the fixed time, at the shock
        tick = dice.choice((1, DUE_TICK, SHOCK_TICK)) + dice.randrange(4)
    low, high = (0.4, 0.99) if dice.random() < 0.5 else (1.01, 1.6)
    size = D(str(round(dice.uniform(low, high), 3)))
    return Day(
        seed=seed,
        trouble=chosen,
        tick=tick,
        prices=_paths(dice, tick if chosen is Trouble.GAP else None, size),
        wire=_wire(dice, chosen),
        ticks=_length(dice, chosen),
        size=size,
        count=dice.randrange(2, 95) if "STORE" in chosen.name else dice.randrange(20, 3_200),
        down_ms=dice.choice((50, 1_000, 5_000, 60_000, 400_000)),
    )


def _length(dice: Random, trouble: Trouble) -> int:
    lengths = {
        Trouble.FALSE_PRICE: (1, 2),
        Trouble.OLD_PRICE: (1, 30),
        Trouble.SILENCE: (1, 60),
        Trouble.MAINTENANCE: (1, 40),
    }
    low, high = lengths.get(trouble, (0, 0))
    return dice.randint(low, high)


def _wire(dice: Random, trouble: Trouble) -> tuple[Fault, ...]:
    if trouble not in (Trouble.WIRE, Trouble.QUESTION):
        return ()
    method, path = ("POST", "rder") if trouble is Trouble.WIRE else ("GET", "")
    shape = dice.choice(tuple(Shape))
    taken = dice.choice(tuple(Taken)) if trouble is Trouble.WIRE else Taken.FIRST
    if shape in PROOFS:
        taken = Taken.NEVER
    return (
        Fault(
            shape=shape,
            taken=taken,
            method=method,
            path=path,
            skip=dice.randrange(0, 24),
            times=dice.choice((1, 1, 1, 2, 5)),
            late_ms=dice.choice((10, 500, 3_000, 4_900)),
        ),
    )


def _paths(dice: Random, gap_tick: int | None, size: Decimal) -> dict[str, tuple[Decimal, ...]]:
    """Draw a calm walk with one shock of 16 to 20 % that rests, and perhaps a jump."""
    paths = {}
    shock = dice.choice((-1, 1)) * dice.uniform(0.16, 0.20)
    for contract, start in START_PRICES.items():
        price, path = float(start), []
        for index in range(TICKS + QUIET_TICKS):
            if index < TICKS:
                price *= 1 + dice.gauss(0, 0.0002)
            if contract == BTC and SHOCK_TICK <= index < SHOCK_TICK + 4:
                price *= 1 + shock / 4
            if contract == BTC and index == gap_tick:
                price *= float(size)
            path.append(D(str(price)).quantize(PLACES))
        paths[contract] = tuple(path)
    return paths


def desk_of_the_day() -> Desk:
    """Return three funds on two contracts, cut into child orders."""
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
            execution=Execution(max_child_notional=D(12_000)),
        )
    return Desk(
        funds=funds,
        accounts={"main": Account(name="main", venue="binanceusdm")},
        contracts=CONTRACTS,
    )
