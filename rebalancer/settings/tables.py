"""The shape of the configuration file: one pydantic model per table, one field per key.

Field names are the operator's keys; durations are held in milliseconds, as everywhere inside. Keys
of the full product that this version does not have yet are listed in `later`, so that they are
refused for what they are and not taken for misspelt ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar, Literal, Self, cast

from pydantic import Field
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account, Execution, Fund, Limits, NavKind, PriceSource
from rebalancer.core.instant import SECOND_MS
from rebalancer.core.money import ONE, ZERO
from rebalancer.settings.alerts import AlertTable
from rebalancer.settings.calendars import CalendarTable
from rebalancer.settings.capital import (
    CashAccountTable,
    ConsolidationTable,
    ManagementFeeTable,
    PremiumTable,
    RateTable,
)
from rebalancer.settings.config import DeskSettings
from rebalancer.settings.rules import RulesTable
from rebalancer.settings.table import Table, default_of
from rebalancer.settings.values import (
    Basket,
    Collar,
    CostBps,
    Count,
    Endpoint,
    Flag,
    HostName,
    Jitter,
    ListenAddress,
    Milliseconds,
    Name,
    NotNegative,
    Number,
    PathText,
    Positive,
    Secret,
    Seed,
    Share,
    SomeMilliseconds,
    StoreUrl,
    Symbol,
    Text,
    TimeOfDay,
    Venue,
    Volatility,
)
from rebalancer.settings.webhooks import WebhookTable

#: Keys that never stand in the file, by section.
SECRET_KEYS = {
    "accounts": ("api_key", "secret", "password"),
    "webhooks": ("secret",),
    "alerts": ("url",),
}


class ExecutionTable(Table):
    """`execution`: how a run becomes orders."""

    max_child_units: Positive | None = None
    max_child_notional: Positive | None = None
    interval: Milliseconds = default_of(Execution, "interval_ms")
    jitter: Jitter = default_of(Execution, "jitter")
    collar_bps: Collar = default_of(Execution, "collar_bps")
    min_notional: NotNegative = default_of(Execution, "min_notional")


class LimitsTable(Table):
    """`limits`: bounds checked before an order leaves."""

    max_order_notional: Positive | None = None
    max_run_notional: Positive | None = None
    max_day_notional: Positive | None = None
    max_minute_notional: Positive | None = None
    max_orders_per_run: Count = default_of(Limits, "max_orders_per_run")
    max_runs_per_day: Count | None = None
    max_leverage: Positive | None = None


class FundTable(Table):
    """`[funds.NAME]`, and `[defaults]` under all of them."""

    account: Name | None = None
    target_leverage: Number | None = None
    basket: Basket | None = None
    initial_nav: Positive = default_of(Fund, "initial_nav")
    initial_shares: Positive = default_of(Fund, "initial_shares")
    price_source: PriceSource = PriceSource.MARK
    max_age: SomeMilliseconds = default_of(Fund, "max_age_ms")
    nav_boundary: TimeOfDay = default_of(Fund, "nav_boundary_ms")
    size_from: NavKind = NavKind.ACCOUNT
    formula_base: NavKind = NavKind.FORMULA
    description: Text = ""
    risk_statement: Text = ""
    rules: RulesTable = Field(default_factory=RulesTable)
    execution: ExecutionTable = Field(default_factory=ExecutionTable)
    limits: LimitsTable = Field(default_factory=LimitsTable)
    management_fee: ManagementFeeTable = Field(default_factory=ManagementFeeTable)
    cash_account: CashAccountTable = Field(default_factory=CashAccountTable)
    gap_alarm_bps: Positive | None = None
    consolidation: ConsolidationTable = Field(default_factory=ConsolidationTable)
    premium: PremiumTable = Field(default_factory=PremiumTable)


class PaperTable(Table):
    """`[accounts.X.paper]`: what trading costs where nothing is really traded."""

    fee_bps: CostBps = ZERO
    slippage_bps: CostBps = ZERO
    impact_bps: CostBps = ZERO
    funding: Flag = True
    latency: Milliseconds = 0
    fill_ratio: Share = ONE


class AccountTable(Table):
    """`[accounts.X]`: one set of venue credentials."""

    venue: Venue = default_of(Account, "venue")
    api_key: Secret | None = None
    secret: Secret | None = None
    password: Secret | None = None
    endpoint: Endpoint = ""
    leverage: Count | None = None
    accept_key_rights: Flag = False
    accept_untold: Flag = False
    hedge: Flag | None = None
    waives_min_notional: Flag = default_of(Account, "waives_min_notional")
    initial_margin: Share = default_of(Account, "initial_margin")
    maintenance_margin: Share = default_of(Account, "maintenance_margin")
    paper: PaperTable = Field(default_factory=PaperTable)


class ContractTable(Table):
    """`[contracts."SYMBOL"]`: a contract for paper, snapshots and history."""

    contract_size: Positive = default_of(Contract, "contract_size")
    lot: Positive = default_of(Contract, "lot")
    tick: NotNegative = default_of(Contract, "tick")
    min_amount: NotNegative = default_of(Contract, "min_amount")
    min_notional: NotNegative = default_of(Contract, "min_notional")


class StoreTable(Table):
    """`[store]`: where records live."""

    url: StoreUrl = "sqlite:///rebalancer.db"


class LogTable(Table):
    """`[log]`: what the program says while it runs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"


class FeedTable(Table):
    """`[feed]`: where prices come from."""

    source: Literal["ccxt", "simulated", "replay"] | None = None
    venue: Venue | None = None
    seed: Seed = 1
    speed: Positive = ONE
    interval: SomeMilliseconds = SECOND_MS
    annual_volatility: Volatility = Decimal("0.6")
    jumps_per_day: NotNegative = Decimal("0.5")
    prices: dict[Symbol, Positive] = Field(default_factory=dict)
    files: dict[Symbol, PathText] = Field(default_factory=dict)


class DeskTable(Table):
    """`[desk]`: the running program itself."""

    view_interval: SomeMilliseconds = 5 * SECOND_MS
    control_socket: PathText | None = None
    confirm_leverage_change: NotNegative = default_of(DeskSettings, "confirm_leverage_change")
    confirm_notional_change: NotNegative = default_of(DeskSettings, "confirm_notional_change")
    plan_valid_for: SomeMilliseconds = default_of(DeskSettings, "plan_valid_ms")
    plan_max_move: NotNegative = default_of(DeskSettings, "plan_max_move")


class ApiTable(Table):
    """`[api]`: the HTTP interface; off until it is told where to listen."""

    listen: ListenAddress = ""
    public_listen: ListenAddress = ""
    tls_certificate: Text = ""
    tls_key: Text = ""
    tokens_file: PathText | None = None
    allowed_hosts: tuple[HostName, ...] = ()
    publish_interval: SomeMilliseconds = SECOND_MS
    compat: tuple[Literal["binance", "bybit", "gate"], ...] = ()


class Settings(BaseSettings):
    """The whole configuration, validated and not yet merged with `[defaults]`.

    Made by `from_sources` only.
    """

    model_config = SettingsConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    later: ClassVar[frozenset[str]] = frozenset()

    mode: Literal["paper", "dry-run", "live"] = "paper"
    store: StoreTable = Field(default_factory=StoreTable)
    log: LogTable = Field(default_factory=LogTable)
    feed: FeedTable = Field(default_factory=FeedTable)
    desk: DeskTable = Field(default_factory=DeskTable)
    api: ApiTable = Field(default_factory=ApiTable)
    accounts: dict[Name, AccountTable] = Field(default_factory=dict)
    calendars: dict[Name, CalendarTable] = Field(default_factory=dict)
    contracts: dict[Symbol, ContractTable] = Field(default_factory=dict)
    rates: dict[Name, RateTable] = Field(default_factory=dict)
    webhooks: dict[Name, WebhookTable] = Field(default_factory=dict)
    alerts: dict[Name, AlertTable] = Field(default_factory=dict)
    defaults: FundTable = Field(default_factory=FundTable)
    funds: dict[Name, FundTable] = Field(default_factory=dict)

    @classmethod
    def from_sources(cls, sources: Sequence[PydanticBaseSettingsSource]) -> Self:
        """Merge the sources, the strongest first, and validate; raises ValidationError."""
        given: dict[str, Any] = {"sources": sources}
        return cls(**given)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *_built_in: PydanticBaseSettingsSource,
        **_more: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read only the sources handed in; pydantic's own skip misspelt names silently."""
        del settings_cls
        given = cast("dict[str, Any]", vars(init_settings)["init_kwargs"])
        return tuple(cast("Sequence[PydanticBaseSettingsSource]", given["sources"]))
