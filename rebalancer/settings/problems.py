"""What is wrong with a configuration, and where: one sentence per problem, all in one refusal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from pydantic import ValidationError

from rebalancer.errors import ConfigRefused
from rebalancer.settings.shape import at, dotted, is_table, nearest
from rebalancer.settings.tables import Settings
from rebalancer.settings.toml_lines import KeyPath

_KEY = r'(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*")'
_LEADING_PATH = re.compile(rf"({_KEY}(?:\.{_KEY})*)(?=: )")
_SENTENCES = {
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "string_type": "must be text in quotes",
    "tuple_type": "must be a list",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
}


class Place(NamedTuple):
    """Where the operator wrote something: a line of a file, or the name of another source."""

    source: str
    line: int = 0
    #: where the source names the key itself, as an option does
    key: str = ""

    def __str__(self) -> str:
        if self.key:
            return f"{self.source} {self.key}"
        return f"{self.source}:{self.line}" if self.line else self.source


class Problem(NamedTuple):
    """One sentence about one place."""

    place: Place
    sentence: str

    def __str__(self) -> str:
        key = self.place.key
        return f"{self.place}: {self.sentence.removeprefix(f'{key}: ') if key else self.sentence}"


class Places:
    """Finds where a key was written, over all sources, the strongest first."""

    def __init__(self, sources: Sequence[Mapping[KeyPath, Place]], document: str) -> None:
        self._sources = sources
        self._document = Place(document)

    @property
    def document(self) -> str:
        """The name of the file."""
        return self._document.source

    def of(self, path: KeyPath) -> Place:
        """Return the place of the key, or of the nearest table around it that was written.

        A key of a fund that its own table does not state may stand in `[defaults]`.
        """
        for length in range(len(path), 0, -1):
            candidates = [path[:length]]
            if path[0] == "funds" and length > 2:
                candidates.append(("defaults", *path[2:length]))
            for candidate in candidates:
                for source in self._sources:
                    if candidate in source:
                        return source[candidate]
        return self._document

    def problem(self, path: KeyPath, sentence: str) -> Problem:
        """Say `sentence` about the key at `path`."""
        return Problem(self.of(path), f"{dotted(path)}: {sentence}" if path else sentence)

    def about(self, refusal: str) -> Problem:
        """Place a sentence of the core, which begins with the key path that it is about."""
        leading = _LEADING_PATH.match(refusal)
        path = tuple(
            part.strip('"') for part in re.findall(_KEY, leading.group() if leading else "")
        )
        return Problem(self.of(path), refusal)


def refuse(problems: Iterable[Problem]) -> NoReturn:
    """Raise ConfigRefused with one line per problem, in the order of the file."""
    raise ConfigRefused("\n".join(str(problem) for problem in sorted(set(problems))))


def from_validation(error: ValidationError, places: Places) -> list[Problem]:
    """Turn what pydantic found into our sentences; never shows what was given for a secret."""
    return [
        _from_detail(dict(detail), places)
        for detail in error.errors(include_url=False, include_input=False)
    ]


def _from_detail(detail: Mapping[str, Any], places: Places) -> Problem:
    keys = tuple(part for part in detail["loc"] if part != "[key]")
    path = tuple(part for part in keys if isinstance(part, str))
    kind = detail["type"]
    if kind == "extra_forbidden":
        return places.problem(path, unknown_key(path))
    if kind == "value_error":
        sentence = str(detail["ctx"]["error"])
    else:
        message = str(detail["msg"]).removeprefix("Input ").removeprefix("should ")
        sentence = _SENTENCES.get(kind, message.replace("be ", "must be ", 1))
    return places.problem(path, sentence)


def unknown_key(path: KeyPath) -> str:
    """Say that the last key of `path` is not available yet, or is none; and which one is near."""
    table = at(Settings, path[:-1])
    if not is_table(table):
        return "is a value and has no keys"
    if path[-1] in table.later:
        return "is not available in this version"
    valid = [*table.model_fields]
    return f"unknown key; {nearest(path[-1], valid)}"
