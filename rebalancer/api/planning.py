"""Plans over HTTP: made on the live state, kept for a while, and applied by their digest."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Path

from rebalancer.api.command_documents import AccountAfter, Applied, AppliedRun, Plan, TradeCost
from rebalancer.api.desk import DeskDoor
from rebalancer.api.problems import ApiProblem
from rebalancer.core.events import PlanOffered
from rebalancer.core.instant import parse
from rebalancer.desk.control import Planner
from rebalancer.errors import CommandRefused

#: plans that wait to be applied; the oldest makes room
PLANS_MAX = 100

PlanId = Annotated[str, Path(alias="planId", pattern="^[0-9a-f]{64}$")]


class Plans:
    """The latest plans, by digest."""

    def __init__(self, desk: DeskDoor) -> None:
        self._desk = desk
        self._kept: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._estimating = asyncio.Lock()

    async def make(self, tokens: Sequence[str], reason: str, *, costs: bool = True) -> Plan:
        """Plan a rebalance of these tokens; raises ApiProblem with the desk's own sentence."""
        try:
            document = self._planner().propose({"funds": tokens, "reason": reason})["plan"]
        except CommandRefused as refused:
            raise ApiProblem(HTTPStatus.CONFLICT, str(refused)) from None
        plan_id = str(document["digest"])
        self._kept[plan_id] = document
        while len(self._kept) > PLANS_MAX:
            self._kept.popitem(last=False)
        told = await self._costs(document["trades"]) if costs else None
        return Plan(
            plan_id=plan_id,
            time=parse(document["as_of"], "as_of"),
            expires=parse(document["expires"], "expires"),
            apply=document["apply"],
            costs=[TradeCost(**each) for each in told["trades"]] if told else [],
            accounts=[
                AccountAfter(account=name, **after) for name, after in document["accounts"].items()
            ],
            plan=document if told is None else {**document, "costs": told},
        )

    def offer(self, plan_id: str) -> PlanOffered:
        """Return what carries a plan out; raises ApiProblem where it is not known any more."""
        document = self._kept.get(plan_id)
        if document is None:
            raise ApiProblem(
                HTTPStatus.NOT_FOUND, "there is no such plan any more; make one: POST /api/v1/plans"
            )
        try:
            return self._planner().offer({"plan": document})
        except CommandRefused as refused:
            raise ApiProblem(HTTPStatus.CONFLICT, str(refused)) from None

    @staticmethod
    def applied(plan_id: str, led_to: Mapping[str, Any]) -> Applied:
        """Return what the desk says of a plan that it took."""
        runs = [
            AppliedRun(
                token_name=run["fund"], rebalance_id=run["run_id"], deltas=run["delta_units"]
            )
            for run in led_to["runs"]
        ]
        return Applied(plan_id=plan_id, time=led_to["at_ms"], runs=runs)

    async def _costs(self, trades: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """Estimate what the trades would cost; one plan at a time, as each may ask a venue."""
        estimate = self._desk.costs()
        if estimate is None:
            return None
        async with self._estimating:
            return await estimate(trades)

    def _planner(self) -> Planner:
        planner = self._desk.planner()
        if planner is None:
            raise ApiProblem(HTTPStatus.CONFLICT, "this desk has nothing that plans")
        return planner
