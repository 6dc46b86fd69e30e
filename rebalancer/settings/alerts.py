"""`[alerts.X]`: channels by which people are told of alerts."""

from __future__ import annotations

from typing import Literal

from rebalancer.settings.table import Table
from rebalancer.settings.values import Secret


class AlertTable(Table):
    """`[alerts.X]`: one channel; its address is a secret and never stands in the file."""

    at_least: Literal["info", "warning", "critical"] = "warning"
    url: Secret | None = None
