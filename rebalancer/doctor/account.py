"""What a desk needs of a venue: that it answers, lists its contracts, keeps the account as told.

Everything goes through a client whose transport refuses every write, and every question is asked
once per account. A question that fails is a finding, never the end of the examination.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account
from rebalancer.core.money import counted
from rebalancer.core.order import is_ours
from rebalancer.doctor.findings import Finding, Level, judge_budget, judge_clock, named
from rebalancer.errors import InputRefused, VenueUnavailable
from rebalancer.exchanges import UNREADABLE, contract_of, nearest
from rebalancer.feeds.markets import changes_of
from rebalancer.ports import Clock
from rebalancer.venues.exchange_account import ExchangeAccount
from rebalancer.venues.exchange_checks import (
    CLOCK_OFFSET_MS_MAX,
    Checked,
    Expected,
    StartChecks,
    read_clock,
)
from rebalancer.venues.facts import VenueFacts
from rebalancer.venues.facts_shape import Ask
from rebalancer.venues.live_dry_run import ReadOnlyClient
from rebalancer.venues.statements import OpenOrder, Position

ASK_AGAIN = "look at the network and at the venue's own status page, then run the doctor again"
#: foreign orders that are named one by one
ORDERS_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A venue and what is wanted of it."""

    #: accounts.NAME, or the venue where no account is asked about
    where: str
    facts: VenueFacts
    client: ReadOnlyClient
    clock: Clock
    symbols: Sequence[str]
    #: contracts that the configuration describes itself
    described: Mapping[str, Contract]

    def say(self, level: Level, check: str, seen: str, fix: str = "") -> Finding:
        """Return a line about this venue or account."""
        return Finding(level, self.where, check, seen, fix)


async def examine_venue(patient: Patient) -> AsyncIterator[Finding]:
    """Yield what anybody may ask: reachable, clock, contracts."""
    client, facts = patient.client, patient.facts
    try:
        await client.load_markets(facts.limits.costs[Ask.MARKETS])
    except VenueUnavailable as outage:
        yield patient.say(Level.FAIL, "reachable", str(outage), ASK_AGAIN)
        return
    listed = f"{facts.title} answers and lists {len(client.markets):,} markets"
    yield patient.say(Level.OK, "reachable", listed)
    # The venue's own count came with its answer; where little is left, what follows has to wait.
    yield judge_budget(patient.where, client.used())
    try:
        reading = await read_clock(client, facts, patient.clock)
    except VenueUnavailable as outage:
        yield patient.say(Level.FAIL, "clock", str(outage), ASK_AGAIN)
    else:
        client.correct_clock(reading.ahead_ms)
        yield judge_clock(patient.where, *reading, CLOCK_OFFSET_MS_MAX)
    for finding in _contracts(patient):
        yield finding


def known_contracts(patient: Patient) -> dict[str, Contract]:
    """Return the wanted contracts that the venue lists and that can be read, as it tells them."""
    found = {}
    for symbol in patient.symbols:
        if (market := patient.client.markets.get(symbol)) is not None:
            try:
                found[symbol] = contract_of(market, patient.facts.venue_id)
            except (InputRefused, *UNREADABLE):
                continue
    return found


def _contracts(patient: Patient) -> Iterator[Finding]:
    good = known = known_contracts(patient)
    for symbol in patient.symbols:
        market = patient.client.markets.get(symbol)
        if market is None:
            hint = nearest(symbol, patient.client.markets)
            seen = f"{patient.facts.title} has no {symbol}{hint}"
            yield patient.say(Level.FAIL, "contracts", seen, "correct the baskets that name it")
        elif symbol not in known:
            seen = f"{symbol} is described in a way that cannot be read"
            yield patient.say(Level.FAIL, "contracts", seen, "take it out of the baskets")
        elif changes := changes_of(patient.described.get(symbol, known[symbol]), market):
            good = {name: each for name, each in good.items() if name != symbol}
            told = ", ".join(f"{each.what} {each.venue} (here {each.runs})" for each in changes)
            fix = (
                "wait until it is traded again, or take it out of the baskets"
                if all(each.what == "status" for each in changes)
                else f'take the lines under contracts."{symbol}" away, the venue tells its own'
            )
            yield patient.say(Level.FAIL, "contracts", f"{symbol}: {told}", fix)
    if good:
        count = counted(len(good), "contract")
        yield patient.say(Level.OK, "contracts", f"{count} open for orders: {named([*good])}")


async def examine_account(
    patient: Patient, account: Account, expected: Expected
) -> AsyncIterator[Finding]:
    """Yield what only the owner of the keys may ask. The markets must be loaded."""
    contracts = known_contracts(patient)
    if not contracts:
        yield patient.say(Level.SKIP, "account", "none of its contracts is known at the venue")
        return
    client, facts = patient.client, patient.facts
    book = ExchangeAccount(account, client, facts, contracts, patient.clock)
    try:
        balance = await book.balance(next(iter(contracts.values())).quote)
    except VenueUnavailable as outage:
        fix = (
            "look at the keys, at their rights to read and to trade futures, and at the "
            f"addresses they are bound to, in the API management of {facts.title}"
        )
        yield patient.say(Level.FAIL, "keys", str(outage), fix)
        yield patient.say(Level.SKIP, "account", "the venue does not show the account")
        return
    equity = "not told" if balance.equity is None else f"{balance.equity:,.2f}"
    money = f"equity {equity}, {balance.available:,.2f} {balance.currency} free"
    yield patient.say(Level.OK, "keys", f"the venue takes the keys: {money}")
    for name, check in StartChecks(account, facts, book, expected).checks.items():
        try:
            yield _checked(patient, name, await check())
        except VenueUnavailable as outage:
            yield patient.say(Level.FAIL, name, str(outage), ASK_AGAIN)
    async for finding in _holdings(patient, book, contracts):
        yield finding


def _checked(patient: Patient, name: str, checked: Checked) -> Finding:
    seen = checked.seen.removeprefix(f"{patient.where}: ")
    if checked.refused:
        return patient.say(Level.FAIL, name, f"{seen}; the desk would not start", checked.remedy)
    if checked.accepted:
        return patient.say(Level.WARN, name, f"{seen}; you said to go on", checked.remedy)
    return patient.say(Level.OK, name, seen)


async def _holdings(
    patient: Patient, book: ExchangeAccount, contracts: Mapping[str, Contract]
) -> AsyncIterator[Finding]:
    try:
        held = await book.positions()
    except VenueUnavailable as outage:
        yield patient.say(Level.FAIL, "positions", str(outage), ASK_AGAIN)
    else:
        told = "; ".join(_position(each) for each in held) or "nothing is held"
        yield patient.say(Level.OK, "positions", told)
    foreign, ours = list[tuple[str, OpenOrder]](), 0
    try:
        for symbol in contracts:
            for order in await book.open_orders(symbol):
                if is_ours(order.client_order_id):
                    ours += 1
                else:
                    foreign.append((symbol, order))
    except VenueUnavailable as outage:
        yield patient.say(Level.FAIL, "open orders", str(outage), ASK_AGAIN)
        return
    if foreign:
        first = "; ".join(
            f"{order.side} {order.remaining.normalize():f} of {symbol}, id {order.order_id}"
            for symbol, order in foreign[:ORDERS_NAMED]
        )
        more = f" and {len(foreign) - ORDERS_NAMED} more" if len(foreign) > ORDERS_NAMED else ""
        fix = (
            "cancel them at the venue and leave the account to the desk alone; "
            "it never cancels what it did not send"
        )
        seen = f"{len(foreign)} not of the desk: {first}{more}"
        yield patient.say(Level.WARN, "open orders", seen, fix)
    else:
        seen = f"{ours} of the desk, which it asks about when it starts" if ours else "none"
        yield patient.say(Level.OK, "open orders", seen)


def _position(held: Position) -> str:
    side = "long" if held.units > 0 else "short"
    text = f"{abs(held.units).normalize():f} {held.contract} {side}"
    distance: Decimal | None = held.liquidation_distance
    return text if distance is None else f"{text}, {distance:.1%} from liquidation"
