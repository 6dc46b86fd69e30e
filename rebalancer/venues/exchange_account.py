"""One account at an exchange, read exactly: what it holds, owes, was paid, and how it is set.

Every answer is ccxt's unified shape, told in base coins and exact decimals by the table's units.
Nothing here changes anything at the venue. What cannot be read raises VenueUnavailable: a failed
question is never taken for zero.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account
from rebalancer.core.instant import MINUTE_MS
from rebalancer.core.money import ZERO, number, total
from rebalancer.core.order import OrderSide, PositionSide
from rebalancer.errors import VenueUnavailable
from rebalancer.ports import Clock
from rebalancer.venues.ccxt_client import CcxtClient, NoSuchOrder
from rebalancer.venues.exchange_lists import WholeLists, own_trades, payments, readable
from rebalancer.venues.exchange_order_lists import OrderLists
from rebalancer.venues.expected_rates import ExpectedRates
from rebalancer.venues.facts_account import ACCOUNTS, KeyRights, certain
from rebalancer.venues.facts_forced import FORCED_ORDERS, FORCED_TRADES
from rebalancer.venues.facts_shape import Ask, Call, Unit, VenueFacts
from rebalancer.venues.statements import Balance, FundingPayment, OpenOrder, OwnTrade, Position
from rebalancer.venues.venue_clock import VenueClock

T = TypeVar("T")

#: an answer without a position that was held is believed when a second one agrees, this much later
EMPTY_AGAIN_SECONDS = 0.5
#: a settlement's rate and its payment are stamped within this of each other
RATE_NEAR_MS = MINUTE_MS
#: rates that are asked for at once
RATES_MOST = 100


class ExchangeAccount:
    """Reads one account through its client."""

    def __init__(
        self,
        account: Account,
        client: CcxtClient,
        facts: VenueFacts,
        contracts: Mapping[str, Contract],
        clock: Clock,
    ) -> None:
        self._account = account
        #: whether each contract has two books
        self.hedge = account.hedge
        self._client = client
        self._facts = facts
        self.contracts = contracts
        self._clock = clock
        self._told = ACCOUNTS[facts.venue_id]
        self.venue_clock = VenueClock(clock, client)
        self._lists = WholeLists(self._ask, facts.venue_id, self.venue_clock)
        self._orders = OrderLists(self._ask, facts.venue_id, self.venue_clock)
        self.expected = ExpectedRates(self._ask, facts.venue_id)
        self._held: frozenset[str] = frozenset()

    async def positions(self) -> tuple[Position, ...]:
        """Return what is held; a contract is flat only when two answers agree."""
        found = await self._positions_once()
        if not found or self._held - {each.contract for each in found}:
            # A venue under stress has answered with an empty list (docs/venues.md).
            await asyncio.sleep(EMPTY_AGAIN_SECONDS)
            found = await self._positions_once()
        self._held = frozenset(each.contract for each in found)
        return found

    async def held_anywhere(self) -> frozenset[str]:
        """Return every contract that the account holds, ours or not; flat when told twice."""
        held = await self._held_once()
        if not held:
            await asyncio.sleep(EMPTY_AGAIN_SECONDS)
            held = await self._held_once()
        return held

    async def balance(self, currency: str) -> Balance:
        """Return equity and what is free of `currency`."""
        call = Call("fetch_balance", (dict(self._told.balance_params),))
        answer = await self._ask(call, Ask.BALANCE)
        with readable(self._facts.venue_id, f"balance of {currency}"):
            equity: Decimal | None = number(self._told.equity(answer, currency), "equity")
            available = number(answer[currency]["free"], "available balance")
        if self._told.equity_is_wallet and equity is not None:
            profits = [each.unrealized for each in await self.positions()]
            known = [profit for profit in profits if profit is not None]
            equity = equity + total(known) if len(known) == len(profits) else None
        return Balance(currency=currency, equity=equity, available=available)

    async def open_orders(self, contract: str) -> tuple[OpenOrder, ...]:
        """Return every order of `contract` that can still trade."""
        listing = self._facts.lookup.lists[0]
        answer = [
            row
            async for page in self._orders.pages(listing, contract, since_ms=0)
            for row in page
            if row["symbol"] == contract
        ]
        units = self._facts.units
        with readable(self._facts.venue_id, f"open orders of {contract}"):
            return tuple(
                OpenOrder(
                    order_id=str(row["id"]),
                    client_order_id=self._facts.client_ids.from_venue(
                        row.get("clientOrderId") or ""
                    ),
                    contract=contract,
                    side=OrderSide(self._told.order_side(row)),
                    # Not ccxt's `remaining`, which is in contracts or in coins as XT pleases.
                    remaining=self._units(contract, row["amount"], units.order_amount)
                    - self._units(contract, row["filled"], units.order_filled),
                )
                for row in answer
            )

    async def trades(self, contract: str, since_ms: int) -> tuple[OwnTrade, ...]:
        """Return own trades of `contract` at or after `since_ms`, oldest first."""
        rows = await self._lists.whole(own_trades(self._facts), contract, since_ms)
        silent = dict.fromkeys(str(row.get("order")) for row in rows if not row.get("side"))
        sides = {order_id: await self._side(contract, order_id) for order_id in silent}
        with readable(self._facts.venue_id, f"own trades of {contract}"):
            return tuple(self._trade(contract, row, sides) for row in rows)

    async def made_by_venue(self, trade: OwnTrade) -> bool:
        """Return whether the venue closed a position by itself with it; False where it is untold.

        Its order is asked for where only that says so: ask of trades that are not known otherwise.
        """
        is_forced = FORCED_ORDERS.get(self._facts.venue_id)
        if trade.forced or is_forced is None or not trade.order_id:
            return trade.forced
        try:
            call = Call("fetch_order", (trade.order_id, trade.contract))
            order = await self._ask(call, Ask.QUERY)
        except NoSuchOrder:
            return False
        with readable(self._facts.venue_id, f"order {trade.order_id}"):
            return is_forced(order)

    async def funding(self, contract: str, since_ms: int) -> tuple[FundingPayment, ...]:
        """Return payments of funding for `contract` at or after `since_ms`, oldest first."""
        rows = await self._lists.whole(payments(self._facts), contract, since_ms)
        with readable(self._facts.venue_id, f"funding of {contract}"):
            return tuple(
                FundingPayment(
                    payment_id=str(row.get("id") or ""),
                    contract=contract,
                    amount=number(row["amount"], "a payment") * self._told.funding_sign,
                    at_ms=int(row["timestamp"]),
                )
                for row in rows
            )

    async def funding_rate(self, contract: str, at_ms: int) -> Decimal | None:
        """Return the rate that was settled at `at_ms`; None while the venue does not show it."""
        rates = await self.funding_rates(contract, at_ms - RATE_NEAR_MS)
        near = [each for each in rates if abs(each - at_ms) <= RATE_NEAR_MS]
        return rates[min(near, key=lambda each: abs(each - at_ms))] if near else None

    async def funding_rates(self, contract: str, since_ms: int) -> Mapping[int, Decimal]:
        """Return the rates settled from `since_ms` on by their instants, the oldest first."""
        call = Call("fetch_funding_rate_history", (contract, since_ms, RATES_MOST))
        rows = await self._ask(call, Ask.RATES)
        with readable(self._facts.venue_id, f"funding rates of {contract}"):
            found = {
                int(row["timestamp"]): number(row["fundingRate"], "a funding rate") for row in rows
            }
            return dict(sorted(found.items()))

    async def hedged(self) -> bool | None:
        """Return whether the account keeps two books per contract; None where it is not told."""
        books = self._facts.spelling.books
        if len(books) == 1 or PositionSide.NET not in books:
            return PositionSide.NET not in books
        symbol, read = next(iter(self.contracts)), self._told.hedged
        if read is not None:
            return await self._ask_by(lambda exchange: read(exchange, symbol), Ask.SETTINGS)
        answer = await self._ask(Call(self._facts.position_mode.read, (symbol,)), Ask.SETTINGS)
        with readable(self._facts.venue_id, "position mode"):
            return certain(answer["hedged"])

    async def margin_modes(self) -> Mapping[str, str]:
        """Return "cross", "isolated", or both by contract, as far as the venue tells."""
        read = self._facts.margin_mode.read
        if not read:
            told = _by_contract(await self.positions(), lambda each: each.margin_mode)
            return {symbol: " and ".join(sorted(modes)) for symbol, modes in told.items()}
        rows = await self._settings(read, self._told.margin_modes)
        with readable(self._facts.venue_id, "margin mode"):
            return {symbol: _word(row["marginMode"]) for symbol, row in rows.items()}

    async def leverages(self) -> Mapping[str, frozenset[Decimal]]:
        """Return the leverages set by contract (two where the books differ), as far as told."""
        read = self._facts.leverage.read
        if not read:
            return _by_contract(await self.positions(), lambda each: each.leverage)
        rows = await self._settings(read, self._told.leverages)
        found = {}
        with readable(self._facts.venue_id, "leverage"):
            for symbol, row in rows.items():
                told = [each for each in self._told.set_leverages(row["info"]) if each]
                if not told:
                    raise VenueUnavailable(f"{self._facts.venue_id}: tells no leverage of {symbol}")
                found[symbol] = frozenset(number(each, "leverage") for each in told)
        return found

    async def key_rights(self) -> KeyRights | None:
        """Return what the key may do besides trading; None where the venue does not tell."""
        read = self._told.key_rights
        return None if read is None else await self._ask_by(read, Ask.SETTINGS)

    # -- asking ---------------------------------------------------------------------------------

    async def _side(self, contract: str, order_id: str) -> Any:
        """Return the side of an order: XT's trades do not tell theirs, which is the same."""
        order = await self._ask(Call("fetch_order", (order_id, contract)), Ask.QUERY)
        return order.get("side")

    async def _positions_once(self) -> tuple[Position, ...]:
        markets = self._client.markets
        # Named, one that the venue does not list any more would make ccxt refuse all of them.
        answer = await self._position_rows(named=self.contracts.keys() <= markets.keys())
        with readable(self._facts.venue_id, "positions"):
            if any(
                row["symbol"] not in markets and _known(row.get("contracts"), "contracts")
                for row in answer
            ):
                # Perhaps ours, and only missing from the list of markets: no answer is not flat.
                raise VenueUnavailable(f"{self._facts.venue_id}: holds what it does not list")
            found = [self._position(row) for row in answer if row["symbol"] in self.contracts]
        return tuple(each for each in found if each.units)

    async def _held_once(self) -> frozenset[str]:
        rows = await self._position_rows(named=False)
        with readable(self._facts.venue_id, "positions"):
            return frozenset(
                str(row["symbol"]) for row in rows if _known(row.get("contracts"), "contracts")
            )

    async def _position_rows(self, *, named: bool) -> list[Any]:
        calls = self._position_calls(named=named)
        return [row for call in calls for row in await self._ask(call, Ask.POSITIONS)]

    def _position_calls(self, *, named: bool) -> list[Call]:
        """Return the questions for what is held: one for each currency that contracts settle in."""
        by_quote: dict[str, list[str]] = {}
        for contract in self.contracts.values():
            by_quote.setdefault(contract.quote, []).append(contract.symbol)
        arguments = [
            self._told.positions(quote, symbols if named else None)
            for quote, symbols in by_quote.items()
        ]
        return [
            Call("fetch_positions", each)
            for place, each in enumerate(arguments)
            if each not in arguments[:place]
        ]

    async def _settings(self, one: str, every: str) -> Mapping[str, Any]:
        """Return a setting's answers by contract: all in one request where the venue can."""
        if every:
            answer = await self._ask(Call(every, (list(self.contracts),)), Ask.SETTINGS)
            with readable(self._facts.venue_id, "settings of all contracts"):
                return {symbol: answer[symbol] for symbol in self.contracts}
        return {
            symbol: await self._ask(Call(one, (symbol,)), Ask.SETTINGS) for symbol in self.contracts
        }

    async def _ask(self, call: Call, kind: Ask) -> Any:
        return await self._ask_by(call.carry_out, kind)

    async def _ask_by(self, question: Callable[[Any], Awaitable[T]], kind: Ask) -> T:
        limits = self._facts.limits
        return await self._client.ask(question, limits.costs[kind], limits.rows.get(kind, 0))

    # -- reading --------------------------------------------------------------------------------

    def _position(self, row: Mapping[str, Any]) -> Position:
        symbol, side = row["symbol"], row.get("side")
        size = self._units(symbol, row["contracts"], self._facts.units.position)
        units = -abs(size) if side == "short" else size
        entry, mark = (
            _above_zero(row.get("entryPrice"), "entryPrice"),
            _above_zero(row.get("markPrice"), "markPrice"),
        )
        unrealized = _known(row.get("unrealizedPnl"), "unrealizedPnl")
        if unrealized is None and entry is not None and mark is not None:
            unrealized = units * (mark - entry)
        return Position(
            contract=symbol,
            book=PositionSide(str(side)) if self._account.hedge and units else PositionSide.NET,
            units=units,
            entry_price=entry,
            mark_price=mark,
            liquidation_price=_above_zero(row.get("liquidationPrice"), "liquidationPrice"),
            initial_margin=_known(row.get("initialMargin"), "initialMargin"),
            maintenance_margin=_known(row.get("maintenanceMargin"), "maintenanceMargin"),
            unrealized=unrealized,
            leverage=_above_zero(self._told.leverage(row), "leverage"),
            margin_mode=row.get("marginMode"),
        )

    def _trade(self, contract: str, row: Mapping[str, Any], sides: Mapping[str, Any]) -> OwnTrade:
        size = self._units(contract, row["amount"], self._facts.units.trade)
        side = OrderSide(row.get("side") or sides[str(row["order"])])
        is_forced = FORCED_TRADES.get(self._facts.venue_id)
        return OwnTrade(
            trade_id=str(row["id"]),
            order_id=str(row.get("order") or ""),
            contract=contract,
            units=-size if side is OrderSide.SELL else size,
            price=number(row["price"], "a trade's price"),
            at_ms=int(row["timestamp"]),
            fee=self._fee(contract, row),
            forced=is_forced is not None and is_forced(row),
        )

    def _fee(self, contract: str, row: Mapping[str, Any]) -> Decimal:
        fee = row.get("fee") or {}
        ours = fee.get("currency") in (None, self.contracts[contract].quote)
        return number(fee["cost"], "a fee") if ours and fee.get("cost") is not None else ZERO

    def _units(self, symbol: str, amount: Any, unit: Unit) -> Decimal:
        size = number(amount, f"{symbol}: an amount of the venue")
        return self.contracts[symbol].units_in(size) if unit is Unit.CONTRACTS else size


def _by_contract(
    positions: tuple[Position, ...], tell: Callable[[Position], T | None]
) -> dict[str, frozenset[T]]:
    """Return what both books of a contract tell, where they tell anything."""
    found: dict[str, frozenset[T]] = {}
    for each in positions:
        if (told := tell(each)) is not None:
            found[each.contract] = found.get(each.contract, frozenset()) | {told}
    return found


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no word")
    return value


def _known(value: Any, what: str) -> Decimal | None:
    return None if value is None else number(value, what)


def _above_zero(value: Any, what: str) -> Decimal | None:
    """Return a price or leverage; venues write nought where there is none."""
    known = _known(value, what)
    return known if known is not None and known > 0 else None
