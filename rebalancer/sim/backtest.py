"""The backtest document: what a replay of history did to every fund (spec section 8, version 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol

from rebalancer.core.fund import Fund
from rebalancer.core.instant import iso
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ZERO, text
from rebalancer.core.nav import Valuation
from rebalancer.core.records import FixedSettled, NavStruck, Record, RunMoved, RunOpened
from rebalancer.core.run import RunPlan, RunStatus
from rebalancer.core.state import Costs, Desk, DeskState, FundState
from rebalancer.errors import InputRefused
from rebalancer.feeds.candles import History, Moment, merge
from rebalancer.sim.replay import Replay, desk_for_history, sources_apart
from rebalancer.venues.paper import PaperCosts

VERSION = 1


@dataclass(slots=True)
class Rebalance:
    """One run of a replay: how it began and how it ended."""

    plan: RunPlan
    ended: RunMoved | None = None

    def document(self) -> dict[str, Any]:
        """Return the run as the backtest document writes it."""
        plan, ended = self.plan, self.ended
        nav = plan.nav if ended is None or ended.nav is None else ended.nav
        return {
            "at": iso(plan.opened_ms),
            "trigger": str(plan.trigger),
            "reason": plan.reason,
            "prices": {symbol: text(price) for symbol, price in plan.marks.items()},
            "nav": text(nav),
            "leverage_before": None if plan.leverage is None else text(plan.leverage),
            "leverage_after": None
            if ended is None or ended.leverage is None
            else text(ended.leverage),
            "delta_units": {symbol: text(units) for symbol, units in plan.delta_units.items()},
            "cost": text(ended.cost if ended else ZERO),
        }


@dataclass(slots=True)
class Book:
    """The runs, fixed instants and daily NAVs of every fund, gathered as records come."""

    rebalances: dict[str, list[Rebalance]]
    fixed: dict[str, dict[str, int]]
    strikes: dict[str, list[NavStruck]]
    _open: dict[str, Rebalance] = field(default_factory=dict)

    @classmethod
    def of(cls, funds: Iterable[str]) -> Book:
        """Return an empty book for `funds`."""
        names = tuple(funds)
        return cls(
            rebalances={name: [] for name in names},
            fixed={name: {} for name in names},
            strikes={name: [] for name in names},
        )

    def take(self, records: tuple[Record, ...]) -> None:
        """Follow the records of one step."""
        for record in records:
            if isinstance(record, RunOpened):
                rebalance = Rebalance(record.plan)
                self._open[record.plan.run_id] = rebalance
                self.rebalances[record.plan.fund].append(rebalance)
            elif isinstance(record, RunMoved) and record.status is not RunStatus.WORKING:
                self._open[record.run_id].ended = record
            elif isinstance(record, FixedSettled):
                counts = self.fixed[record.fund]
                counts[record.settlement] = counts.get(record.settlement, 0) + 1
            elif isinstance(record, NavStruck):
                self.strikes[record.fund].append(record)


@dataclass(frozen=True, slots=True)
class FundResult:
    """What a backtest did to one fund."""

    fund: Fund
    rebalances: Sequence[Rebalance]
    #: how many fixed instants were settled, by how
    fixed: Mapping[str, int]
    strikes: Sequence[NavStruck]
    costs: Costs
    #: at the end; None where a price was missing
    worth: Valuation | None
    #: of a cash account, at the end
    index_level: Decimal | None = None

    def count(self, trigger: Trigger) -> int:
        """Return how many runs were named by `trigger`."""
        return sum(1 for each in self.rebalances if each.plan.trigger is trigger)

    def document(self) -> dict[str, Any]:
        """Return the fund as the backtest document writes it."""
        worth, costs, level = self.worth, self.costs, self.index_level
        return {
            "start_nav": text(self.fund.initial_nav),
            "final_nav": text(worth.nav) if worth else None,
            "final_formula_nav": text(worth.formula_nav) if worth else None,
            "final_leverage": text(worth.leverage)
            if worth and worth.leverage is not None
            else None,
            "rebalances": [each.document() for each in self.rebalances],
            "costs": {
                "fees": text(costs.fees),
                "slippage": text(costs.slippage),
                "funding": text(costs.funding),
                "management_fee": text(costs.management_fee),
                **({} if level is None else {"financing": text(costs.financing)}),
            },
            **({} if level is None else {"final_index_level": text(level)}),
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished backtest, whoever computed it."""

    #: every fund that was launched, in the operator's order
    funds: Mapping[str, FundResult]
    #: how many instants brought prices
    bars: int

    def by_engine(self, fund: str) -> str | None:
        """Say why the engine replayed a fund; None where arrays found the same."""
        del fund
        return "asked for, or numpy and numba are not installed"

    def document(self) -> dict[str, Any]:
        """Return the backtest document, version 1."""
        funds = {name: fund.document() for name, fund in self.funds.items()}
        return {"version": VERSION, "funds": funds, "bars": self.bars}


@dataclass(frozen=True, slots=True)
class Result(Outcome):
    """A finished replay by the engine, which can be asked for everything else."""

    replay: Replay
    book: Book

    @classmethod
    def of(cls, replay: Replay, book: Book) -> Result:
        """Return what a replay that has ended did."""
        funds = {
            name: _fund_result(replay, book, fund)
            for name, fund in replay.state.funds.items()
            if fund.launched_ms is not None
        }
        return cls(funds, replay.moments, replay, book)


def _fund_result(replay: Replay, book: Book, fund: FundState) -> FundResult:
    worth = replay.state.worth(fund)
    return FundResult(
        fund=fund.fund,
        rebalances=book.rebalances[fund.name],
        fixed=book.fixed[fund.name],
        strikes=book.strikes[fund.name],
        costs=fund.costs,
        worth=worth,
        index_level=fund.index_level(worth.prices, replay.state.now_ms) if worth else None,
    )


Watch = Callable[[Iterator[Moment], int], Iterator[Moment]]
"""Gets all moments and about how many there are; gives them back, one by one."""


class Onlooker(Protocol):
    """Follows a replay without changing it."""

    def records(self, records: tuple[Record, ...]) -> None:
        """Take the records of one step, after they were folded in."""

    def sample(self, state: DeskState) -> None:
        """Look at the state after a moment: all that follows from its prices is done."""


def backtest(
    desk: Desk,
    histories: Mapping[str, History],
    costs: Mapping[str, PaperCosts],
    watch: Watch = lambda moments, _total: moments,
    onlooker: Onlooker | None = None,
) -> Result:
    """Replay `histories` (by contract) through the desk's own engine.

    `watch` may look on, for a progress bar. Raises InputRefused as `refuse_unready` does.
    """
    refuse_unready(desk, histories)
    book = Book.of(desk.funds)

    def take(records: tuple[Record, ...]) -> None:
        book.take(records)
        if onlooker is not None:
            onlooker.records(records)

    ready, apart = desk_for_history(desk, histories), sources_apart(histories)
    replay = Replay(ready, costs, on_records=take, apart=apart)
    total = max(history.rows for history in histories.values())
    moments = watch(merge(histories.values()), total)
    replay.run(moments if onlooker is None else _looked_at(moments, replay.state, onlooker))
    return Result.of(replay, book)


def refuse_unready(desk: Desk, histories: Mapping[str, History]) -> None:
    """Raise InputRefused when a fund's contract has no history, or a rate has to be asked for."""
    for fund in desk.funds.values():
        terms = fund.cash_account
        if terms is not None and isinstance(terms.reference, str):
            raise InputRefused(
                f"funds.{fund.name}.cash_account.reference: a replay asks no source of rates; "
                "write a rate"
            )
        for symbol in fund.symbols:
            if symbol not in histories:
                raise InputRefused(
                    f'funds.{fund.name} holds {symbol}: give its prices, --prices "{symbol}=FILE"'
                )


def _looked_at(moments: Iterator[Moment], state: DeskState, onlooker: Onlooker) -> Iterator[Moment]:
    for moment in moments:
        yield moment  # the replay comes back once it has played it
        onlooker.sample(state)
