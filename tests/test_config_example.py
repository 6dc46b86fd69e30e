"""The example loads as it is, and documents every setting, none that is none, at its default."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

from rebalancer.settings import Mode, load, parse
from rebalancer.settings.rules import RulesTable
from rebalancer.settings.shape import below, is_named_set, is_table
from rebalancer.settings.tables import SECRET_KEYS, FundTable, Settings

FILE = Path(__file__).parents[1] / "config.example.toml"
EXAMPLE = FILE.read_text(encoding="utf-8")
#: "#key = value" is a setting at its default, "# words" is prose
COMMENTED = re.compile(r"^#(?=[a-z_]+ = )", re.MULTILINE)


def uncommented() -> dict[str, Any]:
    """Return what stands in the example once every commented setting is taken in."""
    return tomllib.loads(COMMENTED.sub("", EXAMPLE), parse_float=Decimal)


def settings_of(shape: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """List every setting of the models; names that an operator chooses are written as *."""
    if is_named_set(shape):
        return settings_of(below(shape, "*"), (*path, "*"))
    if not is_table(shape):
        return {path}
    return {
        found
        for key in shape.model_fields
        for found in settings_of(below(shape, key), (*path, key))
    }


def documented(table: Any, shape: Any, path: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """List every setting in a document in the same words."""
    if not isinstance(table, dict) or not (is_named_set(shape) or is_table(shape)):
        return {path}
    named = is_named_set(shape)
    return {
        found
        for key, item in table.items()
        for found in documented(item, below(shape, key), (*path, "*" if named else key))
    }


def as_of_a_fund(path: tuple[str, ...]) -> tuple[str, ...]:
    """Count [defaults] as a fund: they have the same keys."""
    return ("funds", "*", *path[1:]) if path[0] == "defaults" else path


def test_the_example_loads_as_it_is() -> None:
    config = load(FILE, {})
    assert config.mode is Mode.PAPER
    assert list(config.funds) == ["BTC3L", "BTC3S", "ETH2L", "ETH1S", "MAJORS125"]
    assert {fund.account for fund in config.funds.values()} == {"main"}
    assert all(fund.methodology.fixed for fund in config.funds.values())
    assert all(fund.risk_statement for fund in config.funds.values())


def test_every_setting_is_documented_and_nothing_else() -> None:
    exist = {as_of_a_fund(path) for path in settings_of(Settings)}
    secrets = {(section, "*", key) for section, keys in SECRET_KEYS.items() for key in keys}
    shown = {as_of_a_fund(path) for path in documented(uncommented(), Settings)}
    assert secrets <= exist
    assert exist - secrets - shown == set(), "settings that the example does not show"
    assert shown - exist == set(), "what the example shows and no model has"


def test_secrets_are_documented_in_words_only() -> None:
    assert all(key in EXAMPLE for key in SECRET_KEYS)
    assert not any(re.search(rf"^#?{key} =", EXAMPLE, re.MULTILINE) for key in SECRET_KEYS)


def test_the_check_of_completeness_can_fail() -> None:
    exist = {as_of_a_fund(path) for path in settings_of(Settings)}
    assert ("funds", "*", "rules", "price_move", "threshold") in exist
    assert ("accounts", "*", "paper", "fill_ratio") in exist
    assert ("feed", "prices") in exist
    without = tomllib.loads(EXAMPLE, parse_float=Decimal)
    assert ("mode",) not in documented(without, Settings)


def test_commented_settings_stand_at_their_defaults() -> None:
    text = COMMENTED.sub("", EXAMPLE)
    assert text != EXAMPLE
    assert parse(text.replace("leverage = 2.5", "")).digest == parse(EXAMPLE).digest


def test_a_commented_setting_that_is_not_the_default_would_be_noticed() -> None:
    changed = EXAMPLE.replace('#max_age = "10s"', '#max_age = "11s"')
    assert changed != EXAMPLE
    assert parse(COMMENTED.sub("", changed)).digest != parse(EXAMPLE).digest


def test_defaults_in_words_are_the_defaults() -> None:
    fund = FundTable()
    assert "# Shares outstanding at the start. Default: 10000." in EXAMPLE
    assert fund.initial_shares == 10_000
    assert RulesTable().fixed.skip_within is None


def test_lines_are_readable() -> None:
    lines = EXAMPLE.splitlines()
    assert [line for line in lines if len(line) > 100 or line != line.rstrip()] == []
