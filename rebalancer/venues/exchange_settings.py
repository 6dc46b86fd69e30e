"""The calls that set an account as the configuration says: position mode, margin mode, leverage.

A desk never makes them; an operator does, by a command of their own (`rebalancer set-modes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from rebalancer.core.contract import Contract
from rebalancer.venues.facts_shape import Call, Reach, Setting, VenueFacts

#: the margin mode that every row of the table writes its orders for
MARGIN_MODE = "cross"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One setting that is to be set."""

    #: "position mode", "margin mode" or "leverage"
    setting: str
    #: a contract, or "" for all of the account
    contract: str = ""
    #: what it is set to, in words
    value: str
    #: the requests that set it, each sent once
    calls: tuple[Call, ...]


def position_mode_changes(
    facts: VenueFacts, contracts: Mapping[str, Contract], *, hedge: bool
) -> tuple[Change, ...]:
    """Return what gives the account two books per contract, or one; nothing where it cannot be."""
    value = "two books (hedge mode)" if hedge else "one book (one-way mode)"
    return _changes("position mode", facts.position_mode, contracts, (hedge, value))


def margin_mode_changes(
    facts: VenueFacts, contracts: Mapping[str, Contract], leverage: int | None
) -> tuple[Change, ...]:
    """Return what sets `contracts` to cross margin.

    Nothing where every order says its mode, and where it comes with a leverage and none is given.
    """
    if facts.margin_mode.with_leverage:
        return () if leverage is None else leverage_changes(facts, contracts, leverage)
    return _changes("margin mode", facts.margin_mode, contracts, (MARGIN_MODE, MARGIN_MODE))


def leverage_changes(
    facts: VenueFacts, contracts: Mapping[str, Contract], leverage: int
) -> tuple[Change, ...]:
    """Return what sets `contracts` to a leverage, in each of their books."""
    mode = f", {MARGIN_MODE} margin" if facts.margin_mode.with_leverage else ""
    return _changes("leverage", facts.leverage, contracts, (leverage, f"{leverage}{mode}"))


def _changes(
    name: str, setting: Setting, contracts: Mapping[str, Contract], value: tuple[Any, str]
) -> tuple[Change, ...]:
    """Return the calls that together reach all of `contracts`; `value`: for ccxt, and in words."""
    if not setting.set:
        return ()
    told, words = value
    return tuple(
        Change(
            setting=name,
            contract=contract,
            value=words,
            calls=tuple(Call(setting.set, (told, symbol, dict(each))) for each in setting.calls),
        )
        for contract, symbol in _reached(setting.reach, contracts)
    )


def _reached(reach: Reach, contracts: Mapping[str, Contract]) -> Iterable[tuple[str, str | None]]:
    """Return the contract that each call is about, "" for all, and the one that it names."""
    match reach:
        case Reach.ACCOUNT:
            return [("", None)]
        case Reach.QUOTE:
            by_quote = {each.quote: symbol for symbol, each in contracts.items()}
            return [("", symbol) for symbol in by_quote.values()]
        case Reach.CONTRACT:
            return [(symbol, symbol) for symbol in contracts]
