"""A start with another price source: the formula NAV goes on from where it stood."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rebalancer.core.actions import Alert
from rebalancer.core.cash_account import CashAccount
from rebalancer.core.configuration import ConfigurationChanged, SourceChanged
from rebalancer.core.events import ClockStepped, CommandKind
from rebalancer.core.fund import PriceSource
from rebalancer.core.records import DeskStarted, PointSet, RunOpened
from tests.core.test_reloading import offer
from tests.factories import BTC, ETH, Bench, D, bench, fund

MARK, INDEX = PriceSource.MARK, PriceSource.INDEX


def changed(source: PriceSource = INDEX, **over: Any) -> Bench:
    """A 3L at 100 since noon, whose desk starts again with another price source."""
    made = bench(fund(initial_shares=D(1), **over))
    return started(made.later(3_600), source)


def started(made: Bench, source: PriceSource) -> Bench:
    wanted = {name: replace(each, price_source=source) for name, each in made.desk.funds.items()}
    made.desk = replace(made.desk, funds=wanted)
    made.records.append(DeskStarted(made.now_ms, "live", f"with {source}", epoch=0))
    again = made.restarted()
    again.actions = made.actions
    return again


def formula_nav(made: Bench) -> object:
    worth = made.state.worth(made.fund())
    return None if worth is None else worth.formula_nav


def told(made: Bench) -> list[tuple[str, str]]:
    alerts = [each for each in made.actions if isinstance(each, Alert)]
    return [(each.name, each.text) for each in alerts if each.name.startswith("source_")]


def test_a_basis_between_the_sources_is_no_move_of_the_price() -> None:
    made = changed()
    made.tick(105, source=MARK, trusted=True)
    assert made.of(SourceChanged) == [], "the other one is not known yet"
    assert formula_nav(made) == D(115), "the source of the point leads on meanwhile"
    made.tick(84, source=INDEX, trusted=True)
    made.known(105)
    (record,) = made.of(SourceChanged)
    assert (record.source, record.factors) == (INDEX, {BTC: D("0.8")})
    assert formula_nav(made) == D(115)
    assert made.of(RunOpened) == [], "20 % under the point by the other source is no fall"
    ((name, text),) = told(made)
    assert name == "source_changed"
    assert text.endswith("from where the mark led it (BTC/USDT:USDT -20.0000%)")
    made.later(1).tick(88, source=INDEX, trusted=True)
    assert formula_nav(made) == D(130)
    assert made.restarted().fund().point == made.fund().point


def test_it_is_done_once_and_a_second_start_has_nothing_to_do() -> None:
    made = changed()
    for price, source in ((84, INDEX), (105, MARK), (105, MARK)):
        made.tick(price, source=source, trusted=True)
    again = made.restarted()
    for price, source in ((90, INDEX), (105, MARK)):
        again.tick(price, source=source, trusted=True)
    assert len(again.of(SourceChanged)) == 1
    assert again.fund().fund.price_source is INDEX


@pytest.mark.parametrize("trusted", [True, False])
def test_a_price_that_nothing_confirms_is_not_compared(*, trusted: bool) -> None:
    made = changed()
    made.tick(84, source=INDEX, trusted=trusted)
    made.known(105)
    assert len(made.of(SourceChanged)) == trusted


def test_a_run_that_is_under_way_ends_at_a_point_of_the_new_source() -> None:
    made = bench(fund(initial_shares=D(1)))
    made.later(3_600).known(105)
    made.command(CommandKind.REBALANCE)
    made = started(made, INDEX)
    made.tick(84, source=INDEX, trusted=True)
    made.known(105)
    made.complete(made.orders[0])
    last = made.of(PointSet)[-1]
    assert (last.source, last.prices, last.nav) == (INDEX, {BTC: D(84)}, D(115))


def test_a_source_that_is_silent_for_a_minute_is_not_waited_for_any_longer() -> None:
    made = changed_from_index()
    made.later(59).known(105)
    assert made.of(SourceChanged) == []
    made.later(1).known(105)
    (record,) = made.of(SourceChanged)
    assert record.factors == {}
    assert formula_nav(made) == D(115)
    ((name, text),) = told(made)
    assert name == "source_not_compared"
    assert "no index price was told to compare it with" in text


def test_each_start_waits_anew_for_what_the_one_before_did_not_hear() -> None:
    made = changed_from_index().later(600)
    made = started(made, MARK)
    made.known(125)
    assert made.of(SourceChanged) == [], "the feed of the index only begins"
    made.later(1).tick(100, source=INDEX, trusted=True)
    made.known(125)
    assert made.of(SourceChanged)[0].factors == {BTC: D("1.25")}
    assert formula_nav(made) == D(100)


def test_a_clock_that_is_set_back_after_the_start_does_not_prolong_the_wait() -> None:
    made = changed_from_index()
    began_ms = made.now_ms
    made.later(-3_000).take(ClockStepped(made.now_ms, began_ms))
    made.later(60).known(105)
    assert len(made.of(SourceChanged)) == 1


def changed_from_index() -> Bench:
    made = Bench(bench(fund(initial_shares=D(1), price_source=INDEX)).desk)
    made.tick(100, source=INDEX, trusted=True)
    made.known(100)
    return started(made.later(3_600), MARK)


def test_a_reload_meanwhile_is_taken_and_does_not_change_the_source() -> None:
    made = changed()
    made.known(105)
    wanted = replace(made.desk.funds["BTC3L"], description="other words")
    offer(made, wanted, digest="reloaded")
    assert made.of(ConfigurationChanged)[-1].digest == "reloaded"
    assert (made.fund().fund.description, made.fund().fund.price_source) == ("other words", MARK)
    made.tick(84, source=INDEX, trusted=True)
    made.known(105)
    assert formula_nav(made) == D(115)
    assert made.fund().fund == wanted


def test_of_a_basket_each_member_goes_by_its_own_ratio() -> None:
    made = changed(basket={BTC: D("0.5"), ETH: D("0.5")})
    for symbol, mark, index in ((BTC, 110, 55), (ETH, 100, 200)):
        made.known(mark, symbol=symbol)
        made.tick(index, symbol=symbol, source=INDEX, trusted=True)
    made.known(110)
    (record,) = made.of(SourceChanged)
    assert record.factors == {BTC: D("0.5"), ETH: D(2)}
    assert formula_nav(made) == D(115)


def test_the_index_of_a_cash_account_goes_on_from_where_it_stood() -> None:
    made = changed(cash_account=CashAccount(reference=D(0)))
    made.tick(84, source=INDEX, trusted=True)
    made.known(105)
    assert index_level(made) == D(115), "not the 52 of three coins that lost 16 each"
    made.later(1).tick(88, source=INDEX, trusted=True)
    assert index_level(made) == D(130)
    assert made.restarted().fund().cash_period == made.fund().cash_period


def index_level(made: Bench) -> object:
    worth = made.state.worth(made.fund())
    assert worth is not None
    return made.fund().index_level(worth.prices, made.now_ms)


def test_a_point_of_before_sources_were_kept_has_that_of_the_configuration() -> None:
    made = bench(fund(initial_shares=D(1)))
    made.records = [
        replace(each, source=None) if isinstance(each, PointSet) else each for each in made.records
    ]
    made = started(made, INDEX)
    made.tick(84, source=INDEX, trusted=True)
    made.known(105)
    assert made.of(SourceChanged) == []
