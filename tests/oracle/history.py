"""The backtest document, computed again from the sentences of the specification, in fractions.

Every instant of a history is a plan of `sentences.py` that is carried out at once: no slices, no
latency. It shares no line with the product.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from tests.oracle.sentences import (
    DAY,
    STRICT,
    Books,
    Days,
    Fund,
    basket_at,
    cut,
    iso,
    split,
    written,
)

ZERO = Fraction(0)
#: an index-only fund is counted to 30 decimals
PAPER = Fraction(1, 10**30)
#: the rules that a price fires: they see closes only
PRICED = frozenset({"emergency", "leverage_cap", "price_move"})
Row = Mapping[str, Any]


def rounded(value: Fraction) -> Fraction:
    """18 decimals, half-even."""
    return Fraction(written(value))


def short(value: Fraction) -> Fraction:
    """50 decimals: a chain of points must not become a fraction of thousands of digits."""
    return Fraction(round(value * 10**50), 10**50)


@dataclass
class State:
    """One fund in the middle of a replay."""

    shares: Fraction
    cash: Fraction
    units: dict[str, Fraction]
    point: dict[str, Any]
    launched: dt.datetime
    settled: dt.datetime
    wiped: bool = False
    run_at: dt.datetime | None = None
    emergency_at: dt.datetime | None = None
    breach: dt.datetime | None = None
    charged: dt.datetime | None = None
    fees: Fraction = ZERO
    slippage: Fraction = ZERO
    funding: Fraction = ZERO
    management_fee: Fraction = ZERO
    rebalances: list[dict[str, Any]] = field(default_factory=list)

    def snapshot(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "shares": self.shares,
            "cash": self.cash,
            "units": self.units,
            "last_rebalance": self.point,
            "last_fixed": iso(self.settled),
        }
        for key, at in (
            ("last_run_at", self.run_at),
            ("last_emergency_at", self.emergency_at),
            ("breach_since", self.breach),
        ):
            if at is not None:
                told[key] = iso(at)
        return told


class History:
    """All funds over all prices: `prices` and `funding` are (instant, symbol, number)."""

    def __init__(self, config: Row, prices: list[Any], funding: list[Any], every: dt.timedelta):
        self.config, self.every = config, every
        self.prices, self.funding = prices, funding
        self.marks: dict[str, Fraction] = {}
        self.seen: dict[str, dt.datetime] = {}
        self.funds: dict[str, State] = {}

    def run(self) -> None:
        last = max(at for at, _, _ in (*self.prices, *self.funding))
        at = min(at for at, _, _ in self.prices)
        while at <= last:
            self.moment(at)
            at = min([each for each in self.coming(at) if each > at], default=last + DAY)

    def coming(self, at: dt.datetime) -> Iterator[dt.datetime]:
        yield from (each for each, _, _ in (*self.prices, *self.funding) if each > at)
        for name in self.funds:
            fund = self.view(name, at)
            if "fixed" in fund.rules:
                yield from fund.fixed_times()
            if "elapsed" in fund.rules:
                rule = fund.rules["elapsed"]
                due = fund.at + rule["days"] * DAY
                days = Days.named(self.config, rule.get("calendar"), "1111111")
                yield due + (days.roll(due.date()) - due.date())
            yield from (due for due, _ in fund.changes())
            if self.funds[name].breach is not None and (duty := fund.duty()) is not None:
                yield duty
            yield from self.fee_times(at)

    def fee_times(self, at: dt.datetime) -> list[dt.datetime]:
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        return [midnight + dt.timedelta(hours=8 * count) for count in range(-3, 7)]

    def view(self, name: str, at: dt.datetime) -> Fund:
        return self.books(at, {name}).funds[name]

    def books(self, at: dt.datetime, names: set[str]) -> Books:
        prices = dict(self.marks)
        held = {name: self.funds[name].snapshot() for name in self.funds if name in names}
        return Books(self.config, {"as_of": iso(at), "prices": prices, "funds": held})

    # --- one instant, in the order of section 2: funding, strike, fee, run

    def moment(self, at: dt.datetime) -> None:
        closed = {symbol: Fraction(price) for when, symbol, price in self.prices if when == at}
        self.marks |= closed
        self.seen |= dict.fromkeys(closed, at)
        for when, symbol, rate in self.funding:
            if when == at and symbol in self.marks:
                self.settle(symbol, Fraction(rate))
        for name in self.config["funds"]:
            self.launch(name, at)
        for name, state in self.funds.items():
            if not state.wiped:
                self.charge(name, state, at)
        acting = {name for name, each in self.funds.items() if each.launched != at}
        while acting:  # what a run leaves is looked at once more
            acting = self.rebalance(at, closed, {n for n in acting if not self.funds[n].wiped})

    def settle(self, symbol: str, rate: Fraction) -> None:
        for name, state in self.funds.items():
            if "account" not in self.config["funds"][name]:
                continue  # index-only: nothing is held at any venue
            paid = rate * state.units.get(symbol, ZERO) * self.marks[symbol]
            state.cash -= paid
            state.funding += paid

    def launch(self, name: str, at: dt.datetime) -> None:
        row = self.config["funds"][name]
        basket = basket_at(self.config, row, at)
        if name in self.funds or not basket.keys() <= self.marks.keys():
            return
        nav, shares = Fraction(row.get("initial_nav", "100")), Fraction(row["initial_shares"])
        exposure = Fraction(row["target_leverage"]) * nav * shares
        units = {
            symbol: exposure * weight / self.marks[symbol] for symbol, weight in basket.items()
        }
        for symbol, each in units.items():
            units[symbol] = rounded(each) if "account" in row else cut(each, PAPER)
        cash = nav * shares - sum(each * self.marks[symbol] for symbol, each in units.items())
        prices = {symbol: self.marks[symbol] for symbol in basket}
        point = {"at": iso(at), "nav": nav, "prices": prices}
        self.funds[name] = State(shares, cash, units, point, at, settled=at, charged=at)

    def charge(self, name: str, state: State, at: dt.datetime) -> None:
        daily = Fraction(self.config["funds"][name].get("management_fee", {}).get("daily", "0"))
        for due in self.fee_times(at):
            if state.charged is not None and state.charged < due <= at and daily:
                equity = self.view(name, at).equity
                if equity > 0:
                    fee = rounded(equity * daily / 3)
                    state.cash -= fee
                    state.management_fee += fee
                    nav = short(state.point["nav"] * (1 - daily / 3))
                    state.point = state.point | {"nav": nav}
        state.charged = at

    def rebalance(
        self, at: dt.datetime, closed: Mapping[str, Fraction], acting: set[str]
    ) -> set[str]:
        """Let the rules of `acting` see this instant; return the funds that ran."""
        books = self.books(at, acting)
        for name, fund in tuple(books.funds.items()):
            members = {*fund.basket(fund.at), *fund.basket(fund.now), *fund.units}
            late = any(at - self.seen[each] > self.every for each in members)
            closes = bool(members & closed.keys())
            if not closes and (fund.equity <= 0 or 1 + fund.leverage_k * fund.move <= 0):
                del books.funds[name]  # what the gap rule will see at the next close
                continue
            fund.rules = {
                rule: told
                for rule, told in fund.rules.items()
                if (closes if self.priced(rule, fund) else not late)
            }
        books.decide()
        for name in books.funds:
            self.note_breach(name, books, at)
        before = {name: fund.leverage if fund.equity > 0 else None
                  for name, fund in books.funds.items()}  # fmt: skip
        navs = {name: fund.formula_nav for name, fund in books.funds.items()}
        costs = self.carry_out(books)
        for name, fund in books.funds.items():
            self.finish(name, fund, books, (at, before[name], navs[name], costs.get(name, ZERO)))
        return {name for name, told in books.told.items() if told.trigger != "none"}

    def priced(self, rule: str, fund: Fund) -> bool:
        """Whether a price fires the rule, which then sees closes only; else the clock does."""
        if rule == "leverage_band":
            return fund.duty() is None or self.funds[fund.name].breach is None
        return rule in PRICED

    def note_breach(self, name: str, books: Books, at: dt.datetime) -> None:
        fund, state = books.funds[name], self.funds[name]
        rule = fund.rules.get("leverage_band")
        if rule is None or not rule.get("within_business_days") or fund.equity <= 0:
            return
        if state.breach is None and fund.breached():
            state.breach = at
        elif state.breach is not None and rule.get("lapse_if_cured") and not fund.breached():
            state.breach = None

    def carry_out(self, books: Books) -> dict[str, Fraction]:
        """Fill crosses at the mark and orders with slippage and fee; return what each fund paid."""
        costs: dict[str, Fraction] = {}
        for name, fund in books.funds.items():
            if "account" not in fund.row and books.told[name].trigger != "none":
                for symbol, units in fund.deltas(books.told[name]).items():
                    paper = cut(units, PAPER)
                    self.fill(name, symbol, paper, self.marks[symbol])
        for (_, symbol), parts in books.crosses.items():
            for name, crossed in parts.items():
                self.fill(name, symbol, Fraction(crossed), self.marks[symbol])
        for (account, symbol, _), order in books.orders.items():
            paper = self.config["accounts"][account].get("paper", {})
            units, mark = Fraction(order["units"]), self.marks[symbol]
            slip = Fraction(paper.get("slippage_bps", "0")) / 10_000
            price = mark * (1 + slip) if units > 0 else mark * (1 - slip)
            fee = abs(units) * price * Fraction(paper.get("fee_bps", "0")) / 10_000
            shares = {name: Fraction(each) for name, each in order["allocations"].items()}
            wants = {name: abs(books.wanted[account, symbol][name]) for name in shares}
            fees = split(fee, wants)
            for name, part in shares.items():
                self.fill(name, symbol, part, price)
                state = self.funds[name]
                state.cash -= fees[name]
                state.fees += fees[name]
                state.slippage += (price - mark) * part
                paid = fees[name] + (price - mark) * part
                costs[name] = costs.get(name, ZERO) + paid
        return costs

    def fill(self, name: str, symbol: str, units: Fraction, price: Fraction) -> None:
        state = self.funds[name]
        state.cash -= units * price
        state.units[symbol] = state.units.get(symbol, ZERO) + units
        if not state.units[symbol]:
            del state.units[symbol]

    def finish(self, name: str, fund: Fund, books: Books, run: tuple[Any, ...]) -> None:
        at, before, formula_nav, cost = run
        told, state = books.told[name], self.funds[name]
        after = self.view(name, at)
        # A fixed instant is satisfied by a run that ends at target, or skipped by its own setting.
        due = fund.due_instant() if "fixed" in fund.rules else None
        place = fund.rules.get("fixed", {}).get("to", "target")
        served = told.trigger != "none" and STRICT.index(told.to) <= STRICT.index(place)
        if due is not None and (served or fund.skipped()):
            state.settled = due
        if told.trigger == "none":
            return
        if told.trigger == "gap":
            state.wiped = True
            if after.equity < 0:
                state.cash -= after.equity
        else:
            state.point = {
                "at": iso(at),
                "nav": short(formula_nav),
                "prices": {symbol: self.marks[symbol] for symbol in fund.basket(at)},
                "leverage": short(told.aim),
            }
            state.breach, state.run_at = None, at
            if told.trigger == "emergency":
                state.emergency_at = at
        deltas = dict.fromkeys({*fund.basket(at), *books.held[name]}, ZERO)
        deltas = {s: told.targets.get(s, ZERO) - books.held[name].get(s, ZERO) for s in deltas}
        if told.trigger == "gap":
            deltas = {symbol: -units for symbol, units in books.held[name].items()}
        state.rebalances.append(
            {
                "at": iso(at),
                "trigger": told.trigger,
                "prices": {symbol: written(self.marks[symbol]) for symbol in deltas},
                "nav": written(after.equity / state.shares),
                "leverage_before": None if before is None else written(before),
                "leverage_after": written(after.leverage) if after.equity > 0 else None,
                "delta_units": {symbol: written(units) for symbol, units in deltas.items()},
                "cost": written(cost),
            }
        )

    # --- section 8: the document

    def document(self) -> dict[str, Any]:
        found = {}
        at = max(when for when, _, _ in (*self.prices, *self.funding))
        for name, state in self.funds.items():
            fund = self.view(name, at)
            found[name] = {
                "start_nav": written(Fraction(fund.row.get("initial_nav", "100"))),
                "final_nav": written(fund.equity / state.shares),
                "final_formula_nav": "0" if state.wiped else written(fund.formula_nav),
                "final_leverage": written(fund.leverage) if fund.equity > 0 else None,
                "rebalances": state.rebalances,
                "costs": {
                    "fees": written(state.fees),
                    "slippage": written(state.slippage),
                    "funding": written(state.funding),
                    "management_fee": written(state.management_fee),
                },
            }
        return {"version": 1, "funds": found, "bars": len({when for when, _, _ in self.prices})}
