"""Where settings come from: options, the environment, systemd credentials and one TOML file."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from rebalancer.errors import ConfigRefused
from rebalancer.settings.problems import Place, Problem, unknown_key
from rebalancer.settings.shape import (
    at,
    below,
    closest,
    dotted,
    is_named_set,
    is_table,
    is_written_as_json,
    nearest,
)
from rebalancer.settings.tables import SECRET_KEYS, Settings
from rebalancer.settings.toml_lines import KeyPath, key_lines
from rebalancer.settings.values import Untyped, has_password

_PROGRAM = "REBALANCER_"
ENVIRONMENT_PREFIX = f"{_PROGRAM}_"
CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
_SEPARATOR = "__"
_TOML_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$| \(at end of document\)$")
_LONG_NUMBER = re.compile(r"[0-9_]{4300,}")
#: what the sentences of the TOML reader mean to whoever wrote the file
_TOML_REMEDIES = {
    "Invalid value": "text stands in quotes",
    "Cannot overwrite a value": "a key stands once in a table",
    "Cannot declare": "a table stands once",
}
_UNDERSCORES = re.compile(r"_+")
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]")


@dataclass(slots=True)
class Layer:
    """One source: what it sets, where each key was written, and what is wrong with it."""

    data: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def put(self, path: KeyPath, value: object, place: Place) -> None:
        """Set one value."""
        table = self.data
        for key in path[:-1]:
            table = table.setdefault(key, {})
        table[path[-1]] = value
        self.places[path] = place


class LayerSource(PydanticBaseSettingsSource):
    """Hands a layer to pydantic-settings, which merges the layers, the first one on top."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(Settings)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return one top-level setting, its name, and that it needs no decoding."""
        del field
        return self._layer.data.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the layer without the baskets that a stronger source has set: those replace."""
        return _without_baskets(self._layer.data, self.current_state)


def _without_baskets(data: Mapping[str, Any], above: object, path: KeyPath = ()) -> dict[str, Any]:
    kept = {}
    for key, value in data.items():
        stronger = above.get(key) if isinstance(above, Mapping) else None
        here = (*path, key)
        if stronger is not None and (here == ("defaults", "basket") or _is_fund_basket(here)):
            continue
        kept[key] = _without_baskets(value, stronger, here) if isinstance(value, Mapping) else value
    return kept


def _is_fund_basket(path: KeyPath) -> bool:
    return len(path) == 3 and path[0] == "funds" and path[2] == "basket"


def from_toml(text: str, name: str) -> Layer:
    """Read a document called `name`; raises ConfigRefused when it is not TOML."""
    try:
        data = tomllib.loads(text, parse_float=_exact)
    except RecursionError:
        raise ConfigRefused(f"{name}: not valid TOML: nested too deeply") from None
    except ValueError as error:
        raise ConfigRefused(_toml_refusal(text, name, str(error))) from None
    layer = Layer(data)
    layer.places = {path: Place(name, line) for path, line in key_lines(text).items()}
    layer.problems = [*_secrets_in_file(layer)]
    return layer


def _exact(written: str) -> Decimal:
    try:
        return Decimal(written)
    except InvalidOperation:
        # Beyond any exponent: refused as every infinite number is, with its place.
        return Decimal("Infinity")


def _toml_refusal(text: str, name: str, message: str) -> str:
    found = _TOML_PLACE.search(message)
    if not found:
        # The one refusal of Python's own: int() takes 4300 digits at most.
        digits = _LONG_NUMBER.search(text)
        line = text.count("\n", 0, digits.start()) + 1 if digits else 1
        return f"{name}:{line}: not valid TOML: a number has thousands of digits"
    sentence = message[: found.start()]
    if found.group(1) is None:
        return f"{name}:{text.count(chr(10)) + 1}: not valid TOML: {sentence} at the end"
    remedies = [each for words, each in _TOML_REMEDIES.items() if sentence.startswith(words)]
    said = "; ".join([f"{sentence} (column {found.group(2)})", *remedies])
    return f"{name}:{found.group(1)}: not valid TOML: {said}"


def _secrets_in_file(layer: Layer) -> Iterable[Problem]:
    for section, secret_keys in SECRET_KEYS.items():
        named = layer.data.get(section)
        for name, table in named.items() if isinstance(named, dict) else ():
            for key in secret_keys:
                if isinstance(table, dict) and key in table:
                    yield _secret_in_file(layer, (section, name, key), "a secret")
                    # Refused already: what stands there must not be looked at any further.
                    del table[key]
    store = layer.data.get("store")
    url = store.get("url") if isinstance(store, dict) else None
    if isinstance(url, str) and has_password(url):
        yield _secret_in_file(layer, ("store", "url"), "a URL with a password")


def _secret_in_file(layer: Layer, path: KeyPath, what: str) -> Problem:
    place = next(
        layer.places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in layer.places
    )
    return Problem(
        place,
        f"{dotted(path)}: {what} must not stand in the file; set {environment_name(path)} "
        f"or the credential {_SEPARATOR.join(path)}",
    )


def from_options(options: Mapping[str, Any]) -> Layer:
    """Take nested values given by the program, for instance command line flags."""
    layer = Layer()

    def put(table: Mapping[str, Any], path: KeyPath) -> None:
        for key, value in table.items():
            here = (*path, key)
            if isinstance(value, Mapping) and value:
                put(value, here)
            else:
                layer.put(here, value, Place(f"option {dotted(here)}"))

    put(options, ())
    return layer


def from_set(values: Mapping[KeyPath, str], file: Mapping[str, Any]) -> Layer:
    """Take what `--set KEY=VALUE` says; `file` knows the funds, accounts and contracts.

    The key is written as the file writes it, the value as a variable of the environment carries it.
    """
    layer = Layer()
    for path, content in values.items():
        place = Place("--set", key=dotted(path))
        problem = _no_such_key(path, file)
        if problem:
            layer.problems.append(Problem(place, problem))
        else:
            _put_content(layer, path, content, place)
    return layer


def _no_such_key(path: KeyPath, file: Mapping[str, Any]) -> str:
    """Say why there is no key at `path` that could be set; "" where there is one."""
    known: object = file
    for depth, key in enumerate(path):
        shape, names = at(Settings, path[:depth]), [*known] if isinstance(known, Mapping) else []
        if is_named_set(shape) and key not in names:
            return _no_such_name(path[:depth], key, names, named_set=True)
        if not is_named_set(shape) and not (is_table(shape) and key in shape.model_fields):
            at_fault = path[: depth + is_table(shape)]
            return f"{dotted(at_fault)}: {unknown_key(path[: depth + 1])}"
        known = known.get(key) if isinstance(known, Mapping) else None
    return ""


def from_environment(environ: Mapping[str, str], file: Mapping[str, Any]) -> Layer:
    """Read every `REBALANCER__SECTION__KEY`; `file` knows the funds, accounts and contracts."""
    layer = Layer()
    for name in sorted(environ):
        place = Place(f"environment {name}")
        if name.upper().startswith(ENVIRONMENT_PREFIX):
            _put_text(layer, file, (name[len(ENVIRONMENT_PREFIX) :], environ[name]), place)
        elif name.upper().startswith(_PROGRAM):
            meant = _meant(_loosely(name[len(_PROGRAM) :]), Settings, file)
            if meant:
                right = environment_name(meant)
                layer.problems.append(
                    Problem(place, f"sets nothing: two underscores part words; set {right}")
                )
    return layer


def _meant(rest: str, shape: Any, known: object) -> KeyPath:
    """Return the key that `feed_speed` would set with two underscores; () where it is none.

    Others may set variables that begin as ours do: a container's host names its services so.
    """
    if not is_named_set(shape) and not is_table(shape):
        return ()
    tables = known if isinstance(known, Mapping) else {}
    for key in tables if is_named_set(shape) else shape.model_fields:
        own, inner = _loosely(key), below(shape, key)
        if rest == own and not is_table(inner) and not is_named_set(inner):
            return (key,)
        if rest.startswith(f"{own}_"):
            deeper = _meant(rest[len(own) + 1 :], inner, tables.get(key))
            if deeper:
                return (key, *deeper)
    return ()


def from_credentials(environ: Mapping[str, str], file: Mapping[str, Any]) -> Layer:
    """Read `section__key` files of $CREDENTIALS_DIRECTORY; other files there are not ours.

    Raises ConfigRefused when the directory or one of our files cannot be read.
    """
    layer = Layer()
    directory = environ.get(CREDENTIALS_VARIABLE)
    if not directory:
        return layer
    try:
        entries = sorted(Path(directory).iterdir())
    except (OSError, ValueError) as error:
        raise ConfigRefused(f"{CREDENTIALS_VARIABLE}: cannot list it: {_reason(error)}") from None
    for entry in entries:
        section, separator, _ = entry.name.lower().partition(_SEPARATOR)
        if separator and section in Settings.model_fields and entry.is_file():
            try:
                content = entry.read_text(encoding="utf-8").strip()
            except (OSError, ValueError) as error:
                raise ConfigRefused(
                    f"credential {entry.name}: cannot be read: {_reason(error)}"
                ) from None
            _put_text(layer, file, (entry.name, content), Place(f"credential {entry.name}"))
    return layer


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else "not a usable path"


def environment_name(path: KeyPath) -> str:
    """Return the variable that sets the key at `path`."""
    return ENVIRONMENT_PREFIX + _SEPARATOR.join(_as_in_names(key).upper() for key in path)


def _as_in_names(key: str) -> str:
    """Write a key as a shell allows it in a name: BTC/USDT:USDT is btc_usdt_usdt."""
    return _NOT_IN_A_NAME.sub("_", key.lower())


def _loosely(name: str) -> str:
    """Write a name so that one underscore and two are the same."""
    return _UNDERSCORES.sub("_", _as_in_names(name))


def _put_text(layer: Layer, file: Mapping[str, Any], named: tuple[str, str], place: Place) -> None:
    """Set the value that a variable or a credential carries, or note why it cannot be."""
    name, content = named
    path, problem = _resolve(name, file)
    if problem:
        layer.problems.append(Problem(place, problem))
    else:
        _put_content(layer, path, content, place)


def _put_content(layer: Layer, path: KeyPath, content: str, place: Place) -> None:
    """Set the value that `content` is the text of, or note why there is none."""
    value: object = Untyped(content)
    if is_written_as_json(at(Settings, path)):
        try:
            value = json.loads(content, parse_float=_exact)
        except (ValueError, RecursionError):
            sentence = f'{dotted(path)}: is not valid JSON, such as ["a", "b"]'
            layer.problems.append(Problem(place, sentence))
            return
    layer.put(path, value, place)


def _resolve(name: str, file: Mapping[str, Any]) -> tuple[KeyPath, str]:
    """Find the key that `FUNDS__BTC3L__MAX_AGE` means, or a sentence why there is none."""
    rest = _as_in_names(name)
    shape: Any = Settings
    known: Any = file
    path: KeyPath = ()
    while rest:
        named_set = is_named_set(shape)
        if not named_set and not is_table(shape):
            return path, f"{dotted(path)} is a value and has no keys"
        keys = [*known] if named_set and isinstance(known, dict) else []
        keys = keys if named_set else [*shape.model_fields]
        matches = [key for key in keys if f"{rest}__".startswith(f"{_as_in_names(key)}__")]
        if not matches:
            return path, _no_such_name(path, rest.partition(_SEPARATOR)[0], keys, named_set)
        longest = max(len(key) for key in matches)
        best = [key for key in matches if len(key) == longest]
        if len(best) > 1:
            return path, f"can mean {' and '.join(sorted(best))}: rename one of them"
        path = (*path, best[0])
        rest = rest[longest + len(_SEPARATOR) :]
        shape = below(shape, best[0])
        known = known.get(best[0], {}) if isinstance(known, Mapping) else {}
    if is_table(shape) or is_named_set(shape) or not path:
        return path, f"{dotted(path) or 'it'} is a table: name one of its keys"
    return path, ""


def _no_such_name(path: KeyPath, key: str, keys: list[str], named_set: bool) -> str:
    if named_set:
        return f"the file has no {dotted((*path, key))}; {nearest(key, keys)}"
    sentence = f"{dotted((*path, key))}: {unknown_key((*path, key))}"
    best = closest(key, keys)
    if best and "unknown key" in sentence:
        sentence += f": set {environment_name((*path, best))}"
    return sentence
