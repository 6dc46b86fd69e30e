"""Brings a database up to the layout of this program; never back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from rebalancer.store.schema import refuse_newer, schema_of
from rebalancer.store.tables import SCHEMA_HEAD

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).parent / "migrations"


def configuration(connection: Connection | None = None) -> Config:
    """Return what Alembic needs to find our migrations and run them on `connection`."""
    from alembic.config import Config  # noqa: PLC0415 - a seventh of a second

    config = Config()
    # A percent sign in the path would start an interpolation.
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def bring_up_to_date(connection: Connection, place: str) -> None:
    """Run every missing migration in the transaction of `connection`.

    A layout newer than this program raises StoreRefused and is left alone.
    """
    version = schema_of(connection)
    refuse_newer(version, place)
    if version != SCHEMA_HEAD:
        from alembic import command  # noqa: PLC0415 - only where there is something to bring

        command.upgrade(configuration(connection), "head")
