"""`rebalancer doctor` as an operator or a script runs it: lines, JSON, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rebalancer.store.locks import FileLock
from tests.cli.conftest import CONFIG, Run
from tests.e2e.process import command
from tests.loopback.presets import KEY, SECRET

KEYS = {"REBALANCER__ACCOUNTS__MAIN__API_KEY": KEY, "REBALANCER__ACCOUNTS__MAIN__SECRET": SECRET}
FUND = """
[funds.BTC3L]
account = "main"
target_leverage = 3
basket = { "BTC/USDT:USDT" = 1 }
"""
PAPER = f"""
mode = "paper"
[feed]
source = "simulated"
[accounts.main]
{FUND}
"""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of a loopback Binance in a process of its own."""
    venue = subprocess.Popen(
        [sys.executable, "-m", "tests.loopback", "--seconds", "120", "--beat-ms", "50"],
        stdout=subprocess.PIPE,
    )
    assert venue.stdout is not None
    yield f"http://127.0.0.1:{json.loads(venue.stdout.readline())['port']}"
    venue.terminate()
    venue.communicate()


def live(folder: Path, endpoint: str, *, leverage: int) -> None:
    text = f"""
mode = "live"
[accounts.main]
venue = "binanceusdm"
endpoint = "{endpoint}"
leverage = {leverage}
{FUND}"""
    (folder / "config.toml").write_text(text)


def one_line(text: str) -> str:
    """Return what a narrow terminal breaks into lines."""
    return " ".join(text.split())


def test_a_good_desk_is_told_line_by_line_and_ends_with_0(tmp_path: Path, endpoint: str) -> None:
    live(tmp_path, endpoint, leverage=20)
    answer = command(tmp_path, "doctor", **KEYS)
    assert answer.code == 0, answer.out + answer.err
    lines = answer.out.splitlines()
    assert lines[0].startswith("ok   here          configuration  1 fund, digest ")
    assert lines == [line.rstrip() for line in lines]
    assert any(line.startswith("ok   accounts.main key rights") for line in lines)
    assert lines[-1].startswith("The desk can start: ")
    assert answer.err == ""
    assert SECRET not in answer.out
    assert {each.name for each in tmp_path.iterdir()} == {"config.toml"}, "it leaves nothing"


def test_a_fault_ends_with_1_and_says_what_to_do(tmp_path: Path, endpoint: str) -> None:
    live(tmp_path, endpoint, leverage=5)
    answer = command(tmp_path, "doctor", **KEYS)
    assert answer.code == 1
    (line,) = (line for line in answer.out.splitlines() if line.startswith("FAIL"))
    assert "accounts.main leverage" in line
    assert "have `rebalancer set-modes main` set it to 5 there" in one_line(answer.out)
    assert "Not yet: " in answer.out


def test_a_script_reads_one_document(tmp_path: Path, endpoint: str) -> None:
    live(tmp_path, endpoint, leverage=5)
    answer = command(tmp_path, "doctor", "--json", **KEYS)
    assert answer.code == 1
    document = answer.json
    assert (document["ok"], document["mode"], document["counts"]["fail"]) == (False, "live", 1)
    (finding,) = (each for each in document["findings"] if each["level"] == "fail")
    assert (finding["where"], finding["check"]) == ("accounts.main", "leverage")
    assert finding["fix"].startswith("have `rebalancer set-modes main` set it to 5 there")
    assert sum(document["counts"].values()) == len(document["findings"])


def test_a_configuration_that_does_not_load_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[funds.BTC3L]\ntarget_levrage = 3\n[stor]\nurl = "x"\n')
    answer = command(tmp_path, "doctor")
    assert answer.code == 2
    assert answer.out.startswith("FAIL here          configuration  config.toml:")
    assert "rebalancer config check" in answer.out
    document = command(tmp_path, "doctor", "--json")
    assert document.code == 2
    assert document.json["ok"] is False
    assert len(document.json["findings"]) > 1, "one line for each problem"


def test_a_paper_desk_on_simulated_prices_needs_no_venue(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(PAPER)
    answer = command(tmp_path, "doctor", "--json")
    assert answer.code == 0, answer.out
    skipped = {
        each["seen"]
        for each in answer.json["findings"]
        if each["level"] == "skip" and each["where"] != "here"
    }
    assert skipped == {
        "a paper desk asks no venue about its accounts",
        "simulated prices come from no venue",
    }


def test_settings_of_a_contract_that_no_fund_holds_are_worth_a_word(tmp_path: Path) -> None:
    misspelt = '\n[contracts."BTCUSDT"]\nlot = 1\n'
    (tmp_path / "config.toml").write_text(PAPER + misspelt)
    answer = command(tmp_path, "doctor", "--json")
    assert answer.code == 0, answer.out
    (seen,) = (each for each in answer.json["findings"] if each["check"] == "contracts")
    assert (seen["level"], seen["seen"]) == (
        "warn",
        'contracts."BTCUSDT" is of a contract that no fund holds',
    )
    assert "BTC/USDT:USDT" in seen["fix"]


MEANT = ("--yes", "--confirm", "main")


def test_what_the_doctor_finds_set_otherwise_its_command_sets(tmp_path: Path, endpoint: str):
    live(tmp_path, endpoint, leverage=7)
    unmeant = command(tmp_path, "set-modes", "main", **KEYS)
    assert unmeant.code == 4
    assert "leverage" in unmeant.out
    assert "nothing was changed; mean it with --yes --confirm main" in unmeant.err
    assert command(tmp_path, "doctor", **KEYS).code == 1
    done = command(tmp_path, "set-modes", "main", *MEANT, "--json", **KEYS)
    assert done.code == 0, done.err
    change = {"setting": "leverage", "contract": "BTC/USDT:USDT", "value": "7", "refusal": None}
    assert done.json["changes"] == [change]
    assert command(tmp_path, "doctor", **KEYS).code == 0
    again = command(tmp_path, "set-modes", "main", **KEYS)
    assert (again.code, again.out) == (0, "main: everything the venue tells is as configured\n")
    live(tmp_path, endpoint, leverage=20)
    assert command(tmp_path, "set-modes", "main", *MEANT, **KEYS).code == 0
    assert {each.name for each in tmp_path.iterdir()} == {"config.toml"}, "it leaves nothing"


def test_modes_are_set_for_a_live_account_that_there_is_and_no_desk_trades(
    tmp_path: Path, endpoint: str
) -> None:
    live(tmp_path, endpoint, leverage=7)
    other = command(tmp_path, "set-modes", "mian", *MEANT, **KEYS)
    assert (other.code, other.err) == (
        2,
        "rebalancer: there is no account 'mian'; the nearest is main\n",
    )
    lock = FileLock(tmp_path / "rebalancer.db")
    (tmp_path / "rebalancer.db").touch()
    try:
        held = command(tmp_path, "set-modes", "main", *MEANT, **KEYS)
    finally:
        lock.release()
    assert held.code == 4
    assert f"a desk (pid {os.getpid()}) runs on the store" in held.err
    (tmp_path / "config.toml").write_text(PAPER)
    paper = command(tmp_path, "set-modes", "main", *MEANT)
    assert paper.code == 4
    assert "the mode is paper, in which nothing is written to a venue" in paper.err


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("funds.BTC1S", "funds.BTC2S"), "funds.BTC1S: the store has"),
        (lambda text: f'mode = "live"\n{text}', "the store was traded on in mode paper and cannot"),
    ],
)
def test_records_that_a_start_would_refuse_are_found(
    folder: Path, run: Run, change: Callable[[str], str], words: str
) -> None:
    assert run("doctor").code == 0
    (folder / "config.toml").write_text(change(CONFIG))
    answer = run("doctor", "--json")
    assert answer.code == 1
    found = {each["check"]: each for each in answer.json["findings"] if each["level"] == "fail"}
    assert words in found["records"]["seen"]
    assert found["records"]["fix"].startswith(("put it back", "name another store"))
