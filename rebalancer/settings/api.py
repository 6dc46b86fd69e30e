"""From `[api]` to what is opened, and what is refused before anything is."""

from __future__ import annotations

from pathlib import Path

from rebalancer.settings.config import Address, ApiSettings
from rebalancer.settings.problems import Places, Problem
from rebalancer.settings.tables import ApiTable
from rebalancer.settings.values import parse_address, sqlite_file

_LISTENERS = ("listen", "public_listen")


def api_from(table: ApiTable, store_url: str) -> ApiSettings:
    """Return what the desk publishes; the tokens stand beside the store unless said otherwise."""
    beside = (sqlite_file(store_url) or Path("rebalancer.db")).with_suffix(".tokens")
    return ApiSettings(
        listen=_address(table.listen),
        public_listen=_address(table.public_listen),
        tls_certificate=Path(table.tls_certificate) if table.tls_certificate else None,
        tls_key=Path(table.tls_key) if table.tls_key else None,
        tokens_file=Path(table.tokens_file) if table.tokens_file else beside,
        allowed_hosts=table.allowed_hosts,
        publish_interval_ms=table.publish_interval,
        compat=tuple(dict.fromkeys(table.compat)),
    )


def unguarded(table: ApiTable, places: Places) -> list[Problem]:
    """Find a listener that other machines could reach and nothing protects."""
    problems = []
    if bool(table.tls_certificate) != bool(table.tls_key):
        there = "tls_certificate" if table.tls_certificate else "tls_key"
        missing = "tls_key" if table.tls_certificate else "tls_certificate"
        problems.append(places.problem(("api", there), f"needs api.{missing} as well"))
    for key in _LISTENERS:
        address = _address(getattr(table, key))
        if address is None or address.loopback or table.tls_certificate:
            continue
        problems.append(
            places.problem(
                ("api", key),
                f"{address} can be reached from other machines: set api.tls_certificate and "
                "api.tls_key, or listen on 127.0.0.1",
            )
        )
    return problems


def _address(written: str) -> Address | None:
    return Address(*parse_address(written)) if written else None
