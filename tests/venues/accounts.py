"""One account for tests: at the loopback Binance, or stubbed in ccxt's unified shape."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from rebalancer.clock import WallClock
from rebalancer.core.contract import Contract
from rebalancer.core.events import Event
from rebalancer.core.fund import Account
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.exchange_checks import Expected
from rebalancer.venues.exchange_venue import ExchangeVenue, facts_of, open_client
from rebalancer.venues.facts import FACTS
from tests.loopback.accounts import Account as VenueAccount
from tests.loopback.calls import Answer, Call
from tests.loopback.presets import KEY, SECRET, binance
from tests.loopback.server import LoopbackVenue
from tests.venues.golden.markets import contracts_of

BTC, ETH = "BTC/USDT:USDT", "ETH/USDT:USDT"
D = Decimal
CONTRACTS = {
    BTC: Contract(BTC, D(1), D("0.001"), D("0.1"), D("0.001"), D(100)),
    ETH: Contract(ETH, D(1), D("0.001"), D("0.01"), D("0.001"), D(20)),
}


@dataclass
class Desk:
    """One account at the loopback Binance, as we see it and as it is."""

    venue: ExchangeVenue
    market: LoopbackVenue
    exchange: Any
    events: list[Event] = field(default_factory=list)

    @property
    def book(self) -> ExchangeAccount:
        return self.venue.account

    async def buy(self, symbol: str, size: str, **params: Any) -> None:
        side = "buy" if D(size) > 0 else "sell"
        price = {BTC: {"buy": "51000", "sell": "49000"}, ETH: {"buy": "3050", "sell": "2950"}}
        await self.exchange.create_order(
            symbol,
            "limit",
            side,
            str(abs(D(size))),
            price[symbol][side],
            {"timeInForce": "IOC", **params},
        )

    async def buy_on_little_margin(self) -> int:
        """Buy a coin with 3,000 in the account, and see it as ours; return when that began."""
        since_ms = WallClock().now_ms() - 1_000
        self.market.core.accounts[KEY].wallet = D(3_000)
        await self.buy(BTC, "1")
        (ours,) = self.market.core.accounts[KEY].orders
        await self.venue.report_history({BTC: since_ms}, ours=(str(ours),))
        return since_ms

    def answers_once(self, path: str, document: Any) -> None:
        """Answer the next call of a path with `document`, whatever is true."""
        honest, waiting = self.market.dialect.act, [True]

        def act(core: Any, call: Call) -> Answer:
            if waiting and call.path.endswith(path):
                waiting.pop()
                return Answer.of(document)
            return honest(core, call)

        self.market.dialect.act = act  # type: ignore[method-assign]

    def told(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def account(
    *,
    hedge: bool = False,
    expected: Expected | None = None,
    prepare: Callable[[VenueAccount], None] = lambda _: None,
) -> AsyncIterator[Desk]:
    """Yield a started venue; what is asked of ccxt past it goes to the same loopback."""
    clock = WallClock()
    async with LoopbackVenue(binance()) as market:
        prepare(market.core.accounts[KEY])
        client = open_client(facts_of("binanceusdm"), {"apiKey": KEY, "secret": SECRET})
        market.point(client._exchange)
        config = Account(name="main", venue="binanceusdm", hedge=hedge)
        venue = ExchangeVenue(config, client, CONTRACTS, clock, expected or Expected())
        desk = Desk(venue, market, client._exchange)
        try:
            await venue.start(desk.events.append)
            market.calls.clear()
            yield desk
        finally:
            await venue.close()


class Stub:
    """Stands in for a client: its exchange answers what it was given, by method."""

    def __init__(self, venue_id: str, **answers: Any) -> None:
        self.venue_id = venue_id
        self.offset_ms = 0
        self.markets: dict[str, Any] = {contracts_of(venue_id)[0].symbol: {}}
        self._exchange = SimpleNamespace(
            market=lambda _symbol: {"settleId": "usdt"},
            **{name: self._method(answer) for name, answer in answers.items()},
        )

    @staticmethod
    def _method(answer: Any) -> Any:
        async def method(*_arguments: Any) -> Any:
            return answer

        return method

    async def ask(self, question: Any, *_costs: Any) -> Any:
        return await question(self._exchange)


def stubbed(venue_id: str, *, hedge: bool = False, **answers: Any) -> ExchangeAccount:
    contract, _ = contracts_of(venue_id)
    config = Account(name="main", venue=venue_id, hedge=hedge)
    client: Any = Stub(venue_id, **answers)
    return ExchangeAccount(
        config, client, FACTS[venue_id], {contract.symbol: contract}, WallClock()
    )


def position_of(venue_id: str, **fields: Any) -> dict[str, Any]:
    contract, _ = contracts_of(venue_id)
    return {"symbol": contract.symbol, "contracts": "20", "side": "long", **fields}
