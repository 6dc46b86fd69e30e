"""Accounts at exchanges and live prices, made from the configuration.

The settings know no venue and the venues no settings; this is where the two meet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import Any

import structlog

from rebalancer.core.contract import Contract
from rebalancer.core.events import ContractChanged
from rebalancer.core.fund import Account, PriceSource
from rebalancer.core.money import ZERO
from rebalancer.core.premium import PremiumTerms
from rebalancer.core.state import Desk, DeskState
from rebalancer.desk.companions import Companion
from rebalancer.desk.kill_switch import KillSwitch
from rebalancer.errors import ConfigRefused
from rebalancer.exchanges import nearest, open_exchange, open_streams, refuse_unknown
from rebalancer.feeds.depth import Books, depths
from rebalancer.feeds.live import CcxtFeed, contracts, refuse_unknown_sources
from rebalancer.feeds.markets import MarketChange, MarketsWatch
from rebalancer.feeds.stream import StreamFeed, StreamListeners, StreamPlan
from rebalancer.feeds.stream_socket import StreamPace
from rebalancer.feeds.token_quotes import TokenWatch
from rebalancer.ports import Clock, Emit, PriceFeed, Venue
from rebalancer.settings import AccountSettings, Config, Credentials, FeedSource, Mode
from rebalancer.settings.sources import environment_name
from rebalancer.venues.ccxt_client import CcxtClient
from rebalancer.venues.exchange_checks import Expected
from rebalancer.venues.exchange_venue import ExchangeVenue, facts_of, open_client
from rebalancer.venues.facts import FACTS
from rebalancer.venues.facts_account import ACCOUNTS
from rebalancer.venues.live_dry_run import LiveDryRunVenue, open_read_only
from rebalancer.venues.rates import Limiter
from rebalancer.venues.shared_rates import in_turn, shared_limiter

_log = structlog.get_logger(__name__)
#: how often what an account holds is asked for; its payments of funding, which are dear, with it
ACCOUNT_SECONDS = 30.0
NO_LIMITERS: Mapping[str, Limiter] = MappingProxyType({})


def refuse_unready(config: Config) -> None:
    """Raise ConfigRefused, one line per problem, where live trading could not begin.

    Nothing is asked of a venue; a mode that is not live always passes.
    """
    if config.mode is not Mode.LIVE:
        return
    problems = [
        problem for account in config.accounts.values() for problem in _unready(config, account)
    ] or [*_other_prices(config)]
    if problems:
        raise ConfigRefused("\n".join(problems))


def keys_of(config: Config, account: str) -> dict[str, str]:
    """Return the keys of an account by ccxt's names, as far as the operator gave them."""
    given = config.secrets.get(account, Credentials())
    found = {}
    for ccxt_name, ours in _names_of_keys(config.accounts[account]).items():
        key = getattr(given, ours)
        if key is not None:
            found[ccxt_name] = key.get_secret_value()
    return found


def has_keys(config: Config, account: str) -> bool:
    """Whether every key is there that the account's venue asks for."""
    names = _names_of_keys(config.accounts[account])
    return bool(names) and len(keys_of(config, account)) == len(names)


def at_venue(config: Config, account: str) -> AccountSettings:
    """Return how the account is reached."""
    return config.at_venue.get(account, AccountSettings())


def expected_of(config: Config, account: str) -> Expected:
    """Return what the operator expects to find at the venue."""
    said = at_venue(config, account)
    return Expected(
        leverage=said.leverage,
        accept_key_rights=said.accept_key_rights,
        accept_untold=said.accept_untold,
    )


def at_exchange(config: Config, account: str) -> bool:
    """Whether the account is reached at its exchange: to trade, or to begin a dry run there."""
    dry = config.mode is Mode.DRY_RUN and config.feed.source is FeedSource.CCXT
    return config.mode is Mode.LIVE or (dry and has_keys(config, account))


def limiters_of(config: Config) -> dict[str, Limiter]:
    """Return the limiter of each venue of the table; accounts, prices, further tries share it."""
    venue_ids = {account.venue for account in config.accounts.values()}
    if config.feed.source is FeedSource.CCXT and config.feed.venue is not None:
        venue_ids.add(config.feed.venue)
    return {venue_id: shared_limiter(FACTS[venue_id]) for venue_id in venue_ids & FACTS.keys()}


async def venue_contracts(
    config: Config,
    limiters: Mapping[str, Limiter] = NO_LIMITERS,
    launched: Collection[str] = (),
) -> dict[str, Contract]:
    """Ask the venue of the prices for the contracts of all funds, where prices are real.

    One that only funds of `launched` have may be listed no more, and is left out: they cannot be
    taken out of the configuration. Raises ConfigRefused for another, VenueUnavailable.
    """
    if config.feed.source is not FeedSource.CCXT or config.feed.venue is None:
        return {}
    symbols = {symbol for fund in config.funds.values() for symbol in fund.symbols}
    opened = opener(config, open_exchange, limiters=limiters)
    others = [fund for name, fund in config.funds.items() if name not in launched]
    new = {symbol for fund in others for symbol in fund.symbols}
    return await contracts(config.feed.venue, sorted(symbols), opened, symbols - new)


def refuse_unknown_prices(config: Config) -> None:
    """Raise ConfigRefused where prices are to come from an exchange that has none such.

    Nothing is asked: it is what ccxt knows of its exchanges.
    """
    if config.feed.source is not FeedSource.CCXT:
        return
    quoted = (fund.premium.venue for fund in config.funds.values() if fund.premium is not None)
    for venue in dict.fromkeys((config.feed.venue or "", *quoted)):
        refuse_unknown(venue)
    for fund in config.funds.values():
        for symbol in fund.symbols:
            refuse_unknown_sources(config.feed.venue or "", symbol, fund.sources)


async def depths_of(config: Config, symbols: Sequence[str]) -> Books:
    """Return the books at the venue of the prices, where prices are real; VenueUnavailable."""
    if config.feed.source is not FeedSource.CCXT or config.feed.venue is None:
        return {}
    return await depths(config.feed.venue, symbols, opener(config, open_exchange))


def contracts_of(desk: Desk, account: str) -> dict[str, Contract]:
    """Return the contracts of the funds of an account that the venue lists."""
    funds = [fund for fund in desk.funds.values() if fund.account == account]
    held = {symbol for fund in funds for symbol in fund.symbols} - desk.unlisted
    return {symbol: each for symbol, each in desk.contracts.items() if symbol in held}


def venue_of(
    config: Config, state: DeskState, account: str, clock: Clock, limiters: Mapping[str, Limiter]
) -> Venue:
    """Return the account at its exchange: traded in live mode, only read in a dry run.

    Accounts of one venue share its limiter in `limiters`: its windows count by address, or by
    account, and then together they stay under what each alone could take.
    """
    known, facts = config.accounts[account], facts_of(config.accounts[account].venue)
    held = contracts_of(state.desk, account)
    expected = replace(expected_of(config, account), capital=capital_of(state, account))
    limiter = limiters[known.venue]
    if config.mode is Mode.LIVE:
        client = writer_of(config, account, limiter)
        return ExchangeVenue(known, client, held, clock, expected)
    keys, endpoint = keys_of(config, account), at_venue(config, account).endpoint
    reader = open_read_only(facts, keys, endpoint, limiter)
    return LiveDryRunVenue(known, reader, held, clock, expected)


def writer_of(config: Config, account: str, limiter: Limiter) -> CcxtClient:
    """Return a client that changes things at an account's venue, until the kill switch is set."""
    facts, endpoint = facts_of(config.accounts[account].venue), at_venue(config, account).endpoint
    client = open_client(facts, keys_of(config, account), endpoint, limiter)
    client.barred = KillSwitch(config.kill_switch).reason
    return client


def capital_of(state: DeskState, account: str) -> dict[str, Decimal]:
    """Return what the funds that are not launched yet begin with, by currency."""
    capital: dict[str, Decimal] = {}
    for each in state.funds.values():
        if each.fund.account == account and each.launched_ms is None:
            quote = state.desk.contracts[each.fund.symbols[0]].quote
            paid_in = each.fund.initial_nav * each.fund.initial_shares
            capital[quote] = capital.get(quote, ZERO) + paid_in
    return capital


def opener(
    config: Config,
    opened: Callable[..., Any],
    venue_id: str | None = None,
    limiters: Mapping[str, Limiter] = NO_LIMITERS,
) -> Callable[[str], Any]:
    """Return `opened` (of `exchanges`) for a venue, that of the prices unless another is named.

    It is reached wherever its account is, and counts in the limiter of its venue's accounts.
    """
    endpoints = (
        at_venue(config, account.name).endpoint
        for account in config.accounts.values()
        if account.venue == (venue_id or config.feed.venue)
    )
    endpoint = next(endpoints, "")

    def open_one(venue_id: str) -> Any:
        exchange, limiter = opened(venue_id, endpoint=endpoint), limiters.get(venue_id)
        return exchange if limiter is None else in_turn(exchange, FACTS[venue_id], limiter)

    return open_one


def feed_of(
    config: Config,
    sources: Mapping[str, tuple[PriceSource, ...]],
    clock: Clock,
    on_reconnect: Callable[[], Awaitable[None]],
    limiters: Mapping[str, Limiter],
) -> PriceFeed:
    """Return the prices of a venue: by stream where the table has one, else polled.

    What is asked for them counts in the venue's limiter, where it has one.
    """
    venue_id, every_ms = config.feed.venue or "", config.feed.interval_ms
    streams = FACTS[venue_id].streams if venue_id in FACTS else None
    if streams is None or streams.mark is None:
        opened = opener(config, open_exchange, limiters=limiters)
        return CcxtFeed(venue_id, sources, clock, every_ms, opened)
    return StreamFeed(
        StreamPlan(venue_id=venue_id, mark=streams.mark, index=streams.index),
        sources,
        clock,
        StreamPace(poll_ms=every_ms),
        StreamListeners(on_reconnect=on_reconnect),
        opener(config, open_streams, limiters=limiters),
    )


def companions_of(
    venues: Mapping[str, Venue], state: DeskState, clock: Clock, emit: Emit
) -> dict[str, Companion]:
    """Return what watches beside the loop: each traded account, and the venue's markets."""
    found: dict[str, Companion] = {}
    for name, venue in venues.items():
        if isinstance(venue, ExchangeVenue):
            since_ms = funded_ms(state, name)
            found[f"account {name}"] = partial(venue.watch_account, ACCOUNT_SECONDS, since_ms)
            found[f"funding of {name}"] = venue.begin_funding(emit)
        if isinstance(venue, ExchangeVenue | LiveDryRunVenue):
            held = contracts_of(state.desk, name)
            tell = partial(_tell_change, state.accounts[name].account.venue, clock, emit)
            watch = MarketsWatch(venue.read_markets, held, tell, clock)
            found[f"markets of {name}"] = watch.run
    return found


def token_watches(
    config: Config, clock: Clock, emit: Emit, limiters: Mapping[str, Limiter]
) -> dict[str, Companion]:
    """Return what reads the tokens' secondary markets, one for each venue.

    A token's real price says nothing about a NAV that is simulated or played: nobody looks then.
    """
    by_venue: dict[str, dict[str, PremiumTerms]] = {}
    for fund in config.funds.values():
        if fund.premium is not None:
            by_venue.setdefault(fund.premium.venue, {})[fund.name] = fund.premium
    if by_venue and config.feed.source is not FeedSource.CCXT:
        _log.warning("premium_not_watched", reason=f"prices are {config.feed.source}, not real")
        return {}
    return {
        f"tokens at {venue_id}": TokenWatch(
            venue_id, watched, clock, emit, opener(config, open_exchange, venue_id, limiters)
        ).run
        for venue_id, watched in by_venue.items()
    }


def inquiries_of(
    venues: Mapping[str, Venue], state: DeskState
) -> list[Callable[[], Awaitable[None]]]:
    """Return what has to be asked of the traded accounts before anything is traded."""
    return [
        partial(venue.report_history, dict(state.accounts[name].read_ms), _own_orders(state, name))
        for name, venue in venues.items()
        if isinstance(venue, ExchangeVenue)
    ]


def _own_orders(state: DeskState, account: str) -> frozenset[str]:
    """Return the venue's ids of the orders of an account that are remembered."""
    known = (*state.orders.values(), *state.ended.values())
    return frozenset(each.venue_order_id for each in known if each.intent.account == account)


def funded_ms(state: DeskState, account: str) -> dict[str, int]:
    """Return since when payments of funding are to be asked for, by contract.

    Since the last that was booked; where none was, since a fund could hold the contract.
    """
    since: dict[str, int] = {}
    for fund in state.funds.values():
        if fund.fund.account == account and fund.launched_ms is not None:
            for symbol in fund.fund.symbols:
                since[symbol] = min(since.get(symbol, fund.launched_ms), fund.launched_ms)
    return since | state.accounts[account].funded_ms


def announce(config: Config, state: DeskState) -> None:
    """Log what this start will do with orders; in live mode in a way that no level hides."""
    held = {fund.account for fund in config.funds.values()}
    accounts = {name: _described(config, name) for name in config.accounts if name in held}
    log = _log.warning if config.mode is Mode.LIVE else _log.info
    log("mode", mode=str(config.mode), accounts=accounts, prices=_prices(config))
    begin = [name for name, fund in state.funds.items() if fund.launched_ms is None]
    if config.mode is Mode.LIVE and begin:
        capital = {name: capital_of(state, name) for name in accounts}
        _log.warning("first_live_start", launches=begin, capital=capital)


def _described(config: Config, name: str) -> str:
    venue, endpoint = config.accounts[name].venue, at_venue(config, name).endpoint
    title = FACTS[venue].title if venue in FACTS else venue
    where = f"{title} at {endpoint}" if endpoint else title
    if config.mode is Mode.LIVE:
        return f"real orders on {where}"
    if at_exchange(config, name):
        return f"positions of {where}, orders written down"
    return "orders written down" if config.mode is Mode.DRY_RUN else "simulated fills"


def _prices(config: Config) -> str:
    real = config.feed.source is FeedSource.CCXT
    return f"of {config.feed.venue}" if real else str(config.feed.source)


def _tell_change(
    venue_id: str, clock: Clock, emit: Emit, symbol: str, changes: Sequence[MarketChange]
) -> None:
    if not changes:
        _log.info("contract_as_before", contract=symbol, venue=venue_id)
        return
    words = ", ".join(f"{each.what} {each.runs} is now {each.venue}" for each in changes)
    emit(ContractChanged(clock.now_ms(), symbol, f"{venue_id} changed {symbol}: {words}"))


def _names_of_keys(account: Account) -> Mapping[str, str]:
    """Return our names of the keys by ccxt's; none for a venue that is not in the table."""
    return ACCOUNTS[account.venue].keys if account.venue in ACCOUNTS else {}


def _unready(config: Config, account: Account) -> Iterator[str]:
    """Yield what the account lacks to be traded."""
    where = f"accounts.{account.name}"
    if account.venue not in FACTS:
        yield (
            f"{where}.venue: {account.venue!r} cannot be traded on"
            f"{nearest(account.venue, FACTS)}; live trading knows {', '.join(FACTS)}"
        )
        return
    given = config.secrets.get(account.name, Credentials())
    for ours in _names_of_keys(account).values():
        if getattr(given, ours) is None:
            yield (
                f"{where}.{ours}: is missing, and live trading on {FACTS[account.venue].title} "
                f"needs it; set {environment_name(('accounts', account.name, ours))} or the "
                f"credential accounts__{account.name}__{ours}"
            )


def _other_prices(config: Config) -> Iterator[str]:
    """Yield why the prices would not be those of the venue that is traded on."""
    venues = list(dict.fromkeys(account.venue for account in config.accounts.values()))
    if not venues:
        yield "accounts: live trading needs an account; add an [accounts.NAME] table"
    elif config.feed.source is not FeedSource.CCXT:
        yield (
            f"feed.source: {config.feed.source} prices are not those of {venues[0]}, which live "
            'trading needs; set it to "ccxt" or take it away'
        )
    elif len(venues) > 1:
        yield (
            f"accounts: this version trades on one venue at a time, these are on "
            f"{' and '.join(venues)}; run a desk with a store of its own for each"
        )
    elif config.feed.venue not in venues:
        yield (
            f"feed.venue: live trading on {venues[0]} needs the prices of {venues[0]}, not of "
            f"{config.feed.venue}; take it away"
        )
