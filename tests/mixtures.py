"""Whether each run and order follows one whole configuration: read from the records alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from decimal import Decimal

from rebalancer.core.fund import Fund
from rebalancer.core.methodology import Trigger
from rebalancer.core.order import OrderIntent
from rebalancer.core.records import IntentCreated, Record, RunOpened
from rebalancer.core.run import RunPlan

#: an order is sized by a mark and sent at a limit beyond it
MARK_MOVES = Decimal("1.02")
#: the settings of a fund, by the digest of a configuration and the fund's name
SettingsOf = Callable[[str, str], Fund]


def mixed_runs(
    records: Iterable[Record], settings_of: SettingsOf, *, to_flat: Collection[Trigger]
) -> Iterator[tuple[RunPlan, Fund]]:
    """Yield every run that does not go where its configuration says, with what that says.

    Runs of `to_flat` go to zero whatever is configured.
    """
    for record in records:
        if isinstance(record, RunOpened):
            plan = record.plan
            fund = settings_of(plan.config_digest, plan.fund)
            wanted = 0 if plan.trigger in to_flat else fund.target_leverage
            if plan.target_leverage != wanted:
                yield plan, fund


def orders_beyond(records: Iterable[Record], settings_of: SettingsOf) -> Iterator[OrderIntent]:
    """Yield every order of a fund alone that is larger than its run's own settings allow."""
    limit: dict[str, Decimal | None] = {}
    for record in records:
        if isinstance(record, RunOpened):
            plan = record.plan
            limit[plan.fund] = _largest(settings_of(plan.config_digest, plan.fund), plan.trigger)
        elif isinstance(record, IntentCreated) and len(record.intent.wanted) == 1:
            most = limit[next(iter(record.intent.wanted))]
            if most is not None and record.intent.notional > most * MARK_MOVES:
                yield record.intent


def _largest(fund: Fund, trigger: Trigger) -> Decimal | None:
    """Return the most that a child order of a run may be worth; None: as much as it wants."""
    emergency = fund.methodology.emergency
    if trigger in (Trigger.EMERGENCY, Trigger.GAP) and emergency is not None:
        return emergency.max_child_notional or fund.execution.max_child_notional
    return fund.execution.max_child_notional
