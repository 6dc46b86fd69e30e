"""What operators and the venue's news do to trading states: halt, reduce, resume, freeze."""

from __future__ import annotations

from rebalancer.core.actions import Severity
from rebalancer.core.breaks import BreakKind
from rebalancer.core.events import Commanded, CommandKind, ContractChanged, KillSwitchFound
from rebalancer.core.methodology import Trigger
from rebalancer.core.opening import stop
from rebalancer.core.records import CommandTaken, ScopeChanged, TradingChanged, TradingState
from rebalancer.core.relisting import lead_over, refuse_unpriced
from rebalancer.core.run import RunStatus
from rebalancer.core.scope import Scope, title
from rebalancer.core.state import DeskState, FundState
from rebalancer.core.work import Work
from rebalancer.errors import CommandRefused

_AIMS = {
    CommandKind.HALT: TradingState.HALTED,
    CommandKind.REDUCE: TradingState.REDUCING,
    CommandKind.RESUME: TradingState.ACTIVE,
}


def refuse_command(state: DeskState, command: Commanded) -> None:
    """Raise CommandRefused with the reason when `command` cannot be carried out now."""
    if command.kind is CommandKind.REBALANCE:
        if command.scope is not Scope.FUND:
            raise CommandRefused("a rebalance is of one fund: name it")
        refuse_rebalance(state, command.name)
        return
    if command.kind is CommandKind.FLATTEN:
        _refuse_flatten(state, command)
        return
    before, reason = _standing(state, command)
    what, aim = title(command.scope, command.name), _AIMS[command.kind]
    if before is TradingState.WIPED:
        raise CommandRefused(f"{what} was ended by the gap rule")
    if before is aim:
        if aim is TradingState.ACTIVE:
            raise CommandRefused(f"{what} is not halted")
        raise CommandRefused(f"{what} is {aim} already: {reason}")
    gone = command.scope is Scope.CONTRACT and command.name in state.desk.unlisted
    if gone and aim is not TradingState.HALTED:
        raise CommandRefused(f"{what} is listed no more: it stays frozen")
    if command.scope is Scope.CONTRACT:
        refuse_unpriced(state, command)
    if command.scope is Scope.ACCOUNT and aim is TradingState.ACTIVE:
        _refuse_unexplained(state, command.name)


def _refuse_unexplained(state: DeskState, account: str) -> None:
    """Raise CommandRefused while the venue and the records differ: it would trade from the wrong.

    A difference is told once; nothing would halt the account again.
    """
    open_numbers = [
        str(number)
        for number, each in state.breaks.items()
        if each.account == account
        and (each.kind is BreakKind.POSITION or each.trades)
        and each.contract not in state.desk.unlisted  # nobody trades it, whoever is resumed
    ]
    if open_numbers:
        raise CommandRefused(
            f"account {account} has open breaks ({', '.join(open_numbers)}): adopt or explain them "
            "first; `rebalancer breaks` says how"
        )


def _refuse_flatten(state: DeskState, command: Commanded) -> None:
    what = title(command.scope, command.name)
    if command.scope is Scope.CONTRACT:
        raise CommandRefused("flatten a fund, an account or the desk: a contract has no target")
    _standing(state, command)
    if not _to_flatten(state, command):
        raise CommandRefused(f"{what} has no fund that could be flattened, or all are already")


def _to_flatten(state: DeskState, command: Commanded) -> list[FundState]:
    """Return the funds that a command to flatten reaches and that were not told before."""
    named = command.scope is Scope.FUND
    return [
        fund
        for fund in state.funds.values()
        if (fund.name == command.name if named else _reaches(command.scope, command.name, fund))
        and fund.launched_ms is not None
        and fund.trading is not TradingState.WIPED
        and not fund.flattening
        and not fund.winding
    ]


def _flatten(work: Work, event: Commanded) -> None:
    """Have each fund sell what it holds, and then only reduce until it is resumed.

    A wider halt stays in force: the fund sells once that is resumed.
    """
    for fund in _to_flatten(work.state, event):
        if fund.trading is not TradingState.REDUCING:
            work.record(TradingChanged(work.now_ms, fund.name, TradingState.REDUCING, event.reason))
        work.record(CommandTaken(work.now_ms, event.kind, Scope.FUND, fund.name, event.reason))
        work.alert(Severity.WARNING, "fund_flattened", fund.name, f"to flat: {event.reason}")
        work.due.add(fund.name)


def _standing(state: DeskState, command: Commanded) -> tuple[TradingState, str]:
    """Return the state of what the command is about, and why; refuse what does not exist."""
    scope, name = command.scope, command.name
    if scope is Scope.FUND:
        fund = fund_named(state, name)
        return fund.trading, fund.trading_reason
    contracts = list(dict.fromkeys((*state.desk.contracts, *state.holders)))
    known = {Scope.ACCOUNT: list(state.accounts), Scope.CONTRACT: contracts}
    if scope in known and name not in known[scope]:
        has = ", ".join(known[scope])
        raise CommandRefused(f"there is no {scope} {name}; the desk has {has}")
    permission = state.scopes.get((scope, name))
    if permission is None:
        return TradingState.ACTIVE, ""
    return permission.state, permission.reason


def fund_named(state: DeskState, name: str) -> FundState:
    """Return the fund that an operator names; CommandRefused where there is none."""
    fund = state.funds.get(name)
    if fund is None:
        known = ", ".join(state.funds)
        raise CommandRefused(f"there is no fund {name}; the desk runs {known}")
    return fund


def refuse_rebalance(state: DeskState, name: str) -> None:
    """Raise CommandRefused with the reason when a fund may not be rebalanced by an operator."""
    fund = fund_named(state, name)
    permission = state.permission(fund)
    if fund.trading is TradingState.WIPED:
        raise CommandRefused(f"{fund.name} was ended by the gap rule")
    if permission.scope is not Scope.FUND and permission.halted:
        raise CommandRefused(f"{permission.text}; resume it first")
    if permission.halted:
        raise CommandRefused(f"{fund.name} is halted: {permission.reason}; resume it first")
    if fund.launched_ms is None:
        raise CommandRefused(f"{fund.name} is not launched yet: it waits for its first price")
    if fund.winding:
        raise CommandRefused(f"{fund.name} is being closed: {fund.winding}")
    if fund.flattening:
        raise CommandRefused(f"{fund.name} is flat until it is resumed: {fund.flattening}")
    if not fund.shares:
        raise CommandRefused(f"{fund.name} has no shares outstanding: a subscription brings some")
    if not fund.fund.methodology.manual:
        raise CommandRefused(f"funds.{fund.name}.rules.manual is switched off")


def on_command(work: Work, event: Commanded) -> None:
    """Carry out an operator's command, or refuse it before anything changed."""
    refuse_command(work.state, event)
    if event.kind is CommandKind.FLATTEN:
        _flatten(work, event)
        return
    work.record(CommandTaken(work.now_ms, event.kind, event.scope, event.name, event.reason))
    if event.kind is CommandKind.REBALANCE:
        work.due.add(event.name)
        return
    aim = _AIMS[event.kind]
    if event.scope is Scope.CONTRACT:
        lead_over(work, event)
    if event.scope is not Scope.FUND:
        set_scope(work, event.scope, event.name, aim, event.reason)
        return
    fund = work.state.funds[event.name]
    if aim is TradingState.HALTED:
        _stop_run(work, fund, event.reason)
        stop(work, fund, event.reason)
    else:
        work.record(TradingChanged(work.now_ms, fund.name, aim, event.reason))
    work.due.add(fund.name)


def on_contract_changed(work: Work, event: ContractChanged) -> None:
    """Freeze a contract that is no longer what its orders were sized for; others go on."""
    if event.contract not in {*work.state.desk.contracts, *work.state.desk.unlisted}:
        return
    known = work.state.scopes.get((Scope.CONTRACT, event.contract))
    if known is None or not known.halted:
        set_scope(work, Scope.CONTRACT, event.contract, TradingState.HALTED, event.reason)


def on_kill_switch(work: Work, event: KillSwitchFound) -> None:
    """Halt the desk; its resume is a second deliberate act after the switch is released."""
    known = work.state.scopes.get((Scope.DESK, ""))
    if known is None or not known.halted:
        set_scope(work, Scope.DESK, "", TradingState.HALTED, f"kill switch: {event.reason}")


def set_scope(work: Work, scope: Scope, name: str, state: TradingState, reason: str) -> None:
    """Change what the desk, an account or a contract may trade, and look at its funds anew."""
    work.record(ScopeChanged(work.now_ms, scope, name, state, reason))
    if state is TradingState.HALTED:
        what = title(scope, name)
        work.alert(Severity.CRITICAL, f"{scope}_halted", what, f"{what} is halted: {reason}")
    for fund in work.state.funds.values():
        if not _reaches(scope, name, fund):
            continue
        if state is TradingState.HALTED and scope is not Scope.CONTRACT:
            _stop_run(work, fund, work.state.permission(fund).text)
        work.due.add(fund.name)


def _stop_run(work: Work, fund: FundState, reason: str) -> None:
    """End the fund's run; what the gap rule or a flow began goes on once it is allowed to."""
    run = fund.run
    if run is None:
        return
    if run.plan.trigger not in (Trigger.GAP, Trigger.FLOW):
        work.move_run(fund, RunStatus.HALTED, reason)
    elif run.status is RunStatus.WORKING:
        work.move_run(fund, RunStatus.INCOMPLETE, reason)


def _reaches(scope: Scope, name: str, fund: FundState) -> bool:
    if scope is Scope.ACCOUNT:
        return fund.fund.account == name
    if scope is Scope.CONTRACT:
        return name in fund.fund.symbols
    return True
