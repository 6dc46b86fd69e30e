"""What must hold before an account is traded: contracts, clock, books, margin, leverage, the key.

Whatever differs from the configuration is refused in one sentence that names the setting, both
values and the remedy: where there is one, the command that sets it. Nothing is changed at the venue
here, least of all under open positions: a switch of mode or margin there can liquidate.
"""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import structlog

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account
from rebalancer.errors import ConfigRefused, VenueUnavailable
from rebalancer.exchanges import contract_of, nearest
from rebalancer.ports import Clock
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.exchange_lists import readable
from rebalancer.venues.exchange_settings import (
    MARGIN_MODE,
    Change,
    leverage_changes,
    margin_mode_changes,
    position_mode_changes,
)
from rebalancer.venues.facts_shape import Ask, VenueFacts

_log = structlog.get_logger(__name__)

#: the venue's clock is asked this often, and the median counts
CLOCK_SAMPLES = 5
#: a clock that has moved by less is left as it was measured
CLOCK_DRIFT_MS = 250
#: a clock further off than this must be mended, not corrected for
CLOCK_OFFSET_MS_MAX = 60_000
CLOCK_REMEDY = "synchronise it (timedatectl set-ntp true)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What the operator says of an account beside its configuration."""

    #: the leverage set at the venue; None where any will do
    leverage: int | None = None
    #: trade although the venue says that the key may withdraw or works from any address
    accept_key_rights: bool = False
    #: trade although the venue does not tell the rights of the key or the books it keeps
    accept_untold: bool = False
    #: what the account has to be worth at least, by currency: the capital of funds that begin
    capital: Mapping[str, Decimal] = field(default_factory=dict)


def refuse_other_contracts(
    client: CcxtClient, facts: VenueFacts, contracts: Mapping[str, Contract]
) -> None:
    """Raise ConfigRefused unless the venue describes every contract as we do.

    Raises VenueUnavailable where it describes none at all.
    """
    if not client.markets:
        raise VenueUnavailable(f"{facts.venue_id} lists no contract at all")
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


class ClockReading(NamedTuple):
    """How far a venue's clock is ahead of ours in ms, and how far off that may be."""

    ahead_ms: int
    uncertain_ms: int


async def read_clock(
    client: CcxtClient, facts: VenueFacts, clock: Clock, count: int = CLOCK_SAMPLES
) -> ClockReading:
    """Return how far the venue's clock is ahead: the median of `count`, half a round trip off.

    Raises VenueUnavailable where it does not tell its time.
    """
    samples = []
    for _ in range(count):
        asked_ms = clock.now_ms()
        told = await client.ask(
            lambda exchange: exchange.fetch_time(), facts.limits.costs[Ask.CLOCK]
        )
        answered_ms = clock.now_ms()
        half_trip_ms = (answered_ms - asked_ms) // 2
        with readable(facts.venue_id, "the venue's time"):
            told_ms = int(told)
        samples.append(ClockReading(told_ms - (asked_ms + answered_ms) // 2, half_trip_ms))
    return ClockReading(
        int(statistics.median(each.ahead_ms for each in samples)),
        int(statistics.median(each.uncertain_ms for each in samples)),
    )


async def measure_clock(client: CcxtClient, facts: VenueFacts, clock: Clock) -> int:
    """Return how far the venue's clock is ahead in ms, and have requests stamped with it.

    Raises VenueUnavailable, also where the clocks are too far apart: until the machine's is set,
    which its time service may do by itself, the venue would refuse whatever is asked.
    """
    offset_ms = (await read_clock(client, facts, clock)).ahead_ms
    if abs(offset_ms) > CLOCK_OFFSET_MS_MAX:
        apart = f"the clock is {offset_ms} ms off {facts.venue_id}'s"
        raise VenueUnavailable(f"{apart}: {CLOCK_REMEDY}")
    client.correct_clock(offset_ms)
    return offset_ms


async def correct_clock(client: CcxtClient, facts: VenueFacts, clock: Clock, offset_ms: int) -> int:
    """Return the clock's offset, measured anew where it has moved away from `offset_ms`.

    A clock that was set while the desk runs would have every signed request refused. One that is
    too far off is not corrected for: the venue's refusals and the log say so until it is mended.
    Raises VenueUnavailable.
    """
    glance = await read_clock(client, facts, clock, count=1)
    if abs(glance.ahead_ms - offset_ms) <= glance.uncertain_ms + CLOCK_DRIFT_MS:
        return offset_ms
    reading = await read_clock(client, facts, clock)
    far_off = abs(reading.ahead_ms) > CLOCK_OFFSET_MS_MAX
    log = _log.error if far_off else _log.warning
    log("clock_was_set", venue=facts.venue_id, ahead_ms=reading.ahead_ms, was_ms=offset_ms)
    if far_off:
        return offset_ms
    client.correct_clock(reading.ahead_ms)
    return reading.ahead_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What one check saw. A remedy stands where it is not as configured."""

    seen: str
    remedy: str = ""
    #: not as it should be, and the operator said to go on
    accepted: bool = False
    #: what would set it as configured, also where the venue does not tell what it is
    changes: tuple[Change, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the account must not be traded as it is."""
        return bool(self.remedy) and not self.accepted


async def get_to_know(
    client: CcxtClient, facts: VenueFacts, contracts: Mapping[str, Contract], clock: Clock
) -> int:
    """Load markets, check the contracts and measure the clock; return the clock's offset (ms).

    Raises ConfigRefused with the remedy, or VenueUnavailable.
    """
    await client.load_markets(facts.limits.costs[Ask.MARKETS])
    refuse_other_contracts(client, facts, contracts)
    return await measure_clock(client, facts, clock)


async def ask_before_trading(
    client: CcxtClient,
    facts: VenueFacts,
    contracts: Mapping[str, Contract],
    clock: Clock,
    checks: StartChecks,
) -> int:
    """Load markets, measure the clock, check contracts and account; return the clock's offset.

    Raises ConfigRefused with the remedy, or VenueUnavailable; both name the account.
    """
    try:
        offset_ms = await get_to_know(client, facts, contracts, clock)
        await checks.refuse_what_differs()
    except VenueUnavailable as outage:
        raise VenueUnavailable(f"{checks.where}: {outage}") from None
    return offset_ms


class StartChecks:
    """Holds one account at the venue against the configuration."""

    def __init__(
        self, account: Account, facts: VenueFacts, book: ExchangeAccount, expected: Expected
    ) -> None:
        self.where = f"accounts.{account.name}"
        self._account = account
        self._facts = facts
        self._book = book
        self._contracts = book.contracts
        self._expected = expected
        #: the checks of what can be set at a venue, by their names
        self.settings: Mapping[str, Callable[[], Awaitable[Checked]]] = {
            "position mode": self._books,
            "margin mode": self._margin,
            "leverage": self._leverage,
        }
        #: every check by its name, in the order of the start
        self.checks: Mapping[str, Callable[[], Awaitable[Checked]]] = {
            "key rights": self._key_rights,
            **self.settings,
            **({"capital": self._capital} if expected.capital else {}),
        }

    async def refuse_what_differs(self) -> None:
        """Raise ConfigRefused at the first setting that is not as configured."""
        for name, check in self.checks.items():
            checked = await check()
            if checked.refused:
                raise ConfigRefused(f"{checked.seen}: {checked.remedy}")
            if checked.accepted:
                _log.warning(
                    "check_accepted", account=self._account.name, check=name, seen=checked.seen
                )

    async def _key_rights(self) -> Checked:
        rights = await self._book.key_rights()
        title = self._facts.title
        if rights is None:
            return Checked(
                seen=f"{self.where}: {title} does not tell what the key may do",
                remedy="look there that it cannot withdraw and is bound to this address, then set "
                "accept_untold to true",
                accepted=self._expected.accept_untold,
            )
        wrong = []
        if rights.may_withdraw:
            wrong.append("may withdraw")
        if not rights.bound_to_address:
            wrong.append("works from any address")
        if not wrong:
            return Checked(seen="the key cannot withdraw and is bound to addresses")
        return Checked(
            seen=f"{self.where}: the key {' and '.join(wrong)}, and a trading key must do neither",
            remedy=f"change it in the API management of {title}, or set accept_key_rights to true",
            accepted=self._expected.accept_key_rights,
        )

    async def _books(self) -> Checked:
        hedged = await self._book.hedged()
        title, ours = self._facts.title, f"{self.where}.hedge is {_word(self._account.hedge)}"
        if hedged is None:
            return Checked(
                seen=f"{ours}, and {title} does not tell its own",
                remedy="look there, then set accept_untold to true",
                accepted=self._expected.accept_untold,
            )
        theirs = "two books (hedge mode)" if hedged else "one book (one-way mode)"
        if hedged == self._account.hedge:
            return Checked(seen=f"{theirs}, as configured")
        remedy = f"set it to {_word(hedged)}"
        changes = position_mode_changes(self._facts, self._contracts, hedge=self._account.hedge)
        if changes:
            wanted = "hedge" if self._account.hedge else "one-way"
            remedy += f", or {self._command('the position mode', wanted)}"
        return Checked(
            seen=f"{ours}, the account at {title} keeps {theirs}", remedy=remedy, changes=changes
        )

    async def _margin(self) -> Checked:
        modes = await self._book.margin_modes()
        title, leverage = self._facts.title, self._expected.leverage
        if not modes:
            changes = margin_mode_changes(self._facts, self._contracts, leverage)
            return Checked(seen=_untold_before_a_position(title), changes=changes)
        wrong = {symbol: mode for symbol, mode in modes.items() if mode != MARGIN_MODE}
        if not wrong:
            return Checked(seen=f"{MARGIN_MODE} on {_contracts(modes)}")
        changes = margin_mode_changes(self._facts, self._among(wrong), leverage)
        symbol, mode = next(iter(wrong.items()))
        there = f"set its margin mode there to {MARGIN_MODE} while nothing is held"
        return Checked(
            seen=f"{self.where}: the desk trades {MARGIN_MODE} margin, {symbol} at "
            f"{title} is set to {mode}",
            remedy=self._command("it", MARGIN_MODE) if changes else there,
            changes=changes,
        )

    async def _leverage(self) -> Checked:
        wanted, leverages = self._expected.leverage, await self._book.leverages()
        title = self._facts.title
        if wanted is None:
            found = {each for told in leverages.values() for each in told}
            shown = ", ".join(_plain(each) for each in sorted(found)) or "not told"
            return Checked(seen=f"any will do; {title} is set to {shown}")
        if not leverages:
            changes = leverage_changes(self._facts, self._contracts, wanted)
            return Checked(seen=_untold_before_a_position(title), changes=changes)
        wrong = {symbol: other for symbol, told in leverages.items() if (other := told - {wanted})}
        if not wrong:
            return Checked(seen=f"{wanted} on {_contracts(leverages)}, as configured")
        symbol, others = next(iter(wrong.items()))
        return Checked(
            seen=f"{self.where}.leverage is {wanted}, {symbol} at {title} is set to "
            f"{_plain(min(others))}",
            remedy=f"{self._command('it', str(wanted))}, or change it in the configuration",
            changes=leverage_changes(self._facts, self._among(wrong), wanted),
        )

    def _command(self, what: str, value: str) -> str:
        """Return how an operator has the desk's own program set something there."""
        command = f"rebalancer set-modes {self._account.name}"
        return f"have `{command}` set {what} to {value} there while nothing is held"

    def _among(self, symbols: Collection[str]) -> dict[str, Contract]:
        return {symbol: self._contracts[symbol] for symbol in symbols}

    async def _capital(self) -> Checked:
        title, seen = self._facts.title, []
        for currency, wanted in self._expected.capital.items():
            worth = (await self._book.balance(currency)).equity
            if worth is not None and worth < wanted:
                return Checked(
                    seen=f"{self.where}: the funds that begin on it have a capital of "
                    f"{_plain(wanted)} {currency} (initial_nav x initial_shares), the account at "
                    f"{title} is worth {_plain(worth)}",
                    remedy="pay in the rest, or lower initial_shares",
                )
            told = f"{title} does not tell" if worth is None else _plain(worth)
            seen.append(f"{told} of {_plain(wanted)} {currency}")
        return Checked(seen=", ".join(seen))


def _untold_before_a_position(title: str) -> str:
    return f"{title} tells it of held contracts only, and none is held"


def _contracts(found: Collection[str]) -> str:
    return f"{len(found)} contract{'' if len(found) == 1 else 's'}"


def _plain(value: Decimal) -> str:
    return format(value.normalize(), "f")


def _word(flag: bool) -> str:
    return str(flag).lower()
