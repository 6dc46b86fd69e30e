"""A fast backtest: what the engine would have done, found by arrays and settled by the core.

Accounts whose every fund the fast path knows are played here; the engine replays the others, and
the result says which and why.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rebalancer.core.fees import ManagementFee
from rebalancer.core.fund import Fund
from rebalancer.core.methodology import Fixed
from rebalancer.core.state import Desk
from rebalancer.fast.column import NEAR_MARGIN, Column, Times, Undecided
from rebalancer.fast.group import Group
from rebalancer.fast.known import unknown
from rebalancer.fast.story import navs_of, result_of
from rebalancer.fast.tape import Tape, Tapes
from rebalancer.sim.backtest import FundResult, Outcome, backtest, refuse_unready
from rebalancer.venues.paper import PaperCosts


@dataclass(frozen=True, slots=True)
class FastResult(Outcome):
    """A finished backtest: the engine's document, and the NAV at every bar of what was played."""

    #: funds that the engine replayed, with the reason
    replayed: Mapping[str, str]
    columns: Mapping[str, Column]

    def by_engine(self, fund: str) -> str | None:
        """Say why the engine replayed a fund; None where arrays found the same."""
        return self.replayed.get(fund)

    def navs(self, fund: str) -> npt.NDArray[np.float64]:
        """Return the account NAV of a played fund at every bar of its contract, after its runs."""
        return navs_of(self.columns[fund])


def fast_backtest(desk: Desk, tapes: Tapes, costs: Mapping[str, PaperCosts]) -> FastResult:
    """Play what `tapes` hold; equal to `sim.backtest.backtest` to the last digit.

    Raises InputRefused as that does.
    """
    refuse_unready(desk, tapes.histories)
    reasons = unknown(desk, costs, tapes.histories)
    columns = _play(desk, tapes, costs, reasons)
    found: dict[str, FundResult] = {name: result_of(each) for name, each in columns.items()}
    if reasons:
        left = {name: fund for name, fund in desk.funds.items() if name in reasons}
        found |= backtest(replace(desk, funds=left), tapes.histories, costs).funds
    return FastResult(
        funds={name: found[name] for name in desk.funds if name in found},
        bars=tapes.bars,
        replayed=reasons,
        columns=columns,
    )


def _play(
    desk: Desk,
    tapes: Tapes,
    costs: Mapping[str, PaperCosts],
    reasons: dict[str, str],
) -> dict[str, Column]:
    """Play every account that is known; add to `reasons` what turns out to be the core's."""
    end_ms = tapes.end_ms
    columns: dict[str, Column] = {}
    for account, books in books_of(desk, reasons).items():
        paid = costs.get(account, PaperCosts())
        names = [name for book in books.values() for name in book]
        groups = []
        for symbol, book in books.items():
            tape = tapes.of(symbol, charged=bool(account) and paid.funding)
            made = [_column(desk, name, tape, end_ms, shared=len(names) > 1) for name in book]
            groups.append(Group(desk.accounts.get(account), made, paid))
        try:
            for group in groups:
                group.run(end_ms)
        except Undecided as undecided:
            reasons |= dict.fromkeys(names, str(undecided))
            continue
        columns |= {each.fund.name: each for group in groups for each in group.columns}
    return columns


def books_of(desk: Desk, reasons: Collection[str]) -> dict[str, dict[str, list[str]]]:
    """Return the funds by account and contract, in the operator's order, but for `reasons`'."""
    books: dict[str, dict[str, list[str]]] = {}
    for name, fund in desk.funds.items():
        if name not in reasons:
            books.setdefault(fund.account, {}).setdefault(fund.symbols[0], []).append(name)
    return books


def _column(desk: Desk, name: str, tape: Tape, end_ms: int, *, shared: bool) -> Column:
    fund = desk.funds[name]
    account = desk.accounts.get(fund.account)
    return Column(
        fund=fund,
        contract=desk.contract(tape.symbol),
        tape=tape,
        times=times_of(fund, tape.times_ms[0], end_ms),
        most=NEAR_MARGIN / account.initial_margin if account is not None and shared else None,
    )


def times_of(fund: Fund, after_ms: int, until_ms: int) -> Times:
    """Return the fixed and fee instants of a fund in (after_ms, until_ms]."""
    fixed, fee = fund.methodology.fixed, fund.management_fee
    return Times(
        fixed_ms=_instants(fixed, after_ms, until_ms) if fixed else (),
        fees_ms=_instants(fee, after_ms, until_ms) if fee else (),
    )


@lru_cache(maxsize=64)
def _instants(rule: Fixed | ManagementFee, after_ms: int, until_ms: int) -> tuple[int, ...]:
    # Funds mostly share their times: a year of them is listed once.
    return rule.due_between(after_ms, until_ms)
