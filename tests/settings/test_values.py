"""What becomes of the values: exact decimals, core nouns, defaults merged underneath, a digest."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError
from decimal import Decimal

import pytest
from pydantic import ValidationError

from rebalancer.core.contract import Contract
from rebalancer.core.fund import Account, Execution, Fund, Limits, NavKind, PriceSource
from rebalancer.core.methodology import (
    Emergency,
    Fixed,
    LeverageCap,
    Methodology,
    PriceMove,
    Ratio,
    Side,
)
from rebalancer.errors import InputRefused
from rebalancer.settings import Config, PaperSettings, Settings, contract_for, parse


@pytest.mark.parametrize("written", ["0.15", '"0.15"', "15e-2", '" 0.15 "'])
def test_numbers_are_exact_in_quotes_or_not(desk: str, written: str) -> None:
    config = parse(desk + f"[funds.BTC3L.rules.price_move]\nthreshold = {written}\n")
    price_move = config.funds["BTC3L"].methodology.price_move
    assert price_move is not None
    assert price_move.threshold == Decimal("0.15")


def test_a_long_decimal_keeps_every_digit(desk: str) -> None:
    config = parse(desk + "initial_nav = 123456789.123456789123456789\n")
    assert str(config.funds["BTC3L"].initial_nav) == "123456789.123456789123456789"


def test_a_silent_fund_has_fixed_and_price_move_with_their_defaults(desk: str) -> None:
    rules = parse(desk).funds["BTC3L"].methodology
    assert rules.fixed is not None
    assert rules.fixed.times_of_day_ms == (37_800_000,)
    assert rules.fixed.utc_offset_ms == 28_800_000
    assert rules.fixed.catch_up_ms == 21_600_000
    assert rules.price_move is not None
    assert rules.price_move.threshold == Decimal("0.15")
    assert rules.price_move.side is Side.LOSING
    assert rules.leverage_cap is None
    assert rules.emergency is not None
    assert rules.emergency.level == Ratio(numerator=Decimal("7.5"))
    assert rules.manual


@pytest.mark.parametrize(("leverage", "threshold"), [("5", "0.09"), ("-3", "0.15"), ("1", "0.15")])
def test_the_price_threshold_follows_the_leverage(desk: str, leverage: str, threshold: str) -> None:
    config = parse(desk.replace("target_leverage = 3", f"target_leverage = {leverage}"))
    price_move = config.funds["BTC3L"].methodology.price_move
    assert price_move is not None
    assert price_move.threshold == Decimal(threshold)


@pytest.mark.parametrize(
    "named",
    ["rules.fixed = {}\n", 'rules.fixed.times = ["01:00"]\n', "rules.fixed.enabled = true\n"],
)
def test_a_fund_that_names_a_rule_has_only_that(desk: str, named: str) -> None:
    rules = parse(desk + named).funds["BTC3L"].methodology
    assert rules.fixed is not None
    assert rules.price_move is None
    assert rules.emergency is not None
    assert rules.emergency.level == Ratio(numerator=Decimal(12), denominator=Decimal(3))
    assert rules.emergency.level.value == 4


def test_a_rule_named_in_the_defaults_is_named(desk: str) -> None:
    rules = parse(desk + "[defaults.rules.fixed]\n").funds["BTC3L"].methodology
    assert rules.price_move is None


@pytest.mark.parametrize("rule", ["emergency", "manual", "flow"])
def test_tuning_an_always_on_rule_names_no_rule(desk: str, rule: str) -> None:
    methodology = parse(desk + f"rules.{rule}.enabled = false\n").funds["BTC3L"].methodology
    assert methodology.fixed is not None
    assert methodology.price_move is not None
    assert (methodology.emergency is None) == (rule == "emergency")
    assert (methodology.manual is None) == (rule == "manual")


def test_a_disabled_rule_is_off_and_still_named(desk: str) -> None:
    text = desk + "rules.price_move.enabled = false\nrules.fixed.catch_up = '1h'\n"
    rules = parse(text).funds["BTC3L"].methodology
    assert rules.fixed is not None
    assert rules.fixed.catch_up_ms == 3_600_000
    assert rules.price_move is None


def test_every_key_of_every_rule_arrives(desk: str) -> None:
    text = desk + (
        "[funds.BTC3L.rules]\n"
        'fixed = { times = [08:00:00, "20:00"], utc_offset = "-03:30", skip_below_move = 0.001 }\n'
        'price_move = { threshold = 0.1, side = "both", cooldown = "90s", confirm_ticks = 3 }\n'
        'leverage_cap = { upper = 5, cooldown = "2m", confirm_ticks = 4 }\n'
        "[funds.BTC3L.rules.emergency]\n"
        'leverage = 6.5\ncooldown = "61s"\nconfirm_ticks = 1\n'
        "max_child_units = 2\nmax_child_notional = 1e5\ncollar_bps = 300\n"
    )
    assert parse(text).funds["BTC3L"].methodology == Methodology(
        fixed=Fixed(
            times_of_day_ms=(28_800_000, 72_000_000),
            utc_offset_ms=-12_600_000,
            skip_below_move=Decimal("0.001"),
        ),
        price_move=PriceMove(
            threshold=Decimal("0.1"), side=Side.BOTH, cooldown_ms=90_000, confirm_ticks=3
        ),
        leverage_cap=LeverageCap(upper=Decimal(5), cooldown_ms=120_000, confirm_ticks=4),
        emergency=Emergency(
            level=Ratio(numerator=Decimal("6.5")),
            cooldown_ms=61_000,
            confirm_ticks=1,
            max_child_units=Decimal(2),
            max_child_notional=Decimal(100_000),
            collar_bps=Decimal(300),
        ),
    )


def test_the_emergency_ratio_is_a_multiple_of_the_target(desk: str) -> None:
    emergency = parse(desk + "rules.emergency.ratio = 2\n").funds["BTC3L"].methodology.emergency
    assert emergency is not None
    assert emergency.level.value == 6


def test_every_other_key_of_a_fund_arrives(desk: str) -> None:
    text = desk + (
        "initial_nav = 10\ninitial_shares = 5\nprice_source = 'index'\nmax_age = '1m30s'\n"
        "nav_boundary = '08:00'\nsize_from = 'formula'\nformula_base = 'account'\n"
        "description = 'd'\nrisk_statement = 'r'\n"
        "[funds.BTC3L.execution]\nmax_child_units = 1\nmax_child_notional = 2\n"
        "interval = '3s'\ncollar_bps = 4\nmin_notional = 5\n"
        "[funds.BTC3L.limits]\nmax_order_notional = 6\nmax_run_notional = 7\n"
        "max_day_notional = 8\nmax_orders_per_run = 9\nmax_runs_per_day = 10\nmax_leverage = 11\n"
    )
    assert parse(text).funds["BTC3L"] == Fund(
        name="BTC3L",
        account="main",
        target_leverage=Decimal(3),
        basket={"BTC/USDT:USDT": Decimal(1)},
        methodology=parse(desk).funds["BTC3L"].methodology,
        initial_nav=Decimal(10),
        initial_shares=Decimal(5),
        price_source=PriceSource.INDEX,
        max_age_ms=90_000,
        nav_boundary_ms=28_800_000,
        size_from=NavKind.FORMULA,
        formula_base=NavKind.ACCOUNT,
        description="d",
        risk_statement="r",
        execution=Execution(
            max_child_units=Decimal(1),
            max_child_notional=Decimal(2),
            interval_ms=3_000,
            collar_bps=Decimal(4),
            min_notional=Decimal(5),
        ),
        limits=Limits(
            max_order_notional=Decimal(6),
            max_run_notional=Decimal(7),
            max_day_notional=Decimal(8),
            max_orders_per_run=9,
            max_runs_per_day=10,
            max_leverage=Decimal(11),
        ),
    )


def test_an_account_knows_its_books_its_margins_and_its_costs(desk: str) -> None:
    text = desk.replace(
        'venue = "binance"\n',
        'venue = "xt"\nwaives_min_notional = false\ninitial_margin = 0.05\n'
        "maintenance_margin = 0.02\n"
        "paper = { fee_bps = 6, slippage_bps = 1.5, funding = false, latency = '150ms', "
        "fill_ratio = 0.4 }\n",
    )
    config = parse(text)
    assert config.accounts["main"] == Account(
        name="main",
        venue="xt",
        hedge=True,
        waives_min_notional=False,
        initial_margin=Decimal("0.05"),
        maintenance_margin=Decimal("0.02"),
    )
    assert config.paper["main"] == PaperSettings(
        fee_bps=Decimal(6),
        slippage_bps=Decimal("1.5"),
        impact_bps=Decimal(0),
        funding=False,
        latency_ms=150,
        fill_ratio=Decimal("0.4"),
    )
    assert parse(desk).accounts["main"].hedge is False
    assert parse(text.replace('"xt"', '"xt"\nhedge = false')).accounts["main"].hedge is False


def test_defaults_lie_under_each_fund_table_by_table(desk: str) -> None:
    text = desk + (
        "rules.fixed.catch_up = '1h'\nlimits.max_leverage = 4\n"
        "[funds.ETH2S]\ntarget_leverage = -2\nmax_age = '5s'\n"
        'basket = { "ETH/USDT:USDT" = 1 }\n'
        "[defaults]\naccount = 'main'\nmax_age = '20s'\n"
        'basket = { "SOL/USDT:USDT" = 1 }\n'
        "[defaults.rules.fixed]\nutc_offset = 'Z'\ncatch_up = '2h'\n"
        "[defaults.limits]\nmax_leverage = 5\nmax_runs_per_day = 3\n"
    )
    funds = parse(text).funds
    assert list(funds) == ["BTC3L", "ETH2S"]
    first, second = funds["BTC3L"], funds["ETH2S"]
    assert (first.max_age_ms, second.max_age_ms) == (20_000, 5_000)
    assert first.methodology.fixed is not None
    assert second.methodology.fixed is not None
    assert (first.methodology.fixed.utc_offset_ms, first.methodology.fixed.catch_up_ms) == (
        0,
        3_600_000,
    )
    assert second.methodology.fixed.catch_up_ms == 7_200_000
    assert first.limits == Limits(max_leverage=Decimal(4), max_runs_per_day=3)
    assert second.limits == Limits(max_leverage=Decimal(5), max_runs_per_day=3)
    assert second.account == "main"
    assert set(second.basket) == {"ETH/USDT:USDT"}, "a basket replaces, it is not merged"


def test_an_emergency_leverage_of_a_fund_replaces_the_ratio_of_the_defaults(desk: str) -> None:
    text = desk + "rules.emergency.leverage = 8\n[defaults.rules.emergency]\nratio = 2\n"
    emergency = parse(text).funds["BTC3L"].methodology.emergency
    assert emergency is not None
    assert emergency.level.value == 8


def test_only_described_contracts_are_listed_and_the_others_have_defaults(desk: str) -> None:
    text = desk + '[contracts."BTC/USDT:USDT"]\ncontract_size = 0.001\nlot = 1\ntick = 0.1\n'
    config = parse(text)
    assert list(config.contracts) == ["BTC/USDT:USDT"]
    assert contract_for(config, "BTC/USDT:USDT").contract_size == Decimal("0.001")
    assert contract_for(config, "ETH/USDT:USDT") == Contract(
        "ETH/USDT:USDT", contract_size=Decimal(1), lot=Decimal("1e-9"), min_notional=Decimal(0)
    )
    with pytest.raises(InputRefused):
        contract_for(config, "BTC/USD:BTC")


def test_a_simulated_price_starts_at_100_unless_it_is_said(desk: str) -> None:
    feed = parse(desk + '[feed.prices]\n"BTC/USDT:USDT" = 60000\n').feed
    assert feed.start_price("BTC/USDT:USDT") == 60_000
    assert feed.start_price("ETH/USDT:USDT") == 100


def test_a_config_cannot_be_changed(desk: str) -> None:
    config = parse(desk)
    with pytest.raises(FrozenInstanceError):
        config.mode = "live"  # type: ignore[misc, assignment]
    with pytest.raises(ValidationError):
        Settings.from_sources([]).mode = "live"


def test_the_digest_ignores_spelling_order_and_secrets(desk: str) -> None:
    same = (
        "# a comment\n[funds.BTC3L]\n"
        'basket = { "BTC/USDT:USDT" = "1.0" }\ntarget_leverage = "3.00"\naccount = "main"\n'
        'max_age = "10000ms"\n[accounts.main]\nvenue = "binance"\nhedge = false\n'
    )
    secret = {"REBALANCER__ACCOUNTS__MAIN__SECRET": "hunter2"}
    assert parse(desk).digest == parse(same).digest == parse(desk, environ=secret).digest
    assert len(parse(desk).digest) == 64


@pytest.mark.parametrize(
    "change",
    ["max_age = '11s'\n", "rules.fixed.catch_up = '1h'\n", "[log]\nlevel = 'debug'\n"],
)
def test_the_digest_follows_every_effective_change(desk: str, change: str) -> None:
    assert parse(desk).digest != parse(desk + change).digest


def test_the_password_of_the_store_is_neither_in_the_digest_nor_printed(desk: str) -> None:
    def store(url: str) -> Config:
        return parse(desk, environ={"REBALANCER__STORE__URL": url})

    first = store("postgresql://desk:hunter2@db:5432/desk?sslmode=require")
    second = store("postgresql://desk:other#1@db:5432/desk?sslmode=require")
    assert first.store_url == "postgresql://desk:hunter2@db:5432/desk?sslmode=require"
    assert first.store_url_shown == "postgresql://desk@db:5432/desk?sslmode=require"
    assert first.digest == second.digest
    assert "hunter2" not in repr(first)
    assert (
        store("postgresql://db/d?password=hunter2&a=1").store_url_shown == "postgresql://db/d?&a=1"
    )
    assert first.digest != store("postgresql://desk@db:5432/other").digest


def test_importing_the_settings_loads_no_heavy_library() -> None:
    code = (
        "import sys, rebalancer.settings\n"
        "print(sorted({'ccxt', 'sqlalchemy', 'typer'} & set(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "[]"
