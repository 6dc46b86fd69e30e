"""The whole examination of a desk: this machine, then every venue and account that it would use.

What does not apply to a mode is skipped, and the line says why. Nothing is ever written anywhere.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from rebalancer import live
from rebalancer.core.fund import Account, Fund
from rebalancer.core.money import counted
from rebalancer.doctor.account import (
    Patient,
    examine_account,
    examine_venue,
    known_contracts,
)
from rebalancer.doctor.findings import Finding, Level, coarseness, judge_sizes
from rebalancer.doctor.here import examine_here
from rebalancer.doctor.household import (
    examine_database,
    examine_files,
    examine_schedule,
    examine_unit,
)
from rebalancer.doctor.streams import STREAM_SECONDS, Watching, examine_prices
from rebalancer.errors import ConfigRefused, DeskError
from rebalancer.exchanges import open_streams
from rebalancer.ports import Clock
from rebalancer.preparing import addresses_of, prepare, refuse_unfit_store
from rebalancer.settings import Config, FeedSource, Mode
from rebalancer.store.reader import open_reader
from rebalancer.venues.facts import FACTS, VenueFacts
from rebalancer.venues.live_dry_run import ReadOnlyClient, open_read_only

_MODES = {
    Mode.PAPER: "paper: orders are filled here and never leave",
    Mode.DRY_RUN: "dry-run: orders are decided and written down, and never leave",
    Mode.LIVE: "live: orders are sent, with real money",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What is examined, and how patiently."""

    config: Config
    clock: Clock
    stream_seconds: float = STREAM_SECONDS
    #: where the configuration was read, and what surrounds the program
    file: Path | None = None
    environ: Mapping[str, str] = field(default_factory=dict)

    async def findings(self) -> AsyncGenerator[Finding, None]:
        """Yield every line, each as soon as it is known."""
        for finding in _examine_configuration(self.config):
            yield finding
        for finding in (*self._here(), *_examine_records(self.config)):
            yield finding
        yield examine_database(self.config.store_url)
        yield examine_files(self.config, self.file, self.environ)
        yield examine_unit()
        for finding in examine_schedule(self.config.funds, self.clock.now_ms()):
            yield finding
        for account in self.config.accounts.values():
            if why := self._why_not(account):
                yield Finding(Level.SKIP, _where(account), "account", why)
            else:
                async for finding in self._account(account):
                    yield finding
        venue = self._priced_by()
        if venue is not None:
            async for finding in self._prices(venue):
                yield finding
        elif self.config.feed.source is not FeedSource.CCXT:
            seen = f"{self.config.feed.source} prices come from no venue"
            yield Finding(Level.SKIP, "feed", "prices", seen)

    def _here(self) -> Iterator[Finding]:
        listeners = {
            setting.removeprefix("api."): address for setting, address in addresses_of(self.config)
        }
        return examine_here(self.config.store_url, self.config.desk.control_socket, listeners)

    def _why_not(self, account: Account) -> str:
        """Return why nothing is asked of an account; "" where it is to be examined."""
        if self.config.mode is Mode.PAPER:
            return "a paper desk asks no venue about its accounts"
        if account.venue not in FACTS:
            return f"venue {account.venue!r} is none that the desk trades on"
        if not live.has_keys(self.config, account.name):
            return "no keys, so its venue shows nothing of it"
        return ""

    def _priced_by(self) -> str | None:
        """Return the venue whose prices no examined account has looked at yet."""
        venue = self.config.feed.venue
        examined = {each.venue for each in self.config.accounts.values() if not self._why_not(each)}
        wanted = self.config.feed.source is FeedSource.CCXT and venue not in examined
        return venue if wanted else None

    async def _account(self, account: Account) -> AsyncIterator[Finding]:
        funds = [each for each in self.config.funds.values() if each.account == account.name]
        endpoint = live.at_venue(self.config, account.name).endpoint
        keys = live.keys_of(self.config, account.name)
        client = open_read_only(FACTS[account.venue], keys, endpoint)
        patient = self._patient(_where(account), FACTS[account.venue], client, funds)
        try:
            async for finding in examine_venue(patient):
                yield finding
            if client.markets:
                expected = live.expected_of(self.config, account.name)
                async for finding in examine_account(patient, account, expected):
                    yield finding
                async for finding in self._sizes(patient, funds, endpoint):
                    yield finding
        finally:
            await client.close()

    async def _prices(self, venue_id: str) -> AsyncIterator[Finding]:
        """Yield what is found of a venue that only tells prices."""
        if venue_id not in FACTS:
            seen = f"{venue_id} is not in the table of venues; its prices are polled as they come"
            yield Finding(Level.SKIP, venue_id, "prices", seen)
            return
        endpoints = [
            live.at_venue(self.config, name).endpoint
            for name, account in self.config.accounts.items()
            if account.venue == venue_id
        ]
        endpoint = endpoints[0] if endpoints else ""
        client = open_read_only(FACTS[venue_id], {}, endpoint)
        funds = list(self.config.funds.values())
        patient = self._patient(venue_id, FACTS[venue_id], client, funds)
        try:
            async for finding in examine_venue(patient):
                yield finding
            if client.markets:
                async for finding in self._sizes(patient, funds, endpoint):
                    yield finding
        finally:
            await client.close()

    def _patient(
        self, where: str, facts: VenueFacts, client: ReadOnlyClient, funds: list[Fund]
    ) -> Patient:
        return Patient(
            where=where,
            facts=facts,
            client=client,
            clock=self.clock,
            symbols=tuple(dict.fromkeys(name for fund in funds for name in fund.symbols)),
            described=self.config.contracts,
        )

    async def _sizes(
        self, patient: Patient, funds: list[Fund], endpoint: str
    ) -> AsyncIterator[Finding]:
        """Yield how prices come, and what they say of the smallest orders."""
        contracts = known_contracts(patient)
        watching = Watching(
            facts=patient.facts,
            clock=self.clock,
            opened=lambda venue_id: open_streams(venue_id, endpoint),
            seconds=self.stream_seconds,
        )
        try:
            findings, marks = await examine_prices(patient.where, watching, tuple(contracts))
        except ConfigRefused as refused:
            yield patient.say(
                Level.FAIL, "prices", str(refused), "correct feed.venue or the basket"
            )
            return
        for finding in findings:
            yield finding
        described = contracts | dict(patient.described)
        equities = _equities(self.config)
        sizes = [
            size
            for fund in funds
            for size in coarseness(
                fund,
                equities.get(fund.name, fund.initial_nav * fund.initial_shares),
                described,
                marks,
            )
        ]
        for finding in judge_sizes(patient.where, sizes):
            yield finding


def _where(account: Account) -> str:
    return f"accounts.{account.name}"


def _examine_configuration(config: Config) -> Iterator[Finding]:
    try:
        prepare(config)
    except ConfigRefused as refused:
        for problem in str(refused).splitlines():
            seen, remedy = _parts(problem)
            yield Finding(Level.FAIL, "here", "configuration", seen, remedy)
    else:
        seen = f"{counted(len(config.funds), 'fund')}, digest {config.digest[:12]}"
        yield Finding(Level.OK, "here", "configuration", seen)
    yield Finding(Level.OK, "here", "mode", _MODES[config.mode])
    yield from _examine_contracts(config)


def _examine_records(config: Config) -> Iterator[Finding]:
    """Find what in the records would refuse a start: a lost fund, trades of another mode."""
    try:
        refuse_unfit_store(config)
    except ConfigRefused as refused:
        yield Finding(Level.FAIL, "here", "records", *_parts(str(refused)))
    except DeskError:
        return  # that the store cannot be opened is told with the store


def _examine_contracts(config: Config) -> Iterator[Finding]:
    """Find settings of contracts that no fund will ever hold: a name may be misspelt."""
    held = {symbol for fund in config.funds.values() for symbol in fund.symbols}
    described = {"contracts": config.contracts, "feed.prices": config.feed.prices}
    for setting, known in described.items():
        for symbol in sorted(known.keys() - held):
            seen = f'{setting}."{symbol}" is of a contract that no fund holds'
            fix = f"write it as the baskets do ({', '.join(sorted(held))}), or take it away"
            yield Finding(Level.WARN, "here", "contracts", seen, fix)


def _parts(problem: str) -> tuple[str, str]:
    """Return what is wrong and what to do about it, as the sentence itself parts them."""
    seen, parted, remedy = problem.rpartition("; ")
    return (seen, remedy) if parted else (problem, "correct it, then: rebalancer config check")


def _equities(config: Config) -> dict[str, Decimal]:
    """Return what each fund is worth by its desk's own word, as far as a desk ever ran."""
    try:
        with open_reader(config.store_url) as reader:
            return {
                view.fund: view.equity
                for view in reader.views()
                if view.equity is not None and view.equity > 0
            }
    except DeskError:
        return {}
