"""The plan of a rebalance to target, from the running desk, or from the store where none runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rebalancer.cli.exits import DeskUnreachable
from rebalancer.cli.operating import ANSWER_SECONDS, ask_at, is_running
from rebalancer.cli.output import NONE, age, console, money, nav, note, share, table
from rebalancer.cli.plan_words import deltas, trade_lines, written_times
from rebalancer.cli.snapshots import snapshot_of_store
from rebalancer.core.money import total
from rebalancer.errors import InputRefused

if TYPE_CHECKING:
    from rich.console import Console

    from rebalancer.settings import Config

#: said of a plan that no running desk made; it cannot be applied
_STORED = "no desk runs; this is planned from what the store holds, prices {} old"


def proposed(settings: Config, funds: Sequence[str], reason: str, *, book: bool) -> dict[str, Any]:
    """Return the plan of the running desk, else that of the store, with what it would cost."""
    if is_running(settings.desk.control_socket):
        request = {"command": "plan", "funds": list(funds), "reason": reason}
        answer = ask_at(settings.desk.control_socket, request, ANSWER_SECONDS)
        document: dict[str, Any] = answer["plan"]
        if document["config_digest"] != settings.digest:
            note("the file differs from what the desk runs on; see: rebalancer config diff")
    else:
        document = _from_store(settings, funds, reason)
    if book:
        from rebalancer.costing import estimate  # noqa: PLC0415 - not needed to print --help

        document["costs"] = asyncio.run(estimate(settings, document["trades"]))
    return document


def _from_store(settings: Config, funds: Sequence[str], reason: str) -> dict[str, Any]:
    from rebalancer.core import engine  # noqa: PLC0415 - not needed to print --help
    from rebalancer.sim.proposal import Asked, propose  # noqa: PLC0415 - as above

    taken, old_ms = snapshot_of_store(settings)
    note(_STORED.format(age(old_ms)))
    for tick in taken.ticks:
        taken.state.market.observe(tick, taken.as_of_ms, trusted=True)
    engine.begin(taken.state)
    document = propose(taken.state, Asked(taken.as_of_ms, funds, 0, reason))
    return {"mode": str(settings.mode), **document}


def save(document: Mapping[str, Any], path: Path, settings: Config) -> None:
    """Write a plan that can be applied to a new file; an older one is never overwritten."""
    if "digest" not in document:
        raise DeskUnreachable(
            f"no desk answers at {settings.desk.control_socket}, and only a running one makes a "
            "plan that can be applied; start it with: rebalancer run"
        )
    if not document["apply"]:
        raise InputRefused("--out: nothing of this plan can be carried out; its reasons say why")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    except FileExistsError:
        raise InputRefused(f"--out {path}: exists already; name a new file") from None
    except OSError as error:
        raise InputRefused(f"--out {path}: cannot be written: {error.strerror}") from None
    note(f"apply it until {document['expires']}: rebalancer apply {path}")


def has_orders(document: Mapping[str, Any]) -> bool:
    """Whether something would be traded, at the venue or inside the desk."""
    return bool(document["orders"] or document["crosses"])


def show(document: Mapping[str, Any]) -> None:
    """Print a plan for a person."""
    out = console()
    rows = [
        [
            name,
            nav(Decimal(fund["nav"])),
            f"{written_times(fund['leverage'])} -> {written_times(fund['after']['leverage'])}",
            deltas(fund) or NONE,
            money(total(Decimal(each) for each in fund["delta_notional"].values())),
            fund["reason"] if name not in document["apply"] else fund["rules_say"] or NONE,
        ]
        for name, fund in document["funds"].items()
    ]
    columns = ("fund", ">NAV", ">leverage", ">delta", ">notional", "rules say")
    title = f"Plan as of {document['as_of']}, {document['mode']}: rebalance to target"
    out.print(table(title, columns, rows))
    for name, why in document["not_valued"].items():
        out.print(f"{name}: left out: {why}")
    _show_orders(out, document)
    _show_accounts(out, document)


def _show_orders(out: Console, document: Mapping[str, Any]) -> None:
    for line in trade_lines(document):
        out.print(line)
    if not has_orders(document):
        out.print("no orders")
    for cost in document.get("costs", {}).get("trades", ()):
        out.print(
            f"cost of {cost['contract']} on {cost['account']}: fee {_cost(cost, 'fee')}, "
            f"slippage {_cost(cost, 'slippage')}; by {cost['told_by'] or 'nobody'}"
        )


def _show_accounts(out: Console, document: Mapping[str, Any]) -> None:
    rows = []
    for name, each in document["accounts"].items():
        equity, margin = Decimal(each["equity"]), Decimal(each["initial_margin"])
        told = each["liquidation_move"]
        rows.append(
            [
                name,
                money(equity),
                money(Decimal(each["exposure"])),
                money(margin),
                f"{margin / equity * 100:.1f} %" if equity > 0 else NONE,
                share(None if told is None else Decimal(told)),
            ]
        )
    columns = (">equity", ">exposure", ">margin", ">of equity", ">liquidation at")
    out.print(table("Accounts after it", ("account", *columns), rows))


def _cost(cost: Mapping[str, Any], what: str) -> str:
    if cost[what] is None:
        return "unknown"
    return f"{money(Decimal(cost[what]))} ({Decimal(cost[f'{what}_bps']):.1f} bps)"
