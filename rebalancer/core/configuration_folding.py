"""How records about the configuration change the state: only which one each fund runs on.

The settings themselves are in no record: a start reads them from the operator's file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from rebalancer.core.configuration import ConfigurationChanged, FundReconfigured, Renewal
from rebalancer.core.record import Record

if TYPE_CHECKING:
    from rebalancer.core.state import DeskState


def start_on(state: DeskState, digest: str, at_ms: int) -> None:
    """Note that a process began with this configuration: every fund runs on it."""
    renewal = Renewal(at_ms, min(state.recorded_ms, at_ms))  # a clock may have been set back
    for fund in state.funds.values():
        fund.config_digest = digest
        if digest != state.config_digest:
            fund.renewal = renewal
    state.config_digest = digest


def _changed(state: DeskState, record: ConfigurationChanged) -> None:
    state.config_digest = record.digest
    for name, fund in state.funds.items():
        if name not in record.waiting:
            fund.config_digest = record.digest


def _reconfigured(state: DeskState, record: FundReconfigured) -> None:
    fund = state.funds.get(record.fund)
    if fund is not None:  # one that waited for its launch may leave the configuration
        fund.config_digest = record.digest


HANDLERS: Mapping[type[Record], Callable[[DeskState, Any], None]] = {
    ConfigurationChanged: _changed,
    FundReconfigured: _reconfigured,
}
