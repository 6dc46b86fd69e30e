"""Who may call: the API key, the HMAC over what was sent, and the age of the request."""

from __future__ import annotations

import hashlib
import hmac

from tests.loopback.accounts import Account
from tests.loopback.binance.errors import BinanceError, missing
from tests.loopback.calls import Call
from tests.loopback.matching import Core

AHEAD_MS = 1000
DEFAULT_WINDOW_MS, LARGEST_WINDOW_MS = 5000, 60_000


def key_owner(core: Core, call: Call) -> Account:
    """Return the account of the key in the headers."""
    key = call.headers.get("x-mbx-apikey", "")
    if not key:
        raise BinanceError(-2014, "API-key format invalid.", 401)
    account = core.accounts.get(key)
    if account is None:
        raise BinanceError(-2015, "Invalid API-key, IP, or permissions for action.", 401)
    return account


def signer(core: Core, call: Call) -> Account:
    """Return the account whose secret signed the call, within its time window."""
    account = key_owner(core, call)
    sent = call.query + call.body.decode()
    payload, _, signature = sent.rpartition("&signature=")
    if not signature:
        raise missing("signature")
    digest = hmac.new(account.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(digest, signature):
        raise BinanceError(-1022, "Signature for this request is not valid.")
    _check_time(call)
    return account


def _check_time(call: Call) -> None:
    stamp = call.params.get("timestamp", "")
    if not stamp.isdigit():
        raise missing("timestamp")
    window = call.params.get("recvWindow", str(DEFAULT_WINDOW_MS))
    if not window.isdigit():
        raise missing("recvWindow")
    if int(window) > LARGEST_WINDOW_MS:
        raise BinanceError(-1131, "recvWindow must be less than 60000.")
    if int(stamp) >= call.at_ms + AHEAD_MS:
        raise BinanceError(
            -1021, "Timestamp for this request was 1000ms ahead of the server's time."
        )
    if call.at_ms - int(stamp) > int(window):
        raise BinanceError(-1021, "Timestamp for this request is outside of the recvWindow.")
