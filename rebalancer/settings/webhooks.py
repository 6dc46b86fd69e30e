"""`[webhooks.X]`: programs that are told of events, and what a receiver needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from rebalancer.errors import ConfigRefused
from rebalancer.settings.table import Table
from rebalancer.settings.values import Secret, Url

Kind = Literal["nav", "rebalance", "state", "premium", "consolidation", "alert"]
KINDS: tuple[Kind, ...] = ("nav", "rebalance", "state", "premium", "consolidation", "alert")


class WebhookTable(Table):
    """`[webhooks.X]`: one program that is told; its secret never stands in the file."""

    url: Url | None = None
    events: tuple[Kind, ...] = KINDS
    secret: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """One program that is told. Its address may carry a secret of its own."""

    url: str = field(repr=False)
    #: kinds of events
    events: tuple[str, ...]


def webhook_settings(name: str, table: WebhookTable) -> WebhookSettings:
    """Return the receiver; ConfigRefused names the key that cannot work."""
    where = f"webhooks.{name}"
    if table.url is None:
        raise ConfigRefused(f"{where}.url: is missing")
    if not table.events:
        raise ConfigRefused(f"{where}.events: name at least one of {', '.join(KINDS)}")
    return WebhookSettings(url=table.url, events=tuple(dict.fromkeys(table.events)))
