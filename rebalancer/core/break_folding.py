"""How breaks, and how far a venue's lists were read, change the state of the desk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rebalancer.core import breaks
from rebalancer.core.record import Record
from rebalancer.core.state import DeskState
from rebalancer.errors import ensure


def _break_found(state: DeskState, record: breaks.BreakFound) -> None:
    ensure(record.number == state.break_count + 1, f"break {record.number} is out of turn")
    state.break_count = record.number
    state.breaks[record.number] = record.found
    told = {trade.trade_id: trade.at_ms for trade in record.found.trades}
    remember(state, record.found.account, record.found.contract, told)


def remember(state: DeskState, account: str, contract: str, trades: Mapping[str, int]) -> None:
    """Remember trades that the venue may list again; none where its list is never read."""
    known = state.accounts.get(account)
    if known is None or contract not in known.read_ms:
        return
    since_ms = known.read_ms[contract]
    known.listed |= {(contract, name): at for name, at in trades.items() if at >= since_ms}


def _history_read(state: DeskState, record: breaks.HistoryRead) -> None:
    account = state.accounts[record.account]
    account.read_ms |= record.until_ms
    account.listed = {
        key: at_ms for key, at_ms in account.listed.items() if at_ms >= account.read_ms[key[0]]
    }


def _break_ended(state: DeskState, record: breaks.BreakEnded) -> None:
    ensure(record.number in state.breaks, f"break {record.number} is not open")
    found = state.breaks.pop(record.number)
    if found.kind is breaks.BreakKind.BALANCE and record.how is breaks.BreakEnd.EXPLAINED:
        state.accounts[found.account].explained_missing = -found.units


HANDLERS: dict[type[Record], Callable[[DeskState, Any], None]] = {
    breaks.BreakFound: _break_found,
    breaks.BreakEnded: _break_ended,
    breaks.HistoryRead: _history_read,
}
