"""Recovery: the only way to start. Fold the records, ask the venue, then trade."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from rebalancer import __version__
from rebalancer.core import engine
from rebalancer.core.folding import apply, fold
from rebalancer.core.fund import Fund
from rebalancer.core.order import OrderIntent, OrderStatus
from rebalancer.core.records import DeskOpened, DeskStarted, FundLaunched, Record, Traded
from rebalancer.core.state import Desk, DeskState
from rebalancer.errors import ConfigRefused
from rebalancer.ports import Store

_log = structlog.get_logger(__name__)
#: the mode whose trades are real
LIVE = "live"


@dataclass(frozen=True, slots=True)
class Start:
    """Who starts the desk, when, and under which name if it is a new one."""

    at_ms: int
    mode: str
    config_digest: str
    new_desk_id: str
    #: random: part of the ids of all orders until the next start
    nonce: str = ""


@dataclass(frozen=True, slots=True)
class Recovered:
    """A desk as its records left it."""

    state: DeskState
    history: Sequence[Record]
    #: orders whose end is not on record: the venue is asked before anything new is sent
    open_orders: tuple[OrderIntent, ...]


async def recover(store: Store, history: Sequence[Record], desk: Desk, start: Start) -> Recovered:
    """Rebuild the desk from the `history` in `store` and record that it was taken up.

    Raises ConfigRefused when the configuration does not fit the records, BrokenInvariant when the
    records do not fit together.
    """
    refuse_lost_funds(desk.funds, history)
    refuse_other_mode(start.mode, history)
    state = fold(desk, history)
    refuse_lost_members(state)
    news: list[Record] = []
    if not state.desk_id:
        news.append(DeskOpened(start.at_ms, start.new_desk_id, __version__))
    epoch = state.epoch + 1
    news.append(DeskStarted(start.at_ms, start.mode, start.config_digest, epoch, start.nonce))
    for record in news:
        apply(state, record)
    await store.commit(news)
    engine.begin(state)
    open_orders = tuple(order.intent for order in state.orders.values())
    unsent = sum(order.status is OrderStatus.PREPARED for order in state.orders.values())
    _log.info(
        "recovered",
        epoch=state.epoch,
        records=len(history),
        funds=sum(fund.launched_ms is not None for fund in state.funds.values()),
        open_orders=len(open_orders),
        prepared=unsent,
        runs=sum(fund.run is not None for fund in state.funds.values()),
    )
    return Recovered(state, history, open_orders)


def refuse_other_mode(mode: str, history: Sequence[Record]) -> None:
    """Raise ConfigRefused when real and simulated trades would meet in one store.

    After that the records could never again be what the venue holds. A start that traded nothing
    leaves the store as it was.
    """
    traded: dict[str, None] = {}
    present = mode
    for record in history:
        if isinstance(record, DeskStarted):
            present = record.mode
        elif isinstance(record, FundLaunched | Traded):
            traded[present] = None
    others = [other for other in traded if (other == LIVE) != (mode == LIVE)]
    if others:
        raise ConfigRefused(
            f"store.url: the store was traded on in mode {others[0]} and cannot go on in mode "
            f"{mode}: real and simulated trades must not mix; name another store"
        )


def refuse_lost_funds(funds: Mapping[str, Fund], history: Sequence[Record]) -> None:
    """Raise ConfigRefused when a launched fund is missing or was moved to another account."""
    launched: Mapping[str, str] = {
        record.fund: record.account for record in history if isinstance(record, FundLaunched)
    }
    for name, account in launched.items():
        fund = funds.get(name)
        if fund is None:
            raise ConfigRefused(
                f"funds.{name}: the store has this fund and the configuration does not; put it "
                "back (a fund cannot be ended by deleting its lines)"
            )
        if fund.account != account:
            raise ConfigRefused(
                f"funds.{name}.account: the fund's positions are on account {account}, the "
                f"configuration says {fund.account}; put it back"
            )


def refuse_lost_members(state: DeskState) -> None:
    """Raise ConfigRefused when a fund has a contract that its configuration does not name.

    Nobody would ask for its price: the fund would be held without a rule that looks at it.
    """
    for name, fund in state.funds.items():
        lost = {*fund.holding.units, *fund.weights} - {*fund.fund.symbols}
        if lost:
            raise ConfigRefused(
                f"funds.{name}.basket: the fund has {', '.join(sorted(lost))} since its last "
                "rebalance and the configuration does not; put it back, and let it leave by a "
                "change of rules.reconstitution"
            )
