"""Exit codes, and how an error becomes one sentence and a code. An unknown code means failure."""

from __future__ import annotations

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


class ConfirmationNeeded(CommandRefused):
    """The desk is live: what the command is about must be named again."""

    def __init__(self, sentence: str, names: Sequence[str]) -> None:
        super().__init__(sentence)
        self.names = tuple(names)


def code_of(error: DeskError) -> Exit:
    """Return the exit code for `error`."""
    if isinstance(error, ConfigRefused | InputRefused):
        return Exit.USAGE
    if isinstance(error, CommandRefused):
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
            if kwargs.get("as_json"):
                fatal = {"message_type": "exit_error", "code": int(code), "message": str(error)}
                sys.stderr.write(json.dumps(fatal) + "\n")
            else:
                sys.stderr.write(f"rebalancer: {error}\n")
            raise typer.Exit(code) from None
        except KeyboardInterrupt:
            raise typer.Exit(Exit.INTERRUPTED) from None
        except BrokenPipeError:
            # The reader went away (`| head`): nobody is left to tell.
            sys.stderr.close()
            raise typer.Exit(Exit.DONE) from None

    return wrapped
