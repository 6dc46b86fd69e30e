"""Options over environment over credentials over the file over defaults; every name is checked."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from rebalancer.errors import ConfigRefused
from rebalancer.settings import FeedSource, Mode, load, parse

Refusal = Callable[..., str]
Write = Callable[..., dict[str, str]]


@pytest.fixture
def credentials(tmp_path: Path) -> Write:
    """Write credential files; return the environment that names their directory."""

    def write(**files: str | bytes) -> dict[str, str]:
        directory = tmp_path / "credentials"
        directory.mkdir(exist_ok=True)
        for name, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            (directory / name).write_bytes(data)
        return {"CREDENTIALS_DIRECTORY": str(directory)}

    return write


def test_the_default_holds_when_no_source_speaks(desk: str) -> None:
    config = parse(desk)
    assert config.mode is Mode.PAPER
    assert config.store_url == "sqlite:///rebalancer.db"
    assert config.log.level == "info"


def test_each_source_is_stronger_than_the_next(desk: str, credentials: Write) -> None:
    file = desk + '[log]\nlevel = "error"\n'
    assert parse(file).log.level == "error"
    environ = credentials(log__level="warning\n")
    assert parse(file, environ=environ).log.level == "warning"
    environ["REBALANCER__LOG__LEVEL"] = "debug"
    assert parse(file, environ=environ).log.level == "debug"
    assert parse(file, environ=environ, overrides={"log": {"level": "info"}}).log.level == "info"


def test_the_sources_are_merged_key_by_key(desk: str) -> None:
    config = parse(desk, environ={"REBALANCER__FUNDS__BTC3L__INITIAL_NAV": "50.10"})
    assert config.funds["BTC3L"].initial_nav == Decimal("50.10")
    assert config.funds["BTC3L"].target_leverage == 3


def test_a_basket_from_the_environment_replaces_the_one_of_the_file(desk: str) -> None:
    basket = '{"ETH/USDT:USDT": 0.7, "SOL/USDT:USDT": 0.3}'
    config = parse(desk, environ={"REBALANCER__FUNDS__BTC3L__BASKET": basket})
    assert config.funds["BTC3L"].basket == {
        "ETH/USDT:USDT": Decimal("0.7"),
        "SOL/USDT:USDT": Decimal("0.3"),
    }


def test_a_fund_may_be_called_basket(desk: str) -> None:
    text = desk.replace("BTC3L", "basket")
    config = parse(text, environ={"REBALANCER__FUNDS__BASKET__INITIAL_NAV": "7"})
    assert config.funds["basket"].target_leverage == 3
    assert config.funds["basket"].initial_nav == 7


def test_text_from_the_environment_becomes_what_the_key_needs(desk: str) -> None:
    config = parse(
        desk,
        environ={
            "REBALANCER__ACCOUNTS__MAIN__HEDGE": "true",
            "REBALANCER__FUNDS__BTC3L__LIMITS__MAX_ORDERS_PER_RUN": "7",
            "REBALANCER__FUNDS__BTC3L__RULES__FIXED__TIMES": '["00:00", "12:00"]',
            "REBALANCER__FUNDS__BTC3L__RULES__FIXED__SKIP_WITHIN": "[2.9, 3.1]",
            "REBALANCER__FUNDS__BTC3L__MAX_AGE": "3s",
            "REBALANCER__FUNDS__BTC3L__DESCRIPTION": "true",
            "REBALANCER__STORE__URL": "postgresql://desk:hunter2@db/desk",
        },
    )
    fund = config.funds["BTC3L"]
    assert config.accounts["main"].hedge is True
    assert fund.limits.max_orders_per_run == 7
    assert fund.methodology.fixed is not None
    assert fund.methodology.fixed.times_of_day_ms == (0, 43_200_000)
    assert fund.methodology.fixed.skip_within == (Decimal("2.9"), Decimal("3.1"))
    assert fund.max_age_ms == 3_000
    assert fund.description == "true"
    assert type(config.store_url) is str


def test_names_that_a_variable_cannot_hold_are_written_with_underscores(desk: str) -> None:
    text = desk.replace("BTC3L", "my-fund__x") + '[contracts."BTC/USDT:USDT"]\nlot = 1\n'
    config = parse(
        text,
        environ={
            "REBALANCER__CONTRACTS__BTC_USDT_USDT__LOT": "0.001",
            "REBALANCER__FUNDS__MY_FUND__X__INITIAL_NAV": "1",
        },
    )
    assert config.contracts["BTC/USDT:USDT"].lot == Decimal("0.001")
    assert config.funds["my-fund__x"].initial_nav == 1


def test_the_longest_name_that_fits_is_meant(desk: str) -> None:
    text = desk + '[funds.BTC3L__B]\naccount = "main"\ntarget_leverage = 2\n'
    text += 'basket = { "BTC/USDT:USDT" = 1 }\n'
    config = parse(text, environ={"REBALANCER__FUNDS__BTC3L__B__INITIAL_NAV": "1"})
    assert config.funds["BTC3L__B"].initial_nav == 1
    assert config.funds["BTC3L"].initial_nav == 100


def test_two_names_that_read_the_same_in_the_environment_are_refused(
    desk: str, refusal: Refusal
) -> None:
    text = desk + '[accounts.MAIN]\nvenue = "paper"\n'
    said = refusal(text, {"REBALANCER__ACCOUNTS__MAIN__HEDGE": "true"})
    assert said == (
        "environment REBALANCER__ACCOUNTS__MAIN__HEDGE: can mean MAIN and main: rename one of them"
    )


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "REBALANCER__STORE__URLL",
            "store.urll: unknown key; the nearest valid one is url: set REBALANCER__STORE__URL",
        ),
        (
            "REBALANCER__MOOD",
            "mood: unknown key; the nearest valid one is mode: set REBALANCER__MODE",
        ),
        (
            "REBALANCER__FUNDS__BTC3X__INITIAL_NAV",
            "the file has no funds.btc3x; the nearest valid one is BTC3L",
        ),
        ("REBALANCER__FUNDS__BTC3L", "funds.BTC3L is a table: name one of its keys"),
        ("REBALANCER__FUNDS", "funds is a table: name one of its keys"),
        ("REBALANCER__", "it is a table: name one of its keys"),
        ("REBALANCER__MODE__X", "mode is a value and has no keys"),
        ("REBALANCER__CALENDARS__X", "the file has no calendars.x; there are none here"),
        ("REBALANCER__CONTRACTS__X__LOT", "the file has no contracts.x; there are none here"),
    ],
)
def test_an_environment_name_that_leads_nowhere_is_refused(
    desk: str, refusal: Refusal, name: str, sentence: str
) -> None:
    assert refusal(desk, {name: "1"}) == f"environment {name}: {sentence}"


def test_other_variables_are_none_of_our_business(desk: str) -> None:
    environ = {"REBALANCER_CONFIG": "x", "REBALANCE__MODE": "live", "PATH": "/bin", "MODE": "live"}
    assert parse(desk, environ=environ).mode is Mode.PAPER


@pytest.mark.parametrize("value", ["yes", "1", "on", "TRUE!", ""])
def test_a_flag_from_the_environment_is_true_or_false(
    desk: str, refusal: Refusal, value: str
) -> None:
    said = refusal(desk, {"REBALANCER__ACCOUNTS__MAIN__HEDGE": value})
    assert said == (
        "environment REBALANCER__ACCOUNTS__MAIN__HEDGE: accounts.main.hedge: must be true or false"
    )


@pytest.mark.parametrize("value", ["{", '{"BTC/USDT:USDT": NaN}', "[" * 100_000, "BTC", "9" * 5000])
def test_broken_json_in_the_environment_is_refused(desk: str, refusal: Refusal, value: str) -> None:
    said = refusal(desk, {"REBALANCER__FUNDS__BTC3L__BASKET": value})
    assert said.startswith("environment REBALANCER__FUNDS__BTC3L__BASKET: funds.BTC3L.basket")


def test_a_wrong_option_is_named(desk: str, refusal: Refusal) -> None:
    assert refusal(desk, feed={"speed": -1}) == (
        "option feed.speed: feed.speed: -1 must be above 0"
    )
    assert refusal(desk, feed={"speed": 0.5}).startswith("option feed.speed: feed.speed: expected")
    assert "option fed: fed: unknown key" in refusal(desk, fed={})


def test_credentials_and_environment_bring_the_secrets(desk: str, credentials: Write) -> None:
    environ = credentials(accounts__main__api_key="abc\n")
    environ["REBALANCER__ACCOUNTS__MAIN__SECRET"] = "hunter2"
    config = parse(desk, environ=environ)
    api_key, secret = config.secrets["main"].api_key, config.secrets["main"].secret
    assert api_key is not None
    assert secret is not None
    assert api_key.get_secret_value() == "abc"
    assert secret.get_secret_value() == "hunter2"
    assert config.secrets["main"].password is None
    assert "hunter2" not in repr(config)


def test_a_credential_of_another_program_is_ignored(desk: str, credentials: Write) -> None:
    environ = credentials(tls_key="x", other__thing="y", mode="live", accounts="z")
    assert parse(desk, environ=environ).mode is Mode.PAPER


def test_a_credential_of_ours_that_leads_nowhere_is_refused(
    desk: str, refusal: Refusal, credentials: Write
) -> None:
    assert refusal(desk, credentials(accounts__mian__api_key="abc")) == (
        "credential accounts__mian__api_key: the file has no accounts.mian; "
        "the nearest valid one is main"
    )


def test_an_empty_secret_is_refused(desk: str, refusal: Refusal, credentials: Write) -> None:
    assert refusal(desk, credentials(accounts__main__api_key="\n")) == (
        "credential accounts__main__api_key: accounts.main.api_key: must not be empty"
    )


def test_a_credential_that_is_not_text_is_refused_without_showing_it(
    desk: str, refusal: Refusal, credentials: Write
) -> None:
    said = refusal(desk, credentials(accounts__main__secret=b"\xff\xfe hunter2"))
    assert said == "credential accounts__main__secret: cannot be read: not UTF-8 text"


def test_a_missing_credentials_directory_is_refused(
    desk: str, refusal: Refusal, tmp_path: Path
) -> None:
    said = refusal(desk, {"CREDENTIALS_DIRECTORY": str(tmp_path / "gone")})
    assert said == "CREDENTIALS_DIRECTORY: cannot list it: No such file or directory"


def test_a_refusal_of_a_secret_does_not_show_it(desk: str, refusal: Refusal) -> None:
    said = refusal(desk, accounts={"main": {"api_key": ["hunter2"], "secret": 42_4242}})
    assert "hunter2" not in said
    assert "424242" not in said
    assert "accounts.main.api_key: must be text in quotes" in said


def test_the_file_is_the_one_given_else_that_of_the_variable_else_config_toml(
    desk: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ConfigRefused,
        match=r"^config.toml: no such file; write a first one with: rebalancer config init",
    ):
        load(None, {})
    for name, level in (("config", "debug"), ("named", "warning"), ("given", "error")):
        (tmp_path / f"{name}.toml").write_text(desk + f'[log]\nlevel = "{level}"\n')
    named = {"REBALANCER_CONFIG": str(tmp_path / "named.toml")}
    assert load(None, {}).log.level == "debug"
    assert load(None, named).log.level == "warning"
    assert load(tmp_path / "given.toml", named).log.level == "error"


def test_a_path_that_is_no_readable_text_is_refused_in_one_line(tmp_path: Path) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigRefused) as refused:
        load(binary, {})
    assert str(refused.value) == f"{binary}:2: is not UTF-8 text"
    with pytest.raises(ConfigRefused) as refused:
        load(tmp_path, {})
    assert str(refused.value) == f"{tmp_path}: is a directory, not a file"
    with pytest.raises(ConfigRefused) as refused:
        load(binary / "below", {})
    assert str(refused.value) == f"{binary / 'below'}: cannot be read: Not a directory"
    with pytest.raises(ConfigRefused, match="embedded null"):
        load(tmp_path / "a\0b", {})


def test_a_byte_order_mark_is_not_part_of_the_text(desk: str, tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(b"\xef\xbb\xbf" + desk.encode())
    assert "BTC3L" in load(file, {}).funds


def test_prices_come_from_the_exchange_of_the_account_else_from_a_simulation(desk: str) -> None:
    assert parse(desk).feed.source is FeedSource.CCXT
    assert parse(desk).feed.venue == "binance"
    paper = desk.replace("binance", "paper")
    assert parse(paper).feed.source is FeedSource.SIMULATED
    assert parse(paper + '[feed]\nvenue = "okx"\n').feed.source is FeedSource.CCXT
    assert parse(desk + '[feed]\nsource = "simulated"\n').feed.source is FeedSource.SIMULATED


def test_the_control_socket_stands_beside_the_store(desk: str) -> None:
    def socket(url: str) -> str:
        return str(parse(desk, overrides={"store": {"url": url}}).desk.control_socket)

    assert socket("sqlite:///rebalancer.db") == "rebalancer.sock"
    assert socket("sqlite:////var/lib/desk/a.db") == "/var/lib/desk/a.sock"
    assert socket("postgresql://desk@db/desk") == "rebalancer.sock"


@pytest.mark.parametrize(
    ("single", "double"),
    [
        ("REBALANCER_MODE", "REBALANCER__MODE"),
        ("REBALANCER_LOG_LEVEL", "REBALANCER__LOG__LEVEL"),
        ("REBALANCER_ACCOUNTS_MAIN_API_KEY", "REBALANCER__ACCOUNTS__MAIN__API_KEY"),
        ("REBALANCER_FUNDS__BTC3L_MAX_AGE", "REBALANCER__FUNDS__BTC3L__MAX_AGE"),
        ("rebalancer_feed_speed", "REBALANCER__FEED__SPEED"),
    ],
)
def test_a_variable_with_one_underscore_too_few_is_refused_with_its_right_name(
    desk: str, refusal: Refusal, single: str, double: str
) -> None:
    assert refusal(desk, {single: "live"}) == (
        f"environment {single}: sets nothing: two underscores part words; set {double}"
    )


@pytest.mark.parametrize(
    "name",
    ["REBALANCER_CONFIG", "REBALANCER_SERVICE_HOST", "REBALANCER_API_PORT_8765_TCP", "REBALANCER_"],
)
def test_a_variable_of_somebody_else_is_let_be(desk: str, name: str) -> None:
    assert parse(desk, environ={name: "x"}) == parse(desk)
