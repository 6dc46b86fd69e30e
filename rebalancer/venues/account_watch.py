"""Watches one account: reports what it holds, and each payment of funding once.

The venue books an amount; the desk shares funding among funds by rate, units and mark. So a
payment is told with the venue's own rate and with the mark that makes it the booked amount for
what the account held at that instant. Where it held nothing the venue books nothing, and its funds,
long and short, owe each other all the same: the settlement is told with the rate alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from types import MappingProxyType
from typing import NamedTuple

import structlog

from rebalancer.core.contract import Contract
from rebalancer.core.events import BalanceReported, FundingPaid, PositionsReported
from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from rebalancer.core.money import PLACES, ZERO, total
from rebalancer.errors import VenueUnavailable
from rebalancer.ports import Clock, Emit
from rebalancer.venues.account_history import AccountHistory
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.statements import FundingPayment, OwnTrade, held_units

_log = structlog.get_logger(__name__)

#: payments of one settlement are listed one after another; taken once they are this old
LISTED_MS = 10 * SECOND_MS
#: venues settle at full hours, and show the rate by so long after
SETTLED_EVERY_MS = HOUR_MS
SHOWN_MS = 2 * MINUTE_MS
#: how far back the first question goes: who owes what is counted by what the funds hold now
FLAT_BACK_MS = DAY_MS
#: a trade this near to the question of what is held may be in its answer or not
CLOCK_ERROR_MS = 500
#: contracts asked for payments in one round, in turn: such questions are dear
CONTRACTS_PER_ROUND = 10
#: the balance is asked for in every so many-th round
BALANCE_EVERY = 4
#: a round that takes longer is given up
ROUND_SECONDS = 120.0
#: after so many rounds in a row without positions the desk is told that it does not see its account
MISSED_MAX = 3
NO_PAYMENTS: Mapping[str, int] = MappingProxyType({})


class Held(NamedTuple):
    """What an account held when it was asked for it."""

    #: signed base coins by contract
    units: Mapping[str, Decimal]
    #: when the question left, by the venue's clock: no later trade is certainly in the answer
    asked_ms: int


class AccountWatch:
    """Reports one account to the desk."""

    def __init__(
        self, name: str, book: ExchangeAccount, contracts: Mapping[str, Contract], clock: Clock
    ) -> None:
        """Watch an account; its clock is read anew by `mind_clock` before each round."""
        self._name = name
        self._book = book
        self._clock = clock
        self._waiting = list(contracts)
        self._since_ms: dict[str, int] = {}
        self._seen: dict[str, set[FundingPayment]] = {}
        #: of settlements at which nothing was held: the last one, and the hour asked about
        self._flat_ms: dict[str, int] = {}
        self._flat_hours: dict[str, int] = {}
        self._missed = 0
        self._rounds = 0
        #: what balances are compared in; None where contracts settle in several currencies
        quotes = {contract.quote for contract in contracts.values()}
        self._currency = quotes.pop() if len(quotes) == 1 else None
        self.history = AccountHistory(name, book, contracts, clock)
        self.mind_clock: Callable[[], Awaitable[None]] = _as_it_was

    async def run(
        self, emit: Emit, seconds: float, funded_ms: Mapping[str, int] = NO_PAYMENTS
    ) -> None:
        """Report every `seconds` until cancelled; may be run again after it raised.

        Payments are told by contract from `funded_ms` on (by the venue's clock), else from now on.
        Raises VenueUnavailable when the account was not seen for several rounds.
        """
        now_ms = self._book.venue_clock.now_ms()
        for contract in self._waiting:
            since_ms = self._since_ms.setdefault(contract, funded_ms.get(contract, now_ms))
            self._flat_ms.setdefault(contract, max(since_ms, now_ms - FLAT_BACK_MS))
        while True:
            await asyncio.sleep(seconds)
            seen = False
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    seen = await self.round(emit)
            except TimeoutError:
                _log.warning("account_round_given_up", account=self._name)
            self._missed = 0 if seen else self._missed + 1
            if self._missed >= MISSED_MAX:
                self._missed = 0
                raise VenueUnavailable(
                    f"what account {self._name} holds was not told {MISSED_MAX} times in a row"
                )

    async def round(self, emit: Emit) -> bool:
        """Report what is held, then new trades, orders and payments of the contracts in turn.

        Returns whether the venue told what is held.
        """
        try:
            await self.mind_clock()
        except VenueUnavailable as outage:
            _log.warning("clock_unavailable", account=self._name, reason=str(outage))
        held = await self.report_positions(emit)
        if held is None:
            return False
        if self._rounds % BALANCE_EVERY == 0:
            await self._report_balance(emit)
        self._rounds += 1
        turn, rest = self._waiting[:CONTRACTS_PER_ROUND], self._waiting[CONTRACTS_PER_ROUND:]
        self._waiting = rest + turn
        try:
            # What the venue closed before a settlement has no part in its payment.
            await self.history.report(turn, emit)
        except VenueUnavailable as outage:
            _log.warning("history_unavailable", account=self._name, reason=str(outage))
        for contract in turn:
            try:
                await self._report_funding(contract, held, emit)
                if not held.units.get(contract):
                    await self._report_flat(contract, held, emit)
            except VenueUnavailable as outage:
                _log.warning("funding_unavailable", account=self._name, reason=str(outage))
        return True

    async def report_positions(self, emit: Emit) -> Held | None:
        """Emit what is held, and return it; nothing when the venue does not answer."""
        asked_ms = self._clock.now_ms()
        asked_at_venue_ms = self._book.venue_clock.at(asked_ms)
        try:
            units = held_units(await self._book.positions())
        except VenueUnavailable as outage:
            _log.warning("positions_unavailable", account=self._name, reason=str(outage))
            return None
        emit(PositionsReported(self._clock.now_ms(), self._name, units, asked_ms=asked_ms))
        # Not kept here: a reconnect asks as well, while a round goes by what it was told itself.
        return Held(units, asked_at_venue_ms)

    async def _report_balance(self, emit: Emit) -> None:
        if self._currency is None:
            return
        try:
            worth = (await self._book.balance(self._currency)).equity
        except VenueUnavailable as outage:
            _log.warning("balance_unavailable", account=self._name, reason=str(outage))
            return
        if worth is not None:
            emit(BalanceReported(self._clock.now_ms(), self._name, self._currency, worth))

    async def _report_funding(self, contract: str, held: Held, emit: Emit) -> None:
        since_ms = self._since_ms[contract]
        seen = self._seen.setdefault(contract, set())
        until_ms = self._book.venue_clock.now_ms() - LISTED_MS
        listed = await self._book.funding(contract, since_ms)
        new = [each for each in listed if each.at_ms <= until_ms and each not in seen]
        for at_ms, settled in groupby(new, key=lambda each: each.at_ms):
            payments = list(settled)
            paid = await self._paid(contract, held, at_ms, payments)
            if paid is not None:
                emit(paid)
            seen.update(payments)
            self._since_ms[contract] = at_ms
        # The next list begins at this instant; what is older cannot come again.
        seen -= {each for each in seen if each.at_ms < self._since_ms[contract]}

    async def _paid(
        self, contract: str, held: Held, at_ms: int, payments: Sequence[FundingPayment]
    ) -> FundingPaid | None:
        amount = total(each.amount for each in payments)
        if not amount:
            return None
        since = await self._trades_since(contract, at_ms, held.asked_ms)
        units = _held_at(held.units.get(contract, ZERO), since, at_ms)
        rate = await self._book.funding_rate(contract, at_ms)
        if rate is None:
            raise VenueUnavailable(f"{contract}: the rate of a payment is not shown yet")
        mark = (-amount / (rate * units)).quantize(PLACES) if rate and units else ZERO
        if mark <= 0:
            _log.warning(
                "funding_not_understood",
                account=self._name,
                contract=contract,
                amount=amount,
                rate=rate,
                units=units,
            )
            return None
        return FundingPaid(self._clock.now_ms(), self._name, contract, rate, mark, settled_ms=at_ms)

    async def _report_flat(self, contract: str, held: Held, emit: Emit) -> None:
        """Tell the settlements at which the account held nothing of a contract; asked each hour."""
        since_ms = self._flat_ms.get(contract)
        hour = (self._book.venue_clock.now_ms() - SHOWN_MS) // SETTLED_EVERY_MS
        if since_ms is None or hour <= self._flat_hours.get(contract, since_ms // SETTLED_EVERY_MS):
            return
        rates = await self._book.funding_rates(contract, since_ms + 1)
        since = await self._trades_since(contract, min(rates), held.asked_ms) if rates else ()
        for at_ms, rate in rates.items():
            if not _held_at(ZERO, since, at_ms):
                now_ms = self._clock.now_ms()
                emit(FundingPaid(now_ms, self._name, contract, rate, None, settled_ms=at_ms))
            self._flat_ms[contract] = at_ms
        self._flat_hours[contract] = hour

    async def _trades_since(self, contract: str, at_ms: int, asked_ms: int) -> Sequence[OwnTrade]:
        """Return the trades between an instant and the question of what is held.

        Raises VenueUnavailable where one came too near to that question to say.
        """
        since = await self._book.trades(contract, at_ms)
        if any(trade.at_ms >= asked_ms - CLOCK_ERROR_MS for trade in since):
            # Whether what is held has it in or not is not known: what was paid on would be wrong.
            raise VenueUnavailable(f"{contract}: traded while its payment was being understood")
        return since


def _held_at(held: Decimal, since: Sequence[OwnTrade], at_ms: int) -> Decimal:
    """Return what the account held at an instant, in signed base coins, from what it holds now."""
    return held - total(trade.units for trade in since if trade.at_ms > at_ms)


async def _as_it_was() -> None:
    """Leave the clock as it was measured."""
