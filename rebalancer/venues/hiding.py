"""Takes our keys and signatures out of what a venue says, before anybody reads it.

A venue, or a proxy before it, may quote a request in its error text, and such texts go on into
the reasons of orders, and so into the journal, alerts and answers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from rebalancer.venues.wire import Reply, SignedRequest

HIDDEN = "[hidden]"
#: the attributes of a ccxt object that hold a credential
CREDENTIALS = ("apiKey", "secret", "password", "privateKey", "token", "twofa", "login")
#: shorter ones would black out ordinary words
LENGTH_MIN = 8
_SIGNATURE = re.compile(r"(?i)((?:signature|sign)[\"']?\s*[=:]\s*[\"']?)[^&\s\"',}]+")
_SIGNED_HEADER = re.compile(r"(?i)sign|key|pass|auth|token")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that a ccxt object was given, those long enough to look for."""

    values: tuple[str, ...] = field(repr=False)

    @classmethod
    def of(cls, exchange: Any) -> Credentials:
        """Return those of `exchange`."""
        given = (getattr(exchange, name, None) for name in CREDENTIALS)
        return cls(tuple(str(each) for each in given if each and len(str(each)) >= LENGTH_MIN))


def without_secrets(reply: Reply, request: SignedRequest, credentials: Credentials) -> Reply:
    """Return the reply with every credential and signature of the request blacked out."""
    body = reply.evidence.body
    if not credentials.values or body is None:
        return reply
    sent = (
        value
        for name, value in request.headers.items()
        if _SIGNED_HEADER.search(name) and len(value) >= LENGTH_MIN
    )
    hidden = body
    for secret in (*credentials.values, *sent):
        hidden = hidden.replace(secret, HIDDEN)
    if "ign" in hidden:
        hidden = _SIGNATURE.sub(rf"\1{HIDDEN}", hidden)
    return (
        reply if hidden == body else replace(reply, evidence=replace(reply.evidence, body=hidden))
    )
