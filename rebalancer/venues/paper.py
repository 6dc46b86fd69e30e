"""The paper venue's matching: one account, filled from the current price, as a plain value.

It moves no clock and starts no task: the asynchronous paper venue and the replay of history both
drive this one model, so that a rehearsal and a backtest cost the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from rebalancer.core.capital import FinancingPosted, FlowDealt, ManagementFeeCharged
from rebalancer.core.contract import Contract
from rebalancer.core.events import (
    Event,
    FillReported,
    FundingPaid,
    LiquidationReported,
    OrderReported,
)
from rebalancer.core.ledger import fund_book, postings
from rebalancer.core.money import BPS, ONE, ZERO, total, trunc_to_step
from rebalancer.core.order import Absence, Fill, OrderIntent, OrderSide, Outcome, PositionSide
from rebalancer.core.records import (
    FundingPosted,
    FundLaunched,
    OrderMoved,
    PositionsAdopted,
    Record,
    ShortfallCovered,
    Traded,
)
from rebalancer.errors import ensure

_MILLION, _LEAST_BPS = Decimal(1_000_000), Decimal("1e-6")
#: what moves the cash of one fund without a trade
_CAPITAL = (FundLaunched, ShortfallCovered, FlowDealt, ManagementFeeCharged, FinancingPosted)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperCosts:
    """What trading on paper costs, and how it may disappoint."""

    fee_bps: Decimal = ZERO
    slippage_bps: Decimal = ZERO
    #: on top, of an order of a million; it grows with the square root of the order's notional
    impact_bps: Decimal = ZERO
    #: whether funding is charged
    funding: bool = True
    #: time between an order and its fill
    latency_ms: int = 0
    #: share of an order that one attempt fills
    fill_ratio: Decimal = ONE

    def slippage_bps_of(self, notional: Decimal) -> Decimal:
        """Return the slippage of an order of that size, to a millionth of a basis point.

        The square-root law of market impact: four times the order moves the price twice as far.
        """
        if not self.impact_bps:
            return self.slippage_bps
        impact_bps = self.impact_bps * (notional / _MILLION).sqrt()
        return self.slippage_bps + impact_bps.quantize(_LEAST_BPS)


@dataclass(slots=True)
class PaperBook:
    """One account of the paper venue: cash, positions and orders seen."""

    account: str
    contracts: Mapping[str, Contract]
    costs: PaperCosts = field(default_factory=PaperCosts)
    initial_margin: Decimal = Decimal("0.01")
    maintenance_margin: Decimal = Decimal("0.005")
    #: what was paid in, less what was lost; in quote currency
    cash: Decimal = ZERO
    #: signed base coins by contract and book
    books: dict[tuple[str, PositionSide], Decimal] = field(default_factory=dict)
    marks: dict[str, Decimal] = field(default_factory=dict)
    #: final report of every order ever taken, by client order id: a repeated id is the same order
    _taken: dict[str, OrderReported] = field(default_factory=dict)
    _liquidations: int = 0

    def deposit(self, record: Record) -> None:
        """Follow capital: what holders pay in and take out, fees, covered shortfalls, positions."""
        if isinstance(record, _CAPITAL) and record.account == self.account:
            book = fund_book(record.fund)
            self.cash += total(each.amount for each in postings(record) if each.book == book)
        elif isinstance(record, PositionsAdopted) and record.account == self.account:
            for symbol, units in record.units.items():
                side = PositionSide.of(units, hedge=record.hedge)
                self._move(symbol, side, units, record.prices[symbol], ZERO)

    def recover(self, history: Iterable[Record]) -> None:
        """Become what the records say: a fill that was never recorded never happened here."""
        for record in history:
            self.deposit(record)
            if isinstance(record, Traded) and record.account == self.account:
                fill = record.fill
                self._move(
                    record.contract, record.position_side, record.units, fill.price, fill.fee
                )
                self._taken[fill.client_order_id] = _over(record.at_ms, fill.client_order_id)
            elif isinstance(record, OrderMoved) and record.outcome is Outcome.ACCEPTED:
                self._taken[record.client_order_id] = _over(record.at_ms, record.client_order_id)
            elif isinstance(record, FundingPosted) and record.account == self.account:
                self.cash -= total(record.paid.values())

    def observe(self, contract: str, mark: Decimal) -> None:
        """Take a new mark."""
        self.marks[contract] = mark

    def fill(self, intent: OrderIntent, now_ms: int) -> tuple[Event, ...]:
        """Match an order that arrived; return what the venue reports, in order."""
        done = self._taken.get(intent.client_order_id)
        if done is not None:
            return (done,)
        refusal = self._refusal(intent)
        if refusal is not None:
            report = OrderReported(now_ms, intent.client_order_id, Outcome.REJECTED, reason=refusal)
            self._taken[intent.client_order_id] = report
            return (report,)
        events = tuple(self._match(intent, now_ms))
        closing = events[-1]
        ensure(isinstance(closing, OrderReported), "an order ends with a report", closing)
        if isinstance(closing, OrderReported):
            self._taken[intent.client_order_id] = closing
        return events

    def query(self, intent: OrderIntent, now_ms: int) -> OrderReported:
        """Return what became of an order; an order never taken is absent."""
        done = self._taken.get(intent.client_order_id)
        if done is not None:
            return done
        return OrderReported(
            now_ms,
            intent.client_order_id,
            Outcome.ABSENT,
            reason="the venue never had it",
            absence=Absence(waited_ms=0, window_ms=0, looks=1),
        )

    def _refusal(self, intent: OrderIntent) -> str | None:
        mark = self.marks.get(intent.contract)
        if mark is None:
            return f"no market for {intent.contract}"
        held = self.books.get((intent.contract, intent.position_side), ZERO)
        if intent.reduce_only and (held * intent.units >= 0 or abs(intent.units) > abs(held)):
            return "a reduce-only order would not only reduce"
        if not intent.reduce_only:
            gross = self.gross() + abs(held + intent.units) * mark - abs(held) * mark
            if gross * self.initial_margin > self.equity():
                return f"initial margin is missing for {gross:.2f} of notional"
        return None

    def _match(self, intent: OrderIntent, now_ms: int) -> Iterator[Event]:
        price = self._fill_price(intent)
        beyond = price > intent.limit_price
        if intent.side is OrderSide.SELL:
            beyond = price < intent.limit_price
        contracts = ZERO
        yield OrderReported(
            now_ms,
            intent.client_order_id,
            Outcome.ACCEPTED,
            venue_order_id=f"p-{intent.client_order_id}",
        )
        if not beyond:
            lot = self.contracts[intent.contract].lot
            contracts = trunc_to_step(intent.contracts * self.costs.fill_ratio, lot)
            contracts = max(contracts, min(lot, intent.contracts))
            yield FillReported(now_ms, self._trade(intent, price, contracts, now_ms))
        yield OrderReported(
            now_ms,
            intent.client_order_id,
            Outcome.CLOSED,
            filled_contracts=contracts,
            venue_order_id=f"p-{intent.client_order_id}",
            reason="" if contracts else "nothing inside the collar",
        )

    def _fill_price(self, intent: OrderIntent) -> Decimal:
        mark = self.marks[intent.contract]
        slip = self.costs.slippage_bps_of(abs(intent.units) * mark) / BPS
        return mark * (ONE + slip if intent.side is OrderSide.BUY else ONE - slip)

    def _trade(self, intent: OrderIntent, price: Decimal, contracts: Decimal, now_ms: int) -> Fill:
        contract = self.contracts[intent.contract]
        units = contract.units_in(contracts).copy_sign(intent.units)
        fee = abs(units) * price * self.costs.fee_bps / BPS
        self._move(intent.contract, intent.position_side, units, price, fee)
        return Fill(
            trade_id=f"p-{intent.client_order_id}",
            client_order_id=intent.client_order_id,
            price=price,
            contracts=contracts,
            fee=fee,
            at_ms=now_ms,
        )

    def _move(
        self, contract: str, side: PositionSide, units: Decimal, price: Decimal, fee: Decimal
    ) -> None:
        key = (contract, side)
        self.books[key] = self.books.get(key, ZERO) + units
        self.cash -= units * price + fee

    def fund(self, contract: str, rate: Decimal, mark: Decimal, now_ms: int) -> FundingPaid | None:
        """Settle funding on the position in `contract`; None where funding is off."""
        units = self.position(contract)
        if not self.costs.funding:
            return None
        self.cash -= rate * units * mark
        return FundingPaid(now_ms, self.account, contract, rate, mark)

    def position(self, contract: str) -> Decimal:
        """Return the net position in `contract`, in signed base coins."""
        return total(self.books.get((contract, side), ZERO) for side in PositionSide)

    def positions(self) -> dict[str, Decimal]:
        """Return every net position that is not zero."""
        symbols = {contract for contract, _ in self.books}
        return {symbol: net for symbol in sorted(symbols) if (net := self.position(symbol))}

    def equity(self) -> Decimal:
        """Return cash plus positions at the marks."""
        return self.cash + total(
            units * self.marks.get(contract, ZERO) for (contract, _), units in self.books.items()
        )

    def gross(self) -> Decimal:
        """Return the sum of position magnitudes at the marks."""
        return total(
            abs(units) * self.marks.get(contract, ZERO)
            for (contract, _), units in self.books.items()
        )

    def liquidate(self, now_ms: int) -> tuple[LiquidationReported, ...]:
        """Close every position at the marks when maintenance margin is missing."""
        if any(units and contract not in self.marks for (contract, _), units in self.books.items()):
            return ()  # just recovered: without every mark nobody knows what the account is worth
        gross = self.gross()
        if gross == 0 or self.equity() >= gross * self.maintenance_margin:
            return ()
        reports = []
        for (contract, side), units in sorted(self.books.items()):
            if not units:
                continue
            self._liquidations += 1
            mark = self.marks[contract]
            fee = abs(units) * mark * self.costs.fee_bps / BPS
            self._move(contract, side, -units, mark, fee)
            reports.append(
                LiquidationReported(
                    at_ms=now_ms,
                    account=self.account,
                    contract=contract,
                    position_side=side,
                    trade_id=f"liq-{self.account}-{now_ms}-{self._liquidations}",
                    units=-units,
                    price=mark,
                    fee=fee,
                )
            )
        return tuple(reports)


def _over(at_ms: int, client_order_id: str) -> OrderReported:
    # Without a figure: what was booked is all that was ever filled.
    return OrderReported(at_ms, client_order_id, Outcome.CLOSED)
