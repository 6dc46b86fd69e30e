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
    with _reader(Places.of(config)) as reader:
        yield config, reader


@contextmanager
def opened_alone(path: Path | None) -> Iterator[SqlReader]:
    """Do as `opened` does for what is told by the store alone: the file may be refused."""
    with _reader(places(path)) as reader:
        yield reader


@contextmanager
def _reader(desk: Places) -> Iterator[SqlReader]:
    from rebalancer.store.reader import open_reader  # noqa: PLC0415 - not needed to print --help

    with open_reader(desk.store_url) as reader:
        if not is_running(desk.control_socket):
            note("no desk runs; this is what the store holds")
        yield reader


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


@contextmanager
def opened_quietly(path: Path | None) -> Iterator[tuple[Places, SqlReader]]:
    """Give the desk's places and a reader to what says by itself whether a desk runs."""
    from rebalancer.store.reader import open_reader  # noqa: PLC0415 - not needed to print --help

    desk = places(path)
    with open_reader(desk.store_url) as reader:
        yield desk, reader
