"""Best bids and asks out of ccxt's tickers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import structlog

from rebalancer.core.money import positive
from rebalancer.errors import InputRefused

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class BestPrices:
    """The best bid and ask of a contract at one instant of our clock."""

    contract: str
    bid: Decimal
    ask: Decimal
    at_ms: int


class BestReader:
    """Reads what is newer than the last; bad values are dropped, with one warning until better."""

    def __init__(self, venue_id: str) -> None:
        self._venue_id = venue_id
        self._stamps: dict[str, int] = {}
        self._dropped: set[str] = set()

    def news(
        self, answer: Mapping[str, Any], contracts: tuple[str, ...], asked_ms: int, offset_ms: int
    ) -> list[BestPrices]:
        """Return the new pairs; where the venue stamps nothing, `asked_ms` counts."""
        found = []
        for contract in contracts:
            ticker = answer.get(contract)
            if not isinstance(ticker, Mapping):
                continue
            stamp = ticker.get("timestamp")
            told_ms = stamp if isinstance(stamp, int) else asked_ms + offset_ms
            if told_ms <= self._stamps.get(contract, -1):
                continue
            pair = self._pair(ticker, contract)
            if pair is not None:
                self._stamps[contract] = told_ms
                found.append(BestPrices(contract, *pair, told_ms - offset_ms))
        return found

    def _pair(self, ticker: Mapping[str, Any], contract: str) -> tuple[Decimal, Decimal] | None:
        try:
            bid, ask = positive(ticker.get("bid"), "bid"), positive(ticker.get("ask"), "ask")
        except InputRefused:
            self._warn(contract, "not numbers above zero")
            return None
        if bid > ask:
            self._warn(contract, "the bid is above the ask")
            return None
        self._dropped.discard(contract)
        return bid, ask

    def _warn(self, contract: str, reason: str) -> None:
        if contract not in self._dropped:
            self._dropped.add(contract)
            _log.warning("quote_dropped", venue=self._venue_id, contract=contract, reason=reason)
