"""Commands that run a desk, or tell a running one what to do."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from rebalancer.cli.exits import (
    ConfirmationNeeded,
    DeskBarred,
    DeskSilent,
    DeskUnreachable,
    told,
)
from rebalancer.cli.options import (
    MEANT,
    AsJson,
    ConfigPath,
    Consent,
    FundName,
    Reason,
    spread,
)
from rebalancer.cli.output import note, print_json
from rebalancer.cli.places import UNKNOWN, places
from rebalancer.cli.plan_words import deltas
from rebalancer.core.instant import parse_duration
from rebalancer.errors import CommandRefused

T = TypeVar("T")
ANSWER_SECONDS = 60.0


@told
def run(config: ConfigPath = None) -> None:
    """Run the desk until it is told to stop (SIGTERM or ctrl-c)."""
    from rebalancer import logs  # noqa: PLC0415 - as below
    from rebalancer.bootstrap import (  # noqa: PLC0415 - not needed to print --help
        Source,
        open_daemon,
    )
    from rebalancer.cli.starting import run_desk  # noqa: PLC0415 - as above
    from rebalancer.desk.daemon import Daemon  # noqa: PLC0415 - as above
    from rebalancer.desk.service import ServiceManager  # noqa: PLC0415 - as above
    from rebalancer.settings.in_force import reader_of  # noqa: PLC0415 - as above
    from rebalancer.store.sql import open_store  # noqa: PLC0415 - as above

    read = reader_of(config, os.environ)
    source = Source(read(), read)
    settings = source.in_force.config
    logs.configure(level=settings.log.level, style=settings.log.format)

    async def opened() -> Daemon:
        daemon = await open_daemon(settings, open_store(settings.store_url), source=source)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, daemon.hang_up.set)
        return daemon

    until_stopped(lambda stop: run_desk(opened, ServiceManager.of(os.environ), stop))


@told
def demo(
    length: Annotated[
        str | None, typer.Option("--for", help="End by itself after this time, 60s or 5m.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same market.")] = 7,
    speed: Annotated[
        int, typer.Option(min=1, max=100_000, help="Simulated seconds per second.")
    ] = 7_200,
) -> None:
    """Watch a paper desk rebalance itself on a simulated market."""
    from rebalancer.cli.demo import play  # noqa: PLC0415 - not needed to print --help

    seconds = None if length is None else parse_duration(length, "--for") / 1_000
    until_stopped(lambda stop: play(stop, seconds=seconds, seed=seed, speed=speed))


@told
@spread
def rebalance(
    fund: FundName,
    reason: Reason = "manual rebalance",
    consent: Consent = MEANT,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Have the running desk rebalance a fund to its target now; `plan` shows it first."""
    request = {"command": "rebalance", "fund": fund, "reason": reason}
    answer = ask_surely(config, request, consent)
    if as_json:
        print_json(answer)
    elif answer["run_id"] is None:
        typer.echo(f"{fund}: taken; the run opens with the next fresh price")
    else:
        typer.echo(f"{fund}: run {answer['run_id']} opened, delta {deltas(answer) or 'none'}")


def ask(config: Path | None, request: Mapping[str, Any]) -> dict[str, Any]:
    """Send one command to the running desk and return its answer.

    Raises DeskUnreachable where none runs, DeskBarred where it is another user's, CommandRefused
    with the desk's own sentence.
    """
    return ask_at(places(config).control_socket, request, ANSWER_SECONDS)


def ask_at(path: Path, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Do as `ask` does with the desk at `path`; each word of it may take `seconds`."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            connection.connect(str(path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = connection.makefile("rb").readline()
    except (TimeoutError, BlockingIOError):
        raise DeskSilent(f"the desk at {path} did not answer; look at its log") from None
    except PermissionError:
        raise DeskBarred(
            f"this user may not command the desk at {path}; become the user whose desk it is"
        ) from None
    except OSError:
        raise DeskUnreachable(
            f"no desk answers at {path}; start one with: rebalancer run"
        ) from None
    try:
        answer: dict[str, Any] = json.loads(line)
        refusal = None if answer.pop("ok") else str(answer["error"])
    except (ValueError, TypeError, KeyError):
        raise DeskUnreachable(f"the desk at {path} stopped before it answered") from None
    if refusal is None:
        return answer
    if answer.get("confirm"):
        raise ConfirmationNeeded(refusal, answer["confirm"])
    raise CommandRefused(refusal)


def ask_surely(config: Path | None, request: Mapping[str, Any], consent: Consent) -> dict[str, Any]:
    """Do as `ask` does; where orders are live, a person on a terminal types what is meant.

    Without a terminal `consent` must have both its parts; else ConfirmationNeeded.
    """
    meant = {"confirm": consent.confirm} if consent.yes and consent.confirm else {}
    try:
        return ask(config, {**request, **meant})
    except ConfirmationNeeded as needed:
        have_typed(
            needed,
            consent,
            prompt="This desk is live. Type {} to send its orders: ",
            otherwise="that is not the name: nothing was sent",
        )
        return ask(config, {**request, "confirm": list(needed.names)})


def have_typed(
    needed: ConfirmationNeeded, consent: Consent, *, prompt: str, otherwise: str
) -> None:
    """Have a person on a terminal type each name, which stands in the prompt for {}.

    Raises `needed` where there is none to be asked, CommandRefused with `otherwise`.
    """
    if consent.yes or not sys.stdin.isatty():
        raise needed
    for name in needed.names:
        sys.stderr.write(prompt.format(name))
        sys.stderr.flush()
        if sys.stdin.readline().strip() != name:
            raise CommandRefused(otherwise) from None


def is_running(path: Path) -> bool:
    """Whether a desk listens on the control socket at `path`."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            connection.connect(str(path))
    except OSError:
        return False
    return True


def running_mode(path: Path) -> str:
    """Return the mode of the desk that listens at `path`, as it says itself.

    Its file or its environment need not be what this command reads. UNKNOWN where it is silent.
    """
    try:
        return str(ask_at(path, {"command": "mode"}, 1.0).get("mode", UNKNOWN))
    except (DeskUnreachable, CommandRefused):
        return UNKNOWN


def until_stopped(work: Callable[[asyncio.Event], Coroutine[None, None, T]]) -> T:
    """Run `work` with an event that SIGINT and SIGTERM set; a second SIGINT interrupts."""

    async def guarded() -> T:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        def first(name: str) -> None:
            note(f"{name}: stopping; ctrl-c interrupts that")
            loop.remove_signal_handler(signal.SIGINT)
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, first, number.name)
        # Until there is a desk that can read its file anew; the default would end the program.
        loop.add_signal_handler(signal.SIGHUP, note, "SIGHUP: there is nothing to reload yet")
        return await work(stop)

    return asyncio.run(guarded())
