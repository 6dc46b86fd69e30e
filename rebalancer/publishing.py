"""What tells the world outside of a desk: the HTTP interface, webhooks, channels to people."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import SecretStr

from rebalancer.clock import WallClock
from rebalancer.core.actions import Alert, Severity
from rebalancer.desk.daemon import Daemon
from rebalancer.errors import ConfigRefused
from rebalancer.settings import Config
from rebalancer.settings.sources import environment_name

Take = Callable[[Alert], None]
"""Takes an alert of the desk."""


def publish(config: Config, daemon: Daemon) -> list[Take]:
    """Add what is configured to the daemon, and return what wants its alerts.

    Raises ConfigRefused where an address cannot be had, or a secret is missing or none.
    """
    takers = []
    if config.api.listen is not None or config.api.public_listen is not None:
        takers.append(_publish_over_http(config, daemon))
    if config.webhooks:
        takers.append(_send_webhooks(config, daemon))
    if config.alerts:
        takers.append(_tell_people(config, daemon))
    return takers


def _publish_over_http(config: Config, daemon: Daemon) -> Take:
    """Add the HTTP interface to the daemon."""
    from rebalancer.api.service import ApiService  # noqa: PLC0415 - a third of a second
    from rebalancer.store.reader import open_reader  # noqa: PLC0415 - as above

    service = ApiService(config.api, daemon, open_reader(config.store_url))
    daemon.services.append(service)
    daemon.publishers.append(service)
    return service.take


def _send_webhooks(config: Config, daemon: Daemon) -> Take:
    """Have other programs told of events; ConfigRefused where a secret is missing or none."""
    from rebalancer.webhooks.service import (  # noqa: PLC0415 - its client is slow to load
        Receiver,
        WebhookService,
    )
    from rebalancer.webhooks.signing import key_of  # noqa: PLC0415 - as above

    receivers = {}
    for name, each in config.webhooks.items():
        path = ("webhooks", name, "secret")
        key = key_of(_given(config.webhook_secrets.get(name), path), ".".join(path))
        receivers[name] = Receiver(url=each.url, key=key, kinds=frozenset(each.events))
    service = WebhookService(receivers, daemon.store, WallClock())
    if daemon.control is not None:
        daemon.control.errands["webhook-replay"] = service.replay
    daemon.services.append(service)
    daemon.publishers.append(service)
    return service.take


def _tell_people(config: Config, daemon: Daemon) -> Take:
    """Have people told of alerts; ConfigRefused where a channel cannot be reached at all."""
    from rebalancer.webhooks.channels import (  # noqa: PLC0415 - only where people are told
        Channel,
        ChannelService,
        by_apprise,
    )

    channels = {}
    for name, at_least in config.alerts.items():
        path = ("alerts", name, "url")
        notify = by_apprise(_given(config.alert_urls.get(name), path), ".".join(path))
        channels[name] = Channel(notify=notify, at_least=Severity(at_least))
    service = ChannelService(channels, daemon.store, WallClock(), str(config.mode))
    daemon.services.append(service)
    return service.take


def _given(secret: SecretStr | None, path: tuple[str, ...]) -> str:
    """Return what the environment or a credential holds; ConfigRefused where neither does."""
    if secret is None:
        raise ConfigRefused(f"{'.'.join(path)}: is missing; set {environment_name(path)}")
    return secret.get_secret_value()
