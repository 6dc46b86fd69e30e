"""Every refusal names its place and says what to change; nothing else ever leaves the loader."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rebalancer.settings import parse

Refusal = Callable[..., str]

FUND = "c.toml:8: funds.BTC3L"


@pytest.mark.parametrize(
    ("line", "key", "nearest"),
    [
        ("initial_naw = 1", "initial_naw", "initial_nav"),
        ("Max_age = '1s'", "Max_age", "max_age"),
        ("rules.fixt = {}", "rules.fixt", "fixed"),
        ("rules.fixed = { time = [] }", "rules.fixed.time", "times"),
        ("rules.price_move.treshold = 1", "rules.price_move.treshold", "threshold"),
        ("execution.collar = 1", "execution.collar", "collar_bps"),
        ("limits.max_orders_run = 1", "limits.max_orders_run", "max_orders_per_run"),
    ],
)
def test_an_unknown_key_is_named_with_its_line_and_the_nearest(
    desk: str, refusal: Refusal, line: str, key: str, nearest: str
) -> None:
    assert refusal(desk + line + "\n") == (
        f"{FUND}.{key}: unknown key; the nearest valid one is {nearest}"
    )


def test_a_key_that_resembles_none_brings_the_whole_list(desk: str, refusal: Refusal) -> None:
    assert refusal(desk + "[log]\nqqq = 1\n").endswith("(valid: format, level)")


@pytest.mark.parametrize(
    "line",
    [
        "rules.flow.to = 'edge'",
    ],
)
def test_a_key_of_a_later_version_is_not_taken_for_a_misspelt_one(
    desk: str, refusal: Refusal, line: str
) -> None:
    key = line.partition(" =")[0]
    assert refusal(f"{desk}{line}\n") == f"{FUND}.{key}: is not available in this version"


def test_a_run_goes_to_one_of_three_places(desk: str, refusal: Refusal) -> None:
    assert refusal(desk + "rules.price_move.to = 'moon'\n") == (
        f"{FUND}.rules.price_move.to: must be 'target', 'edge' or 'recentre'"
    )


@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        ("http://10.0.0.5:8080", "10.0.0.5 is not this machine: signed requests go to the venue "),
        ("https://fapi.binance.com", "fapi.binance.com is not this machine: "),
        ("http://localhost.example.com", "localhost.example.com is not this machine: "),
        ("http://127.0.0.1:8080/path", "'http://127.0.0.1:8080/path': write scheme, host and port"),
        ("http://me:pass@127.0.0.1", "'http://me:pass@127.0.0.1': write scheme, host and port"),
        ("http://127.0.0.1@evil.example", "'http://127.0.0.1@evil.example': write scheme, host"),
        ("127.0.0.1:8080", "'127.0.0.1:8080': write scheme, host and port"),
        ("ws://127.0.0.1:8080", "'ws://127.0.0.1:8080': write scheme, host and port"),
        ("http://127.0.0.1:port", "'http://127.0.0.1:port' is not a URL; write scheme, host"),
        ("http://", "'http://': write scheme, host and port"),
    ],
)
def test_requests_with_keys_go_to_the_venue_or_stay_on_this_machine(
    desk: str, refusal: Refusal, endpoint: str, sentence: str
) -> None:
    text = desk.replace('venue = "binance"', f'venue = "binance"\nendpoint = "{endpoint}"')
    assert refusal(text).startswith(f"c.toml:3: accounts.main.endpoint: {sentence}")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("leverage = 0", "leverage: must be greater than or equal to 1"),
        ("leverage = 2.5", "leverage: must be a whole number"),
        ('accept_untold = "yes"', "accept_untold: must be true or false"),
        ("accept_key_rights = 1", "accept_key_rights: must be true or false"),
    ],
)
def test_what_is_expected_of_an_account_is_written_plainly(
    desk: str, refusal: Refusal, line: str, sentence: str
) -> None:
    text = desk.replace('venue = "binance"', f'venue = "binance"\n{line}')
    assert refusal(text) == f"c.toml:3: accounts.main.{sentence}"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("initial_nav = nan", "initial_nav: NaN is not a finite number"),
        ("initial_nav = -inf", "initial_nav: -Infinity is not a finite number"),
        ("initial_nav = 'NaN'", "initial_nav: 'NaN' is not a finite number"),
        ("initial_nav = 1e99999999999999999999", "initial_nav: Infinity is not a finite number"),
        ("initial_nav = 'ten'", "initial_nav: 'ten' is not a decimal number"),
        ("initial_nav = '1,000'", "initial_nav: '1,000' is not a decimal number; write no comma"),
        (
            "rules.price_move.threshold = '15 %'",
            "rules.price_move.threshold: '15 %' is not a decimal number; 15 % is written 0.15, or ",
        ),
        (
            "execution.collar_bps = '.5%'",
            "execution.collar_bps: '.5%' is not a decimal number; .5 % is written 0.005, or 50 in",
        ),
        ("initial_nav = 'x%'", "initial_nav: 'x%' is not a decimal number"),
        ("initial_nav = 0", "initial_nav: 0 must be above 0"),
        ("initial_nav = true", "initial_nav: expected a decimal number in text, got bool True"),
        (
            "initial_nav = 1e24",
            "initial_nav: the number has more than 24 digits before the point or 30 after it",
        ),
        (
            "initial_nav = 1e-31",
            "initial_nav: the number has more than 24 digits before the point or 30 after it",
        ),
        ("max_age = 10", "max_age: 10 is not a duration; write 6h, 90s, 1d12h or 250ms"),
        ("max_age = '0s'", "max_age: must be longer than zero"),
        ("max_age = '367d'", "max_age: '367d' is longer than a year"),
        (f"max_age = '{'9' * 5000}d'", "max_age: is too long for a duration; write 6h, 90s, "),
        ("nav_boundary = '24:00'", "nav_boundary: '24:00' is not a time of day; write 10:30:00"),
        ("price_source = 'bid'", "price_source: must be 'mark', 'index', 'spot' or 'last'"),
        ("size_from = 'x'", "size_from: must be 'account' or 'formula'"),
        ("description = 3", "description: must be text in quotes"),
        ("limits.max_orders_per_run = 1.0", "limits.max_orders_per_run: must be a whole number"),
        ("limits.max_orders_per_run = '1'", "limits.max_orders_per_run: must be a whole number"),
        (
            "limits.max_orders_per_run = 0",
            "limits.max_orders_per_run: must be greater than or equal to 1",
        ),
        ("execution.collar_bps = 10001", "execution.collar_bps: 10001 must not be above 10000"),
        ("execution.collar_bps = 0", "execution.collar_bps: 0 must be above 0"),
        ("execution.min_notional = -1", "execution.min_notional: -1 must not be under 0"),
        ("rules = 3", "rules: must be a table"),
        ("rules.fixed = []", "rules.fixed: must be a table"),
        ("rules.fixed.times = '10:30'", "rules.fixed.times: must be a list"),
        ("rules.fixed.times = [3]", "rules.fixed.times: 3 is not a time of day; write 10:30:00"),
        (
            "rules.fixed.utc_offset = 'Europe/Paris'",
            "rules.fixed.utc_offset: 'Europe/Paris' is not a fixed offset; write +08:00 or Z",
        ),
        (
            "rules.fixed.skip_within = [1]",
            "rules.fixed.skip_within: must be a list of two numbers, [low, high]",
        ),
        ("rules.price_move.enabled = 'yes'", "rules.price_move.enabled: must be true or false"),
        ("rules.price_move.enabled = 1", "rules.price_move.enabled: must be true or false"),
        ("rules.price_move.side = 'up'", "rules.price_move.side: must be 'losing' or 'both'"),
        ("rules.leverage_cap = {}", "rules.leverage_cap.upper: is missing"),
        (
            "rules.emergency = { ratio = 2, leverage = 6 }",
            "rules.emergency: give ratio or leverage, not both",
        ),
    ],
)
def test_a_value_that_is_none_is_refused_at_its_line(
    desk: str, refusal: Refusal, line: str, sentence: str
) -> None:
    assert refusal(desk + line + "\n").startswith(f"{FUND}.{sentence}")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            "rules.price_move.threshold = 0.25",
            "rules.price_move.threshold: 0.25 x 3 is a loss of 0.75, which must stay under 0.75; l",
        ),
        ("rules.leverage_cap.upper = 3", "rules.leverage_cap.upper: 3 must be above the target"),
        (
            "rules.emergency.ratio = 1.5",
            "rules.emergency: it would fire at 4.5000, inside price_move",
        ),
        (
            "rules.price_move.cooldown = '59s'",
            "rules.price_move.cooldown: must not be shorter than the emergency's cooldown",
        ),
        ("rules.fixed.times = []", "rules.fixed.times: name at least one time"),
        ("rules.fixed.skip_within = [3, 2]", "rules.fixed.skip_within: the low end is above"),
        (
            "limits.max_leverage = 2.9",
            "limits.max_leverage: 2.9 is under the target leverage of 3",
        ),
    ],
)
def test_rules_that_cannot_work_are_refused_at_the_line_of_their_key(
    desk: str, refusal: Refusal, line: str, sentence: str
) -> None:
    assert refusal(desk + line + "\n").startswith(f"{FUND}.{sentence}")


def test_a_refusal_of_a_value_from_the_defaults_points_there(desk: str, refusal: Refusal) -> None:
    said = refusal(desk + "\n[defaults.rules.price_move]\nthreshold = 0.3\n")
    assert said.startswith("c.toml:10: funds.BTC3L.rules.price_move.threshold: 0.3 x 3")
    assert refusal(desk + "\n[defaults]\nacount = 'main'\n") == (
        "c.toml:10: defaults.acount: unknown key; the nearest valid one is account"
    )


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('account = "main"', 'account = "mian"', "5: funds.BTC3L.account: there is no "),
        ("leverage = 3", "leverage = 0", "6: funds.BTC3L.target_leverage: must not be zero"),
        ("target_leverage = 3\n", "", "4: funds.BTC3L.target_leverage: is missing"),
        ("basket", "#", "4: funds.BTC3L.basket: is missing"),
        ("= 1 }", "= 0.9 }", "7: funds.BTC3L.basket: the weights sum to 0.9, not to 1"),
        ("= 1 }", "= 0 }", '7: funds.BTC3L.basket."BTC/USDT:USDT": 0 must be above 0'),
        ("= 1 }", '= 1, "a b" = 1 }', "7: funds.BTC3L.basket.\"a b\": 'a b' is not a contract"),
        ('{ "BTC/USDT:USDT" = 1 }', "{}", "7: funds.BTC3L.basket: name at least one contract"),
        (
            "BTC/USDT:USDT",
            "BTC/USD:BTC",
            "7: funds.BTC3L.basket: contract BTC/USD:BTC settles in BTC: this version trades ",
        ),
        (
            "= 1 }",
            '= 0.5, "ETH/USDC:USDC" = 0.5 }',
            "7: funds.BTC3L.basket: BTC/USDT:USDT and ETH/USDC:USDC are quoted in USDT and USDC; ",
        ),
        ("BTC3L]", '"BTC 3L"]', "4: funds.\"BTC 3L\": 'BTC 3L' is not a name: 1 to 32 of"),
        ("BTC3L]", f"{'x' * 33}]", f"4: funds.{'x' * 33}: '{'x' * 33}' is not a name"),
        ("binance", "Binance", "2: accounts.main.venue: 'Binance' is not a ccxt exchange id"),
        ('venue = "', 'initial_margin = 0.001\n#"', "1: accounts.main: margins must satisfy"),
    ],
)
def test_a_fund_or_account_that_cannot_be_is_refused(
    desk: str, refusal: Refusal, old: str, new: str, sentence: str
) -> None:
    assert refusal(desk.replace(old, new)).startswith(f"c.toml:{sentence}")


def test_the_nearest_account_is_named(desk: str, refusal: Refusal) -> None:
    said = refusal(desk.replace('account = "main"', 'account = "mian"'))
    assert said.endswith("there is no [accounts.mian]; the nearest valid one is main")


def test_funds_of_one_account_share_one_quote_currency(desk: str, refusal: Refusal) -> None:
    other = '[funds.B]\naccount = "main"\ntarget_leverage = 2\nbasket = { "BTC/USDC:USDC" = 1 }\n'
    assert refusal(desk + other) == (
        "c.toml:9: funds.B.account: main already holds USDT for BTC3L; a fund quoted in USDC needs "
        "an account of its own in this version"
    )


@pytest.mark.parametrize("key", ["api_key", "secret", "password"])
def test_a_secret_in_the_file_is_refused_and_not_shown(
    desk: str, refusal: Refusal, key: str
) -> None:
    said = refusal(desk.replace("\n\n", f'\n{key} = "hunter2"\n\n'))
    assert said == (
        f"c.toml:3: accounts.main.{key}: a secret must not stand in the file; set "
        f"REBALANCER__ACCOUNTS__MAIN__{key.upper()} or the credential accounts__main__{key}"
    )


def test_a_secret_in_the_file_is_one_problem_whatever_it_is(desk: str, refusal: Refusal) -> None:
    environ = {"REBALANCER__ACCOUNTS__MAIN__SECRET": "stronger"}
    for value in ("424242", "['424242']", "''"):
        said = refusal(desk.replace("\n\n", f"\nsecret = {value}\n\n"), environ)
        assert said.startswith("c.toml:3: accounts.main.secret: a secret must not stand in")
        assert len(said.splitlines()) == 1
        assert "424242" not in said


def test_a_store_url_with_a_password_in_the_file_is_refused_and_not_shown(
    desk: str, refusal: Refusal
) -> None:
    assert refusal(desk + '[store]\nurl = "postgresql://desk:hunter2@db/desk"\n') == (
        "c.toml:9: store.url: a URL with a password must not stand in the file; set "
        "REBALANCER__STORE__URL or the credential store__url"
    )


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("[store]\nurl = 'mysql://x'", "store.url: must start with sqlite:/// or postgresql://"),
        ("[store]\nurl = 'sqlite:///'", "store.url: must name a file: sqlite:///relative.db"),
        ("[store]\nurl = 'sqlite:///:memory:'", "store.url: must name a file"),
        ("[log]\nlevel = 'INFO'", "log.level: must be 'debug', 'info', 'warning' or 'error'"),
        ("[feed]\nspeed = 0", "feed.speed: 0 must be above 0"),
        ("[feed]\nannual_volatility = 6", "feed.annual_volatility: 6 must not be above 5"),
        ("[feed]\nseed = -1", "feed.seed: must be greater than or equal to 0"),
        ("[feed]\nvenue = 'paper'", "feed.venue: name the exchange whose prices to read"),
        ("[feed]\nsource = 'replay'", 'feed.files: no file for "BTC/USDT:USDT"'),
        ("[desk]\nview_interval = '0s'", "desk.view_interval: must be longer than zero"),
        ("[desk]\ncontrol_socket = ''", "desk.control_socket: must not be empty"),
        ("[accounts.main.paper]\nfill_ratio = 1.1", "accounts.main.paper.fill_ratio: 1.1 must"),
        ("[accounts.main.paper]\nfee_bps = -1", "accounts.main.paper.fee_bps: -1 must not be"),
    ],
)
def test_the_other_tables_are_checked_as_well(
    desk: str, refusal: Refusal, lines: str, sentence: str
) -> None:
    line = 8 if sentence.startswith("feed.files") else 9
    assert refusal(f"{desk}{lines}\n").startswith(f"c.toml:{line}: {sentence}")


def test_ccxt_prices_need_an_exchange(desk: str, refusal: Refusal) -> None:
    said = refusal(desk.replace("binance", "paper") + '[feed]\nsource = "ccxt"\n')
    assert said == "c.toml:8: feed.venue: name the exchange whose prices to read"


def test_a_contract_that_is_not_linear_is_refused(desk: str, refusal: Refusal) -> None:
    said = refusal(desk + '[contracts."BTC/USD:BTC"]\nlot = 1\n')
    assert said.startswith('c.toml:8: contracts."BTC/USD:BTC": contract BTC/USD:BTC settles in BTC')
    assert (
        refusal(desk + "[contracts.X]\nlot = 0\n") == "c.toml:9: contracts.X.lot: 0 must be above 0"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("mode = \n", "1: not valid TOML: Invalid value (column 8); text stands in quotes"),
        (
            "a = 1\na = 2\n",
            "2: not valid TOML: Cannot overwrite a value (column 6); a key stands once in a table",
        ),
        (
            "[a]\n[a]\n",
            "2: not valid TOML: Cannot declare ('a',) twice (column 3); a table stands once",
        ),
        ("a = [\n1,\n", "3: not valid TOML: Invalid value at the end"),
        ("\na = " + "9" * 5000, "2: not valid TOML: a number has thousands of digits"),
    ],
)
def test_broken_toml_is_refused_with_line_and_column(
    refusal: Refusal, text: str, sentence: str
) -> None:
    assert refusal(text) == f"c.toml:{sentence}"


def test_toml_nested_beyond_reason_is_refused(refusal: Refusal) -> None:
    assert refusal("a = " + "[" * 100_000) == "c.toml: not valid TOML: nested too deeply"


def test_every_problem_is_told_at_once_in_the_order_of_the_file(
    desk: str, refusal: Refusal
) -> None:
    text = desk.replace("binance", "BINANCE") + "max_age = 1\nmood = 2\n[log]\nlevel = 3\n"
    lines = refusal(text, {"REBALANCER__MOOD": "x"}).split("\n")
    assert [line.split(" ")[0] for line in lines] == [
        "c.toml:2:",
        "c.toml:8:",
        "c.toml:9:",
        "c.toml:11:",
        "environment",
    ]


def test_funds_that_cannot_be_are_told_at_once_too(desk: str, refusal: Refusal) -> None:
    lines = refusal(desk.replace("= 3", "= 0") + "[funds.B]\n[funds.C]\naccount = 'x'\n")
    assert [line.split(":")[1] for line in lines.split("\n")] == ["6", "8", "10"]


def test_a_strange_key_cannot_break_the_line(refusal: Refusal) -> None:
    said = refusal('"a\\nb\\u2028" = 1\n')
    assert said.startswith('c.toml:1: "a\\nb\\u2028": unknown key')
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://rates.example.org/r", "must start with https://, unless it is of this machine"),
        (
            "http://localhost.example.org/r",
            "must start with https://, unless it is of this machine",
        ),
        (
            "http://127.0.0.1.example.org/r",
            "must start with https://, unless it is of this machine",
        ),
        ("https://me:pass@rates.example.org/r", "must not hold a user or a password"),
        ("https://", "must be an address such as https://host.example/path"),
        ("https:rates.example.org/r", "must be an address such as https://host.example/path"),
        ("https://rates.example.org:port/r", "must be an address such as"),
        ("https://rates.example.org:70000/r", "must be an address such as"),
        ("https://[::1/r", "must be an address such as"),
        ("https://rates example.org/r", "must be an address such as"),
    ],
)
def test_what_is_read_from_or_told_to_elsewhere_goes_encrypted_to_a_host_that_can_be(
    desk: str, refusal: Refusal, url: str, sentence: str
) -> None:
    told = refusal(f'{desk}[rates.sofr]\nurl = "{url}"\n')
    assert f": rates.sofr.url: {sentence}" in told


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]:8080"])
def test_what_stays_on_this_machine_needs_no_encryption(desk: str, host: str) -> None:
    config = parse(f'{desk}[rates.sofr]\nurl = "http://{host}/r"\n')
    assert config.rates["sofr"].url == f"http://{host}/r"
