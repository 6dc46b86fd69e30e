"""Plans over HTTP: made on the live state, kept for a while, and applied by their digest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Path

from rebalancer.api.command_documents import Applied, AppliedRun, Plan
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

    def make(self, tokens: Sequence[str], reason: str) -> Plan:
        """Plan a rebalance of these tokens; raises ApiProblem with the desk's own sentence."""
        try:
            document = self._planner().propose({"funds": tokens, "reason": reason})["plan"]
        except CommandRefused as refused:
            raise ApiProblem(HTTPStatus.CONFLICT, str(refused)) from None
        plan_id = str(document["digest"])
        self._kept[plan_id] = document
        while len(self._kept) > PLANS_MAX:
            self._kept.popitem(last=False)
        return Plan(
            plan_id=plan_id,
            time=parse(document["as_of"], "as_of"),
            expires=parse(document["expires"], "expires"),
            apply=document["apply"],
            plan=document,
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

    def _planner(self) -> Planner:
        planner = self._desk.planner()
        if planner is None:
            raise ApiProblem(HTTPStatus.CONFLICT, "this desk has nothing that plans")
        return planner
