"""Commands that read the store: they work while a desk runs and while none does, and say which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.gaps import show_gaps
from rebalancer.cli.operating import is_running, running_mode
from rebalancer.cli.options import AsJson, ConfigPath, fund_names
from rebalancer.cli.output import (
    NONE,
    age,
    console,
    moment,
    money,
    note,
    print_json,
    table,
    times,
    when,
)
from rebalancer.cli.output import (
    nav as nav_text,
)
from rebalancer.cli.stored import desk_now_ms, opened_alone, opened_quietly
from rebalancer.core.money import text, text_or_none
from rebalancer.errors import InputRefused

if TYPE_CHECKING:
    from rebalancer.ports import NavView
    from rebalancer.store.rows import RunRow, ScopeRow

FundFilter = Annotated[
    str | None,
    typer.Argument(help="Name of a fund. Default: all.", autocompletion=fund_names),
]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="How many.")]


@told
def nav(
    fund: FundFilter = None,
    gap: Annotated[bool, typer.Option("--gap", help="Say why the two NAVs differ.")] = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Show both NAVs of every fund and how old their price is."""
    if gap:
        show_gaps(fund, config, as_json=as_json)
        return
    with opened_quietly(config) as (desk, reader):
        running = is_running(desk.control_socket)
        views = views_of(reader.views(), fund)
    now_ms = desk_now_ms(desk, views, running=running)
    mode = running_mode(desk.control_socket) if running else ""
    note(headline(mode, views, now_ms, running=running))
    if as_json:
        print_json({view.fund: view_document(view) for view in views})
        return
    rows = [
        [
            view.fund,
            nav_text(view.nav),
            nav_text(view.formula_nav),
            money(_gap_bps(view)),
            times(view.leverage),
            money(view.shares),
            _price(view, now_ms, live=running and not view.stale),
        ]
        for view in views
    ]
    columns = (
        "fund",
        ">account NAV",
        ">formula NAV",
        ">gap bp",
        ">leverage",
        ">shares",
        "price",
    )
    console().print(table("", columns, rows))


@told
def history(
    fund: FundFilter = None, limit: Limit = 20, config: ConfigPath = None, as_json: AsJson = False
) -> None:
    """Show the latest rebalances, newest first."""
    with opened_alone(config) as reader:
        if fund is not None:
            views_of(reader.views(), fund)
        runs = reader.runs(fund, limit)
    if as_json:
        print_json([run_document(run) for run in runs])
        return
    rows = [
        [
            moment(run.opened_ms),
            run.fund,
            # Nearly all are done, so that only the others say how they stand.
            str(run.trigger) if run.status == "done" else f"{run.trigger}, {run.status}",
            f"{times(run.leverage_before)} -> {times(run.leverage_after)}",
            nav_text(run.nav_after or run.nav_before),
            money(run.cost),
            run.reason,
        ]
        for run in runs
    ]
    columns = ("at", "fund", "trigger", ">leverage", ">NAV", ">cost", "reason")
    console().print(table("", columns, rows))


def views_of(views: tuple[NavView, ...], fund: str | None) -> tuple[NavView, ...]:
    """Return the views of one fund, or of all; InputRefused where the store has no such fund."""
    if fund is None:
        return views
    found = tuple(view for view in views if view.fund == fund)
    if not found:
        known = ", ".join(view.fund for view in views) or "none yet"
        raise InputRefused(f"the store knows no fund {fund}; known are {known}")
    return found


def headline(mode: str, views: tuple[NavView, ...], now_ms: int, *, running: bool) -> str:
    """Say whether a desk runs, and how old what is shown is."""
    saved_ms = max((view.at_ms for view in views), default=None)
    if running:
        return f"the desk runs ({mode}); views of {moment(saved_ms)}"
    since = NONE if saved_ms is None else age(now_ms - saved_ms)
    return f"no desk runs; this is what the store holds, views {since} old"


def _price(view: NavView, now_ms: int, *, live: bool) -> str:
    old = NONE if view.price_at_ms is None else age(now_ms - view.price_at_ms)
    return f"{'live' if live else 'stale'}, {old} old"


def _gap_bps(view: NavView) -> Any:
    if view.nav is None or not view.formula_nav:
        return None
    return (view.nav / view.formula_nav - 1) * 10_000


def premium(view: NavView) -> str:
    """Write the premium with its stage: +25.0% (warn)."""
    if not view.premium_stage:
        return NONE
    shown = "unknown" if view.premium is None else f"{view.premium:+.1%}"
    return shown if view.premium_stage == "none" else f"{shown} ({view.premium_stage})"


def view_document(view: NavView) -> dict[str, Any]:
    """Return a view as JSON can hold it."""
    return {
        "at": when(view.at_ms),
        "nav": text_or_none(view.nav),
        "formula_nav": text_or_none(view.formula_nav),
        "leverage": text_or_none(view.leverage),
        "target_leverage": text_or_none(view.target_leverage),
        "equity": text_or_none(view.equity),
        "shares": text_or_none(view.shares),
        "price_at": None if view.price_at_ms is None else when(view.price_at_ms),
        "stale": view.stale,
        "premium": text_or_none(view.premium),
        "premium_stage": view.premium_stage or None,
        "state": view.trading,
        "run": view.run or None,
        "next_fixed": None if view.next_fixed_ms is None else when(view.next_fixed_ms),
    }


def run_document(run: RunRow) -> dict[str, Any]:
    """Return a run as JSON can hold it."""
    return {
        "run_id": run.run_id,
        "at": when(run.opened_ms),
        "ended_at": None if run.ended_ms is None else when(run.ended_ms),
        "fund": run.fund,
        "trigger": str(run.trigger),
        "reason": run.reason,
        "status": str(run.status),
        "nav": text_or_none(run.nav_after),
        "leverage_before": text_or_none(run.leverage_before),
        "leverage_after": text_or_none(run.leverage_after),
        "delta_units": {symbol: text(units) for symbol, units in run.delta_units.items()},
        "cost": text(run.cost),
        "slippage": text_or_none(run.slippage),
    }


def scope_document(row: ScopeRow) -> dict[str, Any]:
    """Return the state of a scope as JSON can hold it."""
    return {
        "scope": str(row.scope),
        "name": row.name,
        "state": str(row.state),
        "reason": row.reason,
        "at": when(row.at_ms),
    }
