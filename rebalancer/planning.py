"""Plans of a running desk: made on its live state, and taken back from an operator who agreed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rebalancer.core.events import Agreed, PlannedOrder, PlanOffered
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import parse
from rebalancer.core.money import number, positive
from rebalancer.core.order import OrderSide, PositionSide
from rebalancer.core.state import DeskState
from rebalancer.errors import CommandRefused, InputRefused
from rebalancer.ports import Clock
from rebalancer.settings import DeskSettings, Mode
from rebalancer.sim.proposal import KIND, Asked, propose

#: what of a document the desk looks at again when it is to be carried out
SEALED = ("kind", "as_of", "expires", "reason", "apply", "desk", "config_digest", "fingerprints")
SEALED_LISTS = ("prices", "orders", "crosses")
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def digest_of(document: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of what a plan would be carried out by."""
    sealed = {key: document.get(key) for key in (*SEALED, *SEALED_LISTS)}
    return hashlib.sha256(json.dumps(sealed, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Planner:
    """Plans on the state of a running desk."""

    state: DeskState
    clock: Clock
    settings: DeskSettings
    mode: Mode

    def propose(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Say what a rebalance of the named funds would do now; changes nothing."""
        funds = fields.get("funds") or ()
        if not isinstance(funds, Sequence) or isinstance(funds, str):
            raise CommandRefused("plan: funds is a list of names")
        reason = str(fields.get("reason") or "plan of an operator")[:500]
        asked = Asked(
            at_ms=self.clock.now_ms(),
            funds=[str(name) for name in funds],
            valid_ms=self.settings.plan_valid_ms,
            reason=reason,
        )
        try:
            document = {"mode": str(self.mode), **propose(self.state, asked)}
        except InputRefused as refused:
            raise CommandRefused(str(refused)) from None
        return {"plan": document | {"digest": digest_of(document)}}

    def offer(self, fields: Mapping[str, Any]) -> PlanOffered:
        """Return the event that carries a plan out; CommandRefused where it cannot be one."""
        document = fields.get("plan")
        if not isinstance(document, Mapping) or document.get("kind") != KIND:
            raise CommandRefused("this is no plan; make one with: rebalancer plan --out FILE")
        if document.get("digest") != digest_of(document):
            raise CommandRefused(
                "the plan was changed after it was made; make a new one instead of editing it"
            )
        try:
            return self._offer(document)
        except InputRefused as refused:
            raise CommandRefused(f"plan: {refused}") from None
        except _UNREADABLE:
            raise CommandRefused("the plan cannot be read; make a new one") from None

    def _offer(self, document: Mapping[str, Any]) -> PlanOffered:
        as_of_ms = parse(document["as_of"], "as_of")
        expires_ms = min(
            parse(document["expires"], "expires"), as_of_ms + self.settings.plan_valid_ms
        )
        agreed = Agreed(
            as_of_ms=as_of_ms,
            expires_ms=expires_ms,
            max_move=self.settings.plan_max_move,
            desk_id=str(document["desk"]),
            config_digest=str(document["config_digest"]),
            fingerprints={str(key): str(each) for key, each in document["fingerprints"].items()},
            orders=tuple(_order(each) for each in document["orders"]),
            crosses=dict(_crosses(document["crosses"])),
        )
        return PlanOffered(
            at_ms=self.clock.now_ms(),
            funds=tuple(str(name) for name in document["apply"]),
            reason=str(document["reason"])[:500],
            prices={
                (str(each["contract"]), PriceSource(each["source"])): positive(
                    each["price"], f"price of {each['contract']}"
                )
                for each in document["prices"]
            },
            agreed=agreed,
        )


def _order(each: Mapping[str, Any]) -> PlannedOrder:
    return PlannedOrder(
        account=str(each["account"]),
        contract=str(each["contract"]),
        side=OrderSide(each["side"]),
        position_side=PositionSide(each["position_side"]),
        contracts=number(each["contracts"], "contracts"),
        reduce_only=each["reduce_only"] is True,
    )


def _crosses(
    listed: Sequence[Mapping[str, Any]],
) -> list[tuple[tuple[str, str, str], Decimal]]:
    return [
        ((str(each["account"]), str(each["contract"]), str(name)), number(units, "crosses"))
        for each in listed
        for name, units in each["units"].items()
    ]
