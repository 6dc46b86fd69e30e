"""The demo: a whole paper desk in one process, and a view of it that people like to watch."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from decimal import Decimal
from importlib import resources

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rebalancer import logs
from rebalancer.bootstrap import open_daemon
from rebalancer.cli.output import console, money, nav, table, target, times
from rebalancer.core.actions import RESOLVED, Alert
from rebalancer.core.instant import duration, iso
from rebalancer.core.methodology import Trigger
from rebalancer.core.records import (
    Crossed,
    FixedSettled,
    FundWiped,
    Record,
    RunMoved,
    RunOpened,
    Traded,
)
from rebalancer.core.run import RunPlan, RunStatus
from rebalancer.desk.daemon import Daemon
from rebalancer.desk.views import view_funds, view_prices
from rebalancer.ports import NavView
from rebalancer.settings import Config, parse
from rebalancer.store.memory import MemoryStore

LINES = 14
FRAMES_PER_SECOND = 8
#: the leverage gauge reaches this far to both sides of the target, as a share of it
GAUGE_REACH = Decimal("0.4")
GAUGE_CELLS = 20


def demo_config(seed: int, speed: int) -> Config:
    """Return the demo's configuration."""
    text = resources.files("rebalancer.cli").joinpath("demo.toml").read_text(encoding="utf-8")
    return parse(text, "demo.toml", {}, {"feed": {"seed": seed, "speed": speed}})


async def play(stop: asyncio.Event, *, seconds: float | None, seed: int, speed: int) -> None:
    """Run the demo until `stop` is set or `seconds` have passed; print a summary at the end."""
    logs.configure(level="error")
    out = console()
    tape = Tape(out if not out.is_terminal else None)
    daemon = await open_daemon(
        demo_config(seed, speed),
        MemoryStore(),
        publishers=(tape,),
        on_alert=tape.alert,
        control=False,
    )
    screen = Screen(daemon, tape, speed)
    running = asyncio.create_task(daemon.run(stop))
    showing = asyncio.create_task(screen.show(out))
    try:
        async with asyncio.timeout(seconds):
            await asyncio.wait({running, showing}, return_when=asyncio.FIRST_COMPLETED)
    except TimeoutError:
        pass
    stop.set()
    await running
    showing.cancel()
    await asyncio.gather(showing, return_exceptions=True)
    out.print(screen.summary())


class Tape:
    """What happened, as one line each; printed at once where there is no terminal to redraw."""

    def __init__(self, out: Console | None) -> None:
        self.lines: deque[Text] = deque(maxlen=LINES)
        self.runs: Counter[tuple[str, str]] = Counter()
        self.orders = 0
        self.crosses = 0
        self.returned = 0
        self.fees = Decimal(0)
        self._out = out
        self._open: dict[str, RunPlan] = {}

    def publish(self, records: Sequence[Record]) -> None:
        """Follow committed records."""
        for record in records:
            if isinstance(record, RunOpened):
                self._open[record.plan.run_id] = record.plan
            elif isinstance(record, RunMoved):
                self._moved(record)
            elif isinstance(record, Traded):
                self.orders += 1
                self.fees += record.fill.fee
                self._say(record.at_ms, _trade_line(record), "")
            elif isinstance(record, Crossed):
                self.crosses += 1
            elif isinstance(record, FundWiped):
                self._say(record.at_ms, f"{record.fund} ended: {record.reason}", "bold red")
            elif isinstance(record, FixedSettled) and record.settlement != "run":
                self._say(record.at_ms, f"{record.fund} {record.reason}", "yellow")

    def alert(self, alert: Alert) -> None:
        """Show an alert; of one that is over only that, as what it was stands further up."""
        name = alert.name.removesuffix(RESOLVED)
        text = "over" if name != alert.name else alert.text
        self._say(alert.at_ms, f"{alert.subject:<6} {name}: {text}", "yellow")

    def _moved(self, record: RunMoved) -> None:
        plan = self._open.get(record.run_id)
        if plan is None or record.status is not RunStatus.DONE:
            return
        self.runs[plan.fund, str(plan.trigger)] += 1
        if record.leverage is not None:
            near = abs(record.leverage - plan.target_leverage)
            self.returned += near < abs(plan.target_leverage) / 100
        style = {Trigger.FIXED: "cyan", Trigger.LAUNCH: "green"}.get(plan.trigger, "magenta")
        line = (
            f"{plan.fund:<6} {plan.trigger:<10} {times(plan.leverage):>9} -> "
            f"{times(record.leverage):>9}  NAV {nav(record.nav)}"
        )
        self._say(record.at_ms, line, style)

    def _say(self, at_ms: int, line: str, style: str) -> None:
        shown = Text(f"{iso(at_ms)[5:19].replace('T', ' ')}  ", style="dim")
        shown.append(line, style=style)
        self.lines.append(shown)
        if self._out is not None:
            self._out.print(shown, soft_wrap=True)


def _trade_line(record: Traded) -> str:
    side = "buy " if record.units > 0 else "sell"
    for_funds = ", ".join(name for name, units in record.allocations.items() if units)
    return (
        f"{record.account:<6} order      {side} {record.fill.contracts:f} {record.contract} "
        f"at {money(record.fill.price)} for {for_funds}"
    )


class Screen:
    """The live view."""

    def __init__(self, daemon: Daemon, tape: Tape, speed: int) -> None:
        self._daemon = daemon
        self._tape = tape
        self._speed = speed
        self._started_ms = daemon.clock.now_ms()

    async def show(self, out: Console) -> None:
        """Redraw until cancelled; where there is no terminal the tape speaks instead."""
        if not out.is_terminal:
            await asyncio.Event().wait()
        with Live(console=out, auto_refresh=False, transient=True) as live:
            while True:
                live.update(self.frame(), refresh=True)
                await asyncio.sleep(1 / FRAMES_PER_SECOND)

    def frame(self) -> Group:
        """Return one picture of the desk."""
        now_ms = self._daemon.clock.now_ms()
        prices = "   ".join(
            f"{symbol.partition('/')[0]} {money(price)}"
            for symbol, price in view_prices(self._daemon.state).items()
        )
        head = Text.assemble(
            (" PAPER ", "bold black on green"),
            f"  {iso(now_ms)[:19].replace('T', ' ')} UTC  x{self._speed}   ",
            (prices, "bold"),
        )
        made = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("fund", ">NAV", ">change", "leverage", ">", ">target", "next fixed", "state"):
            made.add_column(
                name.removeprefix(">"), justify="right" if name.startswith(">") else "left"
            )
        for view in view_funds(self._daemon.state, now_ms):
            made.add_row(*self._row(view, now_ms))
        quit_hint = Text("ctrl-c ends the demo", style="dim")
        return Group(head, Text(), made, Text(), *self._tape.lines, Text(), quit_hint)

    def _row(self, view: NavView, now_ms: int) -> list[Text | str]:
        start = self._daemon.state.desk.funds[view.fund].initial_nav
        change = None if view.nav is None else (view.nav / start - 1) * 100
        colour = "" if not change else "green" if change > 0 else "red"
        due = "-" if view.next_fixed_ms is None else "in " + duration(view.next_fixed_ms - now_ms)
        return [
            Text(view.fund, style="bold"),
            nav(view.nav),
            Text("-" if change is None else f"{change:+.2f} %", style=colour),
            gauge(view.leverage, view.target_leverage),
            times(view.leverage),
            target(view.target_leverage),
            due,
            view.run or view.trading,
        ]

    def summary(self) -> Group:
        """Return what the demo showed, for the end."""
        tape, now_ms = self._tape, self._daemon.clock.now_ms()
        rows = []
        for view in view_funds(self._daemon.state, now_ms):
            counts = {kind: n for (fund, kind), n in tape.runs.items() if fund == view.fund}
            rows.append(
                [
                    view.fund,
                    nav(view.nav),
                    nav(view.formula_nav),
                    times(view.leverage),
                    target(view.target_leverage),
                    str(counts.pop("fixed", 0)),
                    ", ".join(f"{n} {kind}" for kind, n in counts.items()) or "none",
                    view.trading,
                ]
            )
        columns = (
            "fund",
            ">NAV",
            ">formula NAV",
            ">leverage",
            ">target",
            ">fixed runs",
            "other runs",
            "state",
        )
        lived = duration(now_ms - self._started_ms)
        total = sum(tape.runs.values())
        return Group(
            table(f"The desk lived {lived} of simulated time", columns, rows),
            Text(),
            Text(
                f"{total} runs, {tape.returned} ended within 1 % of the target leverage; "
                f"{tape.orders} trades, {tape.crosses} crosses inside the desk, "
                f"{money(tape.fees)} USDT of fees"
            ),
        )


def gauge(leverage: Decimal | None, target: Decimal) -> Text:
    """Draw leverage between 40 % under and 40 % over the target, which is in the middle."""
    cells = ["·"] * (GAUGE_CELLS + 1)
    cells[GAUGE_CELLS // 2] = "|"
    style = "dim"
    if leverage is not None:
        drift = leverage / target - 1
        place = (drift / GAUGE_REACH + 1) * GAUGE_CELLS / 2
        cells[min(GAUGE_CELLS, max(0, int(place + Decimal("0.5"))))] = "●"
        far = abs(drift)
        style = "green" if far < Decimal("0.03") else "yellow" if far < Decimal("0.2") else "red"
    return Text("".join(cells), style=style)
