"""Tells the log what a desk does for its funds: launches, runs and how they end."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import structlog

from rebalancer.core.records import FundLaunched, Record, RunMoved, RunOpened
from rebalancer.core.run import RunStatus

_log = structlog.get_logger(__name__)


class RunLog:
    """A publisher for people who watch the desk; every digit is in the records."""

    def publish(self, records: Sequence[Record]) -> None:
        """Log launches and runs; everything else is left to those who query the store."""
        for record in records:
            if isinstance(record, FundLaunched):
                _log.info("launched", fund=record.fund, account=record.account, capital=record.cash)
            elif isinstance(record, RunOpened):
                plan = record.plan
                _log.info(
                    "run_opened",
                    fund=plan.fund,
                    trigger=str(plan.trigger),
                    reason=plan.reason,
                    delta={name: f"{units:+.6f}" for name, units in plan.delta_units.items()},
                )
            elif isinstance(record, RunMoved) and record.status is not RunStatus.WORKING:
                _log.info(
                    f"run_{record.status}",
                    fund=record.fund,
                    reason=record.reason,
                    nav=_short(record.nav),
                    leverage=_short(record.leverage),
                    cost=_short(record.cost),
                )


def _short(value: Decimal | None) -> str | None:
    return None if value is None else f"{value:.4f}"
