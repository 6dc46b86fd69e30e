"""A configuration with every setting that made it, read once: what a reload compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rebalancer.settings.config import Config
from rebalancer.settings.convert import to_config
from rebalancer.settings.loading import read, validated
from rebalancer.settings.showing import Setting, settings_of


@dataclass(frozen=True, slots=True)
class InForce:
    """A configuration, and its settings as the operator would write them."""

    config: Config
    settings: tuple[Setting, ...]
    #: the name of the file
    document: str


def in_force(text: str, name: str, environ: Mapping[str, str]) -> InForce:
    """Return what a document says with the environment over it; raises ConfigRefused."""
    settings, places = validated(text, name, environ)
    return InForce(to_config(settings, places), settings_of(settings, places), name)


def reader_of(path: Path | None, environ: Mapping[str, str]) -> Callable[[], InForce]:
    """Return what reads the file at `path` anew each time, as `load` finds it."""
    return lambda: in_force(*read(path, environ), environ)
