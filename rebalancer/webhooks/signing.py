"""Signatures of Standard Webhooks (spec/standard-webhooks.md): HMAC-SHA256 over id, time, body."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from rebalancer.errors import ConfigRefused

PREFIX = "whsec_"
KEY_BYTES_MIN = 24
KEY_BYTES_MAX = 64


def key_of(secret: str, where: str) -> bytes:
    """Return the key in a secret; ConfigRefused says what one is, and quotes nothing."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX:
        raise ConfigRefused(
            f"{where}: a secret is {PREFIX} and base64 of {KEY_BYTES_MIN} to {KEY_BYTES_MAX} "
            f"random bytes; make one with: echo {PREFIX}$(openssl rand -base64 32)"
        )
    return key


def headers(key: bytes, message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """Return the three headers by which a receiver knows who sent `body`, and when (Unix s)."""
    signed = f"{message_id}.{at_s}.".encode() + body
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": f"v1,{digest}",
    }
