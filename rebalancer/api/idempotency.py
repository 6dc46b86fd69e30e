"""Idempotency keys: the same key with the same wish is one wish, remembered for a day.

Keys are remembered by the process that took them, not over a restart.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Header

from rebalancer.api.documents import Document
from rebalancer.api.tokens import Token
from rebalancer.core.instant import DAY_MS

KEYS_MAX = 10_000
KEY_KEPT_MS = DAY_MS

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=8,
        max_length=128,
        pattern="^[A-Za-z0-9_.:-]+$",
        description="of the caller's making, a UUID for instance; new for each new wish",
    ),
]
Wish = tuple[str, ...]
"""What is wished, in words that a second wish has in common only where it is the same."""
Carry = Callable[[], Awaitable[Document]]


@dataclass(slots=True)
class Remembered:
    """What a key was used for, and what came of it."""

    wish: Wish
    at_ms: int
    #: done when the command is: with the answer, or with the problem
    outcome: asyncio.Future[Document]


class Memory:
    """Keys of the last day, by the token they came with."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Remembered] = OrderedDict()

    def find(self, holder: Token, key: str, now_ms: int) -> Remembered | None:
        """Return what the holder used the key for."""
        while self._kept:
            oldest = next(iter(self._kept.values()))
            if oldest.at_ms + KEY_KEPT_MS > now_ms and len(self._kept) <= KEYS_MAX:
                break
            self._kept.popitem(last=False)
        return self._kept.get((holder.id, key))

    def keep(self, holder: Token, key: str, remembered: Remembered) -> None:
        """Remember a key."""
        self._kept[holder.id, key] = remembered
