"""Bootstrap: the only place that picks implementations. A mode is a way of wiring, nothing more."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from rebalancer import live, publishing
from rebalancer.clock import FastClock, HeldClock, WallClock
from rebalancer.configured import desk_of, paper_costs_of
from rebalancer.core.actions import Alert
from rebalancer.core.events import ContractChanged, PricesObserved
from rebalancer.core.fund import Fund, PriceSource
from rebalancer.core.records import FundLaunched, NavStruck, Record, RunMoved
from rebalancer.core.state import Desk, DeskState
from rebalancer.costing import estimate_beside
from rebalancer.desk.companions import Companion
from rebalancer.desk.control import MODE, ControlServer
from rebalancer.desk.daemon import Daemon
from rebalancer.desk.inbox import Inbox
from rebalancer.desk.kill_switch import KillSwitch
from rebalancer.desk.price_watch import watch_prices
from rebalancer.desk.recovery import Recovered, Start, recover
from rebalancer.desk.telling import RunLog
from rebalancer.desk.watcher import Watcher
from rebalancer.feeds.candles import History
from rebalancer.feeds.pace import AheadSink, FundingAhead, FundingDue, FundingSink
from rebalancer.feeds.replay import ReplayFeed
from rebalancer.feeds.simulated import Instrument, Market, SimulatedFeed
from rebalancer.planning import Planner
from rebalancer.ports import Clock, Emit, PriceFeed, Publisher, Store, Venue
from rebalancer.preparing import prepare, refuse_taken
from rebalancer.rehearsing import funding_of_paper
from rebalancer.reloading import Reloader
from rebalancer.settings import Config, FeedSource, InForce, Mode, contract_for
from rebalancer.venues.dry_run import DryRunVenue
from rebalancer.venues.paper import PaperBook, PaperCosts
from rebalancer.venues.paper_venue import PaperVenue
from rebalancer.venues.rates import Limiter


@dataclass(frozen=True, slots=True)
class Source:
    """Where a configuration came from: what was read, and what reads it again."""

    in_force: InForce
    read: Callable[[], InForce]


Sources = Mapping[str, tuple[PriceSource, ...]]


def sources_of(desk: Desk, *, second_opinion: bool, before: Iterable[Fund] = ()) -> Sources:
    """Return the prices that a feed has to bring, by contract.

    `second_opinion` adds the index, so that a price can be confirmed at once; `before` are funds as
    they go on from their records, perhaps by another source than the one that is configured now.
    """
    wanted: dict[str, dict[PriceSource, None]] = {}
    for fund in (*desk.funds.values(), *before):
        for symbol in (each for each in fund.symbols if each not in desk.unlisted):
            found = wanted.setdefault(symbol, {})
            found.update(dict.fromkeys((fund.mark_source, fund.price_source)))
            if second_opinion:
                found[PriceSource.INDEX] = None
    return {symbol: tuple(found) for symbol, found in wanted.items()}


async def open_daemon(
    config: Config,
    store: Store,
    *,
    publishers: Sequence[Publisher] = (),
    on_alert: Callable[[Alert], None] = lambda _alert: None,
    control: bool = True,
    source: Source | None = None,
) -> Daemon:
    """Recover the desk in `store` and wire everything around it; the store is closed on failure.

    Raises ConfigRefused as `preparing.prepare` does, before anything is asked or written.
    `source` is where `config` came from, for a desk that can be told to read it anew.
    """
    alerted = [on_alert]

    def alert(raised: Alert) -> None:
        for tell in alerted:
            tell(raised)

    try:
        prepared = prepare(config)
        refuse_taken(config)
        daemon = await _wire(config, store, prepared.histories, publishers, alert, control=control)
        alerted += publishing.publish(config, prepared, daemon)
        if daemon.control is not None:
            daemon.control.live = config.mode is Mode.LIVE
            daemon.control.questions[MODE] = lambda: {"mode": str(config.mode)}
            daemon.control.planner = Planner(daemon.state, daemon.clock, config.desk, config.mode)
            daemon.control.costs = partial(estimate_beside, config)
        if source is not None:
            _reload_from(source, daemon)
    except BaseException:
        await store.close()
        raise
    return daemon


def _reload_from(source: Source, daemon: Daemon) -> None:
    """Let the daemon read its configuration anew."""
    daemon.reloads_with(
        Reloader(
            read=source.read,
            in_force=source.in_force,
            state=daemon.state,
            inbox=daemon.inbox,
            clock=daemon.clock,
            tell=daemon.executor.tell,
        ).reload
    )


async def _wire(
    config: Config,
    store: Store,
    played: Sequence[History],
    publishers: Sequence[Publisher],
    on_alert: Callable[[Alert], None],
    *,
    control: bool,
) -> Daemon:
    history = await store.load()
    last_ms = max((record.at_ms for record in history), default=0)
    clock = _clock(config, played, last_ms)
    limiters = live.limiters_of(config)
    launched = {record.fund for record in history if isinstance(record, FundLaunched)}
    desk = desk_of(config, await live.venue_contracts(config, limiters, launched))
    start = Start(
        at_ms=clock.now_ms(),
        mode=str(config.mode),
        config_digest=config.digest,
        new_desk_id=secrets.token_hex(8),
        nonce=secrets.token_hex(8),
    )
    recovered = await recover(store, history, desk, start)
    live.announce(config, recovered.state)
    inbox = _inbox(config, recovered.state, clock)
    switch = KillSwitch(config.kill_switch) if control else None
    venues = _venues(config, desk, recovered, clock, limiters)
    paper = [venue for venue in venues.values() if isinstance(venue, PaperVenue)]

    settle, expect = _funding_of(paper)

    async def look_again() -> None:
        await daemon.look_again()

    def tell(alert: Alert) -> None:
        daemon.executor.tell(alert)

    if isinstance(clock, HeldClock):
        feed: PriceFeed = _replay(desk, clock, inbox, played, settle, last_ms)
    elif config.feed.source is FeedSource.CCXT:
        before = [each.fund for each in recovered.state.funds.values()]
        wanted = sources_of(desk, second_opinion=True, before=before)
        feed = live.feed_of(config, wanted, clock, look_again, limiters)
    else:
        market = _market(config, desk, clock, last_marks(history))
        feed = SimulatedFeed(market, clock, config.feed.interval_ms, settle, expect)
    takers: list[Callable[[PricesObserved], None]] = [venue.observe for venue in paper]
    daemon = Daemon(
        mode=str(config.mode),
        state=recovered.state,
        store=store,
        clock=clock,
        inbox=inbox,
        venues=venues,
        watcher=Watcher(feed, *takers, inbox.put),
        open_orders=[each for each in recovered.open_orders if each.contract not in desk.unlisted],
        control=_control(config, inbox, clock, switch),
        kill_switch=switch,
        view_interval_seconds=config.desk.view_interval_ms / 1_000,
        on_alert=on_alert,
        publishers=[*paper, RunLog(), *publishers],
        inquiries=live.inquiries_of(venues, recovered.state),
        companions=live.companions_of(venues, recovered.state, clock, inbox.put)
        | live.token_watches(config, clock, inbox.put, limiters)
        | funding_of_paper(config, desk, paper, clock, limiters)
        | _rates(config, clock, inbox.put)
        | _prices(config, recovered.state, clock, tell),
    )
    return daemon


def _inbox(config: Config, state: DeskState, clock: Clock) -> Inbox:
    """Return an inbox in which lies what became of contracts that were or are listed no more."""
    inbox, venue = Inbox(), config.feed.venue
    for symbol in sorted(state.desk.unlisted):
        inbox.put(ContractChanged(clock.now_ms(), symbol, f"{venue} does not list it any more"))
    for symbol in sorted(state.delisted - state.desk.unlisted):
        inbox.put(ContractChanged(clock.now_ms(), symbol, f"{venue} lists {symbol} again"))
    return inbox


def _prices(
    config: Config, state: DeskState, clock: Clock, tell: Callable[[Alert], None]
) -> dict[str, Companion]:
    """Return what tells of prices that stopped: real ones, others come as fast as they are made."""
    if config.feed.source is not FeedSource.CCXT:
        return {}
    return {"prices": partial(watch_prices, state, clock, tell)}


def _rates(config: Config, clock: Clock, emit: Emit) -> dict[str, Companion]:
    """Return what reads the reference rates that some fund's cash account asks for."""
    accounts = (fund.cash_account for fund in config.funds.values())
    named = {terms.reference for terms in accounts if terms is not None}
    asked = {name: source for name, source in config.rates.items() if name in named}
    if not asked:
        return {}
    from rebalancer.feeds.reference_rates import (  # noqa: PLC0415 - its client is slow to load
        RateSource,
        RateWatch,
    )

    sources = {
        name: RateSource(
            url=each.url,
            field=each.field,
            scale=each.scale,
            interval_ms=each.interval_ms,
            lowest=each.lowest,
            highest=each.highest,
        )
        for name, each in asked.items()
    }
    return {"reference rates": RateWatch(sources, clock, emit).run}


def _control(
    config: Config, inbox: Inbox, clock: Clock, switch: KillSwitch | None
) -> ControlServer | None:
    if switch is None:
        return None
    return ControlServer(config.desk.control_socket, inbox, clock, switch)


def _clock(config: Config, played: Sequence[History], last_ms: int) -> Clock:
    """Real prices need real time, histories their own; neither market ever goes back in time."""
    if config.feed.source is FeedSource.CCXT:
        return WallClock()
    speed = int(config.feed.speed)
    if not played:
        return FastClock(speed, max(WallClock().now_ms(), last_ms + 1))
    begin_ms = max(last_ms + 1, min(history.times_ms[0] for history in played))
    return HeldClock(FastClock(speed, begin_ms), begin_ms)


def _venues(
    config: Config,
    desk: Desk,
    recovered: Recovered,
    clock: Clock,
    limiters: Mapping[str, Limiter],
) -> dict[str, Venue]:
    state, costs = recovered.state, paper_costs_of(config)
    venues: dict[str, Venue] = {}
    for name, account in desk.accounts.items():
        if live.at_exchange(config, name):
            if live.contracts_of(desk, name):  # an account without a fund has nothing to trade
                venues[name] = live.venue_of(config, state, name, clock, limiters)
            continue
        if config.mode is Mode.DRY_RUN:
            held = {symbol: state.accounts[name].position(symbol) for symbol in desk.contracts}
            venues[name] = DryRunVenue(name, held, clock)
            continue
        book = PaperBook(
            account=name,
            contracts=desk.contracts,
            costs=costs.get(name, PaperCosts()),
            initial_margin=account.initial_margin,
            maintenance_margin=account.maintenance_margin,
        )
        book.recover(recovered.history)
        venues[name] = PaperVenue(book, clock)
    return venues


def _funding_of(paper: Sequence[PaperVenue]) -> tuple[FundingSink, AheadSink]:
    """Return who is told of funding that a played market settles, and of what it expects."""

    def settle(due: FundingDue) -> None:
        for venue in paper:
            venue.settle_funding(due.contract, due.rate, due.mark, due.at_ms)

    def expect(ahead: FundingAhead) -> None:
        for venue in paper:
            venue.expect_funding(*ahead)

    return settle, expect


def _replay(
    desk: Desk,
    clock: HeldClock,
    inbox: Inbox,
    played: Sequence[History],
    settle: FundingSink,
    last_ms: int,
) -> PriceFeed:
    async def before(at_ms: int) -> None:
        await inbox.emptied()
        clock.hold_at(at_ms)

    sources = sources_of(desk, second_opinion=False)
    return ReplayFeed(played, clock, sources, settle, after_ms=last_ms, before=before)


def _market(config: Config, desk: Desk, clock: Clock, marks: Mapping[str, Decimal]) -> Market:
    symbols = sources_of(desk, second_opinion=True)
    instruments = [
        Instrument(
            # What index-only funds follow is no contract of the desk unless it is described.
            contract=desk.contracts.get(symbol) or contract_for(config, symbol),
            start_price=marks.get(symbol) or config.feed.start_price(symbol),
            annual_volatility=config.feed.annual_volatility,
        )
        for symbol in symbols
    ]
    return Market(
        config.feed.seed,
        instruments,
        start_ms=clock.now_ms(),
        jumps_per_day=config.feed.jumps_per_day,
    )


def last_marks(history: Sequence[Record]) -> dict[str, Decimal]:
    """Return the newest mark of each contract that the records know, for a market that resumes."""
    marks: dict[str, Decimal] = {}
    for record in history:
        if isinstance(record, RunMoved | NavStruck):
            marks.update(record.marks)
    return marks
