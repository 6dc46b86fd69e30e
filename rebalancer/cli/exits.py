"""Exit codes, and how an error becomes one sentence and a code. An unknown code means failure."""

from __future__ import annotations

import errno
import functools
import json
import sys
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import ParamSpec, TypeVar

import typer

from rebalancer.errors import (
    CommandRefused,
    ConfigRefused,
    DeskError,
    InputRefused,
    StoreRefused,
)

P = ParamSpec("P")
R = TypeVar("R")
#: what the system says where a stream has no room
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Exit(IntEnum):
    """What the caller of a command learns from its exit code."""

    DONE = 0
    FAILED = 1
    USAGE = 2  # wrong arguments, configuration or input; nothing was done
    PARTIAL = 3  # some of what was asked for was done, some was not
    REFUSED = 4  # a gate said no: halted, not confirmed, a stale plan, another desk runs
    CHANGES = 5  # the plan has orders; only with --detailed-exitcode
    UNREACHABLE = 6  # no desk is running
    INTERRUPTED = 130


class DeskUnreachable(DeskError):
    """No desk answers on the control socket."""


class DeskSilent(DeskUnreachable):
    """Something listens on the control socket and says nothing."""


class DeskBarred(DeskUnreachable):
    """The control socket is another user's; whether a desk listens there cannot be told."""


class ConfirmationNeeded(CommandRefused):
    """The desk is live: what the command is about must be named again."""

    def __init__(self, sentence: str, names: Sequence[str]) -> None:
        super().__init__(sentence)
        self.names = tuple(names)


def code_of(error: DeskError) -> Exit:
    """Return the exit code for `error`."""
    if isinstance(error, ConfigRefused | InputRefused):
        return Exit.USAGE
    if isinstance(error, CommandRefused | DeskBarred):
        return Exit.REFUSED
    if isinstance(error, DeskUnreachable):
        return Exit.UNREACHABLE
    if isinstance(error, StoreRefused):
        return Exit.REFUSED
    return Exit.FAILED


def told(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command so that an error of ours is told in one sentence, never as a traceback."""

    @functools.wraps(command)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except DeskError as error:
            code = code_of(error)
            _tell(str(error), code, as_json=bool(kwargs.get("as_json")))
            raise typer.Exit(code) from None
        except KeyboardInterrupt:
            raise typer.Exit(Exit.INTERRUPTED) from None
        except BrokenPipeError:
            # The reader went away (`| head`): nobody is left to tell.
            sys.stderr.close()
            raise typer.Exit(Exit.DONE) from None
        except OSError as error:
            # A file has a name, which whoever opens it puts into a sentence; streams have none.
            if error.errno not in _FULL or error.filename is not None:
                raise
            sentence = f"standard output: {error.strerror}; send it to a place that has room"
            _tell(sentence, Exit.FAILED, as_json=bool(kwargs.get("as_json")))
            raise typer.Exit(Exit.FAILED) from None

    return wrapped


def _tell(sentence: str, code: Exit, *, as_json: bool) -> None:
    if as_json:
        fatal = {"message_type": "exit_error", "code": int(code), "message": sentence}
        sys.stderr.write(json.dumps(fatal) + "\n")
    else:
        sys.stderr.write(f"rebalancer: {sentence}\n")
