"""Verification: the records alone, taken from the first, with everything recomputed on the way.

The fold refuses what cannot follow; here the figures that a record states (NAV, equity, leverage,
ids of orders) are worked out anew from the records before it, and the books are kept a second time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from rebalancer.core import capital, configuration, ledger, records
from rebalancer.core.deciding import fixed_after_ms
from rebalancer.core.folding import apply, check_position
from rebalancer.core.fund import NavKind, PriceSource
from rebalancer.core.instant import iso
from rebalancer.core.money import ZERO, split_pro_rata
from rebalancer.core.nav import Valuation, value
from rebalancer.core.order import client_order_id
from rebalancer.core.position import Prices
from rebalancer.core.record import Record
from rebalancer.core.run import ENDED, Run, RunStatus
from rebalancer.core.state import NAV_TOLERANCE, Desk, DeskState, FundState
from rebalancer.errors import BrokenInvariant

#: problems that are told one by one; more of them say nothing new
PROBLEMS_MAX = 20


@dataclass(slots=True)
class Verifier:
    """Takes every record in its order; says what does not hold and counts what it looked at."""

    desk: Desk
    #: SHA-256 of the configuration that `desk` came from
    config_digest: str = ""
    state: DeskState = field(init=False)
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    #: the second set of books: what every book holds of every asset
    books: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    _keys: set[str] = field(default_factory=set)
    _seq: int = 0
    #: by fund, the digest of the configuration that it runs on
    _in_force: dict[str, str] = field(default_factory=dict)
    #: by fund, when a reload gave it other settings last
    _renewed_ms: dict[str, int] = field(default_factory=dict)
    #: by fund, the NAV that the point of the run that was done last has to have
    _base_navs: dict[str, Decimal] = field(default_factory=dict)
    #: funds whose run got a fill of an order that was over: a break, and nothing that it planned
    _late: set[str] = field(default_factory=set)
    _checks: dict[type[Record], Callable[[Any], None]] = field(init=False)

    def __post_init__(self) -> None:
        self.state = DeskState.fresh(self.desk)
        self._checks = {
            records.DeskStarted: self._started,
            configuration.ConfigurationChanged: self._reloaded,
            configuration.FundReconfigured: self._reconfigured,
            records.NavStruck: self._struck,
            records.RunOpened: self._run_opened,
            records.RunMoved: self._run_moved,
            records.IntentCreated: self._intent,
            records.Traded: self._traded,
            records.FixedSettled: self._settled,
            records.PointSet: self._point,
            records.FundWiped: self._wiped,
            records.FundingPosted: self._funding,
            capital.ManagementFeeCharged: self._fee,
            capital.FlowDealt: self._dealt,
            capital.ConsolidationProposed: self._unpriced,
        }

    def take(self, record: Record) -> None:
        """Check one record against those before it, then fold it in.

        Raises BrokenInvariant where it cannot follow them: nothing after it can be checked.
        """
        self._seq += 1
        self.state.now_ms = record.at_ms
        self.counts["records"] += 1
        self._take_key(record)
        check = self._checks.get(type(record))
        if check is not None:
            check(record)
        try:
            entry = ledger.postings(record)
            apply(self.state, record)
        except BrokenInvariant as broken:
            raise BrokenInvariant(f"{self._place(record)}: {broken}") from None
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
            self._hold(rest == 0, f"the books hold {rest} {asset} together, not zero")
        for name, fund in self.state.funds.items():
            book = ledger.fund_book(name)
            self._hold(
                self.books.get((book, ledger.CASH), ZERO) == fund.holding.cash,
                f"{name}: the cash in the books is not the fund's",
            )
            for symbol in {*fund.holding.units, *fund.fund.symbols}:
                ours = fund.holding.units.get(symbol, ZERO)
                self._hold(
                    self.books.get((book, symbol), ZERO) == ours,
                    f"{name}: the {symbol} in the books are not the fund's",
                )
        for name, account in self.state.accounts.items():
            for symbol in {*account.held, *(symbol for symbol, _ in account.books)}:
                self.counts["positions"] += 1
                try:
                    check_position(self.state, name, symbol)
                except BrokenInvariant as broken:
                    self._hold(False, str(broken))

    def _take_key(self, record: Record) -> None:
        key = record.key
        if key is None:
            return
        self.counts["keys"] += 1
        self._hold(key not in self._keys, f"{self._place(record)}: the key {key} exists already")
        self._keys.add(key)

    def _place(self, record: Record) -> str:
        return f"record {self._seq} ({type(record).__name__})"

    def _hold(self, holds: bool, problem: str) -> None:
        if not holds and len(self.problems) < PROBLEMS_MAX:
            self.problems.append(problem)

    def _started(self, record: records.DeskStarted) -> None:
        self.counts["starts"] += 1
        self._in_force = dict.fromkeys(self.state.funds, record.config_digest)

    def _reloaded(self, record: configuration.ConfigurationChanged) -> None:
        for name in self.state.funds.keys() - set(record.waiting):
            self._in_force[name] = record.digest

    def _reconfigured(self, record: configuration.FundReconfigured) -> None:
        self._in_force[record.fund] = record.digest
        self._renewed_ms[record.fund] = record.at_ms

    def _as_configured(self, fund: FundState) -> bool:
        """Return whether the fund ran on the configuration at hand when this was recorded."""
        return self._in_force.get(fund.name) == self.config_digest

    def _worth(self, fund: FundState, marks: Prices) -> Valuation | None:
        """Value a fund from the records before this one; None where a later setting counts."""
        if fund.fund.cash_account is not None and not self._as_configured(fund):
            return None
        known = {*fund.fund.basket, *fund.holding.units} <= set(marks)
        if not known or not fund.shares:
            return None
        return value(fund.inputs(self.state.now_ms), marks, marks)

    def _struck(self, record: records.NavStruck) -> None:
        fund = self.state.funds[record.fund]
        worth = self._worth(fund, record.marks)
        if worth is None:
            self.counts["NAVs left out"] += 1
            return
        place = self._place(record)
        self.counts["NAVs"] += 1
        self._hold(record.shares == fund.shares, f"{place}: {fund.shares} shares, not as told")
        self._same(place, "equity", record.equity, worth.equity)
        self._same(place, "NAV", record.nav, worth.nav)
        if fund.fund.price_source is PriceSource.MARK and self._as_configured(fund):
            self.counts["formula NAVs"] += 1
            self._same(place, "formula NAV", record.formula_nav, worth.formula_nav)

    def _run_opened(self, record: records.RunOpened) -> None:
        plan = record.plan
        fund = self.state.funds[plan.fund]
        self.counts["runs"] += 1
        worth = self._worth(fund, plan.marks)
        if worth is not None:
            self.counts["NAVs"] += 1
            self._same(self._place(record), "NAV", plan.nav, worth.nav)
            self._same(self._place(record), "leverage", plan.leverage, worth.leverage)
            if fund.fund.price_source is PriceSource.MARK and self._as_configured(fund):
                self.counts["formula NAVs"] += 1
                self._same(self._place(record), "formula NAV", plan.base_nav, worth.formula_nav)

    def _run_moved(self, record: records.RunMoved) -> None:
        fund = self.state.funds[record.fund]
        place, run = self._place(record), fund.run
        if record.status in ENDED:
            self.counts["runs ended"] += 1
        if run is not None:
            self._same(place, "cost", record.cost, run.cost)
            if record.slippage is not None:
                self._same(place, "slippage", record.slippage, run.slippage)
        worth = self._worth(fund, record.marks) if record.nav is not None else None
        if worth is not None:
            self.counts["NAVs"] += 1
            self._same(place, "NAV", record.nav, worth.nav)
            self._same(place, "leverage", record.leverage, worth.leverage)
        if record.status is RunStatus.DONE and run is not None:
            target, held = run.plan.target_units, fund.holding.units
            past = [
                symbol
                for symbol, delta in run.plan.delta_units.items()
                if (over := held.get(symbol, ZERO) - target[symbol]) * delta > 0
                and abs(over) > _lot_units(self.state, symbol)
            ]
            self._hold(not past, f"{place}: the run went past its target of {', '.join(past)}")
            self._base_navs[fund.name] = run.plan.base_nav * run.base_scale
        if run is not None and fund.name not in self._late:
            self._gross(place, run)
        if record.status in ENDED:
            self._late.discard(fund.name)

    def _gross(self, place: str, run: Run) -> None:
        for symbol, traded in run.traded.items():
            most = run.planned.get(symbol, ZERO) + _lot_units(self.state, symbol)
            self._hold(traded <= most, f"{place}: {traded} {symbol} were traded of {most} at most")

    def _point(self, record: records.PointSet) -> None:
        found = self._base_navs.pop(record.fund, None)
        fund = self.state.funds[record.fund]
        of_account = fund.fund.formula_base is NavKind.ACCOUNT
        if found is None or of_account or not self._as_configured(fund):
            self.counts["NAVs left out"] += 1
            return
        self.counts["NAVs"] += 1
        self._same(self._place(record), "NAV", record.nav, found)

    def _wiped(self, record: records.FundWiped) -> None:
        fund = self.state.funds[record.fund]
        by_mark = fund.fund.price_source is PriceSource.MARK and self._as_configured(fund)
        worth = self._worth(fund, record.prices) if by_mark else None
        if worth is None:
            self.counts["NAVs left out"] += 1
            return
        self.counts["NAVs"] += 1
        self._same(self._place(record), "NAV", record.nav, worth.nav)

    def _funding(self, record: records.FundingPosted) -> None:
        due = {
            name: record.rate * units * record.mark
            for name, fund in self.state.funds.items()
            if fund.fund.account == record.account
            and (units := fund.holding.units.get(record.contract, ZERO))
        }
        self._hold(due == record.paid, f"{self._place(record)}: each fund's funding is another")

    def _fee(self, record: capital.ManagementFeeCharged) -> None:
        """Work out the fee; of what equity it was taken no record has the prices."""
        self.counts["NAVs left out"] += 1
        fund = self.state.funds[record.fund]
        terms = fund.fund.management_fee
        if terms is not None and self._as_configured(fund):
            self._same(self._place(record), "fee", record.amount, terms.charge(record.equity))

    def _dealt(self, record: capital.FlowDealt) -> None:
        """Hold that the fund gave nothing away; no record has the prices of the NAV."""
        self.counts["NAVs left out"] += 1
        self._hold(
            record.shares * record.nav <= record.cash + NAV_TOLERANCE,
            f"{self._place(record)}: {record.shares} shares at {record.nav} for {record.cash}",
        )

    def _unpriced(self, _record: capital.ConsolidationProposed) -> None:
        self.counts["NAVs left out"] += 1

    def _intent(self, record: records.IntentCreated) -> None:
        intent = record.intent
        self.counts["orders"] += 1
        wanted = client_order_id(self.state.id_seed, intent.account, intent.contract, intent.seq)
        self._hold(
            intent.client_order_id == wanted,
            f"{self._place(record)}: the id {intent.client_order_id} is not of this desk",
        )

    def _traded(self, record: records.Traded) -> None:
        self.counts["fills"] += 1
        self._hold(
            record.trade not in self.state.seen_trades,
            f"{self._place(record)}: trade {record.fill.trade_id} is booked twice",
        )
        ours = record.fill.client_order_id
        order = self.state.orders.get(ours) or self.state.ended.get(ours)
        if order is None:
            return  # the fold refuses it, but for what the venue did by itself
        if ours in self.state.ended:
            self._late |= record.allocations.keys()
        weights = {name: abs(size) for name, size in order.intent.wanted.items()}
        for what, told, whole in (
            ("units", record.allocations, record.units),
            ("fees", record.fees, record.fill.fee),
        ):
            self._hold(
                told == split_pro_rata(whole, weights),
                f"{self._place(record)}: the {what} are shared as nobody wanted them",
            )

    def _settled(self, record: records.FixedSettled) -> None:
        """Hold that no instant of the fund's calendar was passed over."""
        self.counts["fixed instants"] += 1
        fund = self.state.funds[record.fund]
        rule, after_ms = fund.fund.methodology.fixed, fixed_after_ms(fund)
        if rule is None or after_ms is None or not self._as_configured(fund):
            return
        due_ms = rule.next_due_ms(after_ms)
        if record.settlement is records.Settlement.SKIPPED and record.due_ms <= self._renewed(fund):
            # Times that are new settle the last of those before them, for all.
            due_ms = max(rule.due_between(after_ms, record.due_ms), default=due_ms)
        self._hold(
            record.due_ms == due_ms,
            f"{self._place(record)}: {fund.name} is settled for {iso(record.due_ms)}, "
            f"{iso(due_ms)} was next",
        )

    def _renewed(self, fund: FundState) -> int:
        started_ms = 0 if fund.renewal is None else fund.renewal.at_ms
        return max(started_ms, self._renewed_ms.get(fund.name, 0))

    def _same(self, place: str, what: str, told: Decimal | None, found: Decimal | None) -> None:
        if told is None or found is None:
            self._hold(told is found, f"{place}: {what} is {found}, the record says {told}")
            return
        slack = max(abs(told), Decimal(1)) * NAV_TOLERANCE
        self._hold(
            abs(told - found) <= slack, f"{place}: {what} is {found}, the record says {told}"
        )


def _lot_units(state: DeskState, symbol: str) -> Decimal:
    contract = state.desk.contracts[symbol]
    return contract.units_in(contract.lot)
