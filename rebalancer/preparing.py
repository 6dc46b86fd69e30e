"""What a desk is made of before anything of it is opened: read, tried and judged at once.

A start makes it and takes what it made; `config check` makes it and lets it go. So what is missing
or cannot work is refused by both in the same words: before a venue is asked, a record is written or
an address is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rebalancer import live
from rebalancer.clock import WallClock
from rebalancer.core.actions import Severity
from rebalancer.desk.control import refuse_unfit_path
from rebalancer.desk.recovery import refuse_lost_funds, refuse_other_mode
from rebalancer.errors import ConfigRefused, InputRefused
from rebalancer.feeds.candles import History, read_history
from rebalancer.feeds.replay import refuse_unheld
from rebalancer.settings import Address, Config, FeedSource
from rebalancer.settings.sources import environment_name
from rebalancer.store.looking import look_at_store
from rebalancer.store.reader import open_reader

if TYPE_CHECKING:
    from pydantic import SecretStr

    from rebalancer.webhooks.channels import Channel
    from rebalancer.webhooks.service import Receiver


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a start takes over as it is; nothing in it is open."""

    #: the prices of a replay
    histories: list[History] = field(default_factory=list)
    #: who is told of events and of alerts, with keys and addresses, by name
    receivers: dict[str, Receiver] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)


def prepare(config: Config) -> Prepared:
    """Return what a desk of this configuration takes over.

    Raises ConfigRefused, one line per problem. Asks no venue, writes nothing, and takes nothing
    that a running desk may hold.
    """
    made, problems = Prepared(), list[str]()
    for refuse in _REFUSALS:
        with _kept(problems):
            refuse(config)
    for symbol, file in _files(config):
        with _kept(problems):
            made.histories.append(read_history(symbol, file))
    for name in config.webhooks:
        with _kept(problems):
            made.receivers[name] = _receiver(config, name)
    for name in config.alerts:
        with _kept(problems):
            made.channels[name] = _channel(config, name)
    _refuse(problems)
    return made


def refuse_unfit_store(config: Config) -> None:
    """Raise what a start would where the store cannot be opened or does not go with it.

    Looks only. ConfigRefused, InputRefused, StoreUnavailable and what comes of it.
    """
    seen = look_at_store(config.store_url)
    # A start brings the older layout of a file up to date by itself; nobody reads it before.
    if not seen.exists or (seen.older and seen.folder is not None):
        return
    with open_reader(config.store_url) as reader:
        history = reader.beginnings()
    refuse_lost_funds(config.funds, history)
    refuse_other_mode(str(config.mode), history)


def refuse_taken(config: Config) -> None:
    """Raise ConfigRefused where an address cannot be had on this machine; none is kept.

    For where no desk runs: one that runs holds its addresses itself.
    """
    problems = list[str]()
    for setting, address in addresses_of(config):
        from rebalancer.api.server import bound  # noqa: PLC0415 - slow to load

        with _kept(problems):
            bound(setting, address.host, address.port).close()
    _refuse(problems)


@contextmanager
def _kept(problems: list[str]) -> Iterator[None]:
    """Keep what is refused inside, so that all of it is told at once."""
    try:
        yield
    except (ConfigRefused, InputRefused) as refused:
        problems += str(refused).splitlines()


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ConfigRefused("\n".join(problems))


def _refuse_no_fund(config: Config) -> None:
    if not config.funds:
        raise ConfigRefused("no fund is configured: add a [funds.NAME] table")


def _refuse_unheld(config: Config) -> None:
    """Refuse the file of a contract that no fund holds."""
    held = {symbol for fund in config.funds.values() for symbol in fund.symbols}
    refuse_unheld([symbol for symbol, _ in _files(config)], held)


def _refuse_unguarded(config: Config) -> None:
    """Refuse an interface that everybody could reach, or whose certificate is of no use."""
    addresses = list(addresses_of(config))
    if not addresses:
        return
    from rebalancer.api.guarding import refuse_unguarded, tls_of  # noqa: PLC0415 - for few
    from rebalancer.api.tokens import Keyring  # noqa: PLC0415 - as above

    tls_of(config.api)
    for setting, address in addresses:
        if setting == "api.listen":
            keyring = Keyring(config.api.tokens_file)
            refuse_unguarded(setting, address, keyring, WallClock().now_ms())


_REFUSALS = (
    _refuse_no_fund,
    live.refuse_unready,
    live.refuse_unknown_prices,
    lambda config: refuse_unfit_path(config.desk.control_socket),
    _refuse_unheld,
    _refuse_unguarded,
)


def addresses_of(config: Config) -> Iterator[tuple[str, Address]]:
    """Yield where the interface is to listen, by setting."""
    for setting, address in (
        ("api.listen", config.api.listen),
        ("api.public_listen", config.api.public_listen),
    ):
        if address is not None:
            yield setting, address


def _files(config: Config) -> list[tuple[str, Path]]:
    """Return the histories of a replay, by contract."""
    return list(config.feed.files.items()) if config.feed.source is FeedSource.REPLAY else []


def _receiver(config: Config, name: str) -> Receiver:
    """Return a program that is told of events; ConfigRefused: its secret is missing or none."""
    from rebalancer.webhooks.service import Receiver  # noqa: PLC0415 - its client is slow to load
    from rebalancer.webhooks.signing import key_of  # noqa: PLC0415 - as above

    path, said = ("webhooks", name, "secret"), config.webhooks[name]
    key = key_of(_given(config.webhook_secrets.get(name), path), ".".join(path))
    return Receiver(url=said.url, key=key, kinds=frozenset(said.events))


def _channel(config: Config, name: str) -> Channel:
    """Return a way to people; ConfigRefused where nobody can be reached by it at all."""
    from rebalancer.webhooks.channels import Channel, by_apprise  # noqa: PLC0415 - as above

    path = ("alerts", name, "url")
    notify = by_apprise(_given(config.alert_urls.get(name), path), ".".join(path))
    return Channel(notify=notify, at_least=Severity(config.alerts[name]))


def _given(secret: SecretStr | None, path: tuple[str, ...]) -> str:
    """Return what the environment or a credential holds; ConfigRefused where neither does."""
    if secret is None:
        raise ConfigRefused(f"{'.'.join(path)}: is missing; set {environment_name(path)}")
    return secret.get_secret_value()
