"""A file that is wrong does not stand between a person and the desk that still runs without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import CONFIG, Run
from tests.cli.test_operating import Desk, desk

__all__ = ["desk"]
#: what an edit may do to a file: a table nobody knows, a value that is none
BROKEN = pytest.mark.parametrize(
    "broken",
    [
        CONFIG + "\n[nonsense]\nkey = 1\n",
        CONFIG.replace("target_leverage = 3", "target_leverage = 0"),
    ],
)
WORDS = "no desk could start or reload with this configuration: "


@BROKEN
@pytest.mark.parametrize("command", ["halt", "resume"])
def test_a_desk_is_commanded_beside_a_file_that_is_refused(
    run: Run, folder: Path, desk: Desk, broken: str, command: str
) -> None:
    (folder / "config.toml").write_text(broken)
    answer = run(command, "BTC3L", "--reason", "drill")
    assert answer.code == 0
    assert desk.asked == [{"command": command, "fund": "BTC3L", "reason": "drill"}]
    assert answer.err.startswith(WORDS + "config.toml")


@BROKEN
@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        ["nav"],
        ["history"],
        ["orders"],
        ["events"],
        ["breaks"],
        ["series", "BTC3L"],
    ],
    ids=lambda command: command[0],
)
def test_the_store_is_read_beside_a_file_that_is_refused(
    run: Run, folder: Path, store: Path, broken: str, command: list[str]
) -> None:
    whole = run(*command, "--json")
    (folder / "config.toml").write_text(broken)
    answer = run(*command, "--json")
    assert (whole.code, answer.code) == (0, 0)
    assert WORDS in answer.err
    assert WORDS not in whole.err
    assert answer.out.replace('"mode": "unknown"', '"mode": "paper"') == whole.out


def test_the_places_of_the_environment_count_beside_a_file_that_is_refused(
    run: Run, folder: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.rename(folder / "other.db")
    (folder / "config.toml").write_text(CONFIG + "\n[nonsense]\nkey = 1\n")
    monkeypatch.setenv("REBALANCER__STORE__URL", "sqlite:///other.db")
    monkeypatch.setenv("REBALANCER__NONSENSE", "1")
    assert {*run("nav", "--json").json} == {"BTC3L", "BTC1S"}


def test_the_environment_alone_says_where_the_desk_is_beside_a_file_that_cannot_be_read(
    run: Run, folder: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "config.toml").write_text("not = = toml")
    monkeypatch.setenv("REBALANCER__STORE__URL", "sqlite:///elsewhere.db")
    assert run("halt", "--desk", "--reason", "drill").code == 2
    monkeypatch.setenv("REBALANCER__DESK__CONTROL_SOCKET", "desk.sock")
    assert run("halt", "--desk", "--reason", "drill").code == 0
    assert [each["scope"] for each in desk.asked] == ["desk"]


def test_a_simulated_market_keeps_its_time_beside_a_file_that_is_refused(
    run: Run, folder: Path, store: Path, desk: Desk
) -> None:
    (folder / "config.toml").write_text(CONFIG + '[feed]\nsource = "simulated"\nvenue = "xt"\n')
    refused = run("status")
    (folder / "config.toml").write_text(CONFIG + '[feed]\nsource = "simulated"\n')
    assert refused.out == run("status").out
    (folder / "config.toml").write_text(CONFIG + '[feed]\nsource = "ccxt"\n')
    assert refused.out != run("status").out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not = = toml", "config.toml"),
        (CONFIG.replace('"sqlite:///desk.db"', "7"), "store.url"),
        (CONFIG.replace("[store]", "[[store]]"), "store"),
        (CONFIG.replace("[store]", "[stor]"), "stor"),
        (CONFIG.replace("url =", "ulr ="), "ulr"),
    ],
)
def test_a_file_that_does_not_say_where_the_desk_is_is_refused_as_ever(
    run: Run, folder: Path, desk: Desk, text: str, said: str
) -> None:
    (folder / "config.toml").write_text(text)
    answer = run("halt", "BTC3L", "--reason", "drill")
    assert answer.code == 2
    assert said in answer.sentence
    assert desk.asked == []


@pytest.mark.parametrize("command", [["plan"], ["triggers"], ["verify"], ["schedule"]])
def test_what_needs_the_funds_still_refuses_such_a_file(
    run: Run, folder: Path, store: Path, command: list[str]
) -> None:
    (folder / "config.toml").write_text(CONFIG + "\n[nonsense]\nkey = 1\n")
    answer = run(*command)
    assert answer.code == 2
    assert "nonsense" in answer.sentence
