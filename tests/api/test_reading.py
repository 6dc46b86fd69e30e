"""What the interface answers about tokens, in the words and numbers of the specification."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rebalancer.api.answers import read_cursor, write_cursor
from rebalancer.api.board import event_of
from rebalancer.api.klines import NavKlines
from rebalancer.api.problems import ApiProblem
from rebalancer.api.writing import day_klines, distribution_document, market_name
from rebalancer.core.actions import Alert, Severity
from rebalancer.core.capital import Consolidated, FinancingPosted
from rebalancer.core.consolidation import ConversionKind
from rebalancer.core.events import FundingExpected, PricesObserved, PriceTick
from rebalancer.core.fees import ManagementFee
from rebalancer.core.fund import PriceSource
from rebalancer.core.instant import DAY_MS, HOUR_MS, MINUTE_MS
from rebalancer.core.methodology import LeverageBand
from rebalancer.core.money import text
from rebalancer.store.rows import JournalRow, NavRow
from tests.api.rig import Published, published
from tests.desk.rig import until
from tests.factories import BTC, NOON, desk, fund, only


async def got(client: Any, path: str, **query: Any) -> Any:
    answer = await client.get(f"/api/v1/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def resting() -> Any:
    """Return a 3L without any rule, which holds 3 coins a share from a price of 100 on."""
    return desk(fund("BTC3L", 3, methodology=only(), initial_shares=Decimal(1)), free_launch=True)


async def test_a_token_is_shown_as_the_worked_number_says(tmp_path: Path) -> None:
    """Spec section 6: 3x, NAV 100, price 100 -> 105: NAV 115, position 315, leverage 2.7391."""
    async with published(tmp_path, resting()) as desk_at_work:
        await desk_at_work.price(105)
        token = await got(desk_at_work.private, "tokens/BTC3L")
    assert token["tokenName"] == "BTC3L"
    assert token["nav"] == token["formulaNav"] == "115"
    assert token["realLeverage"] == "2.739130434782608696"
    assert token["targetLeverage"] == "3"
    assert token["tokenIssued"] == "1"
    assert token["currentBaskets"] == [{"symbol": BTC, "amount": "3", "notionalValue": "315"}]
    assert token["basket"] == "3 BTCUSDT"
    assert token["preNav"] == "100"
    assert token["lastRebalance"]["prices"] == {BTC: "100"}
    assert (token["navState"], token["state"]) == ("LIVE", "active")
    assert token["timestamp"] - token["navTime"] == 0


async def test_positions_come_with_margin_and_the_price_that_ends_the_fund(
    tmp_path: Path,
) -> None:
    """At a maintenance of 0.5 %: 100 + 300 m = 0.005 x 300 (1 + m), m = -98.5 / 298.5."""
    async with published(tmp_path, resting()) as desk_at_work:
        basket = await got(desk_at_work.private, "tokens/BTC3L/basket")
    (position,) = basket["positions"]
    assert position["maintenanceMargin"] == basket["margin"]["maintenanceMargin"] == "1.5"
    assert basket["margin"]["marginRatio"] == "0.015"
    assert basket["margin"]["liquidationMove"].startswith("-0.32998324958")
    assert position["liquidationPrice"].startswith("67.001675041")
    alone = basket["margin"]["accountLiquidationMove"]
    assert alone == basket["margin"]["liquidationMove"], "it shares its account with nobody"


async def test_on_one_account_opposite_funds_carry_each_other(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        basket = await got(desk_at_work.private, "tokens/BTC3L/basket")
    assert basket["margin"]["liquidationMove"] is not None
    assert basket["margin"]["accountLiquidationMove"] is None, "3L and 3S net to nothing"


async def test_a_run_tells_its_slippage_beside_its_cost(tmp_path: Path) -> None:
    async with published(tmp_path, desk(fund("BTC3L", 3))) as desk_at_work:
        runs = await got(desk_at_work.private, "tokens/BTC3L/rebalances")
        page = await got(desk_at_work.private, "tokens/BTC3L/distributions")
    (run,) = runs["items"]
    assert Decimal(run["tradedNotional"]) > 0
    assert run["slippage"] == "0"
    assert page == {"items": [], "nextCursor": None}


async def test_what_needs_a_person_is_listed_for_operators_only(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        alert = Alert(NOON, Severity.CRITICAL, "desk_halted", "the desk", "by hand")
        desk_at_work.daemon.alerts.take(alert)
        listed = await got(desk_at_work.private, "alerts")
        hidden = await desk_at_work.public.get("/api/v1/alerts")
    (item,) = listed["items"]
    assert (item["name"], item["severity"], item["count"]) == ("desk_halted", "critical", 1)
    assert hidden.status_code == 404


async def test_an_index_only_fund_is_published_with_its_band(tmp_path: Path) -> None:
    """Spec section 1: level, leverage, targets and decisions are published, nothing is traded."""
    band = LeverageBand(lower=Decimal("1.23"), upper=Decimal("1.27"))
    rules = only(leverage_band=band)
    note = fund("NOTE", "1.25", account="", methodology=rules, price_source=PriceSource.INDEX)
    fee = ManagementFee(daily=Decimal("0.003"))
    traded = fund("BTC3L", 3, management_fee=fee)
    async with published(tmp_path, desk(note, traded)) as desk_at_work:
        waiting = await got(desk_at_work.private, "tokens/NOTE")
        tick = PriceTick(BTC, PriceSource.INDEX, Decimal(100), desk_at_work.clock.now_ms())
        seen = PricesObserved(desk_at_work.clock.now_ms(), (tick,), confirmed=True)
        desk_at_work.feed.queue.put_nowait(seen)
        await until(lambda: desk_at_work.daemon.state.funds["NOTE"].launched_ms, "it is launched")
        asked = FundingExpected(desk_at_work.clock.now_ms(), "main", BTC, None)
        desk_at_work.daemon.inbox.put(asked)
        await desk_at_work.quiet()
        unknown = await got(desk_at_work.private, "tokens/BTC3L/fees")
        begun_ms, due_ms = NOON - 4 * HOUR_MS, NOON + 4 * HOUR_MS
        told = replace(asked, rate=Decimal("0.001"), from_ms=begun_ms, due_ms=due_ms)
        desk_at_work.daemon.inbox.put(told)
        await desk_at_work.quiet()
        token = await got(desk_at_work.private, "tokens/NOTE")
        other = await got(desk_at_work.private, "tokens/BTC3L")
        fees = await got(desk_at_work.private, "tokens/BTC3L/fees")
    # A third of the day's grows from 08:00 to 16:00, and is taken then: 0.1 % of a million.
    grown = Decimal(1_000) * (fees["timestamp"] - NOON + 4 * HOUR_MS) / (8 * HOUR_MS)
    assert [fees["managementFee"], fees["accruedManagementFee"]] == ["0", text(grown)]
    # Of 30 000 coins x 100 x 0.001 the part of the same interval.
    owed = Decimal(3_000) * (fees["timestamp"] - NOON + 4 * HOUR_MS) / (8 * HOUR_MS)
    assert [unknown["accruedFunding"], fees["accruedFunding"]] == [None, text(owed)]
    assert [waiting["navState"], token["navState"]] == ["WAITING", "LIVE"]
    assert [token["indexOnly"], other["indexOnly"]] == [True, False]
    assert [token["lowerBand"], token["upperBand"]] == ["1.23", "1.27"]
    assert [token["nav"], token["targetLeverage"]] == ["100", "1.25"]
    assert [token["dailyManagementFee"], other["dailyManagementFee"]] == ["0", "0.003"]
    assert [other["lowerBand"], other["purchaseFeePct"]] == [None, "0"]


async def test_both_navs_the_basket_and_the_fees_stand_alone_too(tmp_path: Path) -> None:
    async with published(tmp_path, resting()) as desk_at_work:
        await desk_at_work.price(105)
        whole = await got(desk_at_work.private, "tokens/BTC3L")
        nav = await got(desk_at_work.private, "tokens/BTC3L/nav")
        basket = await got(desk_at_work.private, "tokens/BTC3L/basket")
        fees = await got(desk_at_work.private, "tokens/BTC3L/fees")
    assert nav.items() <= whole.items()
    del basket["positions"], basket["margin"]
    assert basket.items() <= whole.items()
    assert fees["tradingFees"] == fees["slippage"] == fees["funding"] == "0"


async def test_an_old_price_is_published_as_stale_and_never_as_live(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        desk_at_work.clock.advance(10_001)
        await desk_at_work.quiet()
        assert (await got(desk_at_work.private, "tokens/BTC3L"))["navState"] == "STALE"


async def test_tokens_come_in_pages_by_name(tmp_path: Path) -> None:
    known = desk(*(fund(f"F{number}", 3) for number in (3, 1, 2)))
    async with published(tmp_path, known) as desk_at_work:
        names, cursor, pages = [], None, 0
        while pages == 0 or cursor is not None:
            query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            page = await got(desk_at_work.private, "tokens", **query)
            names += [token["tokenName"] for token in page["items"]]
            cursor, pages = page["nextCursor"], pages + 1
    assert (names, pages) == (["F1", "F2", "F3"], 2)


async def test_runs_come_in_pages_the_newest_first(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        # 3S at +15 %, losing side: it delevers and 3L is left alone (spec section 6).
        for _ in range(3):
            await desk_at_work.price(115, after_ms=61_000)
        whole = await got(desk_at_work.private, "rebalances")
        first = await got(desk_at_work.private, "rebalances", limit=1)
        rest = await got(desk_at_work.private, "rebalances", cursor=first["nextCursor"])
        ours = await got(desk_at_work.private, "tokens/BTC3S/rebalances")
    assert [run["trigger"] for run in whole["items"]] == ["price_move", "launch", "launch"]
    assert first["items"] + rest["items"] == whole["items"]
    assert rest["nextCursor"] is None
    assert [run["tokenName"] for run in ours["items"]] == ["BTC3S", "BTC3S"]
    newest = whole["items"][0]
    assert newest["leverageBefore"] == "-6.272727272727272727"
    assert newest["status"] == "done"
    assert abs(Decimal(newest["leverageAfter"]) + 3) < Decimal("1e-9")


async def test_decisions_say_why_and_why_not(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        for _ in range(3):
            await desk_at_work.price(115, after_ms=61_000)
        page = await got(desk_at_work.private, "tokens/BTC3S/decisions")
        one = await got(desk_at_work.private, "tokens/BTC3S/decisions", limit=1)
        rest = await got(desk_at_work.private, "tokens/BTC3S/decisions", cursor=one["nextCursor"])
        everybody = await got(desk_at_work.private, "decisions")
    said = [decision["trigger"] for decision in page["items"]]
    assert {"launch", "price_move", "none"} <= set(said)
    assert one["items"] + rest["items"] == page["items"]
    assert {decision["tokenName"] for decision in everybody["items"]} == {"BTC3L", "BTC3S"}
    numbers = [decision["sequence"] for decision in everybody["items"]]
    assert numbers == sorted(numbers, reverse=True)


def a_merge(at_ms: int = NOON) -> Consolidated:
    """Spec section 6: merge NAV 0.03, 1 000 shares: 10:1, NAV 0.3, 100 shares, 30 = 30."""
    return Consolidated(
        at_ms=at_ms,
        fund="BTC3L",
        kind=ConversionKind.MERGE,
        ratio=10,
        shares_before=Decimal(1_000),
        shares_after=Decimal(100),
        nav_before=Decimal("0.03"),
        nav_after=Decimal("0.3"),
        equity=Decimal(30),
        number=1,
    )


async def test_a_merge_is_shown_as_the_worked_number_says(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        await desk_at_work.daemon.store.commit([a_merge()])
        page = await got(desk_at_work.public, "tokens/BTC3L/consolidations")
        other = await got(desk_at_work.public, "tokens/BTC3S/consolidations")
    (shown,) = page["items"]
    assert [shown["kind"], shown["ratio"]] == ["merge", 10]
    assert [shown["navBefore"], shown["navAfter"]] == ["0.03", "0.3"]
    assert [shown["issuedBefore"], shown["issuedAfter"]] == ["1000", "100"]
    assert other["items"] == []


async def test_the_schedule_names_the_next_fixed_time(tmp_path: Path) -> None:
    """10:30 at +08:00 is 02:30 UTC (spec section 3)."""
    async with published(tmp_path) as desk_at_work:
        page = await got(desk_at_work.private, "schedule")
    assert {due["nextRebalanceTime"] for due in page["items"]} == {NOON + 52_200_000}


async def test_daily_navs_are_candles_and_strikes(tmp_path: Path) -> None:
    async with published(tmp_path, resting()) as desk_at_work:
        await desk_at_work.price(105, after_ms=DAY_MS)
        await desk_at_work.price(110, after_ms=DAY_MS)
        strikes = await got(desk_at_work.private, "tokens/BTC3L/strikes")
        days = await got(desk_at_work.private, "tokens/BTC3L/klines", interval="1d")
    navs = [strike["nav"] for strike in strikes["items"]]
    assert navs == ["130", "115"]
    assert [row[4] for row in days] == navs[::-1]
    assert [len(row) for row in days] == [12, 12]
    assert days[1][0] + DAY_MS - 1 == days[1][6] == strikes["items"][0]["time"] - 1


async def test_candles_of_before_a_merge_are_in_shares_of_after_it(tmp_path: Path) -> None:
    """3x from 100 to 105 and a day later 110: NAVs 115 and 130, then 10:1 after the first."""
    async with published(tmp_path, resting()) as desk_at_work:
        await desk_at_work.price(105, after_ms=DAY_MS)
        merge = a_merge(desk_at_work.clock.now_ms() + 1)
        await desk_at_work.daemon.store.commit([merge])
        desk_at_work.service.publish([merge])
        minutes = await got(desk_at_work.private, "tokens/BTC3L/klines")
        hours = await got(desk_at_work.private, "tokens/BTC3L/klines", interval="1h")
        await desk_at_work.price(110, after_ms=DAY_MS)
        days = await got(desk_at_work.private, "tokens/BTC3L/klines", interval="1d")
    for before, _ in (minutes, hours):
        told = [*before[1:5], before[9]]
        assert {Decimal(each) for each in told} == {Decimal(1_000)}, "what was 100 a share"
    assert [row[4] for row in days] == ["1150", "130"]
    assert event_of(merge) == (
        *("consolidation", "BTC3L", "merge"),
        "merge 10:1, NAV 0.03 -> 0.3: candles are in new shares",
    )
    split = event_of(replace(merge, kind=ConversionKind.SPLIT))
    assert split is not None
    assert split[3].startswith("split 1:10, NAV ")


async def test_minutes_are_candles_of_what_was_published(tmp_path: Path) -> None:
    async with published(tmp_path, resting()) as desk_at_work:
        await desk_at_work.price(105)
        await desk_at_work.price(95)
        await desk_at_work.price(101, after_ms=MINUTE_MS)
        rows = await got(desk_at_work.private, "tokens/BTC3L/klines")
        newest = await got(desk_at_work.private, "tokens/BTC3L/klines", limit=1)
        older = await got(desk_at_work.private, "tokens/BTC3L/klines", endTime=rows[0][0])
        hour = await got(desk_at_work.private, "tokens/BTC3L/klines", interval="1h")
    assert rows[0][2:5] == ["115", "85", "85"]
    assert rows[1][1:5] == ["103"] * 4
    assert [row[0] for row in newest] == [rows[1][0]]
    assert older == rows[:1]
    assert (hour[0][2], hour[0][3], hour[0][4]) == ("115", "85", "103")
    assert hour[0][8] >= rows[0][8] + rows[1][8]


async def test_an_answer_that_is_known_is_not_sent_again(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        path = "/api/v1/tokens/BTC3L/rebalances"
        first = await desk_at_work.private.get(path)
        tag = first.headers["etag"]
        for header in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = await desk_at_work.private.get(path, headers={"if-none-match": header})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
        other = await desk_at_work.private.get(path, headers={"if-none-match": '"other"'})
    assert other.json() == first.json()


async def test_what_is_wrong_is_said_in_a_problem_document(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        for path, status, word in (
            ("/api/v1/tokens/BTC9L", 404, "no token BTC9L"),
            ("/api/v1/tokens/BTC9L/klines", 404, "no token"),
            ("/api/v1/nothing", 404, "Not Found"),
            ("/api/v1/tokens?limit=0", 422, "query.limit"),
            ("/api/v1/tokens?cursor=x", 400, "cursor"),
            ("/api/v1/rebalances?cursor=WyJhIl0", 400, "cursor"),
            ("/api/v1/tokens/BTC3L/klines?interval=2m", 422, "interval"),
        ):
            answer = await desk_at_work.private.get(path)
            assert answer.headers["content-type"] == "application/problem+json"
            problem = answer.json()
            assert (answer.status_code, problem["status"]) == (status, status)
            assert word in problem["detail"]


async def test_the_public_listener_shows_no_position_and_no_cost(tmp_path: Path) -> None:
    hidden = {"equity", "basket", "currentBaskets", "cost", "deltas", "statusReason"}
    async with published(tmp_path) as desk_at_work:
        token = await got(desk_at_work.public, "tokens/BTC3L")
        runs = await got(desk_at_work.public, "rebalances")
        for path in ("basket", "fees", "decisions"):
            gone = await desk_at_work.public.get(f"/api/v1/tokens/BTC3L/{path}")
            assert gone.status_code == 404
        assert (await desk_at_work.public.get("/metrics")).status_code == 404
        assert (await desk_at_work.public.get("/api/v1/decisions")).status_code == 404
        private = await got(desk_at_work.private, "tokens/BTC3L")
    assert hidden.isdisjoint(token)
    assert token["nav"] == private["nav"]
    assert runs["items"]
    assert all(hidden.isdisjoint(run) for run in runs["items"])


async def test_a_store_that_does_not_answer_is_said_and_the_rest_goes_on(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        await hide_store(desk_at_work)
        answer = await desk_at_work.private.get("/api/v1/rebalances")
        assert (answer.status_code, answer.json()["detail"]) == (503, "the store does not answer")
        assert (await desk_at_work.private.get("/api/v1/tokens")).status_code == 200
        ready = await desk_at_work.private.get("/readyz")
        assert ready.status_code == 503
        assert "[-]store failed" in ready.text


async def test_a_store_that_answers_again_is_noticed_though_nobody_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is said not to be ready is asked nothing by a load balancer."""
    monkeypatch.setattr("rebalancer.api.desk.AGAIN_SECONDS", 0.01)
    async with published(tmp_path) as desk_at_work:
        reader = desk_at_work.service._store._reader
        engine = reader._engine
        await hide_store(desk_at_work)
        await desk_at_work.private.get("/api/v1/rebalances")
        await asyncio.sleep(0.05)
        assert (await desk_at_work.private.get("/readyz")).status_code == 503
        reader._engine = engine
        await until(lambda: not desk_at_work.service._store.problem, "it is asked again")
        assert (await desk_at_work.private.get("/readyz")).status_code == 200


async def hide_store(desk_at_work: Published) -> None:
    """Have the reader of the interface look for the store where it is not."""
    from rebalancer.store.target import reading_engine, target  # noqa: PLC0415 - one use

    reader = desk_at_work.service._store._reader
    reader._engine = reading_engine(target("sqlite:////nonexistent/desk.db"))


class TestKlines:
    def test_a_minute_opens_with_its_first_nav_and_closes_with_its_last(self) -> None:
        klines = NavKlines()
        for at_ms, nav in ((1_000, 10), (2_000, 12), (59_999, 9), (60_000, 11)):
            made, closed = klines.add(at_ms, Decimal(nav), Decimal(3))
        assert closed is not None
        assert [closed.open, closed.high, closed.low, closed.close] == [10, 12, 9, 9]
        assert [closed.open_ms, closed.close_ms, closed.updates] == [0, 59_999, 3]
        assert [made.open_ms, made.updates] == [60_000, 1]
        assert klines.of_length(MINUTE_MS)[-1] == made

    def test_a_clock_that_was_set_back_adds_to_the_open_minute(self) -> None:
        klines = NavKlines()
        klines.add(120_000, Decimal(10), None)
        made, closed = klines.add(60_000, Decimal(5), None)
        assert [made.open_ms, made.low, closed] == [120_000, 5, None]

    def test_five_minutes_are_the_minutes_in_them(self) -> None:
        klines = NavKlines()
        for minute in range(10):
            klines.add(minute * MINUTE_MS, Decimal(minute), None)
        first, second = klines.of_length(5 * MINUTE_MS)
        assert [first.open, first.close, first.updates] == [0, 4, 5]
        assert [second.open, second.high, second.close_ms] == [5, 9, 10 * MINUTE_MS - 1]

    def test_a_day_opens_where_the_day_before_was_struck(self) -> None:
        strikes = [
            NavRow("F", day * DAY_MS, Decimal(nav), Decimal(nav), Decimal(1), Decimal(1))
            for day, nav in ((1, 100), (2, 90))
        ]
        first, second = day_klines(strikes, ())
        assert [first.open, first.close, first.updates] == [100, 100, 1]
        assert [second.open, second.high, second.low, second.close] == [100, 100, 90, 90]
        assert day_klines([], ()) == []


class TestCursors:
    def test_a_cursor_comes_back_as_it_was(self) -> None:
        written = write_cursor(17, "BTC3L-000001")
        assert read_cursor(written, int, str) == (17, "BTC3L-000001")
        assert read_cursor(None, int) is None

    @pytest.mark.parametrize(
        "written", ["", "a", "WzFd!", "W10", "e30", "WzEsMl0", write_cursor(2**64), "W1tbW1td"]
    )
    def test_anything_else_is_refused(self, written: str) -> None:
        with pytest.raises(ApiProblem, match="nextCursor"):
            read_cursor(written, int)

    def test_so_is_text_that_no_database_takes(self) -> None:
        with pytest.raises(ApiProblem):
            read_cursor(write_cursor("\0"), str)


def test_a_coupon_is_a_distribution() -> None:
    record = FinancingPosted(NOON, "NOTE", "main", Decimal("1.5"), Decimal("0.25"))
    told = distribution_document(JournalRow(7, record, "hash"))
    assert (told.token_name, told.kind, told.amount) == ("NOTE", "coupon", "0.25")


def test_a_market_is_named_as_venues_do() -> None:
    assert market_name("BTC/USDT:USDT") == "BTCUSDT"
