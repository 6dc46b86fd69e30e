"""What the operator decided: TOML, environment and systemd credentials, as exact core values."""

from rebalancer.settings.capital import RateSettings
from rebalancer.settings.config import (
    AccountSettings,
    Address,
    ApiSettings,
    Config,
    Credentials,
    DeskSettings,
    FeedSettings,
    FeedSource,
    LogSettings,
    Mode,
    PaperSettings,
    contract_for,
)
from rebalancer.settings.in_force import InForce
from rebalancer.settings.loading import load, parse
from rebalancer.settings.tables import Settings

__all__ = [
    "AccountSettings",
    "Address",
    "ApiSettings",
    "Config",
    "Credentials",
    "DeskSettings",
    "FeedSettings",
    "FeedSource",
    "InForce",
    "LogSettings",
    "Mode",
    "PaperSettings",
    "RateSettings",
    "Settings",
    "contract_for",
    "load",
    "parse",
]
