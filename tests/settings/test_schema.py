"""The schema for editors: it takes what the program takes, and marks what it refuses."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from rebalancer.settings import parse
from rebalancer.settings.schema import document, schema

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "config.example.toml").read_text(encoding="utf-8")
VALIDATOR = jsonschema_rs.validator_for(schema())


def as_an_editor_sees_it(value: Any) -> Any:
    """Return a TOML value as JSON has it: times are text."""
    if isinstance(value, dict):
        return {key: as_an_editor_sees_it(each) for key, each in value.items()}
    if isinstance(value, list):
        return [as_an_editor_sees_it(each) for each in value]
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def problems(text: str) -> list[str]:
    document_ = as_an_editor_sees_it(tomllib.loads(text))
    return [error.message for error in VALIDATOR.iter_errors(document_)]


def shown_settings() -> str:
    """Return the example with what it only shows put into force, one line each, where it can be."""
    lines: list[str] = []
    for line in EXAMPLE.splitlines():
        bare = line[1:] if line.startswith("#") and line[1:2] not in (" ", "#", "") else line
        try:
            tomllib.loads("\n".join([*lines, bare]))
        except tomllib.TOMLDecodeError:
            bare = "# not by itself"
        lines.append(bare)
    return "\n".join(lines)


def test_it_is_what_the_documentation_holds() -> None:
    """Made by `make specs`."""
    assert (ROOT / "docs" / "config.schema.json").read_text(encoding="utf-8") == document()


def test_the_example_is_valid_as_it_is_and_with_every_setting_it_shows() -> None:
    assert problems(EXAMPLE) == []
    assert problems(shown_settings()) == []
    assert len(shown_settings()) > 0.9 * len(EXAMPLE) - EXAMPLE.count("#")


@pytest.mark.parametrize(
    "text",
    [
        "[funds.X]\nbasket = 7",
        "[funds.X]\nmax_age = 10",
        "[funds.X]\nmax_age = 'soon'",
        "[funds.X]\ntarget_leverge = 3",
        "[funds.X.rules.fixed]\ntimes = ['noon']",
        "[funds.X.rules.price_move]\nside = 'up'",
        "[log]\nlevel = 'loud'",
        "[accounts.main]\nleverage = 'three'",
        "mode = 'fast'",
    ],
)
def test_it_marks_what_the_program_refuses(text: str) -> None:
    assert problems(text)
    with pytest.raises(Exception, match=r"c\.toml:"):
        parse(text, "c.toml")


def test_it_is_a_schema_of_its_dialect() -> None:
    assert jsonschema_rs.meta.is_valid(json.loads(document()))
