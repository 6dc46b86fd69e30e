"""Protocol faults that a desk might carry, and what finds each out.

Every one of them has cost some desk money or could (safety.md sections 0, 2 and 4). `killers.csv`
has the seeds: the first day on which the fault breaks a promise, and which promise that is.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.planting import Mutant, planted
from tests.simulation.day import day_of
from tests.simulation.judge import judge
from tests.simulation.sweep import lived

#: within so many seeds a fault has to be found
SEEDS_MAX = 1_000
TABLE = Path(__file__).with_name("killers.csv")
#: what the desk itself raises; a promise of the judge has to be among the killers too
BY_ITSELF = "the desk ended"

_AGAIN = """
OLD
if reply.evidence.status is None:
    reply = await self._client.write_order({order}, cost_of(self._facts.limits, 1))
"""
_NEW_ID = "__import__('dataclasses').replace(intent, client_order_id='x' + intent.client_order_id)"
_SENDS = "rebalancer.venues.exchange_sends:OrderSends"
_ORDERS = "rebalancer.venues.exchange_orders:ExchangeOrders"
_SEND = "reply = await self._client.write_order(order, cost_of(self._facts.limits, 1))"
_CORE = "rebalancer.core"
_SIZED_AGAIN = """
(run.plan.target_leverage * work.worth(fund).equity / mark - held) if run.orders else OLD
"""

MUTANTS = tuple(
    Mutant(name=name, where=where, old=old, new=new)
    for name, where, old, new in (
        # -- sending
        (
            "a retry under a new id",
            f"{_SENDS}.send",
            _SEND,
            _AGAIN.format(order=f"self._request({_NEW_ID})"),
        ),
        ("a blind retry of a write", f"{_SENDS}.send", _SEND, _AGAIN.format(order="order")),
        (
            "send before commit",
            "rebalancer.desk.loop:DeskLoop.take",
            "self.settled = False",
            "self._act(step.actions)\nOLD\nstep = engine.Step(step.records)",
        ),
        (
            "a failed commit is ignored",
            "rebalancer.desk.loop:DeskLoop.take",
            "await self._store.commit(step.records, meanwhile)",
            "try:\n    OLD\nexcept Exception:\n    pass",
        ),
        # -- what an answer proves
        (
            "a time-out means rejected",
            "rebalancer.venues.evidence:decide",
            "_unknown(evidence.failure or 'no complete answer')",
            "Finding(Outcome.REJECTED, 'no complete answer')",
        ),
        (
            "unknown means never sent",
            "rebalancer.venues.evidence:_unknown",
            "Outcome.UNKNOWN",
            "Outcome.NEVER_SENT",
        ),
        (
            "any code means rejected",
            "rebalancer.venues.evidence:_by_code",
            "answer.code in judge.rejects",
            "True",
        ),
        (
            "a body that is no answer means rejected",
            "rebalancer.venues.evidence:decide",
            "answer is None",
            "answer is None and (answer := Answer(code=next(iter(judge.rejects)))) is None",
        ),
        (
            "an answer about another order is taken for ours",
            f"{_ORDERS}._seen",
            "self._search.is_anothers(intent, order)",
            "False",
        ),
        # -- looking for an order
        (
            "the first 'not found' means absent, at once",
            f"{_ORDERS}._absent_or_unknown",
            "self.departures.may_still_arrive(intent)",
            "self._absent_once.add(ours)",
        ),
        (
            "one look is enough for absence",
            f"{_ORDERS}._absent_or_unknown",
            "ours not in self._absent_once",
            "False",
        ),
        (
            "one place is enough for absence",
            "rebalancer.venues.exchange_search:OrderSearch.find",
            "(self._by_client_id, self._in_lists, self._in_trades)",
            "(self._by_client_id,)",
        ),
        (
            "a place that did not answer counts as empty",
            "rebalancer.venues.exchange_search:OrderSearch.find",
            "outage is not None",
            "False",
        ),
        (
            "unknown does not block the contract",
            f"{_CORE}.order:Order.working",
            "self.status in WORKING",
            "self.status in WORKING and self.status is not OrderStatus.UNKNOWN",
        ),
        # -- fills and positions
        (
            "a fill told twice is booked twice",
            f"{_CORE}.outcomes:on_fill",
            "(fill.client_order_id, fill.trade_id) in work.state.seen_trades",
            "False",
        ),
        (
            "the fill of an order that filled in part is dropped",
            f"{_ORDERS}._settle",
            "(*(FillReported(self._clock.now_ms(), fill) for fill in fills), end)",
            "OLD if seen.filled_contracts == intent.contracts else (end,)",
        ),
        (
            "an order ends without the fills that are still to come",
            f"{_CORE}.folding:_order_moved",
            "order.filled_contracts if reported is None else reported",
            "order.filled_contracts",
        ),
        (
            "the order's own count of fills is not compared with its trades",
            f"{_ORDERS}._settle",
            "traded == seen.filled_contracts",
            "True",
        ),
        (
            "the fee of a fill is forgotten",
            f"{_ORDERS}._fee",
            "number(fee['cost'], f\"trade {trade['id']}: fee\")",
            "ZERO",
        ),
        (
            "a sell is booked as a buy",
            f"{_CORE}.outcomes:on_fill",
            "intent.units_in(fill.contracts)",
            "abs(intent.units_in(fill.contracts))",
        ),
        (
            "one empty list of positions means flat",
            "rebalancer.venues.exchange_account:ExchangeAccount.positions",
            "not found or self._held - {each.contract for each in found}",
            "False",
        ),
        (
            "the remainder of an allocation is dropped",
            f"{_CORE}.money:split_pro_rata",
            "magnitude - sum(shares.values(), ZERO)",
            "ZERO",
        ),
        # -- prices
        (
            "a stale price is traded on",
            f"{_CORE}.trust:fresh",
            "work.state.market.fresh(symbol, source, work.now_ms, limit_ms)",
            "work.state.market.age_ms(symbol, source, work.now_ms) is not None",
        ),
        (
            "an unconfirmed price is traded on",
            f"{_CORE}.trust:price_not_good",
            "_confirmed(work, fund, worth, signal)",
            "True",
        ),
        (
            "a price of zero or less, or of infinity, is taken",
            f"{_CORE}.market:Market._problem",
            "not tick.price.is_finite() or tick.price <= 0",
            "tick.price.is_nan()",
        ),
        (
            "NaN is taken for a price",
            f"{_CORE}.market:Market._problem",
            "not tick.price.is_finite() or tick.price <= 0",
            "not tick.price.is_nan() and OLD",
        ),
        (
            "a price from the future is taken",
            f"{_CORE}.market:Market._problem",
            "tick.at_ms > now_ms + FUTURE_TOLERANCE_MS",
            "False",
        ),
        # -- runs
        (
            "a fixed instant is settled again and again",
            f"{_CORE}.folding:_fixed_settled",
            "fund.fixed_settled_ms = record.due_ms",
            "pass",
        ),
        (
            "a fixed instant is not settled",
            f"{_CORE}.opening:open_run_to",
            "for instant_ms in aim.due_ms:",
            "pass",
        ),
        (
            "the fixed time is missed in silence",
            f"{_CORE}.rules.fixed:check",
            "not due_ms",
            "True",
        ),
        (
            "a run crosses its target",
            f"{_CORE}.trading:want_of",
            "run.plan.target_units[symbol] - held",
            "(OLD) * 102 / 100",
        ),
        (
            "the target is sized again with every order",
            f"{_CORE}.trading:want_of",
            "run.plan.target_units[symbol] - held",
            _SIZED_AGAIN,
        ),
        (
            "lots are not rounded toward zero",
            f"{_CORE}.contract:Contract.contracts_in",
            "trunc_to_step(units / self.contract_size, self.lot)",
            "OLD + (self.lot if units > 0 else -self.lot if units < 0 else ZERO)",
        ),
        (
            "what is working is not taken off the delta",
            f"{_CORE}.opening:_deltas",
            "working_units(work, fund, symbol)",
            "ZERO",
        ),
        (
            "orders are planned while one is working",
            f"{_CORE}.trading:plan_orders",
            "work.state.working_on(account, symbol)",
            "False",
        ),
        (
            "the cool-down is ignored",
            f"{_CORE}.deciding:_cooling",
            "work.now_ms < signal.not_before_ms",
            "False",
        ),
        (
            "a run is called done on its way",
            f"{_CORE}.trading:_barred",
            "if plan_alone(book, want, sliced=False).legs:",
            "pass",
        ),
        (
            "a closing leg has the wrong sign",
            f"{_CORE}.planner:_close_and_open",
            "closable.copy_sign(contracts)",
            "-OLD",
        ),
        (
            "a closing leg is forgotten: the other book is opened instead",
            f"{_CORE}.planner:_close_and_open",
            "min(abs(contracts), book.contract.contracts_in(held))",
            "ZERO",
        ),
        (
            "the collar is on the wrong side",
            f"{_CORE}.planner:collar_price",
            "side is OrderSide.BUY",
            "side is not OrderSide.BUY",
        ),
        # -- starting again
        (
            "a start does not ask about orders that were only prepared",
            "rebalancer.desk.recovery:recover",
            "tuple((order.intent for order in state.orders.values()))",
            "tuple(o for o in OLD if state.orders[o.client_order_id].status != 'prepared')",
        ),
        (
            "a start asks about no order",
            "rebalancer.desk.daemon:Daemon._reconcile",
            "self.open_orders",
            "()",
        ),
        (
            "a start forgets the last record",
            "rebalancer.desk.recovery:recover",
            "fold(desk, history)",
            "fold(desk, history[:-1])",
        ),
        (
            "a start sends prepared orders again",
            "rebalancer.desk.daemon:Daemon._reconcile",
            "await self.venues[intent.account].query(intent)",
            "await self.venues[intent.account].submit(intent)",
        ),
    )
)


@dataclass(frozen=True, slots=True)
class Kill:
    """The day on which a fault was found out, and the first promise that it broke."""

    mutant: str
    seed: int
    promise: str


def killed(mutant: Mutant, seed: int) -> str | None:
    """Return the first promise of the judge that the fault breaks on a day; None for none."""
    with planted(mutant):
        world = lived(day_of(seed))
    problems = judge(world)
    found = [each.partition(":")[0] for each in problems if not each.startswith(BY_ITSELF)]
    return found[0] if found else None


def hunted(mutant: Mutant, seeds: Iterable[int] = range(SEEDS_MAX)) -> Kill | None:
    """Return the first kill among `seeds`."""
    for seed in seeds:
        promise = killed(mutant, seed)
        if promise is not None:
            return Kill(mutant.name, seed, promise)
    return None


def recorded() -> dict[str, Kill]:
    """Return the table of kills, by mutant."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = [
            Kill(row["mutant"], int(row["seed"]), row["promise"]) for row in csv.DictReader(file)
        ]
    return {kill.mutant: kill for kill in rows}


def write(kills: Iterable[Kill]) -> None:
    """Write the table of kills."""
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("mutant", "seed", "promise"))
        table.writerows((kill.mutant, kill.seed, kill.promise) for kill in kills)
