"""Takes a new configuration over while the desk runs: fund by fund, whole, never inside a run."""

from __future__ import annotations

from dataclasses import replace

from rebalancer.core.actions import Severity
from rebalancer.core.configuration import ConfigurationChanged, FundReconfigured, Waiting
from rebalancer.core.events import ConfigurationOffered
from rebalancer.core.fund import Fund, PriceSource
from rebalancer.core.instant import iso
from rebalancer.core.records import FixedSettled, Settlement
from rebalancer.core.state import DeskState, FundState
from rebalancer.core.work import Work
from rebalancer.errors import CommandRefused


def on_configuration(work: Work, event: ConfigurationOffered) -> None:
    """Take over `event`, or refuse it before anything changed.

    A fund with a run under way keeps its settings until the run is over; one whose difference
    counts from the next point keeps them until a rule asks for a run.
    """
    refuse_configuration(work.state, event)
    waits: dict[str, Waiting] = {}
    ready: list[Waiting] = []
    for name, wanted in event.funds.items():
        fund = work.state.funds.get(name)
        if fund is None:
            _add(work.state, wanted)
            work.due.add(name)
            continue
        before, fund.waiting = fund.waiting, None
        if fund.fund == wanted:
            continue
        later = name in event.at_point or (before is not None and before.for_point)
        waiting = Waiting(wanted, event.digest, later and fund.launched_ms is not None)
        if waiting.for_point or fund.run is not None:
            waits[name] = waiting
        else:
            ready.append(waiting)
    work.record(
        ConfigurationChanged(
            work.now_ms, event.before, event.digest, event.differences, tuple(waits)
        )
    )
    for name, waiting in waits.items():
        work.state.funds[name].waiting = waiting
    for waiting in ready:
        fund = work.state.funds[waiting.fund.name]
        fund.waiting = waiting
        _adopt(work, fund, waiting)
        work.due.add(fund.name)
    work.alert(Severity.INFO, "configuration_changed", "desk", f"now {event.digest[:12]}")


def refuse_configuration(state: DeskState, event: ConfigurationOffered) -> None:
    """Raise CommandRefused where the running desk cannot become what is offered."""
    if event.before != state.config_digest:
        raise CommandRefused(
            "the desk runs on another configuration than the one that was compared; reload again"
        )
    for name in state.funds.keys() - event.funds.keys():
        raise CommandRefused(_gone(state.funds[name]))
    # As configured, and as it still is: one may be on its way from the price source of before.
    run = (*state.desk.funds.values(), *(each.fund for each in state.funds.values()))
    known = {need for fund in run for need in _needs(fund)}
    for name, wanted in event.funds.items():
        fund = state.funds.get(name)
        if fund is not None and fund.fund.account != wanted.account:
            raise CommandRefused(
                f"funds.{name}.account: cannot change while the desk runs: the fund is on account "
                f"{fund.fund.account}"
            )
        if wanted.account and wanted.account not in state.accounts:
            raise CommandRefused(f"funds.{name}.account: account {wanted.account} needs a restart")
        if fund is not None and {*wanted.symbols} != {*fund.fund.symbols}:
            raise CommandRefused(
                f"funds.{name}.basket: its contracts change, which needs a restart; weights may "
                "change while the desk runs"
            )
        for symbol, source in _needs(wanted):
            if (symbol, source) not in known:
                raise CommandRefused(
                    f"funds.{name}: the running desk has no {source} price of {symbol}; restart it"
                )


def _needs(fund: Fund) -> list[tuple[str, PriceSource]]:
    return [(symbol, source) for symbol in fund.symbols for source in fund.sources]


def _gone(fund: FundState) -> str:
    if fund.launched_ms is None:
        return f"funds.{fund.name}: taking a fund away needs a restart"
    return (
        f"funds.{fund.name}: the fund is launched and cannot be ended by deleting its lines; put "
        f"them back, and end it with: rebalancer close {fund.name} --reason WHY"
    )


def _add(state: DeskState, wanted: Fund) -> None:
    """Have the desk run a fund more, with contracts and an account that it knows already."""
    fund = FundState(wanted, config_digest=state.config_digest)
    state.rank[fund.name] = len(state.rank)
    state.funds[fund.name] = fund
    for symbol in wanted.symbols:
        state.holders[symbol] = (*state.holders.get(symbol, ()), fund.name)
    _put(state, wanted)


def adopt_idle(work: Work, fund: FundState) -> None:
    """Take over what waited for the end of a run, where it waits for nothing else."""
    waiting = fund.waiting
    if waiting is not None and not waiting.for_point and fund.run is None:
        _adopt(work, fund, waiting)


def adopt_at_point(work: Work, fund: FundState) -> bool:
    """Take over what waited for a run to be asked for; say whether there was anything.

    Not while there is a run: one that takes its place still follows the settings it was opened by.
    """
    if fund.waiting is None or fund.run is not None:
        return False
    _adopt(work, fund, fund.waiting)
    return True


def _adopt(work: Work, fund: FundState, waiting: Waiting) -> None:
    before, wanted, fund.waiting = fund.fund, waiting.fund, None
    if wanted.price_source is not before.price_source:
        # No reload changes it: the fund is still on its way from the source of before its start.
        wanted = replace(wanted, price_source=before.price_source)
    fund.fund = wanted
    fund.suspicions.clear()
    fund.restless = True
    _put(work.state, waiting.fund)
    work.record(FundReconfigured(work.now_ms, fund.name, waiting.digest))
    _begin_schedule(work, fund, before)
    work.touch(fund)


def _put(state: DeskState, fund: Fund) -> None:
    state.desk = replace(state.desk, funds={**state.desk.funds, fund.name: fund})


def _begin_schedule(work: Work, fund: FundState, before: Fund) -> None:
    """Let new fixed times begin now: those of them that lie in the past were never promised."""
    rule, old = fund.fund.methodology.fixed, before.methodology.fixed
    after_ms = fund.launched_ms if fund.fixed_settled_ms is None else fund.fixed_settled_ms
    if rule is None or after_ms is None or rule == old:
        return
    still_open = old.due_between(after_ms, work.now_ms) if old else ()
    until_ms = still_open[0] - 1 if still_open else work.now_ms
    past = rule.due_between(after_ms, until_ms)
    if past:
        reason = f"skipped: the fixed times were changed at {iso(work.now_ms)}"
        settled = FixedSettled(work.now_ms, fund.name, past[-1], Settlement.SKIPPED, reason)
        work.record(settled)
