"""The status command: every fund as it stands, once or again and again."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.operating import is_running, running_mode
from rebalancer.cli.options import AsJson, ConfigPath
from rebalancer.cli.output import (
    NONE,
    age,
    console,
    largest,
    money,
    nav,
    note,
    print_json,
    table,
    target,
    times,
)
from rebalancer.cli.reading import headline, premium, scope_document, view_document
from rebalancer.cli.stored import desk_now_ms, opened_quietly
from rebalancer.core.instant import parse_duration
from rebalancer.core.order import OrderStatus
from rebalancer.core.scope import title

if TYPE_CHECKING:
    from rebalancer.cli.listing import Listing
    from rebalancer.cli.places import Places
    from rebalancer.ports import NavView
    from rebalancer.store.reader import SqlReader
    from rebalancer.store.rows import OrderRow, ScopeRow

Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on showing it, to ctrl-c.")]
Every = Annotated[str, typer.Option("--every", help="With --watch: how often, 2s or 1m.")]
#: orders that may still trade or whose fate is open
_UNRESOLVED = (OrderStatus.PREPARED, OrderStatus.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is shown, as of one look."""

    mode: str
    running: bool
    now_ms: int
    views: tuple[NavView, ...]
    #: latest verdict of each fund, in words
    verdicts: dict[str, str]
    scopes: tuple[ScopeRow, ...]
    orders: tuple[OrderRow, ...]

    @property
    def headline(self) -> str:
        """Whether a desk runs, and how old what is shown is."""
        return headline(self.mode, self.views, self.now_ms, running=self.running)

    def warnings(self) -> Iterator[str]:
        """Yield what a person should look at."""
        for row in self.scopes:
            yield f"{title(row.scope, row.name)} is {row.state}: {row.reason}"
        for order in self.orders:
            what = f"order {order.client_order_id} on {order.contract} for {largest(order.wanted)}"
            yield f"{what} is {order.status}"

    def table(self) -> Listing:
        """Return the funds, one line each."""
        watched = any(view.premium_stage for view in self.views)
        rows = [
            [
                view.fund,
                nav(view.nav),
                times(view.leverage),
                target(view.target_leverage),
                money(view.equity),
                *([premium(view)] if watched else []),
                view.run or view.trading,
                self._next_in(view.next_fixed_ms),
                self.verdicts.get(view.fund, NONE),
            ]
            for view in self.views
        ]
        columns = ["fund", ">NAV", ">leverage", ">target", ">equity"]
        columns += [">premium"] if watched else []
        return table("", (*columns, "state", ">next in", "verdict"), rows)

    def _next_in(self, next_fixed_ms: int | None) -> str:
        if next_fixed_ms is None:
            return NONE
        # While no desk runs its time may come and go.
        return age(next_fixed_ms - self.now_ms) if next_fixed_ms > self.now_ms else "due"

    def document(self) -> dict[str, Any]:
        """Return it for a program."""
        return {
            "running": self.running,
            "mode": self.mode,
            "funds": {
                view.fund: view_document(view) | {"verdict": self.verdicts.get(view.fund)}
                for view in self.views
            },
            "not_active": [scope_document(row) for row in self.scopes],
            "unresolved_orders": [order.client_order_id for order in self.orders],
        }


@told
def status(
    watch: Watch = False, every: Every = "2s", config: ConfigPath = None, as_json: AsJson = False
) -> None:
    """Show every fund: NAV, leverage, state, verdict and next fixed time."""
    seconds = parse_duration(every, "--every") / 1_000
    with opened_quietly(config) as (desk, reader):
        if watch:
            _watch(desk, reader, seconds, as_json=as_json)
            return
        seen = look(desk, reader)
    if as_json:
        print_json(seen.document())
        return
    note(seen.headline)
    console().print(seen.table())
    for warning in seen.warnings():
        note(warning)


def look(desk: Places, reader: SqlReader) -> Standing:
    """Return how every fund stands now."""
    running, views = is_running(desk.control_socket), reader.views()
    return Standing(
        mode=running_mode(desk.control_socket) if running else desk.mode,
        running=running,
        now_ms=desk_now_ms(desk, views, running=running),
        views=views,
        verdicts={row.fund: row.reason for row in reader.verdicts()},
        scopes=reader.scopes(),
        orders=tuple(order for each in _UNRESOLVED for order in reader.orders(status=each)),
    )


def _watch(desk: Places, reader: SqlReader, seconds: float, *, as_json: bool) -> None:
    """Show it anew in place on a terminal; through a pipe print it again and again."""
    from rich.console import Group  # noqa: PLC0415 - not needed to print --help
    from rich.live import Live  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    out = console()
    if as_json or not out.is_terminal:
        while True:
            seen = look(desk, reader)
            if as_json:
                sys.stdout.write(json.dumps(seen.document()) + "\n")
            else:
                out.print(Group(seen.headline, *seen.warnings(), seen.table()))
            sys.stdout.flush()
            time.sleep(seconds)
    # What has no room in the window is left out, at its end: what is wrong stands before the funds.
    with Live(console=out, auto_refresh=False, vertical_overflow="ellipsis") as shown:
        while True:
            seen = look(desk, reader)
            words = [Text(each, style="yellow") for each in seen.warnings()]
            shown.update(Group(Text(seen.headline, style="dim"), *words, seen.table()))
            shown.refresh()
            time.sleep(seconds)
