"""The figures of a report: parts that sum, closed forms that hold, the worst in its place."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest

from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import HOUR_MS
from rebalancer.report.decay import decay_of
from rebalancer.report.figures import FundFigures, Report, months_of, told_funds
from rebalancer.report.risk import band_of, drawdowns, turnover, underwater, within
from rebalancer.report.story import Gatherer, RunTold, Sample, Strike
from rebalancer.report.tracking import CAUSES, Day, compounded, days_of, tracking_of
from rebalancer.sim.backtest import Result, backtest
from rebalancer.sim.summary import summaries_of
from rebalancer.sim.sweep import tracking as plain_tracking
from tests.factories import BTC, D, desk, fund, history, move_rule, only, rules, with_spot

ZERO_GAP = dict.fromkeys(
    ("basis", "funding", "trading_fees", "slippage", "management_fee", "rounding", "timing"), D(0)
)


def strike(day: int, nav: str, price: str, **gap: str) -> Strike:
    causes = ZERO_GAP | {cause: D(part) for cause, part in gap.items()}
    return Strike(
        at_ms=day * 24 * HOUR_MS,
        nav=D(nav),
        formula_nav=D(nav),
        equity=D(nav) * 100,
        prices={BTC: D(price)},
        gap=causes,
        management_fee=D(0),
    )


def sample(hour: int, nav: str, leverage: str | None = "3") -> Sample:
    return Sample(hour * HOUR_MS, D(nav), None, None if leverage is None else D(leverage))


def flat_days(*moves: str, multiple: int = 3) -> list[Day]:
    return [
        Day(
            n * 24 * HOUR_MS,
            (n + 1) * 24 * HOUR_MS,
            D(m),
            multiple * D(m),
            multiple * D(m),
            None,
            {},
        )
        for n, m in enumerate(moves)
    ]


def test_the_parts_of_every_day_sum_to_its_difference(long_fund: FundFigures) -> None:
    assert len(long_fund.days) == 20
    for day in long_fund.days:
        assert sum(day.parts.values()) == day.difference
        assert tuple(day.parts) == CAUSES


def test_a_cause_that_was_booked_is_in_its_own_part() -> None:
    """+1 % at 3x promises 103; fees took 0.2 and funding 0.3 a share, and 102.4 leaves 0.1."""
    days = days_of(
        fund(),
        [strike(0, "100", "100"), strike(1, "102.4", "101", trading_fees="-0.2", funding="-0.3")],
    )
    (day,) = days
    assert (day.promised, day.difference) == (D("0.03"), D("-0.006"))
    assert (day.parts["fees"], day.parts["funding"]) == (D("-0.002"), D("-0.003"))
    assert day.parts["timing"] == D("-0.001")


def test_what_the_mark_did_and_the_spot_did_not_is_basis() -> None:
    """The spot is promised, the perpetual is held: it goes from 100 to 101, the spot nowhere."""
    moved = only(price_move=move_rule("0.15"))
    known = desk(fund(price_source=PriceSource.SPOT, methodology=moved))
    days = [(f"2026-01-0{n}T16:00:00Z", price) for n, price in enumerate((100, 100, 101, 102), 1)]
    spot = [(at, 100) for at, _ in days]
    gatherer = Gatherer(known)
    backtest(known, {BTC: with_spot(history(days), spot)}, {}, onlooker=gatherer)
    (found,) = told_funds(gatherer.stories)
    first, second = found.days
    assert (first.underlying, first.difference) == (D(0), D("0.03"))
    assert first.parts["basis"] == first.difference
    assert second.parts["basis"] == second.difference


def test_the_days_end_where_the_fund_does_though_dust_is_left_of_it() -> None:
    ended = replace(strike(1, "0.01", "60"), formula_nav=D(0))
    strikes = [strike(0, "100", "100"), ended, replace(ended, at_ms=2 * 24 * HOUR_MS)]
    assert [day.begin_ms for day in days_of(fund(), strikes)] == [0]


def test_costs_of_the_days_are_those_of_the_replay(
    replay: tuple[Result, Gatherer], long_fund: FundFigures
) -> None:
    """Between the first and the last daily NAV, per share: the ledger's own sums."""
    story, shares = long_fund.story, D(10_000)
    navs = {each.at_ms: each.nav for each in story.strikes}
    ends = story.strikes[0].at_ms, story.strikes[-1].at_ms
    for cause in ("fees", "slippage"):
        by_day = sum(day.parts[cause] * navs[day.begin_ms] for day in long_fund.days)
        by_run = sum(getattr(run, cause) for run in story.runs if ends[0] < run.at_ms <= ends[1])
        assert -by_day * shares == pytest.approx(by_run, abs=D("1e-9"))
    whole = replay[0].document()["funds"]["BTC3L"]["costs"]
    assert sum(run.fees for run in story.runs) == D(whole["fees"])
    told = sum(run.slippage for run in story.runs)
    assert told == pytest.approx(D(whole["slippage"]), abs=D("1e-15"))


def test_tracking_is_that_of_the_sweep_and_its_shares_sum_to_it(
    replay: tuple[Result, Gatherer], long_fund: FundFigures
) -> None:
    tracked = long_fund.tracking
    plain = plain_tracking(long_fund.fund, summaries_of(replay[0])["BTC3L"].days)
    assert tracked is not None
    assert plain is not None
    assert tracked.days == plain.days
    assert tracked.mean_bp == pytest.approx(plain.mean_bp)
    assert tracked.error_bp == pytest.approx(plain.error_bp)
    assert sum(tracked.mean_parts_bp.values()) == pytest.approx(tracked.mean_bp)
    assert sum(tracked.error_parts_bp.values()) == pytest.approx(tracked.error_bp)


def test_one_day_alone_has_no_tracking_error() -> None:
    assert tracking_of(days_of(fund(), [strike(0, "100", "100"), strike(1, "103", "101")])) is None


def test_days_end_with_the_fund() -> None:
    told = [strike(0, "100", "100"), strike(1, "0", "60"), strike(2, "0", "61")]
    assert len(days_of(fund(), told)) == 1
    assert compounded([D("0.5"), D("-1.2"), D(1)], D(100)) == [100, 150, 0, 0]


def test_decay_follows_the_closed_form() -> None:
    """A year of +-1 % days at 3x: field.md (c)9 has exp((M - M^2)/2 V) for a continuous reset."""
    found = decay_of(D(3), flat_days(*["0.01", "-0.01"] * 180))
    assert found is not None
    assert found.closed_form[-1] == pytest.approx(D("-0.108"), abs=D("0.0001"))
    assert found.promised[-1] == pytest.approx(found.closed_form[-1], rel=D("0.01"))
    assert found.volatility == pytest.approx(D("0.1911"), abs=D("0.0001"))
    assert decay_of(D(3), flat_days("-0.4")) is None, "a fund that is gone has no logarithm"


def test_the_band_of_a_fund_is_where_its_price_rule_stands() -> None:
    """3x at 15 %: 3 x 1.15 / 1.45 and 3 x 0.85 / 0.55; -3x: 3 x 0.85 / 1.45, 3 x 1.15 / 0.55."""
    for target, edges in ((3, ("2.3793", "4.6364")), (-3, ("1.7586", "6.2727"))):
        band = band_of(fund(target=target))
        assert band is not None
        assert (f"{band.lower:.4f}", f"{band.upper:.4f}") == edges
        assert band.source == "where the price has moved 15 % either way"
    assert band_of(fund(methodology=rules(3, price_move=None))) is None


def test_time_outside_the_band_is_weighed_by_how_long_it_lasted() -> None:
    band = band_of(fund(methodology=rules(3, price_move=move_rule("0.15"))))
    assert band is not None
    told = within(band, [sample(0, "1"), sample(1, "1", "5"), sample(3, "1", "2"), sample(4, "1")])
    assert told is not None
    assert (told.above, told.below, told.outside) == (D("0.5"), D("0.25"), D("0.75"))
    assert (told.lowest, told.highest) == (D(2), D(5))
    assert told.spacing_ms == 2 * HOUR_MS
    assert within(band, [sample(0, "1", None), sample(1, "1", None)]) is None


def test_drawdowns_run_from_peak_to_recovery_the_deepest_first() -> None:
    told = [sample(n, nav) for n, nav in enumerate(("100", "90", "100", "120", "60", "90"))]
    deep, shallow = drawdowns(told)
    assert (deep.depth, deep.peak_ms, deep.recovered_ms) == (D("0.5"), 3 * HOUR_MS, None)
    assert (shallow.depth, shallow.recovered_ms) == (D("0.1"), 2 * HOUR_MS)
    assert underwater(told) == [0, D("-0.1"), 0, 0, D("-0.5"), D("-0.25")]
    assert drawdowns([sample(0, "100"), sample(1, "101")]) == []


def test_turnover_is_what_the_runs_traded_against_mean_equity(long_fund: FundFigures) -> None:
    story = long_fund.story
    found = turnover(story.runs, story.strikes)
    assert found is not None
    assert found.traded == sum(run.traded for run in story.runs) > 0
    years = D(story.strikes[-1].at_ms - story.strikes[0].at_ms) / (365 * 24 * HOUR_MS)
    assert found.a_year * years == pytest.approx(found.of_equity)
    months = months_of(long_fund.days, story.runs)
    by_hand = sum(run.traded / run.equity for run in story.runs)
    assert list(months) == ["2026-03"]
    assert sum(months.values()) == pytest.approx(by_hand)


def test_the_worst_rebalances_are_those_that_cost_holders_most(long_fund: FundFigures) -> None:
    def cost(run: RunTold) -> Decimal:
        return run.slippage / run.equity

    worst = long_fund.worst_runs
    assert len(worst) == 10
    others = [run for run in long_fund.story.runs if run not in worst]
    assert min(map(cost, worst)) >= max(map(cost, others))
    assert worst[0].trigger == "price_move", "the crash"
    assert worst[0].slippage_bp_of_traded == pytest.approx(D(2), rel=D("0.001"))


def test_the_worst_day_is_the_crash_with_its_rebalance(long_fund: FundFigures) -> None:
    day = long_fund.worst_days[0]
    assert day.underlying < D("-0.2")
    assert "price_move" in {run.trigger for run in long_fund.runs_of(day)}


def test_the_document_of_a_report_is_json_with_text_for_numbers(long_fund: FundFigures) -> None:
    document = Report("Title", [long_fund], ["made up"], "1").document()
    told = json.loads(json.dumps(document))["funds"]["BTC3L"]
    assert D(told["final_nav"]) == pytest.approx(long_fund.final_nav, abs=D("1e-18"))
    assert told["rebalances"] == long_fund.runs_by_trigger()
    assert D(told["leverage"]["highest"]) > D("4.6")
    assert set(told["tracking"]["error_parts_bp"]) == set(CAUSES)
