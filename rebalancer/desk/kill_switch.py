"""The kill switch: a file beside the store. While it stands, no order leaves, whoever runs.

It needs no desk, no socket, no database and no network: a desk that hangs or is started again finds
it before its next send. One `stat` is all a check costs.
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from rebalancer.core.events import KillSwitchFound
from rebalancer.core.instant import iso
from rebalancer.errors import InputRefused
from rebalancer.ports import Clock, Emit

#: how often a running desk looks, besides each send
LOOK_SECONDS = 0.5


class KillSwitch:
    """The file at `path`: there while trading is stopped by hand."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def reason(self) -> str | None:
        """Return why it is set, None where it is not; what cannot be read counts as set."""
        try:
            os.stat(self.path)  # noqa: PTH116 - in the way of each send: half the time of Path
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"{self.path}: {error.strerror}"
        try:
            told = json.loads(self.path.read_text(encoding="utf-8"))
            return f"{told['reason']} (set {told['at']})"
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError):
            return f"{self.path} stands, whatever is in it"

    def set(self, reason: str, at_ms: int) -> bool:
        """Set it durably; return False where it was set before. Raises InputRefused."""
        text = json.dumps({"reason": reason, "at": iso(at_ms)})
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return False
        except OSError as error:
            raise InputRefused(f"{self.path}: {error.strerror}") from None
        # From here on it is set: what it says is for people, and a full disk must not undo it.
        try:
            os.write(descriptor, text.encode("utf-8", "backslashreplace"))
            os.fsync(descriptor)
        except OSError:
            pass
        finally:
            os.close(descriptor)
        _flush_folder(self.path.parent)
        return True

    def release(self) -> bool:
        """Take it away; return False where it was not set. Raises InputRefused."""
        try:
            self.path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise InputRefused(f"{self.path}: {error.strerror}") from None
        _flush_folder(self.path.parent)
        return True


def _flush_folder(folder: Path) -> None:
    """Make a new or missing name durable; a file system that cannot is no reason to fail."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        pass


async def watch_kill_switch(switch: KillSwitch, emit: Emit, clock: Clock) -> None:
    """Tell the desk once each time the switch is set, until cancelled."""
    told = False
    while True:
        reason = switch.reason()
        if reason is not None and not told:
            emit(KillSwitchFound(clock.now_ms(), reason))
        told = reason is not None
        await asyncio.sleep(LOOK_SECONDS)
