"""The paper venue: orders are filled from the current price, after the configured latency."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from rebalancer.clock import sleep_until
from rebalancer.core.events import Event, FundingExpected, PositionsReported, PricesObserved
from rebalancer.core.fund import PriceSource
from rebalancer.core.order import OrderIntent
from rebalancer.core.records import Record
from rebalancer.ports import Clock, Emit, Submission
from rebalancer.venues.paper import PaperBook


class PaperVenue:
    """One paper account behind the venue port; also follows prices, funding and the ledger."""

    def __init__(self, book: PaperBook, clock: Clock) -> None:
        self.book = book
        self._clock = clock
        self._emit: Emit | None = None

    async def start(self, emit: Emit) -> None:
        """Send reports to `emit` from now on."""
        self._emit = emit

    def prepare(self, intents: Sequence[OrderIntent]) -> None:
        """Nothing can be made ready for orders that go nowhere."""

    async def submit(self, intent: OrderIntent) -> None:
        """Fill the order from the price at its arrival."""
        arrives_ms = self._clock.now_ms() + self.book.costs.latency_ms
        await sleep_until(self._clock, arrives_ms)
        for report in self.book.fill(intent, self._clock.now_ms()):
            self._tell(report)

    def submit_all(self, intents: Sequence[OrderIntent]) -> Sequence[Submission]:
        """Submit the orders side by side."""
        return [self.submit(intent) for intent in intents]

    async def query(self, intent: OrderIntent) -> None:
        """Report what became of the order."""
        self._tell(self.book.query(intent, self._clock.now_ms()))

    async def report_positions(self) -> None:
        """Report what the account holds."""
        self._tell(
            PositionsReported(self._clock.now_ms(), self.book.account, self.book.positions())
        )

    async def close(self) -> None:
        """Nothing to give up."""

    def observe(self, observed: PricesObserved) -> None:
        """Follow the market; liquidate the account when its maintenance margin is missing."""
        for tick in observed.ticks:
            if tick.source is PriceSource.MARK:
                self.book.observe(tick.contract, tick.price)
        for report in self.book.liquidate(observed.at_ms):
            self._tell(report)

    def settle_funding(self, contract: str, rate: Decimal, mark: Decimal, at_ms: int) -> None:
        """Settle funding on what the account holds of a contract: longs pay rate x units x mark."""
        paid = self.book.fund(contract, rate, mark, at_ms)
        if paid is not None:
            self._tell(paid)

    def expect_funding(
        self, contract: str, rate: Decimal | None, from_ms: int, due_ms: int
    ) -> None:
        """Tell what the next settlement is expected to cost, where funding is charged."""
        if self.book.costs.funding:
            now_ms, account = self._clock.now_ms(), self.book.account
            self._tell(FundingExpected(now_ms, account, contract, rate, from_ms, due_ms))

    def publish(self, records: Sequence[Record]) -> None:
        """Follow the ledger: capital that is paid in after the start."""
        for record in records:
            self.book.deposit(record)

    def _tell(self, report: Event) -> None:
        if self._emit is not None:
            self._emit(report)
