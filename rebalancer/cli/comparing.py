"""Two stores side by side: what a dry run decided, and what a live desk did at the same times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rebalancer.cli.output import NONE, base_of, console, moment, money, note, table, when
from rebalancer.core.money import ZERO, text, total

if TYPE_CHECKING:
    from rebalancer.store.reader import SqlReader
    from rebalancer.store.rows import OrderRow, RunRow

VERSION = 1


@dataclass(frozen=True, slots=True)
class Done:
    """One run with what it ordered, in signed contracts by contract."""

    run: RunRow
    ordered: Mapping[str, Decimal]
    #: the fixed instants that it served
    due_ms: frozenset[int] = frozenset()

    def document(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "run_id": self.run.run_id,
            "at": when(self.run.opened_ms),
            "status": str(self.run.status),
            "delta_units": {name: text(units) for name, units in self.run.delta_units.items()},
            "ordered_contracts": {name: text(size) for name, size in self.ordered.items()},
            "cost": text(self.run.cost),
        }


@dataclass(slots=True)
class Comparison:
    """What both stores have, and what only one of them has."""

    pairs: list[tuple[Done, Done]] = field(default_factory=list)
    only_here: list[Done] = field(default_factory=list)
    only_there: list[Done] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "version": VERSION,
            "pairs": [
                {
                    "fund": here.run.fund,
                    "trigger": str(here.run.trigger),
                    "here": here.document(),
                    "there": there.document(),
                    "difference_units": {
                        name: text(units) for name, units in _difference(here, there).items()
                    },
                }
                for here, there in self.pairs
            ],
            "only_here": [_named(each) for each in self.only_here],
            "only_there": [_named(each) for each in self.only_there],
        }


def compare(here: SqlReader, there: SqlReader, limit: int, within_ms: int) -> Comparison:
    """Pair the latest runs of two stores: the same fund and rule, at the same instant.

    Fixed runs belong together where they served one fixed instant, all others where they were
    opened within `within_ms` of each other. Only the time that both stores cover is looked at.
    """
    ours, theirs = _done(here, limit), _done(there, limit)
    starts = [min(each.run.opened_ms for each in runs) for runs in (ours, theirs) if runs]
    from_ms = max(starts, default=0)
    found = Comparison()
    left = [each for each in theirs if each.run.opened_ms >= from_ms - within_ms]
    for mine in ours:
        if mine.run.opened_ms < from_ms - within_ms:
            continue
        match = min(
            (each for each in left if _together(mine, each, within_ms)),
            key=lambda each: abs(each.run.opened_ms - mine.run.opened_ms),
            default=None,
        )
        if match is None:
            found.only_here.append(mine)
        else:
            left.remove(match)
            found.pairs.append((mine, match))
    found.only_there = left
    return found


def show(comparison: Comparison) -> None:
    """Print both sides for a person."""
    rows = [
        [
            moment(here.run.opened_ms),
            here.run.fund,
            str(here.run.trigger),
            _units(here.run.delta_units),
            _units(there.run.delta_units),
            _units(_difference(here, there)) or NONE,
            money(here.run.cost),
            money(there.run.cost),
        ]
        for here, there in comparison.pairs
    ]
    columns = ("at", "fund", "rule", ">here", ">there", ">difference", ">cost here", ">there")
    console().print(table("Runs of both stores", columns, rows))
    for name, only in (("here", comparison.only_here), ("there", comparison.only_there)):
        for each in only:
            run = each.run
            deltas = _units(run.delta_units)
            note(f"only {name}: {when(run.opened_ms)} {run.fund} {run.trigger} {deltas}")


def _done(reader: SqlReader, limit: int) -> list[Done]:
    runs, orders = reader.runs(limit=limit), reader.orders(limit * 10)
    served: dict[str, set[int]] = {}
    for fund in {run.fund for run in runs}:
        for row in reader.fixed(fund, limit):
            if row.run_id:
                served.setdefault(row.run_id, set()).add(row.due_ms)
    return [Done(run, _ordered(run, orders), frozenset(served.get(run.run_id, ()))) for run in runs]


def _ordered(run: RunRow, orders: Sequence[OrderRow]) -> dict[str, Decimal]:
    """Return what was ordered of the run's contracts while it was open, funds together."""
    ordered: dict[str, Decimal] = {}
    for order in orders:
        begun = run.opened_ms <= order.created_ms
        over = run.ended_ms is not None and order.created_ms > run.ended_ms
        if begun and not over and order.contract in run.delta_units:
            size = order.contracts if order.side == "buy" else -order.contracts
            ordered[order.contract] = ordered.get(order.contract, ZERO) + size
    return ordered


def _together(one: Done, other: Done, within_ms: int) -> bool:
    if (one.run.fund, one.run.trigger) != (other.run.fund, other.run.trigger):
        return False
    if one.due_ms or other.due_ms:
        return bool(one.due_ms & other.due_ms)
    return abs(one.run.opened_ms - other.run.opened_ms) <= within_ms


def _difference(here: Done, there: Done) -> dict[str, Decimal]:
    """Return what there was traded more than here, in base coins by contract."""
    names = {**here.run.delta_units, **there.run.delta_units}
    found = {
        name: total((there.run.delta_units.get(name, ZERO), -here.run.delta_units.get(name, ZERO)))
        for name in names
    }
    return {name: units for name, units in found.items() if units}


def _units(units: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{size:+.6f} {base_of(name)}" for name, size in units.items())


def _named(each: Done) -> dict[str, Any]:
    return {"fund": each.run.fund, "trigger": str(each.run.trigger), **each.document()}


def both(here: SqlReader, other: str, limit: int, within_ms: int) -> Comparison:
    """Compare with the store at a path or url; raises InputRefused where there is none."""
    from rebalancer.store.reader import open_reader  # noqa: PLC0415 - not needed to print --help

    url = other if "://" in other else f"sqlite:///{other}"
    with open_reader(url) as there:
        return compare(here, there, limit, within_ms)
