"""Looks at a store from outside: is it there, can it be opened, does a desk hold it.

Nothing is created, locked or changed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from rebalancer.errors import StoreUnavailable
from rebalancer.store.locks import holder_of_file, holder_of_session
from rebalancer.store.schema import refuse_newer, schema_of
from rebalancer.store.tables import SCHEMA_HEAD
from rebalancer.store.target import Target, reading_engine, target, unavailable


@dataclass(frozen=True, slots=True)
class StoreSeen:
    """A store as it is found."""

    #: its address as a message may show it
    shown: str
    #: whether a desk ever ran on it
    exists: bool
    #: whether its layout is one that this program has to bring up to date first
    older: bool
    #: the pid of the desk that runs on it now
    holder: str | None
    #: where its file is or would be; None for a server
    folder: Path | None


def look_at_store(url: str) -> StoreSeen:
    """Return what is seen of the store at `url`.

    A url that no store can have raises InputRefused; a store that a desk could not open raises
    StoreUnavailable.
    """
    place = target(url)
    folder = None if place.path is None else place.path.parent
    if place.path is not None and not place.path.exists():
        refuse_unwritable(place.path.parent)
        return StoreSeen(place.shown, exists=False, older=False, holder=None, folder=folder)
    if place.path is not None and not os.access(place.path, os.R_OK | os.W_OK):
        raise StoreUnavailable(
            f"{place.shown}: may not be read and written by this user; become the user whose desk "
            "it is"
        )
    schema, holder = _opened(place)
    return StoreSeen(
        place.shown,
        exists=schema is not None,
        older=schema not in (None, SCHEMA_HEAD),
        holder=holder,
        folder=folder,
    )


def _opened(place: Target) -> tuple[str | None, str | None]:
    engine = reading_engine(place)
    try:
        with engine.connect() as connection, connection.begin():
            schema = schema_of(connection)
            refuse_newer(schema, place.shown)
            if place.path is not None:
                return schema, holder_of_file(place.path)
            return schema, holder_of_session(connection)
    except SQLAlchemyError as error:
        raise unavailable(place, error) from error
    finally:
        engine.dispose()


def refuse_unwritable(folder: Path) -> None:
    """Raise StoreUnavailable unless files can be made in `folder`."""
    if not folder.is_dir():
        raise StoreUnavailable(f"{folder}: there is no such folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise StoreUnavailable(
            f"{folder}: this user may not write there; become the user whose desk it is, or set "
            "store.url to another folder"
        )
