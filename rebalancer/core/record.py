"""What every record has: the time it was made, and the key that makes it unique, if it has one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Record:
    """A fact; `at_ms` is the time of the event that led to it."""

    at_ms: int

    @property
    def key(self) -> str | None:
        """What may exist only once, or None."""
        return None
