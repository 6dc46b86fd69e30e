"""Why a fund does what it does, at any time that its journal covers (version 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rebalancer.core.deciding import fixed_after_ms, idle
from rebalancer.core.distances import Distance, distances_of
from rebalancer.core.events import PriceTick
from rebalancer.core.folding import fold
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import iso
from rebalancer.core.money import text
from rebalancer.core.records import NavStruck, Record, RunMoved, RunOpened
from rebalancer.core.rules.fixed import open_instants
from rebalancer.core.state import Desk, DeskState, FundState
from rebalancer.errors import InputRefused

VERSION = 1


@dataclass(frozen=True, slots=True)
class Past:
    """A desk as it stood at one instant."""

    at_ms: int
    state: DeskState
    #: when each mark became known
    stamps_ms: Mapping[str, int]


def desk_at(
    desk: Desk, history: Sequence[Record], at_ms: int, known: Mapping[str, tuple[Decimal, int]]
) -> Past:
    """Return the desk after its records up to an instant, at the newest marks known by then.

    `known` are marks from elsewhere, with their times; a journal holds those of runs and strikes.
    """
    past = [record for record in history if record.at_ms <= at_ms]
    state = fold(desk, past)
    state.now_ms = at_ms
    marks: dict[str, tuple[Decimal, int]] = {}
    for record in past:
        if isinstance(record, RunMoved | NavStruck):
            found = record.marks
        elif isinstance(record, RunOpened):
            found = record.plan.marks
        else:
            continue
        marks |= {symbol: (price, record.at_ms) for symbol, price in found.items()}
    for symbol, (price, known_ms) in known.items():
        if known_ms <= at_ms and (symbol not in marks or marks[symbol][1] <= known_ms):
            marks[symbol] = (price, known_ms)
    for symbol, (price, known_ms) in marks.items():
        if symbol in state.holders:
            for source in PriceSource:
                tick = PriceTick(symbol, source, price, known_ms)
                state.market.observe(tick, at_ms, trusted=True)
    return Past(at_ms, state, {symbol: known_ms for symbol, (_, known_ms) in marks.items()})


def explain(past: Past, name: str) -> dict[str, Any]:
    """Return the explanation document of one fund; InputRefused where there is no such fund."""
    state, fund = past.state, past.state.funds.get(name)
    if fund is None:
        raise InputRefused(
            f"there is no fund {name}; the configuration has {', '.join(state.funds)}"
        )
    worth = state.worth(fund) if fund.launched_ms is not None else None
    trigger, reason = fund.verdict or ("none", "nothing was decided yet")
    return {
        "version": VERSION,
        "fund": name,
        "at": iso(past.at_ms),
        "verdict": {"trigger": str(trigger), "reason": reason},
        "trading": str(state.permission(fund).state),
        "run": str(fund.run.plan.trigger) if fund.run else None,
        "nav": text(worth.nav) if worth else None,
        "formula_nav": text(worth.formula_nav) if worth else None,
        "leverage": text(worth.leverage) if worth and worth.leverage is not None else None,
        "target_leverage": text(fund.fund.target_leverage),
        "move": text(worth.move) if worth else None,
        "last_rebalance": _point(fund),
        "price_source": str(fund.fund.price_source),
        "prices": {
            symbol: {"price": text(price), "age_ms": past.at_ms - past.stamps_ms[symbol]}
            for symbol, price in (worth.prices.items() if worth else ())
        },
        "triggers": [trigger_document(each) for each in triggers_of(past, fund)],
        "due": _due(past, fund),
    }


def triggers_of(past: Past, fund: FundState) -> tuple[Distance, ...]:
    """Return the triggers of a fund, the nearest first; none where it has no price."""
    return distances_of(fund, past.state.worth(fund) if fund.launched_ms is not None else None)


def trigger_document(each: Distance) -> dict[str, Any]:
    """Return one trigger as the documents write it."""
    return {
        "trigger": str(each.trigger),
        "source": str(each.source),
        "fires": each.fires,
        "prices": {symbol: text(price) for symbol, price in each.prices.items()},
        "move": text(each.move),
    }


def _point(fund: FundState) -> dict[str, Any] | None:
    point = fund.point
    if point is None:
        return None
    return {
        "at": iso(point.at_ms),
        "nav": text(point.nav),
        "leverage": text(point.leverage),
        "prices": {symbol: text(price) for symbol, price in point.prices.items()},
    }


def _due(past: Past, fund: FundState) -> dict[str, str]:
    """Return what the clock alone will bring: by rule, when."""
    rules, due = fund.fund.methodology, dict[str, int]()
    if idle(fund):
        return {}
    after_ms = fixed_after_ms(fund)
    if rules.fixed is not None and after_ms is not None:
        waiting = open_instants(rules.fixed, after_ms, past.at_ms)
        due["fixed"] = waiting[0] if waiting else rules.fixed.next_due_ms(past.at_ms)
    if fund.duty is not None:
        due["leverage_band"] = fund.duty.due_ms
    if rules.elapsed is not None and fund.point is not None:
        due["elapsed"] = rules.elapsed.due_ms(fund.point.at_ms)
    change_ms = rules.reconstitution.next_due_ms(past.at_ms) if rules.reconstitution else None
    if change_ms is not None:
        due["reconstitution"] = change_ms
    return {rule: iso(at_ms) for rule, at_ms in sorted(due.items(), key=lambda item: item[1])}
