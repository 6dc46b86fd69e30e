"""Evidence: what is known after a write was sent, and what follows from it.

ccxt's exception classes do not tell "rejected" from "unknown": a cut body, a garbage status line
and a 503 whose order lives on all become ExchangeError, and a 200 with an empty body becomes an
order without an id. So the transport keeps what really happened, and this module decides.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rebalancer.core.order import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One write, as the transport saw it."""

    #: whether any byte of the request may have left this host
    left: bool
    #: HTTP status; None where no complete answer came
    status: int | None = None
    #: the body as text; None where it did not come whole
    body: str | None = None
    #: in our own words, why there is no complete answer
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one venue's body says, read by that venue's facts."""

    #: the venue's own code; "" for success
    code: str = ""
    order_id: str = ""
    #: the client id it echoes; "" where the venue echoes none
    client_order_id: str = ""
    message: str = ""


Read = Callable[[Any], Answer | None]
"""Reads a decoded body; None where the body is not an answer of this venue to one order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What one venue's answers prove."""

    read: Read
    #: codes that prove that the order was not accepted
    rejects: frozenset[str]
    #: codes that prove that an earlier send of the same client id was accepted
    duplicates: frozenset[str]
    #: whether a good answer names our client id
    echoes_client_id: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of a send, and why."""

    outcome: Outcome
    reason: str
    order_id: str = ""


def decide(evidence: Evidence, judge: Judge, client_order_id: str) -> Finding:
    """Return accepted, rejected, unknown or never sent; unknown unless something is proved."""
    if not evidence.left:
        return Finding(Outcome.NEVER_SENT, evidence.failure or "nothing left this host")
    if evidence.status is None or evidence.body is None:
        return _unknown(evidence.failure or "no complete answer")
    answer = _read(evidence.body, judge.read)
    if answer is None:
        return _unknown(f"HTTP {evidence.status} with a body that is no answer to an order")
    if answer.code:
        return _by_code(answer, judge)
    if not 200 <= evidence.status < 300:
        return _unknown(f"HTTP {evidence.status} without a code")
    return _by_ids(answer, judge, client_order_id)


def _by_code(answer: Answer, judge: Judge) -> Finding:
    if answer.code in judge.duplicates:
        return Finding(Outcome.ACCEPTED, f"the venue has this id already ({answer.code})")
    if answer.code in judge.rejects:
        return Finding(Outcome.REJECTED, f"{answer.code}: {answer.message}")
    return _unknown(f"code {answer.code} proves nothing: {answer.message}")


def _by_ids(answer: Answer, judge: Judge, client_order_id: str) -> Finding:
    if not answer.order_id:
        return _unknown("the answer names no order")
    if judge.echoes_client_id and answer.client_order_id != client_order_id:
        return _unknown("the answer is about another order")
    return Finding(Outcome.ACCEPTED, "", answer.order_id)


def _unknown(reason: str) -> Finding:
    return Finding(Outcome.UNKNOWN, reason)


def _read(body: str, read: Read) -> Answer | None:
    try:
        decoded = json.loads(
            body, parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeats
        )
        return read(decoded)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def _refuse_constant(word: str) -> None:
    raise ValueError(word)


def _refuse_repeats(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        # Two values for one key: whichever we took, the other might be the truth.
        raise ValueError("repeated key")
    return table
