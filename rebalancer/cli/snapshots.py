"""The desk that a command computes on: of a document, or as the store has it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rebalancer.cli.operating import is_running
from rebalancer.cli.output import age, note
from rebalancer.cli.places import Places
from rebalancer.cli.stored import desk_now_ms
from rebalancer.errors import InputRefused

if TYPE_CHECKING:
    from rebalancer.settings import Config
    from rebalancer.sim.snapshot import Snapshot

SnapshotPath = Annotated[
    Path | None,
    typer.Option("--snapshot", help="Plan from this JSON document; no desk, no store."),
]


def taken_snapshot(settings: Config, path: Path | None) -> Snapshot:
    """Return the desk of the document at `path`, else as the store of the running desk has it."""
    if path is not None:
        return _from_document(settings, path)
    taken, old_ms = snapshot_of_store(settings)
    note(f"as the desk last saved it, {age(old_ms)} ago")
    return taken


def _from_document(settings: Config, path: Path) -> Snapshot:
    from rebalancer.configured import desk_of  # noqa: PLC0415 - not needed to print --help
    from rebalancer.sim.snapshot import read_snapshot  # noqa: PLC0415 - as above

    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputRefused(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputRefused(f"{path}: is not UTF-8 text") from None
    return read_snapshot(text, desk_of(settings), str(path))


def snapshot_of_store(settings: Config) -> tuple[Snapshot, int]:
    """Return the desk as the store has it, and how old its prices are, in milliseconds."""
    from rebalancer.configured import desk_of  # noqa: PLC0415 - not needed to print --help
    from rebalancer.desk.recovery import refuse_lost_funds  # noqa: PLC0415 - as above
    from rebalancer.sim.snapshot import snapshot_of  # noqa: PLC0415 - as above
    from rebalancer.store.reader import open_reader  # noqa: PLC0415 - as above

    with open_reader(settings.store_url) as reader:
        records, prices, views = reader.records(), reader.prices(), reader.views()
    if not views or not prices:
        raise InputRefused("the store knows no price yet; run the desk first, or use --snapshot")
    as_of_ms = max(view.at_ms for view in views)
    desk = desk_of(settings)
    refuse_lost_funds(desk.funds, records)
    running = is_running(settings.desk.control_socket)
    old_ms = desk_now_ms(Places.of(settings), views, running=running) - as_of_ms
    return snapshot_of(desk, records, prices, as_of_ms), old_ms
