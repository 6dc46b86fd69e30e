"""What must hold before an account is traded: contracts, clock, books, margin, leverage, the key.

Whatever differs from the configuration is refused in one sentence that names the setting, both
values and the remedy. Nothing is changed at the venue, least of all under open positions: a switch
of mode or margin there can liquidate.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account
from rebalancer.errors import ConfigRefused
from rebalancer.exchanges import contract_of, nearest
from rebalancer.ports import Clock
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.facts_shape import Ask, VenueFacts

_log = structlog.get_logger(__name__)

#: the venue's clock is asked this often, and the median counts
CLOCK_SAMPLES = 5
#: a clock further off than this must be mended, not corrected for
CLOCK_OFFSET_MS_MAX = 60_000
#: the margin mode that every row of the table writes its orders for
MARGIN_MODE = "cross"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the operator says of an account beside its configuration."""

    #: the leverage set at the venue; None where any will do
    leverage: int | None = None
    #: trade although the venue says that the key may withdraw or works from any address
    accept_key_rights: bool = False
    #: trade although the venue does not tell the rights of the key or the books it keeps
    accept_untold: bool = False


def refuse_other_contracts(
    client: CcxtClient, facts: VenueFacts, contracts: Mapping[str, Contract]
) -> None:
    """Raise ConfigRefused unless the venue describes every contract as we do."""
    for symbol, contract in contracts.items():
        market = client.markets.get(symbol)
        if market is None:
            raise ConfigRefused(
                f"{symbol}: {facts.venue_id} has no such contract{nearest(symbol, client.markets)}"
            )
        told = contract_of(market, facts.venue_id)
        for name in ("contract_size", "lot", "tick"):
            if getattr(told, name) != getattr(contract, name):
                raise ConfigRefused(
                    f'contracts."{symbol}".{name}: the configuration says '
                    f"{getattr(contract, name)}, {facts.venue_id} says "
                    f"{getattr(told, name)}; take the lines away, the venue tells its own"
                )


async def measure_clock(client: CcxtClient, facts: VenueFacts, clock: Clock) -> int:
    """Return how far the venue's clock is ahead in ms, and have requests stamped with it.

    The median of five, each at half its round trip.
    """
    offsets = []
    for _ in range(CLOCK_SAMPLES):
        asked_ms = clock.now_ms()
        told = await client.ask(
            lambda exchange: exchange.fetch_time(), facts.limits.costs[Ask.PRICES]
        )
        answered_ms = clock.now_ms()
        offsets.append(int(told) - (asked_ms + answered_ms) // 2)
    offset_ms = int(statistics.median(offsets))
    if abs(offset_ms) > CLOCK_OFFSET_MS_MAX:
        raise ConfigRefused(
            f"the clock is {offset_ms} ms off {facts.venue_id}'s: "
            "synchronise it (timedatectl set-ntp true) and start again"
        )
    client.correct_clock(offset_ms)
    return offset_ms


class StartChecks:
    """Holds one account at the venue against the configuration."""

    def __init__(
        self, account: Account, facts: VenueFacts, book: ExchangeAccount, expected: Expected
    ) -> None:
        self._where = f"accounts.{account.name}"
        self._account = account
        self._facts = facts
        self._book = book
        self._expected = expected

    async def refuse_what_differs(self) -> None:
        """Raise ConfigRefused at the first setting that is not as configured."""
        await self._refuse_key_rights()
        await self._refuse_other_books()
        await self._refuse_other_margin()
        await self._refuse_other_leverage()

    async def _refuse_key_rights(self) -> None:
        rights = await self._book.key_rights()
        if rights is None:
            if not self._expected.accept_untold:
                raise ConfigRefused(
                    f"{self._where}: {self._facts.title} does not tell what the key may do: look "
                    "there that it cannot withdraw and is bound to this address, then set "
                    "accept_untold to true"
                )
            return
        wrong = []
        if rights.may_withdraw:
            wrong.append("may withdraw")
        if not rights.bound_to_address:
            wrong.append("works from any address")
        if not wrong:
            return
        if self._expected.accept_key_rights:
            _log.warning("key_rights_accepted", account=self._account.name, key=wrong)
            return
        raise ConfigRefused(
            f"{self._where}: the key {' and '.join(wrong)}, and a trading key must do neither: "
            f"change it in the API management of {self._facts.title}, or set accept_key_rights "
            "to true"
        )

    async def _refuse_other_books(self) -> None:
        hedged = await self._book.hedged()
        if hedged is None:
            if not self._expected.accept_untold:
                raise ConfigRefused(
                    f"{self._where}.hedge is {_word(self._account.hedge)}, and "
                    f"{self._facts.title} does not tell its own: look there, then set "
                    "accept_untold to true"
                )
            return
        if hedged == self._account.hedge:
            return
        theirs = "two books (hedge mode)" if hedged else "one book (one-way mode)"
        remedy = f"set it to {_word(hedged)}"
        if self._facts.position_mode.set:
            wanted = "hedge" if self._account.hedge else "one-way"
            remedy += f", or the position mode there to {wanted} while nothing is held"
        raise ConfigRefused(
            f"{self._where}.hedge is {_word(self._account.hedge)}, the account at "
            f"{self._facts.title} keeps {theirs}: {remedy}"
        )

    async def _refuse_other_margin(self) -> None:
        for symbol, mode in (await self._book.margin_modes()).items():
            if mode != MARGIN_MODE:
                raise ConfigRefused(
                    f"{self._where}: the desk trades {MARGIN_MODE} margin, {symbol} at "
                    f"{self._facts.title} is set to {mode}: set its margin mode there to "
                    f"{MARGIN_MODE} while nothing is held"
                )

    async def _refuse_other_leverage(self) -> None:
        wanted = self._expected.leverage
        if wanted is None:
            return
        for symbol, told in (await self._book.leverages()).items():
            if other := sorted(told - {wanted}):
                raise ConfigRefused(
                    f"{self._where}.leverage is {wanted}, {symbol} at {self._facts.title} is set "
                    f"to {format(other[0].normalize(), 'f')}: set the leverage there to {wanted}, "
                    "or change it in the configuration"
                )


def _word(flag: bool) -> str:
    return str(flag).lower()
