"""What tells the world outside of a desk: the HTTP interface, webhooks, channels to people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rebalancer.clock import WallClock
from rebalancer.core.actions import Alert
from rebalancer.desk.daemon import Daemon
from rebalancer.errors import CommandRefused
from rebalancer.preparing import Prepared
from rebalancer.settings import Config

Take = Callable[[Alert], None]
"""Takes an alert of the desk."""


def publish(config: Config, prepared: Prepared, daemon: Daemon) -> list[Take]:
    """Add what is configured to the daemon, and return what wants its alerts.

    Raises ConfigRefused where an address cannot be had.
    """
    takers = []
    if config.api.listen is not None or config.api.public_listen is not None:
        takers.append(_publish_over_http(config, daemon))
    if prepared.receivers:
        takers.append(_send_webhooks(prepared, daemon))
    elif daemon.control is not None:
        daemon.control.errands["webhook-replay"] = _replay_for_nobody
    if prepared.channels:
        takers.append(_tell_people(config, prepared, daemon))
    return takers


def _publish_over_http(config: Config, daemon: Daemon) -> Take:
    """Add the HTTP interface to the daemon."""
    from rebalancer.api.service import ApiService  # noqa: PLC0415 - a third of a second
    from rebalancer.store.reader import open_reader  # noqa: PLC0415 - as above

    service = ApiService(config.api, daemon, open_reader(config.store_url))
    daemon.services.append(service)
    daemon.publishers.append(service)
    return service.take


def _send_webhooks(prepared: Prepared, daemon: Daemon) -> Take:
    """Have other programs told of events."""
    from rebalancer.webhooks.service import (  # noqa: PLC0415 - its client is slow to load
        WebhookService,
    )

    service = WebhookService(prepared.receivers, daemon.store, WallClock())
    if daemon.control is not None:
        daemon.control.errands["webhook-replay"] = service.replay
    daemon.services.append(service)
    daemon.publishers.append(service)
    return service.take


async def _replay_for_nobody(fields: Mapping[str, Any]) -> dict[str, Any]:
    raise CommandRefused(
        f"there is no receiver {fields.get('name')}; describe one in [webhooks.NAME] first"
    )


def _tell_people(config: Config, prepared: Prepared, daemon: Daemon) -> Take:
    """Have people told of alerts."""
    from rebalancer.webhooks.channels import (  # noqa: PLC0415 - only where people are told
        ChannelService,
    )

    service = ChannelService(prepared.channels, daemon.store, WallClock(), str(config.mode))
    daemon.services.append(service)
    return service.take
