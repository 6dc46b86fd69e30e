"""Scripted faults: which call goes wrong, what the wire shows, and whether the order was taken.

The two questions are independent. `Shape` says what the client sees; `Taken` says whether the core
acted before that (FIRST), never (NEVER: the answer is what a copy of the core would have said), or
some time after the client was answered (LATER).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from tests.loopback.calls import Call


class Taken(StrEnum):
    """When the matching core sees the call."""

    NEVER = "never"
    FIRST = "first"
    LATER = "later"


class Shape(StrEnum):
    """What goes over the wire instead of the honest answer."""

    HONEST = "honest"  # the answer as it is; useful with Taken.NEVER and LATER
    # spoilt below HTTP
    SILENCE = "silence"
    CLOSE = "close"  # closed without a byte
    RESET = "reset"  # RST without a byte
    RESET_IN_BODY = "reset in body"  # RST after half of the body
    CUT_BODY = "cut body"  # closed after half of the announced body
    CUT_CHUNK = "cut chunk"  # chunked, closed before the last chunk
    GARBAGE_STATUS = "garbage status"
    ONLY_INFORMATIONAL = "only 1xx"  # 102 Processing, then closed
    SLOW_HEADERS = "slow headers"
    SLOW_BODY = "slow body"
    WRONG_LENGTH = "wrong length"  # announces less than it sends
    BROKEN_GZIP = "broken gzip"  # says gzip, sends plain bytes
    # whole answers with no content
    HTML = "html"
    EMPTY = "empty"
    NULL = "null"
    EMPTY_OBJECT = "empty object"
    NAN = "nan"
    NO_CONTENT = "204"
    REDIRECT = "redirect"  # 302 to a page that says 200
    REDIRECT_REPEATED = "redirect repeated"  # 307 to the same address: clients send the body again
    # the honest answer, made to lie
    DUPLICATE_KEYS = "duplicate keys"
    OTHER_ORDER = "other order"
    WRONG_SYMBOL = "wrong symbol"
    PARTIAL_BATCH = "partial batch"
    # refusals that may come from a gateway
    ERROR_IN_200 = "error in 200"
    UNAUTHORIZED = "401"
    FORBIDDEN = "403"
    TIMEOUT = "408"
    BANNED = "418"
    TOO_MANY = "429"
    BAD_GATEWAY = "502"
    UNKNOWN = "503 unknown"  # Binance's -1: "execution status is unknown"
    BUSY = "503 busy"
    GATEWAY_TIMEOUT = "504"
    # the venue's own no to an order
    NO_MARGIN = "no margin"


@dataclass(slots=True, kw_only=True)
class Fault:
    """One planned fault; it is used up after `times` calls that fit."""

    shape: Shape
    taken: Taken = Taken.FIRST
    method: str = ""
    #: regular expression searched in the path
    path: str = ""
    times: int = 1
    #: calls that fit and still go well, before the first that does not
    skip: int = 0
    #: how long after the answer a LATER call is taken
    late_ms: int = 50
    #: how long silence lasts, or slow bytes take in all
    hold_ms: int = 5000

    def fits(self, call: Call) -> bool:
        """Whether this call is meant."""
        return self.method in ("", call.method) and bool(re.search(self.path, call.path))


@dataclass(slots=True)
class Faults:
    """The faults to come, in the order in which they were planned."""

    planned: list[Fault] = field(default_factory=list)
    #: what was done to whom
    done: list[tuple[Fault, Call]] = field(default_factory=list)

    def plan(self, *faults: Fault) -> None:
        """Add faults."""
        self.planned.extend(faults)

    def clear(self) -> None:
        """Drop every fault that has not happened."""
        self.planned.clear()

    def take(self, call: Call) -> Fault | None:
        """Return the fault for this call, using it up; None for an honest answer."""
        for fault in self.planned:
            if not fault.fits(call):
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            if not fault.times:
                self.planned.remove(fault)
            self.done.append((fault, call))
            return fault
        return None
