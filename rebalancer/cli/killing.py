"""The kill command: stops trading when everything else has failed, and says what it did."""

from __future__ import annotations

import fcntl
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from rebalancer.cli.exits import DeskBarred, DeskSilent, DeskUnreachable, Exit, told
from rebalancer.cli.operating import ask_at
from rebalancer.cli.options import AsJson, ConfigPath
from rebalancer.cli.output import print_json
from rebalancer.cli.places import places
from rebalancer.errors import CommandRefused, ConfigRefused, InputRefused

#: how long a desk may think about its halt; the switch stands whatever it answers
ANSWER_SECONDS = 3.0

Why = Annotated[str | None, typer.Option("--reason", help="Why; the desk records it.")]
Release = Annotated[bool, typer.Option("--release", help="Take the switch away again.")]
Switch = Annotated[
    Path | None,
    typer.Option("--switch", help="The switch's file, where no configuration can be read."),
]
EndProcess = Annotated[
    bool, typer.Option("--end-process", help="SIGKILL a desk that does not answer.")
]


@dataclass(slots=True)
class Done:
    """What the command did, as it will be said."""

    switch: Path
    #: whether the file stands now
    set: bool = False
    #: halted, silent, barred (another user's), gone (none runs) or ended
    desk: str = "gone"
    said: list[str] = field(default_factory=list)


@told
def kill(
    reason: Why = None,
    release: Release = False,
    switch: Switch = None,
    end_process: EndProcess = False,
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Stop all trading, also of a desk that hangs or is started again; no desk is needed."""
    from rebalancer.desk.kill_switch import KillSwitch  # noqa: PLC0415 - not needed for --help

    found, control = _places(config, switch)
    chosen, done = KillSwitch(found), Done(found)
    if release:
        _release(chosen, done)
    elif not reason or not reason.strip():
        raise InputRefused('say why: rebalancer kill --reason "..."')
    else:
        _set(chosen, done, reason.strip()[:500])
        _halt_desk(control, done, reason.strip()[:500])
        if done.desk in ("silent", "barred"):
            _end_or_advise(done, end=end_process)
    if as_json:
        print_json({"switch": str(done.switch), "set": done.set, "desk": done.desk})
    else:
        typer.echo("\n".join(done.said))
    if not release and not done.set and done.desk not in ("halted", "ended"):
        raise typer.Exit(Exit.FAILED)


def _places(config: Path | None, switch: Path | None) -> tuple[Path, Path | None]:
    """Return the switch's file and the control socket, from a broken configuration too."""
    try:
        found = places(config)
    except ConfigRefused as refused:
        if switch is not None:
            return switch, None
        raise InputRefused(
            f"{refused}; name the switch itself: --switch STORE.db.killed "
            "(the desk logs its place when it starts)"
        ) from None
    return switch or found.kill_switch, found.control_socket


def _set(switch: Any, done: Done, reason: str) -> None:
    from rebalancer.clock import WallClock  # noqa: PLC0415 - not needed to print --help

    try:
        new = switch.set(reason, WallClock().now_ms())
    except InputRefused as refused:
        done.said.append(f"the kill switch could NOT be set: {refused}")
        return
    done.set = True
    if new:
        done.said.append(f"kill switch set: {switch.path}")
    else:
        done.said.append(f"the kill switch stood already: {switch.reason()}")


def _release(switch: Any, done: Done) -> None:
    if not switch.release():
        raise CommandRefused(f"the kill switch is not set: there is no {switch.path}")
    done.said.append(f"kill switch released: {switch.path} is gone")
    done.said.append(
        'a desk that it halted stays so until: rebalancer resume --desk --reason "..."'
    )


def _halt_desk(control: Path | None, done: Done, reason: str) -> None:
    request = {"command": "halt", "scope": "desk", "reason": f"kill: {reason}"}
    if control is None:
        done.desk = "gone" if _holder(done.switch) is None else "silent"
        return
    try:
        ask_at(control, request, ANSWER_SECONDS)
    except CommandRefused:
        pass  # it was halted before
    except DeskBarred as barred:
        done.desk = "barred"
        done.said.append(str(barred))
        return
    except DeskSilent:
        done.desk = "silent"
        return
    except DeskUnreachable:
        if _holder(done.switch) is not None:
            done.desk = "silent"
        else:
            then = "will send no order" if done.set else "WILL send orders"
            done.said.append(f"no desk answers; one that starts {then}")
        return
    done.desk = "halted"
    done.said.append("the desk has halted: no order leaves any more, NAVs go on")


def _end_or_advise(done: Done, *, end: bool) -> None:
    """End a desk that was not halted, or say what becomes of it and how it is ended."""
    pid = _holder(done.switch)
    named = "the desk" if pid is None else f"the desk (pid {pid})"
    if pid is not None and end:
        try:
            os.kill(pid, signal.SIGKILL)
        except PermissionError:
            done.said.append(f"{named} is another user's and could NOT be ended")
            return
        except ProcessLookupError:
            pass
        done.desk = "ended"
        done.said.append(f"{named} did not answer and was ended; orders that it had")
        done.said.append("sent may still fill: the next start asks the venue about each")
        return
    then = "finds the switch before its next order" if done.set else "GOES ON TRADING"
    done.said.append(f"{named} did not answer; it {then}")
    if pid is not None:
        done.said.append(f"to end it at once: kill -9 {pid}, or this command with --end-process")


def _holder(switch: Path) -> int | None:
    """Return the process that holds the lock of the store beside the switch, if one does."""
    lock = switch.with_name(f"{switch.name.removesuffix('.killed')}.lock")
    try:
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read(32))
    except (OSError, ValueError):
        pass
    return None
