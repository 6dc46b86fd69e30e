"""What goes over the wire to a venue and what comes back; `transport` carries it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from rebalancer.venues.evidence import Evidence


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as ccxt built and signed it; everything but its path may hold secrets."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: str | None = field(repr=False)

    def __repr__(self) -> str:
        return f"SignedRequest({self.method} {urlsplit(self.url).path})"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request; header names are in lower case."""

    evidence: Evidence
    headers: Mapping[str, str]


class Carrier(Protocol):
    """Sends a request once; whatever happens is told in the reply, only a cancel is raised."""

    async def send(self, request: SignedRequest) -> Reply:
        """Send `request` once and say what was seen of it."""

    async def close(self) -> None:
        """Give up every connection; may be called twice."""
