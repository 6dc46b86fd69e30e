"""The control socket: operators' commands to a running desk, as lines of JSON on a Unix socket.

A request is {"command": ..., "fund": ..., "reason": ...}; what is not about a fund has "scope"
("desk", "account" or "contract") and "name" instead. The answer is {"ok": true, ...} or
{"ok": false, "error": "one sentence"}. File permissions guard it: owner only.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import structlog

from rebalancer.core.events import Commanded, CommandKind, PlanOffered
from rebalancer.desk.inbox import Inbox
from rebalancer.desk.kill_switch import KillSwitch
from rebalancer.desk.requests import (
    ReloadAsked,
    Request,
    answer_to,
    read_reload,
    read_request,
    trades_at_once,
)
from rebalancer.errors import CommandRefused, ConfigRefused
from rebalancer.ports import Clock

_log = structlog.get_logger(__name__)
PLAN, APPLY, MODE = "plan", "apply", "mode"
LINE_BYTES_MAX = 4_194_304
#: Linux takes 107 bytes of path; a longer one fails with a message nobody understands
PATH_BYTES_MAX = 107


def refuse_unfit_path(path: Path) -> None:
    """Raise ConfigRefused where no desk could ever listen; one that is taken may become free."""
    if len(os.fsencode(path)) > PATH_BYTES_MAX:
        raise ConfigRefused(
            f"desk.control_socket: {path} is longer than {PATH_BYTES_MAX} bytes; "
            "choose a shorter path"
        )
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ConfigRefused(
            f"desk.control_socket: {folder}: there is no such folder; make it: mkdir -p {folder}"
        )
    if os.path.lexists(path) and not path.is_socket():
        raise ConfigRefused(f"desk.control_socket: {path} is not a socket; choose another path")


class Reload(Protocol):
    """What reads the configuration anew."""

    async def __call__(self, confirm: str = "", *, check: bool = False) -> dict[str, Any]:
        """Say what it led to, or would; raises CommandRefused where anything is wrong."""


class Planner(Protocol):
    """What plans on the live state, and reads what an operator agreed to."""

    def propose(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Say what a rebalance of some funds would do now; raises CommandRefused."""

    def offer(self, fields: Mapping[str, Any]) -> PlanOffered:
        """Return the plan that is to be carried out; raises CommandRefused."""


Costs = Callable[[Sequence[Mapping[str, Any]]], Awaitable[dict[str, Any]]]
"""Estimates what the trades of a plan would cost, trade by trade."""


class CommandDoor:
    """The one way of a request into the desk, over whichever line it came."""

    def __init__(self, inbox: Inbox, clock: Clock, kill_switch: KillSwitch | None = None) -> None:
        self._inbox = inbox
        self._clock = clock
        self._kill_switch = kill_switch

    def now_ms(self) -> int:
        """Return the desk's time, which requests are stamped with."""
        return self._clock.now_ms()

    async def give(self, request: Request) -> dict[str, Any]:
        """Return what a request led to, as JSON can hold it; raises CommandRefused."""
        self._refuse_while_killed(request)
        records = await self._inbox.command(request)
        return {"at_ms": request.at_ms, **answer_to(request, records)}

    def _refuse_while_killed(self, request: Request) -> None:
        halts = isinstance(request, Commanded) and request.kind is CommandKind.HALT
        if halts or self._kill_switch is None:
            return
        reason = self._kill_switch.reason()
        if reason is not None:
            raise CommandRefused(
                f"the kill switch is set: {reason}; release it first: rebalancer kill --release"
            )


class ControlServer:
    """Answers commands on `path` while the desk runs."""

    def __init__(
        self, path: Path, inbox: Inbox, clock: Clock, kill_switch: KillSwitch | None = None
    ) -> None:
        refuse_unfit_path(path)
        self._path = path
        self._door = CommandDoor(inbox, clock, kill_switch)
        self._server: asyncio.Server | None = None
        #: what can be asked that changes nothing of the desk, by its command
        self.questions: dict[str, Callable[[], dict[str, Any]]] = {}
        #: what can be asked of the desk's services, by its command
        self.errands: dict[str, Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]]] = {}
        #: None: this desk was not started from a file
        self.reload: Reload | None = None
        self.planner: Planner | None = None
        #: what the trades of a plan would cost; None: nobody can say
        self.costs: Costs | None = None
        #: saves what readers of the store see: who commands and then looks sees what came of it
        self.show: Callable[[], Awaitable[object]] | None = None
        #: whether orders are real: then commands that trade at once name their fund twice
        self.live = False

    async def start(self) -> None:
        """Listen; a socket left over by a desk that was killed is replaced."""
        self._make_room()
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(
                self._serve, self._path, limit=LINE_BYTES_MAX
            )
        except OSError as error:
            raise ConfigRefused(
                f"desk.control_socket: cannot listen on {self._path}: {error.strerror}"
            ) from None
        finally:
            os.umask(before)

    def _make_room(self) -> None:
        """Take away the socket of a desk that is gone, and nothing else."""
        if not os.path.lexists(self._path):
            return
        refuse_unfit_path(self._path)
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(self._path))
            except ConnectionRefusedError:
                self._path.unlink(missing_ok=True)
                return
            except FileNotFoundError:
                return
            except OSError:
                pass  # it is there, whoever it is
        raise ConfigRefused(
            f"desk.control_socket: something listens on {self._path}, another desk perhaps; "
            "give each desk a path of its own"
        )

    async def close(self) -> None:
        """Stop listening and take the socket away; may be called twice."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(60):
                line = await _line(reader)
                if line == b"":
                    return  # it only looked whether a desk runs
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, TimeoutError) as error:
            _log.warning("control_connection", reason=type(error).__name__)
        finally:
            writer.close()

    async def _answer(self, line: bytes | None) -> dict[str, Any]:
        if line is None:
            problem = f"a command is one line of at most {LINE_BYTES_MAX} bytes"
            return {"ok": False, "error": problem}
        try:
            return await self._carry_out(_fields(line), line)
        except CommandRefused as refused:
            return {"ok": False, "error": str(refused)}

    async def _carry_out(self, fields: Mapping[str, Any], line: bytes) -> dict[str, Any]:
        command = str(fields.get("command"))
        if command in self.questions:
            return {"ok": True, **self.questions[command]()}
        if command in self.errands:
            return {"ok": True, **await self.errands[command](fields)}
        if self.planner is not None and command == PLAN:
            return {"ok": True, **self.planner.propose(fields)}
        now_ms = self._door.now_ms()
        asked = read_reload(line, now_ms)
        if asked is not None:
            return {"ok": True, "at_ms": now_ms, **await self._reload(asked)}
        request = self._request(command, fields, line)
        missing = self._unconfirmed(request, fields.get("confirm"))
        if missing:
            return {"ok": False, "error": live_orders(missing), "confirm": list(missing)}
        given = await self._door.give(request)
        if self.show is not None:
            await self.show()
        return {"ok": True, **given}

    def _request(self, command: str, fields: Mapping[str, Any], line: bytes) -> Request:
        if self.planner is not None and command == APPLY:
            return self.planner.offer(fields)
        return read_request(line, self._door.now_ms())

    def _unconfirmed(self, request: Request, confirm: Any) -> tuple[str, ...]:
        """Return what has to be named again before live orders leave for it."""
        names = trades_at_once(request) if self.live else ()
        said = confirm if isinstance(confirm, list) else []
        return () if sorted(map(str, said)) == sorted(names) else names

    async def _reload(self, asked: ReloadAsked) -> dict[str, Any]:
        if self.reload is None:
            raise CommandRefused("this desk was not started from a configuration file")
        return await self.reload(asked.confirm, check=asked.check)


def live_orders(names: Sequence[str]) -> str:
    """Say what a script must add before a command sends live orders."""
    options = " ".join(f"--confirm {name}" for name in names)
    return f"this desk is live and nothing was sent; in a script say --yes {options}"


def _fields(line: bytes) -> Mapping[str, Any]:
    """Return what a line asks with; nothing where it is no JSON object: the door says why."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


async def _line(reader: asyncio.StreamReader) -> bytes | None:
    """Return the next line, or None where it is too long."""
    try:
        return await reader.readline()
    except ValueError:
        return None
