"""Verification: the records alone, taken from the first, with everything recomputed on the way.

The fold refuses what cannot follow; here the figures that a record states (NAV, equity, leverage,
ids of orders) are worked out anew from the records before it, and the books are kept a second time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from rebalancer.core import (
    capital_verification,
    configuration,
    ledger,
    records,
    trade_verification,
)
from rebalancer.core.deciding import fixed_after_ms
from rebalancer.core.folding import apply, check_position
from rebalancer.core.fund import NavKind, PriceSource
from rebalancer.core.instant import iso
from rebalancer.core.methodology import Trigger
from rebalancer.core.money import ZERO, settled
from rebalancer.core.nav import Valuation
from rebalancer.core.planner import target_units
from rebalancer.core.position import Prices
from rebalancer.core.record import Record
from rebalancer.core.recount import Recount
from rebalancer.core.run import ENDED, Run, RunPlan, RunStatus
from rebalancer.core.scope import Scope
from rebalancer.core.state import Desk, DeskState, FundState
from rebalancer.core.trading import account_base
from rebalancer.errors import BrokenInvariant


@dataclass(slots=True)
class Verifier:
    """Takes every record in its order; says what does not hold and counts what it looked at."""

    desk: Desk
    #: SHA-256 of the configuration that `desk` came from
    config_digest: str = ""
    recount: Recount = field(init=False)
    #: the second set of books: what every book holds of every asset
    books: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    _keys: set[str] = field(default_factory=set)
    #: by fund, the NAVs that the point of the run that was done last may have: by its formula, and
    #: by its account
    _base_navs: dict[str, dict[NavKind, Decimal]] = field(default_factory=dict)
    _checks: dict[type[Record], Callable[[Any], None]] = field(init=False)

    def __post_init__(self) -> None:
        self.recount = Recount(DeskState.fresh(self.desk), self.config_digest)
        self._checks = {
            kind: partial(check, self.recount)
            for checks in (capital_verification.CHECKS, trade_verification.CHECKS)
            for kind, check in checks.items()
        } | {
            records.DeskStarted: self._started,
            configuration.ConfigurationChanged: self._reloaded,
            configuration.FundReconfigured: self._reconfigured,
            records.NavStruck: self._struck,
            records.RunOpened: self._run_opened,
            records.RunMoved: self._run_moved,
            records.FixedSettled: self._settled,
            records.PointSet: self._point,
            records.FundWiped: self._wiped,
        }

    @property
    def state(self) -> DeskState:
        """The fold of the records so far."""
        return self.recount.state

    @property
    def counts(self) -> Counter[str]:
        """How much was looked at, by what it was."""
        return self.recount.counts

    @property
    def left_out(self) -> Counter[str]:
        """How many records state a figure that could not be worked out, by their kind."""
        return self.recount.left_out

    @property
    def problems(self) -> list[str]:
        """What does not hold, each with its place."""
        return self.recount.problems

    def take(self, record: Record) -> None:
        """Check one record against those before it, then fold it in.

        Raises BrokenInvariant where it cannot follow them: nothing after it can be checked.
        """
        self.recount.seq += 1
        self.recount.kind = type(record).__name__
        self.state.now_ms = record.at_ms
        self.counts["records"] += 1
        self._take_key(record)
        check = self._checks.get(type(record))
        try:
            if check is not None:
                check(record)
            entry = ledger.postings(record)
            apply(self.state, record)
        except BrokenInvariant as broken:
            raise BrokenInvariant(f"{self.recount.place}: {broken}") from None
        for posting in entry:
            key = (posting.book, posting.asset)
            self.books[key] = self.books.get(key, ZERO) + posting.amount
            self.counts["postings"] += 1

    def end(self) -> None:
        """Compare both sets of books, and every position with what its funds hold."""
        sums: dict[str, Decimal] = {}
        for (_, asset), amount in self.books.items():
            sums[asset] = sums.get(asset, ZERO) + amount
        for asset, rest in sums.items():
            # Funding of many decimals in books of 10^8 and more has more digits than are kept.
            self.recount.note(
                settled(rest) == 0, f"the books hold {rest} {asset} together, not zero"
            )
        for name, fund in self.state.funds.items():
            book = ledger.fund_book(name)
            self.recount.note(
                self.books.get((book, ledger.CASH), ZERO) == fund.holding.cash,
                f"{name}: the cash in the books is not the fund's",
            )
            for symbol in {*fund.holding.units, *fund.fund.symbols}:
                ours = fund.holding.units.get(symbol, ZERO)
                self.recount.note(
                    self.books.get((book, symbol), ZERO) == ours,
                    f"{name}: the {symbol} in the books are not the fund's",
                )
        for name, account in self.state.accounts.items():
            for symbol in {*account.held, *(symbol for symbol, _ in account.books)}:
                self.counts["positions"] += 1
                try:
                    check_position(self.state, name, symbol)
                except BrokenInvariant as broken:
                    self.recount.note(False, str(broken))

    def _take_key(self, record: Record) -> None:
        key = record.key
        if key is None:
            return
        self.counts["keys"] += 1
        self.recount.hold(key not in self._keys, f"the key {key} exists already")
        self._keys.add(key)

    def _started(self, record: records.DeskStarted) -> None:
        self.counts["starts"] += 1
        self.recount.in_force = dict.fromkeys(self.state.funds, record.config_digest)

    def _reloaded(self, record: configuration.ConfigurationChanged) -> None:
        for name in self.state.funds.keys() - set(record.waiting):
            self.recount.in_force[name] = record.digest

    def _reconfigured(self, record: configuration.FundReconfigured) -> None:
        self.recount.in_force[record.fund] = record.digest
        self.recount.reconfigured_ms[record.fund] = record.at_ms

    def _worth(self, fund: FundState, marks: Prices, own: Prices | None = None) -> Valuation | None:
        """Value a fund from the records before this one; None, and counted, where it cannot be.

        A fund without shares has its formula's NAV, which its own prices tell.
        """
        by_own = own is not None or fund.fund.price_source is PriceSource.MARK
        told = fund.shares or (by_own and self.recount.formula_known(fund))
        worth = self.recount.worth(fund, marks, own) if told else None
        if worth is None:
            self.recount.leave_out()
        else:
            self.counts["NAVs"] += 1
        return worth

    def _struck(self, record: records.NavStruck) -> None:
        fund, recount = self.state.named(record.fund), self.recount
        worth = self._worth(fund, record.marks, record.own_prices)
        if worth is None:
            return
        recount.hold(record.shares == fund.shares, f"{fund.shares} shares, not as told")
        recount.same("equity", record.equity, worth.equity)
        recount.same("NAV", record.nav, worth.nav)
        by_mark = fund.fund.price_source is PriceSource.MARK and recount.as_configured(fund)
        if (record.prices or by_mark) and recount.formula_known(fund):
            recount.same_formula(record.formula_nav, worth)

    def _run_opened(self, record: records.RunOpened) -> None:
        plan, recount = record.plan, self.recount
        fund = self.state.named(plan.fund)
        self.counts["runs"] += 1
        digest = recount.in_force.get(fund.name, plan.config_digest)
        recount.hold(plan.config_digest in ("", digest), "it follows another configuration")
        own = plan.base_prices if fund.basket.keys() <= plan.base_prices.keys() else None
        worth = self._worth(fund, plan.marks, own)
        if worth is None:
            return
        recount.same("NAV", plan.nav, worth.nav)
        recount.same("leverage", plan.leverage, worth.leverage)
        if plan.sets_point and recount.as_configured(fund):
            self._targets(fund, plan, worth)
        if plan.trigger is Trigger.GAP:
            return  # it was sized just before it made the formula NAV nothing
        if own is not None and recount.formula_known(fund):
            recount.same_formula(plan.base_nav, worth)

    def _targets(self, fund: FundState, plan: RunPlan, worth: Valuation) -> None:
        """Hold that a run aims at its leverage of what the fund is worth (spec section 4)."""
        size = worth.equity
        if fund.fund.size_from is NavKind.FORMULA:
            size = plan.base_nav * fund.shares
        found = dict.fromkeys(fund.holding.units, ZERO)
        if plan.target_leverage:
            found |= target_units(plan.target_leverage, size, plan.base_weights, plan.marks)
            for symbol in found.keys() - plan.target_units.keys():
                # A member that is listed no more is cash: its contract is frozen, none of it held.
                if self._frozen(symbol) and symbol not in fund.holding.units:
                    del found[symbol]
        self.counts["targets"] += 1
        self.recount.hold(found == plan.target_units, f"it aims at {_told(found)} units")

    def _frozen(self, symbol: str) -> bool:
        known = self.state.scopes.get((Scope.CONTRACT, symbol))
        return known is not None and known.halted

    def _run_moved(self, record: records.RunMoved) -> None:
        fund, recount = self.state.named(record.fund), self.recount
        run = fund.run
        if record.status in ENDED:
            self.counts["runs ended"] += 1
        if run is not None:
            recount.same("cost", record.cost, run.cost)
            if record.slippage is not None:
                recount.same("slippage", record.slippage, run.slippage)
        recount.moved[fund.name] = (record.at_ms, record.marks)
        worth = self._worth(fund, record.marks) if record.nav is not None else None
        if worth is not None:
            recount.same("NAV", record.nav, worth.nav)
            recount.same("leverage", record.leverage, worth.leverage)
        if record.status is RunStatus.DONE and run is not None:
            target, held = run.plan.target_units, fund.holding.units
            past = [
                symbol
                for symbol, delta in run.plan.delta_units.items()
                if not self._frozen(symbol)  # what its venue settled is nobody's trade
                and (over := held.get(symbol, ZERO) - target[symbol]) * delta > 0
                and abs(over) > _lot_units(self.state, symbol)
            ]
            recount.hold(not past, f"the run went past its target of {', '.join(past)}")
            self._base_navs[fund.name] = _base_navs(fund, run, record.at_ms)
        if run is not None and fund.name not in self.recount.late:
            self._gross(run)
        if record.status in ENDED:
            self.recount.late.discard(fund.name)

    def _gross(self, run: Run) -> None:
        for symbol, traded in run.traded.items():
            most = run.planned.get(symbol, ZERO) + _lot_units(self.state, symbol)
            self.recount.hold(traded <= most, f"{traded} {symbol} were traded of {most} at most")

    def _point(self, record: records.PointSet) -> None:
        found = self._base_navs.pop(record.fund, None)
        fund = self.state.named(record.fund)
        if found is None:
            self.recount.leave_out()
            return
        self.counts["NAVs"] += 1
        kind = fund.fund.formula_base
        if not self.recount.as_configured(fund) and record.nav in found.values():
            return  # which of the two was configured then nobody knows
        self.recount.same("NAV", record.nav, found[kind])

    def _wiped(self, record: records.FundWiped) -> None:
        fund = self.state.named(record.fund)
        by_mark = fund.fund.price_source is PriceSource.MARK and self.recount.as_configured(fund)
        worth = self._worth(fund, record.marks or (record.prices if by_mark else {}))
        if worth is not None:
            self.recount.same("NAV", record.nav, worth.nav)

    def _settled(self, record: records.FixedSettled) -> None:
        """Hold that no instant of the fund's calendar was passed over."""
        self.counts["fixed instants"] += 1
        fund = self.state.funds[record.fund]
        rule, after_ms = fund.fund.methodology.fixed, fixed_after_ms(fund)
        if rule is None or after_ms is None or not self.recount.as_configured(fund):
            return
        due_ms = rule.next_due_ms(after_ms)
        if (
            record.settlement is records.Settlement.SKIPPED
            and record.due_ms <= self.recount.renewed_ms(fund)
        ):
            # Times that are new settle the last of those before them, for all.
            due_ms = max(rule.due_between(after_ms, record.due_ms), default=due_ms)
        self.recount.hold(
            record.due_ms == due_ms,
            f"{fund.name} is settled for {iso(record.due_ms)}, {iso(due_ms)} was next",
        )


def _base_navs(fund: FundState, run: Run, now_ms: int) -> dict[NavKind, Decimal]:
    """Return the NAV that the point of a run which is done has to have, by what is configured."""
    base = run.plan.base_nav * run.base_scale
    of_account = account_base(fund, run.plan, now_ms) if fund.shares else None
    return {NavKind.FORMULA: base, NavKind.ACCOUNT: of_account or base}


def _told(amounts: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{amount} {name}" for name, amount in amounts.items())


def _lot_units(state: DeskState, symbol: str) -> Decimal:
    contract = state.desk.contracts[symbol]
    return contract.units_in(contract.lot)
