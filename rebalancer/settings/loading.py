"""Loading: find the file, lay the sources over each other, validate, and hand back a Config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from rebalancer.errors import ConfigRefused
from rebalancer.settings.config import Config
from rebalancer.settings.convert import to_config
from rebalancer.settings.problems import Places, from_validation, refuse
from rebalancer.settings.sources import (
    LayerSource,
    from_credentials,
    from_environment,
    from_options,
    from_set,
    from_toml,
)
from rebalancer.settings.tables import Settings
from rebalancer.settings.toml_lines import KeyPath

CONFIG_VARIABLE = "REBALANCER_CONFIG"
#: more than ten thousand funds take
BYTES_MAX: Final = 8 * 1024 * 1024
DEFAULT_PATH: Final = Path("config.toml")
NOTHING: Final[Mapping[Any, Any]] = {}


def load(
    path: Path | None, environ: Mapping[str, str], values: Mapping[KeyPath, str] = NOTHING
) -> Config:
    """Read the file at `path`, else at $REBALANCER_CONFIG, else ./config.toml.

    `values` are those of `--set KEY=VALUE` and the strongest source, before `environ`
    (REBALANCER__SECTION__KEY), the credentials directory and the file. Raises ConfigRefused:
    one line per problem, each with its place.
    """
    return to_config(*validated(*read(path, environ), environ, values=values))


def parse(
    text: str,
    name: str = "config.toml",
    environ: Mapping[str, str] = NOTHING,
    overrides: Mapping[str, Any] = NOTHING,
) -> Config:
    """Do as `load` does with a document that is at hand; `name` stands in its refusals.

    `overrides` are nested tables (`{"store": {"url": ...}}`) and stronger than every other source.
    """
    return to_config(*validated(text, name, environ, overrides))


def validated(
    text: str,
    name: str,
    environ: Mapping[str, str],
    overrides: Mapping[str, Any] = NOTHING,
    values: Mapping[KeyPath, str] = NOTHING,
) -> tuple[Settings, Places]:
    """Return the tables of a document with every other source over it; raises ConfigRefused."""
    file = from_toml(text, name)
    layers = [
        from_options(overrides),
        from_set(values, file.data),
        from_environment(environ, file.data),
        from_credentials(environ, file.data),
        file,
    ]
    places = Places([layer.places for layer in layers], name)
    problems = [problem for layer in layers for problem in layer.problems]
    try:
        settings = Settings.from_sources([LayerSource(layer) for layer in layers])
    except ValidationError as error:
        refuse([*problems, *from_validation(error, places)])
    if problems:
        refuse(problems)
    return settings, places


def read(path: Path | None, environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the text and the name of the file at `path`, $REBALANCER_CONFIG or ./config.toml."""
    file = path or Path(environ.get(CONFIG_VARIABLE) or DEFAULT_PATH)
    try:
        if file.stat().st_size > BYTES_MAX:
            raise ConfigRefused(f"{file}: is larger than {BYTES_MAX} bytes; name the right file")
        # A byte order mark, which some editors write, is not part of the text.
        return file.read_text(encoding="utf-8-sig"), str(file)
    except FileNotFoundError:
        remedy = "write a first one with: rebalancer config init, or name another with --config"
        raise ConfigRefused(f"{file}: no such file; {remedy}") from None
    except IsADirectoryError:
        raise ConfigRefused(f"{file}: is a directory, not a file") from None
    except OSError as error:
        raise ConfigRefused(f"{file}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigRefused(f"{file}:{line}: is not UTF-8 text") from None
    except ValueError as error:
        raise ConfigRefused(f"{str(file)!r}: cannot be read: {error}") from None
