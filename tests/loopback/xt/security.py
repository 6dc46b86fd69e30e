"""Who may call: the validate headers, and the HMAC over key, time, path and parameters."""

from __future__ import annotations

import hashlib
import hmac

from tests.loopback.accounts import Account
from tests.loopback.calls import Call
from tests.loopback.matching import Core
from tests.loopback.xt.errors import XtError

WINDOW_MS = 5000


def signer(core: Core, call: Call, path: str) -> Account:
    """Return the account whose secret signed the call; `path` is without this server's prefix."""
    key = call.headers.get("xt-validate-appkey", "")
    stamp = call.headers.get("xt-validate-timestamp", "")
    signature = call.headers.get("xt-validate-signature", "")
    if not key:
        raise XtError("AUTH_001", "missing request header xt-validate-appkey")
    if not stamp.isdigit():
        raise XtError("AUTH_002", "missing request header xt-validate-timestamp")
    if not signature:
        raise XtError("AUTH_007", "missing request header xt-validate-signature")
    account = core.accounts.get(key)
    if account is None:
        raise XtError("AUTH_101", "ApiKey does not exist")
    sent = call.query if call.method == "GET" else call.body.decode()
    payload = f"xt-validate-appkey={key}&xt-validate-timestamp={stamp}#{path}"
    if sent:
        payload += f"#{sent}"
    digest = hmac.new(account.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(digest, signature.lower()):
        raise XtError("403", "invalid signature")
    if abs(call.at_ms - int(stamp)) > WINDOW_MS:
        raise XtError("AUTH_105", "outdated message")
    return account
