"""How records that an older program wrote are brought up to date before they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
"""Turns the JSON object of one version (without `v`) into that of the next."""


def _command_with_scope(raw: dict[str, Any]) -> dict[str, Any]:
    """Commands were about one fund before they could be about more."""
    name = raw.pop("fund", None)
    return raw | {"name": name, "scope": "fund"}


def _with_sets_point(raw: dict[str, Any]) -> dict[str, Any]:
    return raw | {"plan": raw["plan"] | {"sets_point": True}}


def _funding_of_an_instant(raw: dict[str, Any]) -> dict[str, Any]:
    """Payments did not say when the venue settled them before they could be told twice."""
    return raw | {"settled_ms": None}


def _funding_of_the_present(raw: dict[str, Any]) -> dict[str, Any]:
    """Before what was held at a settlement was kept, what was held when it was told counted."""
    return raw | {"held": {}}


def _point_with_basket(raw: dict[str, Any]) -> dict[str, Any]:
    """Before baskets could change, a fund had the one of its configuration: empty."""
    return raw | {"weights": {}, "opened_ms": raw.get("at_ms")}


def _point_with_source(raw: dict[str, Any]) -> dict[str, Any]:
    """Read a point of before the source of its prices was kept: that of the configuration."""
    return raw | {"source": None}


def _run_with_basket(raw: dict[str, Any]) -> dict[str, Any]:
    """Do the same for a run that was under way then."""
    plan = raw.get("plan")
    return raw | {"plan": plan | {"base_weights": {}}} if isinstance(plan, dict) else raw


def _run_with_configuration(raw: dict[str, Any]) -> dict[str, Any]:
    """Read a run of before a configuration could change under a desk."""
    plan = raw.get("plan")
    return raw | {"plan": plan | {"config_digest": ""}} if isinstance(plan, dict) else raw


def _start_with_epoch(raw: dict[str, Any]) -> dict[str, Any]:
    """Read a start of before there were a number and a nonce."""
    return raw | {"epoch": 0, "nonce": ""}


def _period_with_terms(raw: dict[str, Any]) -> dict[str, Any]:
    """Read a period of before its terms were fixed at its start: those of the configuration."""
    return raw | {"rate": None, "coupon": None, "day_count": None}


def _without_prices(raw: dict[str, Any]) -> dict[str, Any]:
    """Read what a fund was worth at prices that nobody wrote down."""
    return raw | {"marks": {}, "prices": {}}


def _without_marks(raw: dict[str, Any]) -> dict[str, Any]:
    """Read what says the prices of the fund's own source, and not yet those of its equity."""
    return raw | {"marks": {}}


def _dealt_without_prices(raw: dict[str, Any]) -> dict[str, Any]:
    """Read a flow of before: of its fee, too, nobody wrote down what had grown due."""
    return _without_prices(raw) | {"fee_accrued": "0"}


def _struck_without_prices(raw: dict[str, Any]) -> dict[str, Any]:
    """Read a daily NAV of before prices of the fund's own source were kept; some have them."""
    return {"prices": {}} | raw


def _moved_without_slippage(raw: dict[str, Any]) -> dict[str, Any]:
    """Read a run of before its slippage was counted; some have it."""
    return {"slippage": None, "traded_notional": None} | raw


def _dealt_without_funding(raw: dict[str, Any]) -> dict[str, Any]:
    """Read a flow of before funding that had accrued was a part of its NAV."""
    return raw | {"funding_accrued": {}, "funding_unknown": []}


def _moved_without_absence(raw: dict[str, Any]) -> dict[str, Any]:
    """Read evidence of before it was kept how an order that is absent was looked for."""
    return raw | {"absence": None}


def _dealt_without_rates(raw: dict[str, Any]) -> dict[str, Any]:
    """Read a flow of before it was kept what the funding that had accrued came from."""
    return raw | {"funding_expected": {}}


#: By kind, the steps from version 1 to 2, from 2 to 3 and so on.
UPGRADERS: Mapping[str, Sequence[Upgrade]] = {
    "DeskStarted": (_start_with_epoch,),
    "CashPeriodBegun": (_period_with_terms, _without_marks),
    "CommandTaken": (_command_with_scope,),
    "Consolidated": (_without_prices,),
    "ConsolidationProposed": (_without_prices,),
    "FundWiped": (_without_marks,),
    "FlowDealt": (_dealt_without_prices, _dealt_without_funding, _dealt_without_rates),
    "FundingPosted": (_funding_of_an_instant, _funding_of_the_present),
    "ManagementFeeCharged": (_without_prices,),
    "NavStruck": (_struck_without_prices,),
    "OrderMoved": (_moved_without_absence,),
    "PointSet": (_point_with_basket, _point_with_source),
    "PremiumStaged": (_without_prices,),
    "RunMoved": (_moved_without_slippage,),
    "RunOpened": (_with_sets_point, _run_with_basket, _run_with_configuration),
}
