"""A story is the same from a replay and from the records that the replay left."""

from __future__ import annotations

from rebalancer.core.records import Record
from rebalancer.report.story import Gatherer
from rebalancer.sim.backtest import Result, backtest
from tests.factories import BTC, DUE, D, desk, fund, history
from tests.report.conftest import COSTS, weeks


class Kept:
    """Keeps the records of a replay."""

    def __init__(self) -> None:
        self.all: list[Record] = []

    def records(self, records: tuple[Record, ...]) -> None:
        self.all.extend(records)

    def sample(self, state: object) -> None:
        """Nothing: a store has no samples either."""


def test_a_store_tells_the_same_strikes_and_runs_as_the_replay_that_wrote_it(
    replay: tuple[Result, Gatherer],
) -> None:
    kept, known = Kept(), desk(fund(), fund("BTC3S", -3))
    funding = [(at, "0.0001") for at, _ in weeks() if at[11:13] in ("00", "08", "16")]
    backtest(known, {BTC: history(weeks(), funding=funding)}, COSTS, onlooker=kept)
    again = Gatherer(known)
    again.records(kept.all)
    for name, story in replay[1].stories.items():
        told = again.stories[name]
        assert told.strikes == story.strikes
        assert told.runs == story.runs
        assert {each.at_ms for each in told.samples} <= {each.at_ms for each in story.samples}


def test_a_replay_is_looked_at_once_for_each_spacing() -> None:
    known = desk()
    hourly, daily = Gatherer(known), Gatherer(known, spacing_ms=24 * 3_600_000)
    rows = [(f"2026-01-{1 + n // 24:02}T{n % 24:02}:30:00Z", 100) for n in range(72)]
    for gatherer in (hourly, daily):
        backtest(known, {BTC: history(rows)}, COSTS, onlooker=gatherer)
    records = 3 * 3  # three daily NAVs, three runs that begin and end
    assert len(hourly.stories["BTC3L"].samples) == 72 + records
    assert len(daily.stories["BTC3L"].samples) == 3 + records


def test_a_merge_leaves_no_step_in_the_story() -> None:
    """The NAV falls under 60: ten shares become one, and the story goes on in shares of before."""
    from rebalancer.core.consolidation import Consolidation  # noqa: PLC0415 - beside its use

    terms = Consolidation(below=D(60), restore=D(60), auto=True, notice_ms=0)
    known = desk(fund(consolidation=terms))
    rows = [("2026-01-01T12:00:00Z", D(100)), ("2026-01-01T17:00:00Z", D(86))]
    rows += [(f"2026-01-{day:02}T17:00:00Z", D(86)) for day in range(2, 6)]
    gatherer = Gatherer(known)
    result = backtest(known, {BTC: history(rows)}, {}, onlooker=gatherer)
    merged = result.replay.state.funds["BTC3L"]
    assert merged.conversions == 1
    story = gatherer.stories["BTC3L"]
    assert story.factor == D(10)
    navs = [each.nav for each in story.strikes] + [each.nav for each in story.samples]
    assert all(D(50) < nav < D(101) for nav in navs)
    assert story.strikes[-1].at_ms > DUE
