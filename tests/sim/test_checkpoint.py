"""A backtest that was interrupted goes on where it stood, and ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from rebalancer.core.fund import PriceSource
from rebalancer.errors import InputRefused
from rebalancer.feeds.candles import Moment, merge
from rebalancer.sim.backtest import backtest
from rebalancer.sim.checkpoint import Checkpoint, resumable_backtest
from rebalancer.sim.replay import Replay
from rebalancer.venues.paper import PaperCosts
from tests.factories import BTC, D
from tests.fast.cases import Case, case_of


def slow(case: Case) -> Case:
    """Return the case with orders that take as long as a bar, so that some are on their way."""
    costs = {name: replace(each, latency_ms=60_000) for name, each in case.costs.items()}
    return replace(case, costs=costs)


CASE = slow(case_of(28))


class Interrupted(Exception):
    """Somebody pressed Ctrl-C."""


@dataclass
class Try:
    """One try at a backtest, which writes its checkpoint every twenty moments."""

    path: Path
    #: the moment at which it is interrupted; None: never
    ends_at: int | None = None
    said: list[str] = field(default_factory=list)
    played: int = 0
    case: Case = CASE

    def run(self) -> dict[str, Any]:
        checkpoint = Checkpoint(self.path, count(step=1_000).__next__, self.said.append)
        known, histories, costs = self.case.desk, self.case.histories, self.case.costs
        return resumable_backtest(known, histories, costs, checkpoint, self.watched).document()

    def watched(self, moments: Iterator[Moment], _total: int) -> Iterator[Moment]:
        for moment in moments:
            if self.played == self.ends_at:
                self.interrupt()
            self.played += 1
            yield moment

    def interrupt(self) -> None:
        raise Interrupted


class Killed(Try):
    """A try whose process is killed."""

    def interrupt(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def uninterrupted(case: Case = CASE) -> str:
    return json.dumps(backtest(case.desk, case.histories, case.costs).document())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "long.checkpoint"


@pytest.fixture
def begun(path: Path) -> Path:
    """The checkpoint of a backtest that was interrupted in its middle."""
    with pytest.raises(Interrupted):
        Try(path, ends_at=60).run()
    return path


def test_a_killed_backtest_goes_on_where_it_stood_and_ends_alike_to_the_last_digit(
    path: Path,
) -> None:
    code = (
        "from pathlib import Path; from tests.sim.test_checkpoint import Killed; "
        f"Killed(Path({str(path)!r}), ends_at=70).run()"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    again = Try(path)
    assert json.dumps(again.run()) == uninterrupted()
    assert len(again.said) == 1
    assert "goes on after 2026-" in again.said[0]


@pytest.mark.parametrize("seed", [1, 2, 3, 5])
def test_it_may_be_interrupted_again_and_again(seed: int, path: Path) -> None:
    case = slow(case_of(seed))
    moments = sum(1 for _ in merge(case.histories.values()))
    for part in (1, 2, 2, 3):
        with pytest.raises(Interrupted):
            Try(path, ends_at=moments * part // 4, case=case).run()
    assert json.dumps(Try(path, case=case).run()) == uninterrupted(case)


def test_what_was_played_is_not_played_again(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    played: list[Moment] = []
    monkeypatch.setattr(Replay, "play", lambda _, moment: played.append(moment))
    again = Try(begun)
    again.run()
    assert len(played) == again.played - 60


def test_it_is_written_no_oftener_than_worth_its_time(path: Path) -> None:
    written = []

    class Counted(Checkpoint):
        def write(self, standing: Any) -> None:
            written.append(standing.played)

    steps = count()  # a second goes by between two looks
    known = Counted(path, lambda: float(next(steps)), print)
    resumable_backtest(CASE.desk, CASE.histories, CASE.costs, known)
    assert written[0] == 0
    assert written[1] - written[0] >= 20, "writing took a second, so twenty go by"


class TestRefused:
    def refusal(self, path: Path, case: Case = CASE) -> str:
        before = path.read_bytes()
        with pytest.raises(InputRefused) as refused:
            Try(path, case=case).run()
        assert path.read_bytes() == before, "what is refused is left as it is"
        return str(refused.value).removeprefix(f"{path}: ")

    def test_one_of_other_prices(self, begun: Path) -> None:
        histories = dict(CASE.histories)
        whole = histories[BTC]
        histories[BTC] = replace(whole, closes=[*whole.closes[:-1], whole.closes[-1] + 1])
        case = replace(CASE, histories=histories)
        assert self.refusal(begun, case).startswith("is of other prices or funding of BTC/USDT")

    def test_one_of_other_funding(self, begun: Path) -> None:
        histories = dict(CASE.histories)
        histories[BTC] = replace(histories[BTC], funding=histories[BTC].funding[1:])
        case = replace(CASE, histories=histories)
        assert self.refusal(begun, case).startswith("is of other prices or funding of BTC/USDT")

    def test_one_of_another_spot(self, begun: Path) -> None:
        whole = CASE.histories[BTC]
        histories = {**CASE.histories, BTC: replace(whole, apart={PriceSource.SPOT: whole})}
        case = replace(CASE, histories=histories)
        assert self.refusal(begun, case).startswith("is of other prices or funding of BTC/USDT")

    def test_one_of_another_configuration(self, begun: Path) -> None:
        name, known = next(iter(CASE.desk.funds.items()))
        funds = {**CASE.desk.funds, name: replace(known, initial_shares=known.initial_shares + 1)}
        case = replace(CASE, desk=replace(CASE.desk, funds=funds))
        assert self.refusal(begun, case).startswith("is of another configuration; delete it")

    def test_one_of_other_costs(self, begun: Path) -> None:
        case = replace(CASE, costs={name: PaperCosts(fee_bps=D(9)) for name in CASE.costs})
        assert self.refusal(begun, case).startswith("is of another configuration; delete it")

    def test_one_of_another_version(self, begun: Path) -> None:
        head, _, body = begun.read_bytes().partition(b"\n")
        told = json.loads(head) | {"program": "another"}
        begun.write_bytes(json.dumps(told).encode() + b"\n" + body)
        assert self.refusal(begun).startswith("was written by another version of the program")

    def test_one_that_is_damaged(self, begun: Path) -> None:
        begun.write_bytes(begun.read_bytes()[:-1])
        assert self.refusal(begun).startswith("is damaged; delete it to begin anew")

    @pytest.mark.parametrize("text", ["", "timestamp,close\n1,2\n", "[]", "{}"])
    def test_a_file_that_is_none(self, text: str, path: Path) -> None:
        path.write_text(text)
        assert self.refusal(path) == "is no checkpoint of a backtest; name another file"

    def test_one_that_would_call_something(self, begun: Path) -> None:
        """A file from somebody else makes values of a replay, or nothing."""
        known = Checkpoint(begun, float, print)
        standing = known.read()
        assert standing is not None
        standing.digests["harm"] = signal.raise_signal  # type: ignore[index]
        known.write(standing)
        with pytest.raises(InputRefused, match=r"holds no _signal\.raise_signal: somebody else"):
            known.read()

    def test_a_folder_that_cannot_be_written_before_anything_is_replayed(
        self, tmp_path: Path
    ) -> None:
        tried = Try(tmp_path / "absent" / "it")
        with pytest.raises(InputRefused, match="cannot be written: No such file or directory"):
            tried.run()
        assert tried.played == 0
