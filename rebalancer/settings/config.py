"""The configuration in force: core values that every part of the program takes, never changed."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import ipaddress
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account, Fund
from rebalancer.core.instant import MINUTE_MS
from rebalancer.settings.capital import RateSettings
from rebalancer.settings.values import sqlite_file, without_password
from rebalancer.settings.webhooks import WebhookSettings


class Mode(StrEnum):
    """What happens to an order."""

    #: filled by a simulated venue
    PAPER = "paper"
    #: decided and recorded, never sent
    DRY_RUN = "dry-run"
    #: sent to the venue
    LIVE = "live"


class FeedSource(StrEnum):
    """Where prices come from."""

    CCXT = "ccxt"
    SIMULATED = "simulated"
    REPLAY = "replay"


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperSettings:
    """What trading costs on one account where nothing is really traded."""

    fee_bps: Decimal
    slippage_bps: Decimal
    #: on top, of an order of a million; it grows with the square root of the order's notional
    impact_bps: Decimal
    #: whether funding is charged
    funding: bool
    #: from sending an order to its fill
    latency_ms: int
    #: share of an order that one attempt fills, above 0 and 1 at most
    fill_ratio: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedSettings:
    """The source of prices. `venue` is set for ccxt where it is known, `files` for a replay."""

    source: FeedSource
    #: ccxt exchange id whose public prices are read; None: no account names one
    venue: str | None
    #: of the simulated market: the same seed gives the same prices
    seed: int
    #: simulated or replayed seconds per real second
    speed: Decimal
    #: between two prices of a contract: how often a venue is asked, or simulated time
    interval_ms: int
    #: standard deviation of a simulated year's logarithmic return, 0.6 = 60 %
    annual_volatility: Decimal
    #: mean number of market-wide jumps in a simulated day
    jumps_per_day: Decimal
    #: first simulated price by contract, in quote currency; see `start_price`
    prices: Mapping[str, Decimal]
    #: history by contract, for a replay
    files: Mapping[str, Path]

    def start_price(self, symbol: str) -> Decimal:
        """Return where the simulated price of a contract begins, in quote currency."""
        return self.prices.get(symbol, Decimal(100))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What the program says while it runs."""

    #: debug, info, warning or error
    level: str
    #: auto (console on a terminal, else json), console or json
    format: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskSettings:
    """The running program itself."""

    #: how often readers' view of the funds is saved
    view_interval_ms: int
    #: Unix socket on which operators' commands arrive
    control_socket: Path
    #: a reload that changes more asks for a second word: the target leverage of a fund, as a share
    #: of it, and the desk's target notional, as a share of that
    confirm_leverage_change: Decimal = Decimal("0.25")
    confirm_notional_change: Decimal = Decimal("0.1")
    #: a plan can be carried out for so long, and while no price moved by more than this share
    plan_valid_ms: int = 5 * MINUTE_MS
    plan_max_move: Decimal = Decimal("0.005")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: an IP address and a port; port 0 takes any that is free."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSettings:
    """What the desk publishes over HTTP, and to whom."""

    #: readers' and operators' listener, and one that shows no positions and takes no commands;
    #: None: not opened
    listen: Address | None
    public_listen: Address | None
    #: PEM files; both or none
    tls_certificate: Path | None
    tls_key: Path | None
    #: hashes of the bearer tokens, written by `rebalancer token`
    tokens_file: Path
    #: names under which the listeners may be asked, besides their own address and loopback
    allowed_hosts: tuple[str, ...]
    #: how often NAVs are taken and published, in real time
    publish_interval_ms: int
    #: exchanges whose words are spoken under /compat
    compat: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The keys of one account, masked wherever they are printed."""

    api_key: SecretStr | None = None
    secret: SecretStr | None = None
    password: SecretStr | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSettings:
    """How one account is reached, and what its venue has to say of it before it is traded."""

    #: the leverage set at the venue for every contract; None where any will do
    leverage: int | None = None
    #: trade although the key may withdraw or works from any address
    accept_key_rights: bool = False
    #: trade although the venue does not tell the rights of the key or the books it keeps
    accept_untold: bool = False
    #: scheme, host and port on this machine that take the place of the venue's; "" is none
    endpoint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything an operator decided. Funds and accounts are in the operator's order."""

    mode: Mode
    #: may carry a password, so it is not printed; see `store_url_shown`
    store_url: str = field(repr=False)
    accounts: Mapping[str, Account]
    paper: Mapping[str, PaperSettings]
    #: only the contracts that the file describes; `contract_for` knows the others
    contracts: Mapping[str, Contract]
    funds: Mapping[str, Fund]
    feed: FeedSettings
    #: sources of reference rates, by name
    rates: Mapping[str, RateSettings]
    log: LogSettings
    desk: DeskSettings
    api: ApiSettings
    #: programs that are told of events, and their secrets, by name
    webhooks: Mapping[str, WebhookSettings] = field(default_factory=dict)
    webhook_secrets: Mapping[str, SecretStr] = field(default_factory=dict)
    #: the least severe alert of each channel to people, and the channels' addresses, by name
    alerts: Mapping[str, str] = field(default_factory=dict)
    alert_urls: Mapping[str, SecretStr] = field(default_factory=dict)
    #: for a live venue only; paper and dry-run trade without keys
    secrets: Mapping[str, Credentials] = field(default_factory=dict)
    #: by account, as the others
    at_venue: Mapping[str, AccountSettings] = field(default_factory=dict)

    @property
    def kill_switch(self) -> Path:
        """The file that stops trading while it stands: beside the store, or beside the socket."""
        file = sqlite_file(self.store_url)
        beside = self.desk.control_socket if file is None else Path(os.path.realpath(file))
        return beside.with_name(f"{beside.name}.killed")

    @property
    def store_url_shown(self) -> str:
        """The URL of the store without its password."""
        return without_password(self.store_url)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of what is in force: order, spelling, comments and secrets play no part."""
        effective = {
            item.name: getattr(self, item.name)
            for item in dataclasses.fields(self)
            if item.name not in ("secrets", "webhook_secrets", "alert_urls")
        }
        effective["store_url"] = self.store_url_shown
        canonical = json.dumps(_plain(effective), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


def contract_for(config: Config, symbol: str) -> Contract:
    """Return the contract as described, else with size 1, lot 1e-9 and no minimum.

    Raises InputRefused for a symbol that is not a linear contract.
    """
    return config.contracts.get(symbol) or Contract(symbol)


def _plain(value: Any) -> Any:
    """Return what JSON can hold; equal values give equal text, 0.150 and 0.15 among them."""
    if isinstance(value, Decimal):
        return format(value.normalize(), "f") if value else "0"
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | frozenset):
        items = [_plain(item) for item in value]
        return sorted(items) if isinstance(value, frozenset) else items
    if dataclasses.is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    return str(value) if isinstance(value, Path | dt.date | dt.tzinfo) else value
