"""The set-modes command: position mode, margin mode and leverage at a venue, as configured."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from rebalancer.cli.exits import ConfirmationNeeded, Exit, told
from rebalancer.cli.operating import have_typed
from rebalancer.cli.options import MEANT, AsJson, ConfigPath, Consent, load_config, spread
from rebalancer.cli.output import console, print_json, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rebalancer.settings import Config
    from rebalancer.venues.exchange_settings import Change
    from rebalancer.venues.setting_modes import Carried

AccountName = Annotated[str, typer.Argument(help="Name of the account.", show_default=False)]


@told
@spread
def set_modes(
    account: AccountName,
    consent: Consent = MEANT,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Set position mode, margin mode and leverage at the venue as configured, while it is flat."""
    from rebalancer import logs  # noqa: PLC0415 - not needed to print --help

    settings = load_config(config)
    logs.configure(level="error")
    carried, differing = asyncio.run(_carried_out(settings, account, consent, quiet=as_json))
    if as_json:
        print_json(
            {
                "version": 1,
                "account": account,
                "changes": [
                    {
                        "setting": each.change.setting,
                        "contract": each.change.contract or None,
                        "value": each.change.value,
                        "refusal": each.refusal or None,
                    }
                    for each in carried
                ],
                "differing": list(differing),
            }
        )
    else:
        _show(account, carried, differing)
    raise typer.Exit(_code(carried, differing))


async def _carried_out(
    settings: Config, name: str, consent: Consent, *, quiet: bool
) -> tuple[list[Carried], tuple[str, ...]]:
    """Return what became of each change, and what is still not as configured."""
    from rebalancer.arranging import mode_setter  # noqa: PLC0415 - not needed to print --help
    from rebalancer.clock import WallClock  # noqa: PLC0415 - as above

    async with mode_setter(settings, name, WallClock()) as setter:
        seen = await setter.look()
        if not seen.changes:
            return [], seen.differing
        if not quiet:
            _propose(name, seen.changes)
        _refuse_unmeant(name, consent)
        carried = [each async for each in setter.carry_out(seen.changes)]
        return carried, (await setter.look()).differing


def _refuse_unmeant(name: str, consent: Consent) -> None:
    """Raise unless the operator named the account a second time."""
    if consent.yes and consent.confirm == [name]:
        return
    needed = ConfirmationNeeded(
        f"this changes a live account, and nothing was changed; mean it with --yes "
        f"--confirm {name}",
        [name],
    )
    have_typed(
        needed,
        consent,
        prompt="Type {} to set this at the venue: ",
        otherwise="that is not the name: nothing was changed",
    )


def _propose(name: str, changes: Sequence[Change]) -> None:
    rows = [[each.setting, each.contract or "the account", each.value] for each in changes]
    console().print(table(f"To be set for {name}", ("setting", "of", "to"), rows))


def _show(name: str, carried: Sequence[Carried], differing: Sequence[str]) -> None:
    for each in carried:
        if each.refusal:
            where = each.change.contract or "the account"
            typer.echo(f"{each.change.setting} of {where} was refused: {each.refusal}")
    for seen in differing:
        typer.echo(f"not as configured: {seen}")
    if not differing and not any(each.refusal for each in carried):
        typer.echo(f"{name}: everything the venue tells is as configured")


def _code(carried: Sequence[Carried], differing: Sequence[str]) -> Exit:
    refused = [each for each in carried if each.refusal]
    if not refused and not differing:
        return Exit.DONE
    return Exit.PARTIAL if len(refused) < len(carried) else Exit.FAILED
