"""The store as a command that only reads finds it: beside a running desk, or alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rebalancer.cli.operating import is_running
from rebalancer.cli.options import load_config
from rebalancer.cli.output import note
from rebalancer.cli.places import Places, places

if TYPE_CHECKING:
    from rebalancer.ports import NavView
    from rebalancer.settings import Config
    from rebalancer.store.reader import SqlReader


@contextmanager
def opened(path: Path | None) -> Iterator[tuple[Config, SqlReader]]:
    """Give the configuration and a reader of its store; say so where no desk writes to it."""
    config = load_config(path)
    with _reader_of(config.store_url) as reader:
        _say_if_alone(config.desk.control_socket)
        yield config, reader


@contextmanager
def opened_alone(path: Path | None) -> Iterator[SqlReader]:
    """Do as `opened` does for what the store tells alone: the file may be refused."""
    with opened_quietly(path) as (desk, reader):
        _say_if_alone(desk.control_socket)
        yield reader


@contextmanager
def opened_quietly(path: Path | None) -> Iterator[tuple[Places, SqlReader]]:
    """Give the desk's places and a reader to what says by itself whether a desk runs."""
    desk = places(path)
    with _reader_of(desk.store_url) as reader:
        yield desk, reader


def _reader_of(store_url: str) -> SqlReader:
    from rebalancer.store.reader import open_reader  # noqa: PLC0415 - not needed to print --help

    return open_reader(store_url)


def _say_if_alone(control_socket: Path) -> None:
    if not is_running(control_socket):
        note("no desk runs; this is what the store holds")


def desk_now_ms(desk: Places, views: Sequence[NavView], *, running: bool) -> int:
    """Return the time by which ages and what comes next are told.

    Real prices come by the clock of the wall. A simulated or played market has a time of its own,
    as its views tell it.
    """
    from rebalancer.clock import WallClock  # noqa: PLC0415 - not needed to print --help
    from rebalancer.settings import FeedSource  # noqa: PLC0415 - as above

    wall_ms = WallClock().now_ms()
    if desk.feed_source == FeedSource.CCXT or not views:
        return wall_ms
    saved_ms = max(view.at_ms for view in views)
    return saved_ms if running else max(wall_ms, saved_ms)
