"""Where a desk is to be found: what a command needs that talks to one or reads its store.

A running desk goes on with the configuration it has when an edit of its file is wrong. Whoever has
to halt it then, or to look at it, must not be kept from it by the same mistake.
"""

from __future__ import annotations

import json
import os
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rebalancer.cli.options import load_config
from rebalancer.cli.output import note
from rebalancer.errors import ConfigRefused

if TYPE_CHECKING:
    from rebalancer.settings import Config

#: all that says where a desk is, by table and key
_STORE, _SOCKET = ("store", "url"), ("desk", "control_socket")
#: the mode of a file that is refused, as it may be what is wrong, and of a desk that is silent
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Places:
    """A desk's places, and by which clock it lives."""

    store_url: str
    control_socket: Path
    kill_switch: Path
    #: where its prices come from, in the file's word
    feed_source: str
    #: of one that would start now; one that runs says its own
    mode: str

    @classmethod
    def of(cls, config: Config) -> Places:
        """Return those of a configuration."""
        return cls(
            store_url=config.store_url,
            control_socket=config.desk.control_socket,
            kill_switch=config.kill_switch,
            feed_source=str(config.feed.source),
            mode=str(config.mode),
        )


def places(path: Path | None) -> Places:
    """Return where the desk is, by a file that is refused, too; that is said then.

    Raises ConfigRefused where a place in it is what is wrong, where nothing says which store is
    meant (the name of its key may be what is wrong), and where the file is not even TOML unless the
    environment has the places.
    """
    try:
        return Places.of(load_config(path))
    except ConfigRefused as refused:
        found = _salvaged(path)
        if found is None:
            raise
        first, *others = str(refused).splitlines()
        more = f" (and {len(others)} more)" if others else ""
        note(f"no desk could start or reload with this configuration: {first}{more}")
        return found


def _salvaged(path: Path | None) -> Places | None:
    """Return the places from the environment and from what can be read of a file, if they can."""
    from rebalancer.settings import parse  # noqa: PLC0415 - not needed to print --help
    from rebalancer.settings.loading import read  # noqa: PLC0415 - as above
    from rebalancer.settings.shape import dotted  # noqa: PLC0415 - as above
    from rebalancer.settings.sources import environment_name  # noqa: PLC0415 - as above

    keys = {environment_name(key): key for key in (_STORE, _SOCKET)}
    environ = {name: text for name, text in os.environ.items() if name.upper() in keys}
    told = {keys[name.upper()] for name in environ}
    try:
        tables = tomllib.loads(read(path, os.environ)[0])
    except tomllib.TOMLDecodeError:
        if told != {_STORE, _SOCKET}:
            return None
        tables = {}
    except ConfigRefused:
        return None
    try:
        values = {(table, key): tables.get(table, {}).get(key) for table, key in (_STORE, _SOCKET)}
        kept = {place: value for place, value in values.items() if value is not None}
        if _STORE not in told | kept.keys():
            return None
        lines = [f"{dotted(place)} = {json.dumps(value)}" for place, value in kept.items()]
        found = Places.of(parse("\n".join(lines), environ=environ))
        feed_source = str(tables.get("feed", {}).get("source", found.feed_source))
    except (ConfigRefused, AttributeError, TypeError):
        return None
    return replace(found, feed_source=feed_source, mode=UNKNOWN)
