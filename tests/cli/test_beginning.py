"""The first configuration: it loads, it explains itself, and nothing is ever overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from rebalancer.cli import beginning
from rebalancer.settings import Mode, load
from tests.cli.conftest import Run


def test_without_a_question_it_is_a_paper_desk_with_two_funds(run: Run, folder: Path) -> None:
    answer = run("config", "init", "new.toml", "--yes")
    assert (answer.code, answer.out) == (0, "written: new.toml\n")
    assert "rebalancer doctor --config new.toml, then: rebalancer run" in answer.err
    config = load(folder / "new.toml", {})
    assert (config.mode, list(config.funds)) == (Mode.PAPER, ["BTC3L", "BTC3S"])
    assert config.feed.source == "simulated"
    assert run("config", "check", "-c", "new.toml").code == 0


def test_every_part_can_be_said_in_a_script(run: Run, folder: Path) -> None:
    funds = ["--fund", "ETH3L=3", "--fund", "X=-1.5@SOL/USDT:USDT"]
    times = ["--time", "02:30:00", "--utc-offset", "+00:00"]
    answer = run(
        *["config", "init", "n.toml", "-y", "--prices", "bybit", "--store", "a.db"], *funds, *times
    )
    assert answer.code == 0, answer.err
    config = load(folder / "n.toml", {})
    assert {name: (*fund.basket,) for name, fund in config.funds.items()} == {
        "ETH3L": ("ETH/USDT:USDT",),
        "X": ("SOL/USDT:USDT",),
    }
    assert (config.feed.source, config.feed.venue) == ("ccxt", "bybit")
    assert config.accounts["main"].venue == "bybit"
    assert config.store_url == "sqlite:///a.db"
    fixed = config.funds["X"].methodology.fixed
    assert fixed is not None
    assert fixed.utc_offset_ms == 0


def test_a_person_is_asked_and_enter_keeps_what_is_in_brackets(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beginning, "interactive", lambda: True)
    answer = run("config", "init", "new.toml", stdin="\nETH2L=2 ETH2S=-2\n\n\nmine.db\n")
    assert answer.code == 0, answer.err
    assert "Funds, as NAME=LEVERAGE with spaces between [BTC3L=3 BTC3S=-3]:" in answer.err
    config = load(folder / "new.toml", {})
    assert list(config.funds) == ["ETH2L", "ETH2S"]
    assert config.store_url == "sqlite:///mine.db"


@pytest.mark.parametrize("kind", ["file", "link", "folder"])
def test_what_is_there_stays_as_it_is(run: Run, folder: Path, kind: str) -> None:
    path = folder / "there.toml"
    if kind == "file":
        path.write_text("mine")
    elif kind == "link":
        path.symlink_to(folder / "nowhere")
    else:
        path.mkdir()
    answer = run("config", "init", "there.toml", "--yes")
    assert answer.code == 2
    assert "there.toml: exists already and is left as it is" in answer.sentence
    if kind == "file":
        assert path.read_text() == "mine"
    assert not (folder / "nowhere").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--fund", "BTC3L"], "write NAME=LEVERAGE"),
        (["--fund", "3L=3"], "which contract? write 3L=3@BTC/USDT:USDT"),
        (["--fund", "BTC3L=0"], "must not be zero"),
        (["--fund", "BTC3L=3", "--fund", "BTC3L=2"], "BTC3L"),
        (["--time", "noon"], "is not a time of day"),
        (["--utc-offset", "Europe/Berlin"], "utc_offset"),
        (["--prices", "binanc"], "venue 'binanc': unknown; the nearest is binance"),
        (["--prices", 'x"\n'], "nothing was written"),
        (["--store", "a?b"], "nothing was written"),
    ],
)
def test_an_answer_that_cannot_be_is_refused_and_nothing_is_written(
    run: Run, folder: Path, options: list[str], words: str
) -> None:
    answer = run("config", "init", "new.toml", "--yes", *options)
    assert answer.code == 2
    assert words in answer.sentence
    assert not (folder / "new.toml").exists()


def test_a_command_without_a_configuration_says_how_to_get_one(run: Run, folder: Path) -> None:
    (folder / "config.toml").unlink()
    assert "write a first one with: rebalancer config init" in run("status").sentence
