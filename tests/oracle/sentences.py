"""The plan document, computed again from the sentences of the specification, in fractions.

It reads the same configuration and snapshot as the product does, as plain dictionaries, and shares
no line with it. What it does not read (flows, cash accounts, limits) has tests of its own.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

PLACES = 10**18
DAY = dt.timedelta(days=1)
ONE_MINUTE = dt.timedelta(minutes=1)
#: section 3: "Precedence, which also names the run"
PRECEDENCE = (
    "gap",
    "emergency",
    "leverage_cap",
    "price_move",
    "leverage_band",
    "reconstitution",
    "elapsed",
    "fixed",
)
#: "the strictest of them (target before edge before recentre)"
STRICT = ("target", "edge", "recentre")
#: "A fund that names no rule has `fixed` and `price_move`"
NAMED = {*PRECEDENCE} - {"gap", "emergency"}
Row = Mapping[str, Any]


def written(value: Fraction) -> str:
    """18 decimals at most, half-even (section 8)."""
    whole, rest = divmod(abs(round(value * PLACES)), PLACES)
    sign = "-" if round(value * PLACES) < 0 else ""
    return f"{sign}{whole}.{rest:018d}".rstrip("0").rstrip(".")


def cut(value: Fraction, step: Fraction = Fraction(1, PLACES)) -> Fraction:
    """Toward zero (section 4.3)."""
    return math.trunc(value / step) * step


def instant(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


def iso(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def split(total: Fraction, weights: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """Pro rata, rounded at 18 decimals, last digits by largest remainder, ties by fund name."""
    exact = {name: total * each / sum(weights.values()) for name, each in weights.items()}
    parts = {name: cut(each) for name, each in exact.items()}
    last = sorted(exact, key=lambda name: (-abs(exact[name] - parts[name]), name))
    rest = total - sum(parts.values())
    for name in last[: abs(int(rest * PLACES))]:
        parts[name] += Fraction(1 if rest > 0 else -1, PLACES)
    parts[last[0]] += total - sum(parts.values())  # what a fee has beyond 18 decimals
    return parts


@dataclass(frozen=True)
class Days:
    """Business days: a weekmask and holidays."""

    week: str = "1111111"
    holidays: frozenset[dt.date] = frozenset()

    @classmethod
    def named(cls, config: Row, name: str | None, usual: str) -> Days:
        if name is None:
            return cls(usual)
        row = config["calendars"][name]
        days = frozenset(dt.date.fromisoformat(each) for each in row.get("holidays", ()))
        return cls(row.get("weekmask", "1111100"), days)

    def open(self, day: dt.date) -> bool:
        return self.week[day.weekday()] == "1" and day not in self.holidays

    def roll(self, day: dt.date) -> dt.date:
        """`following`, the usual convention."""
        while not self.open(day):
            day += DAY
        return day

    def after(self, day: dt.date, count: int) -> dt.date:
        for _ in range(count):
            day = self.roll(day + DAY)
        return day


@dataclass(frozen=True)
class Signal:
    trigger: str
    to: str = "target"
    speed: Fraction = Fraction(1)


@dataclass
class Decided:
    """What is to become of one fund."""

    trigger: str
    aim: Fraction
    targets: dict[str, Fraction] = field(default_factory=dict)
    to: str = "target"
    due_by: str | None = None


def changes_of(config: Row, row: Row) -> list[tuple[dt.datetime, Row]]:
    """The basket's members or weights change on an effective date; a holiday rolls."""
    rule = row.get("rules", {}).get("reconstitution", {})
    days = Days.named(config, rule.get("calendar"), "1111111")
    found = []
    for each in rule.get("changes", ()):
        day = days.roll(dt.date.fromisoformat(each["effective"]))
        found.append((dt.datetime.combine(day, dt.time(), tzinfo=dt.UTC), each["basket"]))
    return found


def basket_at(config: Row, row: Row, at: dt.datetime) -> dict[str, Fraction]:
    """The weights in force at an instant."""
    rows = [row["basket"], *(basket for due, basket in changes_of(config, row) if due <= at)]
    return {name: Fraction(each) for name, each in rows[-1].items()}


class Fund:
    """One fund of the snapshot, valued."""

    def __init__(self, config: Row, snapshot: Row, name: str) -> None:
        self.name, self.config, self.snapshot = name, config, snapshot
        self.row, self.held = config["funds"][name], snapshot["funds"][name]
        self.now = instant(snapshot["as_of"])
        self.target = Fraction(self.row["target_leverage"])
        self.point = self.held["last_rebalance"]
        self.at = instant(self.point["at"])
        self.leverage_k = Fraction(self.point.get("leverage", self.row["target_leverage"]))
        self.units = {name: Fraction(each) for name, each in self.held["units"].items()}
        source = self.row.get("price_source", "mark")
        self.marks = {name: price_of(each, "mark") for name, each in snapshot["prices"].items()}
        self.prices = {name: price_of(each, source) for name, each in snapshot["prices"].items()}
        self.rules = self.in_force()

    def in_force(self) -> dict[str, Row]:
        told = dict(self.row.get("rules", {}))
        if not NAMED & told.keys():
            told |= {"fixed": {}, "price_move": {}}
        told.setdefault("emergency", {})
        return {name: rule for name, rule in told.items() if rule.get("enabled", True)}

    # --- section 1 and 2: what it is worth

    @property
    def exposure(self) -> Fraction:
        return sum((each * self.marks[name] for name, each in self.units.items()), Fraction(0))

    @property
    def equity(self) -> Fraction:
        return Fraction(self.held["cash"]) + self.exposure

    @property
    def leverage(self) -> Fraction:
        return self.exposure / self.equity

    @property
    def directed(self) -> Fraction:
        """Leverage in the fund's own direction: a band holds for a 3L and a 3S alike."""
        return self.leverage if self.target > 0 else -self.leverage

    def basket(self, at: dt.datetime) -> dict[str, Fraction]:
        return basket_at(self.config, self.row, at)

    def changes(self) -> list[tuple[dt.datetime, Row]]:
        return changes_of(self.config, self.row)

    @property
    def move(self) -> Fraction:
        """r, the weighted sum of P_i(t) / P_k,i - 1."""
        base = self.point["prices"]
        return sum(
            (each * (self.prices[name] / Fraction(base[name]) - 1)
             for name, each in self.basket(self.at).items()),
            Fraction(0),
        )  # fmt: skip

    @property
    def formula_nav(self) -> Fraction:
        return Fraction(self.point["nav"]) * max(Fraction(0), 1 + self.leverage_k * self.move)

    # --- section 3: when

    def decide(self) -> Decided:
        if 1 + self.leverage_k * self.move <= 0 or self.equity <= 0:
            return Decided("gap", Fraction(0), dict.fromkeys(self.units, Fraction(0)))
        checks = {name: getattr(self, name) for name in PRECEDENCE[1:] if name in self.rules}
        fired = [
            Signal(name, rule.get("to", "target"), Fraction(rule.get("speed", "1")))
            for name, check in checks.items()
            if check() and (rule := self.rules[name]) is not None
        ]
        duty = self.duty()
        due_by = iso(duty) if duty is not None else None
        if not fired:
            return Decided("none", self.target, dict(self.units), due_by=due_by)
        goal = min(fired, key=lambda each: (STRICT.index(each.to), -each.speed))
        aim = self.aim(goal)
        # A run ends inside the band: what is seen only now is no duty any more.
        known = due_by if "breach_since" in self.held else None
        told = Decided(fired[0].trigger, aim, self.sized(aim), goal.to, known)
        # A cap or band that acts at once, where less than a lot is to be traded, does nothing.
        by_price = told.trigger == "leverage_cap" or (
            told.trigger == "leverage_band" and duty is None
        )
        if by_price and goal.to != "target" and not self.tradeable(told.targets):
            return Decided("none", self.target, dict(self.units))
        return told

    def cooled(self, rule: str) -> bool:
        """60 s by default, after the last run: a point is a done run."""
        last = max(self.at, instant(self.held.get("last_run_at", self.point["at"])))
        seconds = int(str(self.rules[rule].get("cooldown", "60s")).rstrip("s"))
        return self.now >= last + dt.timedelta(seconds=seconds)

    def emergency(self) -> bool:
        rule = self.rules["emergency"]
        usual = (
            "5/2" if {"price_move", "leverage_band", "leverage_cap"} & self.rules.keys() else "4/3"
        )
        level = Fraction(rule.get("ratio", usual)) * abs(self.target)
        last = self.held.get("last_emergency_at")
        over = last is None or self.now >= instant(last) + ONE_MINUTE
        return bool(over and abs(self.leverage) >= Fraction(rule.get("leverage", level)))

    def leverage_cap(self) -> bool:
        return abs(self.leverage) > Fraction(self.rules["leverage_cap"]["upper"]) and self.cooled(
            "leverage_cap"
        )

    def price_move(self) -> bool:
        rule = self.rules["price_move"]
        usual = min(Fraction(15, 100), Fraction(45, 100) / abs(self.target))
        if abs(self.move) < Fraction(rule.get("threshold", usual)) or not self.cooled("price_move"):
            return False
        if rule.get("side", "losing") == "both":
            return True
        # a losing-side run only ever lowers leverage; for 0 < M <= 1 it is no trade
        lost = self.leverage_k * self.move < 0 and not 0 < self.target <= 1
        return lost and abs(self.leverage) > abs(self.target)

    def breached(self) -> bool:
        rule = self.rules["leverage_band"]
        return not Fraction(rule["lower"]) <= self.directed <= Fraction(rule["upper"])

    def duty(self) -> dt.datetime | None:
        """By the first fixed time (without one, at `close`) of business day N after the breach."""
        rule = self.rules.get("leverage_band")
        if rule is None or not rule.get("within_business_days") or self.equity <= 0:
            return None
        seen = self.held.get("breach_since")
        if (seen is None or rule.get("lapse_if_cured")) and not self.breached():
            return None
        since = instant(seen or self.snapshot["as_of"])
        days = Days.named(self.config, rule.get("calendar"), "1111100")
        if "fixed" in self.rules:
            zone = offset(self.rules["fixed"])
            day = days.after(since.astimezone(zone).date(), rule["within_business_days"])
            times = [at for at in self.fixed_times() if at.astimezone(zone).date() == day]
            if times:
                return min(times)
        day = days.after(since.astimezone(dt.UTC).date(), rule["within_business_days"])
        return dt.datetime.combine(day, dt.time.fromisoformat(rule["close"]), tzinfo=dt.UTC)

    def leverage_band(self) -> bool:
        due = self.duty()
        if due is not None:
            known = "breach_since" in self.held
            return known and self.now >= due and self.cooled("leverage_band")
        at_once = not self.rules["leverage_band"].get("within_business_days")
        return at_once and self.breached() and self.cooled("leverage_band")

    def reconstitution(self) -> bool:
        return any(self.at < due <= self.now for due, _ in self.changes())

    def elapsed(self) -> bool:
        rule = self.rules["elapsed"]
        due = self.at + rule["days"] * DAY
        day = Days.named(self.config, rule.get("calendar"), "1111111").roll(due.date())
        return bool(self.now >= due + (day - due.date()))

    def fixed_times(self) -> Iterator[dt.datetime]:
        """Every instant from a month before as_of to a month after."""
        rule = self.rules["fixed"]
        days = Days.named(self.config, rule.get("calendar"), "1111111")
        zone, day = offset(rule), (self.now - 31 * DAY).date()
        for count in range(62):
            if days.open(day + count * DAY):
                for time in sorted(rule.get("times", ["10:30:00"])):
                    local = dt.datetime.combine(day + count * DAY, dt.time.fromisoformat(time))
                    yield local.replace(tzinfo=zone).astimezone(dt.UTC)

    def fixed(self) -> bool:
        """Due in (last_fixed, or else last_rebalance.at; as_of], not older than catch_up."""
        return self.due_instant() is not None and not self.skipped()

    def due_instant(self) -> dt.datetime | None:
        begin = instant(self.held.get("last_fixed", self.point["at"]))
        window = dt.timedelta(hours=int(self.rules["fixed"].get("catch_up", "6h").rstrip("h")))
        due = [at for at in self.fixed_times() if begin < at <= self.now <= at + window]
        return max(due, default=None)

    def skipped(self) -> bool:
        """When leverage is within a tolerance or the price hardly moved."""
        rule = self.rules["fixed"]
        if abs(self.move) < Fraction(rule.get("skip_below_move", "0")):
            return True
        low, high = (Fraction(each) for each in rule.get("skip_within", ["0", "0"]))
        return self.equity > 0 and low <= abs(self.leverage) <= high

    # --- section 3 and 4.1: where to

    def aim(self, goal: Signal) -> Fraction:
        if goal.to == "target":
            return self.target
        band, target = self.row["rules"]["leverage_band"], abs(self.target)
        part = goal.speed if goal.to == "recentre" else 0
        there = self.directed + part * (target - self.directed)
        inside = max(Fraction(band["lower"]), min(Fraction(band["upper"]), there))
        return inside if self.target > 0 else -inside

    def sized(self, aim: Fraction) -> dict[str, Fraction]:
        size = self.equity
        if self.row.get("size_from") == "formula":
            size = self.formula_nav * Fraction(self.held["shares"])
        targets = dict.fromkeys(self.units, Fraction(0))
        for name, weight in self.basket(self.now).items():
            targets[name] = aim * size * weight / self.marks[name]
        return targets

    def deltas(self, told: Decided) -> dict[str, Fraction]:
        return {
            name: each - self.units.get(name, Fraction(0)) for name, each in told.targets.items()
        }

    def tradeable(self, targets: Mapping[str, Fraction]) -> bool:
        for name, target in targets.items():
            book = Book(self.config, self.snapshot, name, self.marks[name])
            held = self.units.get(name, Fraction(0))
            contracts = book.contracts(target - held)
            if contracts and book.too_small(contracts, waived=held * contracts < 0) is None:
                return True
        return False


def price_of(told: Any, source: str) -> Fraction:
    return Fraction(told[source] if isinstance(told, dict) else told)


def offset(rule: Row) -> dt.timezone:
    hours, _, minutes = rule.get("utc_offset", "+08:00").partition(":")
    shift = dt.timedelta(hours=int(hours), minutes=int(minutes) * (-1 if hours[0] == "-" else 1))
    return dt.timezone(shift)


class Book:
    """One contract on one account."""

    def __init__(self, config: Row, snapshot: Row, symbol: str, mark: Fraction) -> None:
        row = config.get("contracts", {}).get(symbol, {}) | snapshot.get("contracts", {}).get(
            symbol, {}
        )
        self.symbol, self.mark = symbol, mark
        self.size = Fraction(row.get("contract_size", "1"))
        self.lot = Fraction(row.get("lot", "1e-9"))
        self.min_amount = Fraction(row.get("min_amount", "0"))
        self.min_notional = Fraction(row.get("min_notional", "0"))

    def contracts(self, units: Fraction) -> Fraction:
        return cut(units / self.size, self.lot)

    def too_small(self, contracts: Fraction, *, waived: bool) -> str | None:
        if abs(contracts) < self.min_amount:
            return "amount"
        notional = abs(contracts) * self.size * self.mark
        return "notional" if notional < self.min_notional and not waived else None


@dataclass(frozen=True)
class Leg:
    contracts: Fraction
    position_side: str
    reduce_only: bool


class Books:
    """Section 4.2 to 4.4 and 4.7: netting, crosses, orders, shares."""

    def __init__(self, config: Row, snapshot: Row) -> None:
        self.config, self.snapshot = config, snapshot
        self.funds = {name: Fund(config, snapshot, name) for name in snapshot["funds"]}
        self.held = {name: dict(fund.units) for name, fund in self.funds.items()}
        self.told: dict[str, Decided] = {}
        self.crosses: dict[tuple[str, str], dict[str, str]] = {}
        self.orders: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.wanted: dict[tuple[str, str], dict[str, Fraction]] = {}
        self.skipped: set[tuple[str, str]] = set()

    def decide(self) -> None:
        self.told = {name: fund.decide() for name, fund in self.funds.items()}
        for account in self.config["accounts"]:
            for symbol in sorted({s for each in self.told.values() for s in each.targets}):
                self.plan(account, symbol)

    def plan(self, account: str, symbol: str) -> None:
        wants: dict[str, Fraction] = {}
        for name, told in self.told.items():
            mine = self.funds[name].row.get("account") == account
            if mine and told.trigger != "none" and symbol in told.targets:
                wants[name] = cut(self.funds[name].deltas(told)[symbol])
        rest = dict(wants)
        for name, crossed in self.cross(wants).items():
            rest[name] -= crossed
            self.crosses.setdefault((account, symbol), {})[name] = written(crossed)
        mark = next(iter(self.funds.values())).marks[symbol]
        book = Book(self.config, self.snapshot, symbol, mark)
        rest = {name: self.slice(name, each, book) for name, each in rest.items() if each}
        self.wanted[account, symbol] = rest
        net = sum(rest.values(), Fraction(0))
        ordered = Fraction(0)
        for leg in self.legs(account, book, net) if rest else ():
            waived = leg.reduce_only
            least = min(
                Fraction(self.funds[name].row.get("execution", {}).get("min_notional", "0"))
                for name in rest
            )
            units = leg.contracts * book.size
            small = not waived and abs(units) * mark < least
            if small or book.too_small(leg.contracts, waived=waived) is not None:
                continue
            ordered += units
            self.orders[account, symbol, leg.position_side] = {
                "contracts": written(abs(leg.contracts)),
                "units": written(units),
                "notional": written(abs(units) * mark),
                "side": "buy" if units > 0 else "sell",
                "reduce_only": leg.reduce_only,
                "allocations": {
                    name: written(part)
                    for name, part in split(units, {n: abs(e) for n, e in rest.items()}).items()
                },
            }
        if rest and (not ordered or cut(net - ordered, book.size * book.lot)):
            self.skipped |= {(name, symbol) for name in rest}

    def cross(self, wants: Mapping[str, Fraction]) -> dict[str, Fraction]:
        buys = {name: each for name, each in wants.items() if each > 0}
        sells = {name: each for name, each in wants.items() if each < 0}
        crossed = min(sum(buys.values()), -sum(sells.values()))
        if not crossed:
            return {}
        return split(crossed, buys) | split(-crossed, {n: -each for n, each in sells.items()})

    def slice(self, name: str, units: Fraction, book: Book) -> Fraction:
        bounds = dict(self.funds[name].row.get("execution", {}))
        if self.told[name].trigger == "emergency":
            bounds |= self.funds[name].rules["emergency"]
        least = abs(units)
        if "max_child_units" in bounds:
            least = min(least, Fraction(bounds["max_child_units"]))
        if "max_child_notional" in bounds:
            least = min(least, Fraction(bounds["max_child_notional"]) / book.mark)
        return least if units > 0 else -least

    def legs(self, account: str, book: Book, net: Fraction) -> Iterator[Leg]:
        contracts = book.contracts(net)
        mine = [each for each in self.funds.values() if each.row.get("account") == account]
        held = sum((each.units.get(book.symbol, Fraction(0)) for each in mine), Fraction(0))
        if self.config["accounts"][account].get("venue") != "xt":
            units = contracts * book.size
            shrinks = held * units < 0 and abs(units) <= abs(held)
            if contracts:
                yield Leg(contracts, "net", shrinks)
            return
        told = self.snapshot.get("accounts", {}).get(account, {}).get("positions", {})
        long, short = max(held, Fraction(0)), max(-held, Fraction(0))
        if isinstance(told.get(book.symbol), dict):
            long, short = (Fraction(told[book.symbol].get(side, "0")) for side in ("long", "short"))
        sides = ("short", "long") if contracts > 0 else ("long", "short")
        closable = min(abs(contracts), book.contracts(short if contracts > 0 else long))
        sign = 1 if contracts > 0 else -1
        if closable:
            yield Leg(sign * closable, sides[0], reduce_only=True)
        if abs(contracts) > closable:
            yield Leg(sign * (abs(contracts) - closable), sides[1], reduce_only=False)

    # --- section 8: the document

    def document(self) -> dict[str, dict[str, Any]]:
        found = {}
        for name, fund in self.funds.items():
            told = self.told[name]
            targets = dict.fromkeys({*fund.basket(fund.now), *fund.units}, Fraction(0))
            targets |= fund.units | told.targets
            deltas = {s: each - fund.units.get(s, Fraction(0)) for s, each in targets.items()}
            found[name] = {
                "nav": written(fund.equity / Fraction(fund.held["shares"])),
                "formula_nav": "0" if told.trigger == "gap" else written(fund.formula_nav),
                "leverage": written(fund.leverage) if fund.equity > 0 else None,
                "trigger": told.trigger,
                "target_leverage": written(told.aim),
                "target_units": {symbol: written(each) for symbol, each in targets.items()},
                "delta_units": {symbol: written(each) for symbol, each in deltas.items()},
                "delta_notional": {
                    symbol: written(each * fund.marks[symbol]) for symbol, each in deltas.items()
                },
            }
            if told.due_by is not None:
                found[name]["due_by"] = told.due_by
        return found
