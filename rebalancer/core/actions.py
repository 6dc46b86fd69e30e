"""Everything that goes out. Actions leave only after the records of their step are committed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rebalancer.core.order import OrderIntent


@dataclass(frozen=True, slots=True)
class SubmitOrder:
    """Send this order, once."""

    intent: OrderIntent


@dataclass(frozen=True, slots=True)
class QueryOrder:
    """Find out what became of this order; never send it again."""

    intent: OrderIntent


class Severity(StrEnum):
    """How soon a person should look."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


#: behind the name of an alert whose cause is over
RESOLVED = "_resolved"


@dataclass(frozen=True, slots=True)
class Alert:
    """Tell a person. `name` is stable and de-duplicates together with `subject`."""

    at_ms: int
    severity: Severity
    name: str
    subject: str
    text: str


Action = SubmitOrder | QueryOrder | Alert
