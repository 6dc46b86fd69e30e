"""Commands that follow what happens, over the store of a desk that ran."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rebalancer.cli import following
from rebalancer.core.instant import DAY_MS, parse
from rebalancer.core.methodology import Trigger
from rebalancer.core.records import VerdictChanged
from rebalancer.store.rows import JournalRow
from tests.cli.conftest import Run

pytestmark = pytest.mark.usefixtures("store")


class TestSchedule:
    def test_the_next_fixed_times_come_in_order_each_fund_with_its_last(self, run: Run) -> None:
        found = run("schedule", "-n", "4", "--json").json
        due_ms = [parse(each["due"]) for each in found]
        assert [each["fund"] for each in found] == ["BTC1S", "BTC3L", "BTC1S", "BTC3L"]
        assert due_ms == sorted(due_ms)
        assert due_ms[2] - due_ms[0] == DAY_MS
        assert all(each["due"].endswith("T02:30:00Z") for each in found)
        assert found[0]["last"] is None, "no fixed time has come yet"

    def test_a_person_sees_how_long_it_is(self, run: Run) -> None:
        answer = run("schedule", "BTC3L", "-n", "2")
        assert answer.out.count("BTC3L") == 2
        assert "BTC1S" not in answer.out

    def test_a_fund_that_has_no_fixed_runs_any_more_is_left_out(
        self, run: Run, store: Path
    ) -> None:
        with closing(sqlite3.connect(store)) as database, database:
            database.execute("UPDATE views SET next_fixed_ms = NULL WHERE fund = 'BTC1S'")
        assert {each["fund"] for each in run("schedule", "--json").json} == {"BTC3L"}

    def test_a_fund_that_is_not_configured_is_refused(self, run: Run) -> None:
        answer = run("schedule", "BTC9L")
        assert answer.code == 2
        assert "there is no fund BTC9L" in answer.sentence


class TestOrders:
    def test_the_newest_comes_first_with_everything_known_of_it(self, run: Run) -> None:
        found = run("orders", "--json").json
        assert [each["at"] for each in found] == sorted((o["at"] for o in found), reverse=True)
        assert {each["status"] for each in found} == {"closed"}
        assert found[0]["contracts"] == found[0]["filled_contracts"]

    def test_each_names_the_funds_that_it_is_for_and_what_they_wanted(self, run: Run) -> None:
        (first,) = run("orders", "--json").json[1:]
        assert first["wanted"] == {"BTC3L": "20000"}, "10000 more were crossed with BTC1S"
        assert run("orders", "-n", "1").out.splitlines()[1].split()[1] == "BTC3L"

    def test_a_person_sees_a_table(self, run: Run) -> None:
        answer = run("orders")
        assert "BTC/USDT:USDT" in answer.out
        assert "closed" in answer.out

    def test_a_person_sees_why_an_order_was_refused(self, run: Run, store: Path) -> None:
        with closing(sqlite3.connect(store)) as database, database:
            database.execute("UPDATE orders SET reason = 'margin is insufficient'")
        assert "margin is insufficient" in run("orders", "-n", "1").out


class TestEvents:
    def test_the_latest_records_come_oldest_first_one_on_a_line(self, run: Run) -> None:
        lines = run("events", "-n", "5").out.splitlines()
        numbers = [int(line.split()[1]) for line in lines]
        assert len(numbers) == 5
        assert numbers == list(range(numbers[0], numbers[0] + 5))

    def test_a_line_names_what_happened_to_what(self, run: Run) -> None:
        text = run("events", "-n", "1000").out
        opened = next(line for line in text.splitlines() if "price_move" in line)
        assert "RunOpened" in opened
        assert "fund=BTC3L" in opened
        assert "the price moved -16.00 %" in opened

    def test_people_read_numbers_that_they_can_read(self, run: Run) -> None:
        text = run("events", "-n", "1000").out
        assert "config_digest=" in text
        assert (
            re.search(r"\d\.\d{7}|[0-9a-f]{20}", re.sub(r"\b0\.\d+|order_id=\S+", "", text)) is None
        )

    def test_on_a_terminal_a_line_goes_on_indented(self) -> None:
        row = JournalRow(7, VerdictChanged(0, "BTC3L", Trigger.NONE, "nothing is due"), "")
        whole = following._event_line(row, None)
        first, *others = following._event_line(row, 60).splitlines()
        assert whole.startswith("1970-01-01T00:00:00Z           7  VerdictChanged   fund=BTC3L")
        assert whole.endswith("trigger=none (nothing is due)")
        assert others
        assert all(line.startswith("    ") for line in others)
        assert " ".join([first, *others]).split() == whole.split()

    def test_programs_get_each_record_whole(self, run: Run) -> None:
        lines = [
            json.loads(line) for line in run("events", "-n", "1000", "--json").out.splitlines()
        ]
        assert lines[0]["kind"] == "DeskOpened"
        assert [each["seq"] for each in lines] == list(range(1, len(lines) + 1))
        assert {"fund", "state", "reason"} < lines[-1]["record"].keys() | {
            "fund",
            "state",
            "reason",
        }

    def test_following_shows_what_comes_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A reader whose journal grows between two looks."""
        pages = iter([["a"], [], ["b"]])
        seen: list[int] = []

        class Growing:
            def journal_end(self) -> int:
                return 7

            def journal(self, after_seq: int) -> tuple[JournalRow, ...]:
                seen.append(after_seq)
                return tuple(
                    JournalRow(after_seq + 1, name, "")  # type: ignore[arg-type]
                    for name in next(pages)
                )

        monkeypatch.setattr(following, "POLL_SECONDS", 0)
        rows = following._rows(Growing(), 2, follow=True)  # type: ignore[arg-type]
        assert [str(next(rows).record), str(next(rows).record)] == ["a", "b"]
        assert seen == [5, 6, 6]
