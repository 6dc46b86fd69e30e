"""Configurations and snapshots thrown by dice: what the sentences are asked about."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Any

from tests.oracle.documents import BTC, ETH, SOL
from tests.oracle.sentences import iso, written

#: Friday, 16 January 2026, 02:30 UTC: the default fixed time, at 10:30 in +08:00
DUE = dt.datetime(2026, 1, 16, 2, 30, tzinfo=dt.UTC)
SOURCES = ("mark", "index", "spot", "last")


def toml(value: Any) -> str:
    """Write a value as TOML on one line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f'"{key}" = {toml(each)}' for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else f'"{value}"'


def config_text(config: Mapping[str, Any]) -> str:
    return "".join(f"{key} = {toml(value)}\n" for key, value in config.items())


Point = tuple[dt.datetime, str, Fraction]
"""An instant, a contract, and its price or its rate of funding."""


@dataclass(frozen=True)
class Past:
    """A history: a configuration, what became known when, and the files that say so."""

    config: dict[str, Any]
    every: dt.timedelta
    prices: list[Point]
    funding: list[Point]
    #: the lines of a price file and of a funding file by contract
    price_lines: dict[str, list[str]]
    funding_lines: dict[str, list[str]]


class Throw:
    """One desk."""

    def __init__(self, dice: Random) -> None:
        self.dice = dice
        self.now = DUE + dt.timedelta(
            days=dice.randrange(-3, 8),
            minutes=dice.choice([0, 0, 0, 1, -1, 359, 360, 361, dice.randrange(1400)]),
        )
        self.base = {s: Fraction(dice.randrange(100, 9999), 10) for s in (BTC, ETH, SOL)}
        common = self.percent()
        self.now_at = {
            symbol: {
                source: price * (100 + common) / 100 * self.near() * self.near()
                for source in SOURCES
            }
            for symbol, price in self.base.items()
        }

    def percent(self) -> Fraction:
        dice = self.dice
        return Fraction(dice.choice([0, 5, 15, -15, 9, -9, dice.randrange(-38, 40), -10, 12]))

    def near(self) -> Fraction:
        return Fraction(self.dice.choice([1000, 1000, 1000, 1001, 990, 1020]), 1000)

    def chance(self, of_ten: int) -> bool:
        return self.dice.randrange(10) < of_ten

    def pick(self, *values: Any) -> Any:
        return self.dice.choice(values)

    def ago(self, *minutes: int) -> str:
        return iso(self.now - dt.timedelta(minutes=self.pick(*minutes)))

    def desk(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a configuration and a snapshot."""
        funds, held = {}, {}
        for name in ("A", "B", "C", "D")[: self.dice.randrange(1, 5)]:
            funds[name], held[name] = self.fund()
        margins = {"initial_margin": "1e-9", "maintenance_margin": "1e-9"}
        config = {
            "accounts": {"main": margins, "hx": {"venue": "xt"} | margins},
            "calendars": {"X": {"weekmask": "1111100", "holidays": ["2026-01-19", "2026-01-16"]}},
            "contracts": {symbol: self.contract() for symbol in self.base},
            "funds": funds,
        }
        prices = {
            symbol: written(by["mark"])
            if self.same(funds)
            else {s: written(p) for s, p in by.items()}
            for symbol, by in self.now_at.items()
        }
        return config, {"as_of": iso(self.now), "prices": prices, "funds": held}

    def same(self, funds: Mapping[str, Any]) -> bool:
        return all(each.get("price_source", "mark") == "mark" for each in funds.values())

    def contract(self) -> dict[str, str]:
        row = {
            "lot": self.pick("0.001", "0.1", "1", "1e-9"),
            "contract_size": self.pick("1", "0.01"),
        }
        if self.chance(3):
            row["min_notional"] = self.pick("5", "50")
        if self.chance(1):
            row["min_amount"] = "0.5"
        return row

    def basket(self) -> dict[str, str]:
        weights = self.pick(("1",), ("1",), ("0.5", "0.5"), ("0.2", "0.3", "0.5"), ("0.75", "0.25"))
        symbols = self.dice.sample(list(self.base), len(weights))
        return dict(zip(symbols, weights, strict=True))

    def fund(self) -> tuple[dict[str, Any], dict[str, Any]]:
        target = Fraction(self.pick("3", "-3", "2", "-1", "1.25", "0.5", "1", "5", "-2"))
        basket = self.basket()
        row: dict[str, Any] = {"target_leverage": written(target), "basket": basket}
        if self.chance(9):
            row["account"] = self.pick("main", "main", "hx")
        if "account" in row and self.chance(3):
            row["price_source"] = self.pick(*SOURCES)
        if self.chance(1):
            row["size_from"] = "formula"
        rules = self.rules(abs(target))
        if rules:
            row["rules"] = rules
        if self.chance(3):
            row["execution"] = {
                "max_child_units": self.pick("1.5", "5"),
                "min_notional": self.pick("0", "20"),
            }
        return row, self.held(row, target, basket, rules)

    def held(
        self, row: Mapping[str, Any], target: Fraction, basket: Mapping[str, str], rules: Any
    ) -> dict[str, Any]:
        nav, shares = Fraction(self.dice.randrange(50, 500)), Fraction(self.pick(1, 3, "2.5"))
        ran = target * Fraction(self.pick(100, 100, 100, 95, 120, 80), 100)
        units = {
            symbol: Fraction(written(ran * nav * shares * Fraction(weight) / self.base[symbol]))
            for symbol, weight in basket.items()
        }
        cash = nav * shares - sum(each * self.base[symbol] for symbol, each in units.items())
        at = self.ago(60 * 24, 60 * 24, 60 * 24 * 4, 0, 1, 60, 60 * 24 * 9, 60 * 7, 400)
        point = {
            "at": at,
            "nav": written(nav * self.near()),
            "prices": {symbol: written(self.base[symbol] * self.near()) for symbol in self.base},
        }
        if self.chance(3):
            point["leverage"] = written(ran)
        told: dict[str, Any] = {
            "shares": written(shares),
            "cash": written(cash),
            "units": {symbol: written(each) for symbol, each in units.items()},
            "last_rebalance": point,
        }
        if self.chance(2):
            told["last_fixed"] = self.ago(60 * 24, 30, 60 * 24 * 3)
        if self.chance(2):
            told["last_run_at"] = self.ago(0, 1, 2, 60)
        if self.chance(2):
            told["last_emergency_at"] = self.ago(0, 1, 2)
        if "leverage_band" in rules and self.chance(5):
            told["breach_since"] = self.ago(60 * 24 * 3, 60 * 24 * 5, 60 * 24, 60 * 24 * 4 + 60)
        return told

    def rules(self, size: Fraction) -> dict[str, Any]:
        if self.chance(4):
            return {}
        made = {
            "leverage_band": (4, self.band),
            "price_move": (4, self.price_move),
            "leverage_cap": (3, self.cap),
            "elapsed": (3, self.elapsed),
            "fixed": (5, self.fixed),
            "reconstitution": (3, self.reconstitution),
            "emergency": (3, self.emergency),
        }
        rules = {name: make(size) for name, (often, make) in made.items() if self.chance(often)}
        goes = {*rules} - {"reconstitution"} if "leverage_band" in rules else set()
        for name in sorted(goes):
            if rules[name].get("enabled", True) and self.chance(4):
                rules[name] |= self.pick({"to": "edge"}, {"to": "recentre", "speed": "0.25"})
        return rules

    def cap(self, size: Fraction) -> dict[str, Any]:
        return {"upper": written(size * Fraction(self.pick(12, 15), 10))}

    def elapsed(self, _size: Fraction) -> dict[str, Any]:
        return {"days": self.pick(1, 4, 9)} | ({"calendar": "X"} if self.chance(5) else {})

    def reconstitution(self, _size: Fraction) -> dict[str, Any]:
        day = (self.now - dt.timedelta(days=self.pick(0, 1, 3, 8, -1))).date().isoformat()
        change = {"effective": day, "basket": self.basket()}
        return {"changes": [change]} | ({"calendar": "X"} if self.chance(3) else {})

    def emergency(self, size: Fraction) -> dict[str, Any]:
        ratio = {"ratio": self.pick("1.6", "2", "3"), "max_child_units": "1.2"}
        told: dict[str, Any] = self.pick(ratio, {"leverage": written(size * 2)}, {"enabled": False})
        return told

    def band(self, size: Fraction) -> dict[str, Any]:
        rule: dict[str, Any] = {
            "lower": written(size * Fraction(self.pick(9, 7, 10), 10)),
            "upper": written(size * Fraction(self.pick(11, 13), 10)),
        }
        if self.chance(5):
            rule |= {"within_business_days": self.pick(1, 2), "close": self.pick("15:00", "02:30")}
            if self.chance(3):
                rule["lapse_if_cured"] = True
            if self.chance(4):
                rule["calendar"] = "X"
        elif self.chance(3):
            rule["cooldown"] = "90s"
        return rule

    def price_move(self, size: Fraction) -> dict[str, Any]:
        rule: dict[str, Any] = {}
        if self.chance(5):
            rule["side"] = "both"
        if self.chance(4) and size < 4:
            rule["threshold"] = self.pick("0.05", "0.15", "0.1")
        return rule

    def fixed(self, size: Fraction) -> dict[str, Any]:
        rule: dict[str, Any] = {}
        if self.chance(4):
            rule["times"] = self.pick(["00:00:00", "12:00:00"], ["10:30:00", "22:30:00"])
        if self.chance(3):
            rule["utc_offset"] = self.pick("+00:00", "-05:00", "+08:00")
        if self.chance(3):
            rule["calendar"] = "X"
        if self.chance(3):
            rule["catch_up"] = self.pick("1h", "24h", "30h")
        if self.chance(2):
            rule["skip_below_move"] = "0.06"
        if self.chance(2):
            rule["skip_within"] = [
                written(size * Fraction(9, 10)),
                written(size * Fraction(11, 10)),
            ]
        return rule


class ThrownPast(Throw):
    """One desk and the prices of some days."""

    def past(self) -> Past:
        dice = self.dice
        every = dt.timedelta(minutes=self.pick(1, 5, 60, 480))
        funds = {name: self.plain_fund() for name in ("A", "B", "C")[: dice.randrange(1, 4)]}
        margins = {"initial_margin": "1e-9", "maintenance_margin": "1e-9"}
        paper = {"fee_bps": self.pick("0", "5", "2.5"), "slippage_bps": self.pick("0", "1", "7")}
        fine = {"lot": self.pick("0.001", "1e-9", "0.01")}
        config = {
            "accounts": {"main": margins | {"paper": paper}},
            "calendars": {"X": {"weekmask": "1111100", "holidays": ["2026-01-19", "2026-01-16"]}},
            "contracts": {symbol: self.contract() | fine for symbol in self.base},
            "funds": funds,
        }
        past = Past(config, every, [], [], {}, {})
        start = DUE - dt.timedelta(days=self.pick(0, 1, 2), minutes=self.pick(0, 1, 30))
        wild, bars = self.pick(10, 30, 80, 200), self.chance(4)
        for symbol in sorted(self.base):
            self.add_prices(past, symbol, start, wild, bars=bars)
            if self.chance(5):
                self.add_funding(past, symbol, start)
        return past

    def plain_fund(self) -> dict[str, Any]:
        row, _ = self.fund()
        for key in ("execution", "price_source"):
            row.pop(key, None)
        if "account" in row:
            row["account"] = "main"
        row.get("rules", {}).get("emergency", {}).pop("max_child_units", None)
        row["initial_shares"] = self.pick("10", "25", "1000")
        if self.chance(3):
            row["management_fee"] = {"daily": self.pick("0.003", "0.01")}
        return row

    def add_prices(
        self, past: Past, symbol: str, start: dt.datetime, wild: int, *, bars: bool
    ) -> None:
        late = dt.timedelta(minutes=self.pick(0, 0, 0, 1, 7))
        price = self.base[symbol]
        lines = ["timestamp,open,high,low,close" if bars else "timestamp,close"]
        for count in range(40):
            if count > 1 and self.dice.random() < 0.06:
                continue  # a gap
            if count:
                moved = price * (1000 + self.dice.randrange(-wild, wild + 1)) / 1000
                price = Fraction(written(moved)[:14])
            at = start + late + count * past.every
            told = [price, price * 2, price / 2, price] if bars else [price]
            lines.append(",".join([iso(at), *map(written, told)]))
            past.prices.append((at + past.every if bars else at, symbol, price))
        past.price_lines[symbol] = lines

    def add_funding(self, past: Past, symbol: str, start: dt.datetime) -> None:
        lines = ["funding_time_ms,funding_rate"]
        at = start.replace(hour=0, minute=0)
        while at <= start + 40 * past.every:
            rate = Fraction(self.dice.randrange(-30, 31), 10_000)
            lines.append(f"{int(at.timestamp() * 1000)},{written(rate)}")
            past.funding.append((at, symbol, rate))
            at += dt.timedelta(hours=8)
        past.funding_lines[symbol] = lines
