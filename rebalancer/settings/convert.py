"""From validated tables to the Config in force, or every reason why there cannot be one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rebalancer.core.calendar import Calendar
from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account, Fund
from rebalancer.errors import ConfigRefused, OperatorMistake
from rebalancer.settings.api import api_from, unguarded
from rebalancer.settings.calendars import calendars_from
from rebalancer.settings.capital import rate_settings
from rebalancer.settings.config import (
    AccountSettings,
    Config,
    Credentials,
    DeskSettings,
    FeedSettings,
    FeedSource,
    LogSettings,
    Mode,
    PaperSettings,
)
from rebalancer.settings.funds import Known, fund_from
from rebalancer.settings.problems import Places, Problem, refuse
from rebalancer.settings.shape import dotted
from rebalancer.settings.tables import AccountTable, PaperTable, Settings
from rebalancer.settings.values import sqlite_file
from rebalancer.settings.webhooks import webhook_settings
from rebalancer.venues.facts_books import ALWAYS_HEDGED

#: An account of this venue trades nowhere and has no market data of its own.
PAPER_VENUE = "paper"

_T = TypeVar("_T")


def to_config(settings: Settings, places: Places) -> Config:
    """Return the configuration in force; raises ConfigRefused with every problem found."""
    problems: list[Problem] = []

    def each(table: Mapping[str, Any], make: Callable[[str, Any], _T]) -> dict[str, _T]:
        made = {}
        for name, item in table.items():
            try:
                made[name] = make(name, item)
            except OperatorMistake as refused:
                problems.append(places.about(str(refused)))
        return made

    accounts = each(settings.accounts, _account)
    funds: dict[str, Fund] = {}
    contracts = {}
    for symbol, table in settings.contracts.items():
        try:
            contracts[symbol] = Contract(symbol, **table.model_dump())
        except OperatorMistake as refused:
            problems.append(places.problem(("contracts", symbol), str(refused)))
    rates = each(settings.rates, rate_settings)
    webhooks = each(settings.webhooks, webhook_settings)
    calendars: Mapping[str, Calendar] = {}
    try:
        calendars = calendars_from(settings.calendars, Path(places.document))
    except ConfigRefused as refused:
        problems.append(places.about(str(refused)))
    else:
        known = Known(calendars, settings.rates)
        funds = each(
            settings.funds,
            lambda name, table: fund_from(
                name, table.over(settings.defaults), settings.accounts, known
            ),
        )
    problems += _mixed_accounts(funds, places)
    feed = _feed(settings)
    problems += _unfed(feed, funds, places)
    problems += unguarded(settings.api, places)
    if problems:
        refuse(problems)
    return Config(
        mode=Mode(settings.mode),
        store_url=str(settings.store.url),
        accounts=accounts,
        paper={name: _paper(table.paper) for name, table in settings.accounts.items()},
        contracts=contracts,
        funds=funds,
        feed=feed,
        rates=rates,
        log=LogSettings(level=settings.log.level, format=settings.log.format),
        desk=_desk(settings),
        api=api_from(settings.api, settings.store.url),
        webhooks=webhooks,
        webhook_secrets={
            name: table.secret
            for name, table in settings.webhooks.items()
            if table.secret is not None
        },
        alerts={name: table.at_least for name, table in settings.alerts.items()},
        alert_urls={
            name: table.url for name, table in settings.alerts.items() if table.url is not None
        },
        secrets={name: _credentials(table) for name, table in settings.accounts.items()},
        at_venue={name: _at_venue(table) for name, table in settings.accounts.items()},
    )


def _account(name: str, table: AccountTable) -> Account:
    hedge = table.venue in ALWAYS_HEDGED if table.hedge is None else table.hedge
    return Account(
        name=name,
        venue=table.venue,
        hedge=hedge,
        waives_min_notional=table.waives_min_notional,
        initial_margin=table.initial_margin,
        maintenance_margin=table.maintenance_margin,
    )


def _paper(table: PaperTable) -> PaperSettings:
    return PaperSettings(
        fee_bps=table.fee_bps,
        slippage_bps=table.slippage_bps,
        impact_bps=table.impact_bps,
        funding=table.funding,
        latency_ms=table.latency,
        fill_ratio=table.fill_ratio,
    )


def _at_venue(table: AccountTable) -> AccountSettings:
    return AccountSettings(
        leverage=table.leverage,
        accept_key_rights=table.accept_key_rights,
        accept_untold=table.accept_untold,
        endpoint=table.endpoint,
    )


def _credentials(table: AccountTable) -> Credentials:
    return Credentials(api_key=table.api_key, secret=table.secret, password=table.password)


def _feed(settings: Settings) -> FeedSettings:
    """Take prices from the exchange of the first account that names one, else simulate them."""
    table = settings.feed
    venues = [item.venue for item in settings.accounts.values() if item.venue != PAPER_VENUE]
    venue = table.venue or next(iter(venues), None)
    source = table.source or (FeedSource.CCXT if venue else FeedSource.SIMULATED)
    return FeedSettings(
        source=FeedSource(source),
        venue=venue,
        seed=table.seed,
        speed=table.speed,
        interval_ms=table.interval,
        annual_volatility=table.annual_volatility,
        jumps_per_day=table.jumps_per_day,
        prices=table.prices,
        files={symbol: Path(name) for symbol, name in table.files.items()},
    )


def _unfed(feed: FeedSettings, funds: Mapping[str, Fund], places: Places) -> list[Problem]:
    """Find contracts for which the feed can have no price, and a speed it cannot run at."""
    if feed.speed % 1:
        return [places.problem(("feed", "speed"), f"{feed.speed:f} is not a whole number")]
    if feed.source is FeedSource.CCXT and feed.venue in (None, PAPER_VENUE):
        return [places.problem(("feed", "venue"), "name the exchange whose prices to read")]
    if feed.source is not FeedSource.REPLAY:
        return []
    symbols = dict.fromkeys(symbol for fund in funds.values() for symbol in fund.symbols)
    return [
        places.problem(("feed", "files"), f"no file for {dotted([symbol])}")
        for symbol in symbols
        if symbol not in feed.files
    ]


def _desk(settings: Settings) -> DeskSettings:
    table = settings.desk
    if table.control_socket:
        socket = Path(table.control_socket)
    else:
        file = sqlite_file(settings.store.url) or Path("rebalancer.db")
        socket = file.with_suffix(".sock")
    return DeskSettings(
        view_interval_ms=table.view_interval,
        control_socket=socket,
        confirm_leverage_change=table.confirm_leverage_change,
        confirm_notional_change=table.confirm_notional_change,
        plan_valid_ms=table.plan_valid_for,
        plan_max_move=table.plan_max_move,
    )


def _mixed_accounts(funds: Mapping[str, Fund], places: Places) -> list[Problem]:
    """Find funds whose account already holds another quote currency."""
    first: dict[str, Fund] = {}
    problems = []
    for fund in funds.values():
        if fund.index_only:
            continue
        other = first.setdefault(fund.account, fund)
        ours, theirs = _quote(fund), _quote(other)
        if ours != theirs:
            problems.append(
                places.problem(
                    ("funds", fund.name, "account"),
                    f"{fund.account} already holds {theirs} for {other.name}; a fund quoted in "
                    f"{ours} needs an account of its own in this version",
                )
            )
    return problems


def _quote(fund: Fund) -> str:
    return Contract(fund.symbols[0]).quote
