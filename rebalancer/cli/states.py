"""Commands that say what may be traded: halt, reduce and resume a fund, or a whole scope."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from rebalancer.cli.exits import told
from rebalancer.cli.operating import ask, ask_surely
from rebalancer.cli.options import (
    MEANT,
    AsJson,
    ConfigPath,
    Consent,
    FundName,
    Reason,
    fund_names,
    spread,
)
from rebalancer.cli.output import print_json
from rebalancer.core.scope import Scope, title
from rebalancer.errors import InputRefused

Target = tuple[Scope, str]
"""What a command is about: a scope, and the name in it (empty for the desk)."""

OneFund = Annotated[
    str | None,
    typer.Argument(help="Name of the fund.", show_default=False, autocompletion=fund_names),
]
OneAccount = Annotated[str | None, typer.Option("--account", help="An account and its funds.")]
OneContract = Annotated[str | None, typer.Option("--contract", help="One contract everywhere.")]
WholeDesk = Annotated[bool, typer.Option("--desk", "--all", help="Everything.")]
ReduceOnly = Annotated[
    bool, typer.Option("--reduce-only", help="Still allow what makes exposure smaller.")
]


def scoped(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the argument and options that name what it is about, as one `Target`."""

    @functools.wraps(command)
    def wrapped(
        *,
        fund: str | None,
        account: str | None,
        contract: str | None,
        desk: bool,
        **others: Any,
    ) -> None:
        command(chosen(fund, account, contract, desk=desk), **others)

    known = inspect.signature(command, eval_str=True)
    _, *others = known.parameters.values()
    named = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, default, kind in (
            ("fund", None, OneFund),
            ("account", None, OneAccount),
            ("contract", None, OneContract),
            ("desk", False, WholeDesk),
        )
    ]
    named += [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in others]
    typer_looks_here: Any = wrapped
    typer_looks_here.__signature__ = known.replace(parameters=named)
    return wrapped


@told
@spread
def close(
    fund: FundName,
    reason: Reason,
    consent: Consent = MEANT,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Have the running desk end a fund for good: flatten it; holders may still redeem."""
    request = {"command": "close", "fund": fund, "reason": reason}
    answer = ask_surely(config, request, consent)
    print_json(answer) if as_json else typer.echo(f"{fund}: is being closed")


@told
@scoped
def halt(
    target: Target,
    reason: Reason,
    reduce_only: ReduceOnly = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Have the running desk stop trading a fund, account, contract or all; NAVs go on."""
    command = "reduce" if reduce_only else "halt"
    answer = ask(config, {"command": command, "reason": reason, **about(target)})
    state = "only reducing" if reduce_only else "halted"
    print_json(answer) if as_json else typer.echo(f"{title(*target)}: {state}")


@told
@spread
@scoped
def flatten(
    target: Target,
    reason: Reason,
    consent: Consent = MEANT,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Have the running desk sell what a fund, an account or all hold; flat until a resume."""
    request = {"command": "flatten", "reason": reason, **about(target)}
    answer = ask_surely(config, request, consent)
    print_json(answer) if as_json else typer.echo(f"{title(*target)}: is being flattened")


@told
@scoped
def resume(
    target: Target, reason: Reason, config: ConfigPath = None, as_json: AsJson = False
) -> None:
    """Have the running desk trade again what was halted; wider halts stay in force."""
    answer = ask(config, {"command": "resume", "reason": reason, **about(target)})
    print_json(answer) if as_json else typer.echo(f"{title(*target)}: active")


def chosen(fund: str | None, account: str | None, contract: str | None, *, desk: bool) -> Target:
    """Return the one scope that was named; none or two of them are refused."""
    named = [
        (scope, name)
        for scope, name in (
            (Scope.FUND, fund),
            (Scope.ACCOUNT, account),
            (Scope.CONTRACT, contract),
            (Scope.DESK, "" if desk else None),
        )
        if name is not None
    ]
    if len(named) != 1:
        raise InputRefused("name one of: a fund, --account, --contract or --desk")
    return named[0]


def about(target: Target) -> dict[str, str]:
    """Return the part of a request that says what it is about."""
    scope, name = target
    if scope is Scope.FUND:
        return {"fund": name}
    return {"scope": str(scope), "name": name}
