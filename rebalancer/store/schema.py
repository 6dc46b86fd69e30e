"""Which layout a database has, and whether this program can work with it."""

from __future__ import annotations

from sqlalchemy import Connection, Text, column, inspect, select, table

from rebalancer.errors import StoreRefused
from rebalancer.store.tables import KNOWN_SCHEMAS, SCHEMA_HEAD, VERSION_TABLE

_VERSION = select(column("version_num", Text)).select_from(table(VERSION_TABLE))


def schema_of(connection: Connection) -> str | None:
    """Return the layout of the database, None where no desk ever wrote to it."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.execute(_VERSION).scalar()
    return version


def refuse_newer(version: str | None, place: str) -> None:
    """Raise StoreRefused for a layout that only a newer program can have written."""
    if version is not None and version not in KNOWN_SCHEMAS:
        raise StoreRefused(
            f"{place} has layout {version}, written by a newer rebalancer; this one knows up to "
            f"{SCHEMA_HEAD}: run the newer version, which alone can read it"
        )
