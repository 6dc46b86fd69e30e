"""What has to be in order before anybody may be let in: the certificate, and who has a token."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from rebalancer.api.tokens import Keyring
from rebalancer.errors import ConfigRefused
from rebalancer.settings import Address, ApiSettings


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files of a certificate, with its chain, and of its key."""

    certificate: Path
    key: Path


def tls_of(settings: ApiSettings) -> Tls | None:
    """Return certificate and key, None where none are named; ConfigRefused: they are of no use."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    tls = Tls(settings.tls_certificate, settings.tls_key)
    refuse_unusable(tls)
    return tls


def refuse_unusable(tls: Tls) -> None:
    """Raise ConfigRefused where certificate and key are not what a server needs."""
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            tls.certificate, tls.key, password=lambda: ""
        )
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "unreadable"
        raise ConfigRefused(
            f"api.tls_certificate, api.tls_key: {tls.certificate} and {tls.key} cannot be used: "
            f"{reason}"
        ) from None


def refuse_unguarded(setting: str, address: Address, keyring: Keyring, now_ms: int) -> None:
    """Raise ConfigRefused where other machines reach the operators' listener and nobody has a key.

    InputRefused where the file of tokens is broken.
    """
    if not keyring.any_valid(now_ms) and not address.loopback:
        raise ConfigRefused(
            f"{setting}: {address} can be reached from other machines and there is no valid "
            f"token in {keyring.path}: make one with: rebalancer token create NAME"
        )
