"""Binance's listen keys: one per account, valid an hour from when it was made or kept alive."""

from __future__ import annotations

import hashlib
from typing import Any

from tests.loopback.accounts import Account
from tests.loopback.binance.errors import BinanceError
from tests.loopback.binance.request import Request
from tests.loopback.matching import Core

VALID_MS = 3_600_000


def listen_key(account: Account) -> str:
    """Return the account's listen key; the venue too returns the same one while it is valid."""
    return hashlib.sha256(f"listen {account.key}".encode()).hexdigest()


def start(request: Request) -> Any:
    """POST listenKey."""
    request.account.listening_until_ms = request.now_ms + VALID_MS
    return {"listenKey": listen_key(request.account)}


def keep(request: Request) -> Any:
    """PUT listenKey."""
    if request.account.listening_until_ms <= request.now_ms:
        raise BinanceError(-1125, "This listenKey does not exist.")
    request.account.listening_until_ms = request.now_ms + VALID_MS
    return {"listenKey": listen_key(request.account)}


def stop(request: Request) -> Any:
    """DELETE listenKey."""
    request.account.listening_until_ms = 0
    return {}


def listener(core: Core, key: str, now_ms: int) -> Account | None:
    """Return the account whose valid listen key this is."""
    for account in core.accounts.values():
        if key == listen_key(account) and account.listening_until_ms > now_ms:
            return account
    return None
