"""Every exception of the desk, sorted by what the reader has to do next.

    DeskError
     +-- OperatorMistake        change something and try again; one sentence names place and remedy
     |    +-- ConfigRefused     the configuration cannot work
     |    +-- InputRefused      a file, snapshot or argument is not what it must be
     |    +-- CommandRefused    the desk understood the command and will not do it now
     +-- Unavailable            somebody else must recover first; reads may be tried again
     |    +-- StoreUnavailable  the database did not answer
     |    |    +-- StoreRefused  it did, and no waiting helps: another desk holds it, a newer
     |    |        |             program wrote it, or its records do not hold
     |    |        +-- StoreTaken  another desk holds it, or did and its server does not know yet
     |    +-- VenueUnavailable  the venue did not answer a question
     +-- BrokenInvariant        a promise of the desk does not hold: stop, start again from records

What a *send* led to (accepted, rejected, unknown, never sent) is no exception but an event.
"""

from __future__ import annotations

__all__ = [
    "BrokenInvariant",
    "CommandRefused",
    "ConfigRefused",
    "DeskError",
    "InputRefused",
    "OperatorMistake",
    "StoreRefused",
    "StoreTaken",
    "StoreUnavailable",
    "Unavailable",
    "VenueUnavailable",
    "ensure",
]


class DeskError(Exception):
    """The root: everything this program raises on purpose."""


class OperatorMistake(DeskError):
    """Something given to the desk has to be changed by the person who gave it."""


class ConfigRefused(OperatorMistake):
    """The configuration cannot work; the message names file, line and remedy."""


class InputRefused(OperatorMistake):
    """A file, a snapshot or an argument is not what it must be; the message names the place."""


class CommandRefused(OperatorMistake):
    """A command was understood and is not carried out in the present state."""


class Unavailable(DeskError):
    """Somebody else has to recover; asking again later is safe."""


class StoreUnavailable(Unavailable):
    """The database did not answer."""


class StoreRefused(StoreUnavailable):
    """The store cannot be used as it is; the message says what a person has to do about it."""


class StoreTaken(StoreRefused):
    """Another desk holds the store; or one that vanished did, and its server will find out soon."""


class VenueUnavailable(Unavailable):
    """The venue did not answer a question (never used for a send)."""


class BrokenInvariant(DeskError):
    """A promise of the desk does not hold. Nothing may be traded on this state any more."""


def ensure(holds: bool, promise: str, *facts: object) -> None:
    """Raise `BrokenInvariant` unless `holds`; stays on under `python -O`, unlike assert."""
    if not holds:
        detail = ", ".join(str(fact) for fact in facts)
        raise BrokenInvariant(f"{promise}: {detail}" if detail else promise)
