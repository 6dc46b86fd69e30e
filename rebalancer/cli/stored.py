"""The store as a command that only reads finds it: beside a running desk, or alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rebalancer.cli.operating import is_running
from rebalancer.cli.options import load_config
from rebalancer.cli.output import note

if TYPE_CHECKING:
    from rebalancer.ports import NavView
    from rebalancer.settings import Config
    from rebalancer.store.reader import SqlReader


@contextmanager
def opened(path: Path | None) -> Iterator[tuple[Config, SqlReader]]:
    """Give the configuration and a reader of its store; say so where no desk writes to it."""
    with opened_quietly(path) as (config, reader):
        if not is_running(config.desk.control_socket):
            note("no desk runs; this is what the store holds")
        yield config, reader


def desk_now_ms(config: Config, views: Sequence[NavView], *, running: bool) -> int:
    """Return the time by which ages and what comes next are told.

    Real prices come by the clock of the wall. A simulated or played market has a time of its own,
    as its views tell it.
    """
    from rebalancer.clock import WallClock  # noqa: PLC0415 - not needed to print --help
    from rebalancer.settings import FeedSource  # noqa: PLC0415 - as above

    wall_ms = WallClock().now_ms()
    if config.feed.source is FeedSource.CCXT or not views:
        return wall_ms
    saved_ms = max(view.at_ms for view in views)
    return saved_ms if running else max(wall_ms, saved_ms)


@contextmanager
def opened_quietly(path: Path | None) -> Iterator[tuple[Config, SqlReader]]:
    """Do as `opened` does for who says by itself whether a desk runs."""
    from rebalancer.store.reader import open_reader  # noqa: PLC0415 - not needed to print --help

    config = load_config(path)
    with open_reader(config.store_url) as reader:
        yield config, reader
