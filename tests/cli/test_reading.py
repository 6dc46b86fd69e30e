"""Commands that read a store while no desk runs: tables for people, documents for programs."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from rebalancer.core.breaks import Break, BreakEnd, BreakEnded, BreakFound, BreakKind
from rebalancer.core.records import Record, ScopeChanged, TradingState
from rebalancer.core.scope import Scope
from rebalancer.store.sql import open_store
from tests.cli.conftest import Run
from tests.factories import BTC, NOON

pytestmark = pytest.mark.usefixtures("store")
READERS = ["status", "nav", "history", "plan"]


def test_status_says_what_each_fund_is_worth_and_why_nothing_happens(run: Run) -> None:
    document = run("status", "--json").json
    assert (document["running"], document["mode"]) == (False, "paper")
    assert list(document["funds"]) == ["BTC1S", "BTC3L"]
    fund = document["funds"]["BTC3L"]
    assert fund["state"] == "active"
    assert fund["verdict"] == "nothing is due"
    assert fund["next_fixed"] == "2026-01-02T02:30:00Z"
    assert Decimal(fund["leverage"]) < 3
    assert document["unresolved_orders"] == []


def test_status_for_people(run: Run) -> None:
    answer = run("status")
    assert answer.code == 0
    assert "no desk runs" in answer.err
    for text in ("BTC3L", "BTC1S", " 3x ", "active", "nothing is due"):
        assert text in answer.out
    assert "no desk runs" not in answer.out


def test_nav_has_both_navs_and_the_age_of_their_price(run: Run) -> None:
    document = run("nav", "BTC3L", "--json").json
    assert list(document) == ["BTC3L"]
    fund = document["BTC3L"]
    assert Decimal(fund["nav"]) * Decimal(fund["shares"]) == pytest.approx(Decimal(fund["equity"]))
    assert Decimal(fund["formula_nav"]) > 0
    assert fund["price_at"] == "2026-01-01T12:03:00Z"


def test_nav_of_a_desk_that_does_not_run_is_shown_as_stale(run: Run) -> None:
    answer = run("nav")
    assert answer.out.count("stale") == 2
    assert "live" not in answer.out


def test_history_has_the_newest_run_first(run: Run) -> None:
    runs = run("history", "--json").json
    assert [one["trigger"] for one in runs] == ["price_move", "launch", "launch"]
    newest = runs[0]
    assert (newest["fund"], newest["status"]) == ("BTC3L", "done")
    assert newest["ended_at"] is not None
    assert Decimal(newest["leverage_before"]) > Decimal(newest["leverage_after"])
    assert set(newest["delta_units"]) == {BTC}


def test_history_of_one_fund_and_of_a_few_runs(run: Run) -> None:
    assert [one["fund"] for one in run("history", "BTC1S", "--json").json] == ["BTC1S"]
    assert len(run("history", "-n", "1", "--json").json) == 1
    assert run("history", "-n", "0").code == 2


@pytest.mark.parametrize(
    "command",
    [
        "nav",
        "nav --gap",
        "history",
        "schedule",
        "orders",
        "events",
        "breaks",
        "series BTC3L",
        "explain BTC3L",
        "triggers",
        "plan",
        "consolidate BTC3L --ratio 10 --preview",
        "verify",
        "report",
    ],
)
def test_every_command_that_reads_says_that_no_desk_runs_beside_its_document(
    run: Run, command: str
) -> None:
    answer = run(*command.split(), "--json")
    assert answer.code == 0
    assert "no desk runs; this is " in answer.err
    assert answer.out.startswith(("{", "["))


def test_history_for_people(run: Run) -> None:
    answer = run("history")
    assert (answer.code, answer.err) == (0, "no desk runs; this is what the store holds\n")
    assert "price_move" in answer.out
    assert "->" in answer.out


def test_what_rules_ask_for_is_planned_from_the_store_and_says_how_old_it_is(run: Run) -> None:
    answer = run("plan", "--due", "--json")
    assert answer.code == 0
    assert "as the desk last saved it, " in answer.err
    document = answer.json
    assert document["version"] == 1
    assert list(document["funds"]) == ["BTC3L", "BTC1S"]
    assert document["funds"]["BTC3L"]["trigger"] == "none"
    assert document["orders"] == []


def test_a_rebalance_is_planned_from_the_store_where_no_desk_runs(run: Run) -> None:
    answer = run("plan", "--json")
    assert answer.code == 0
    assert "no desk runs; this is planned from what the store holds" in answer.err
    document = answer.json
    assert document["apply"] == ["BTC3L", "BTC1S"]
    assert document["funds"]["BTC3L"]["trigger"] == "manual"
    assert document["funds"]["BTC3L"]["rules_say"] == "nothing is due"
    (order,) = document["orders"]
    assert (order["side"], order["contract"]) == ("sell", BTC)


def test_a_plan_for_people(run: Run) -> None:
    answer = run("plan", "BTC1S")
    assert "Plan as of 2026-01-01T12:03:00Z, paper: rebalance to target" in answer.out
    assert "-0.7391x -> -1.0000x" in answer.out
    assert "cost of BTC/USDT:USDT on main: fee 0.00 (0.0 bps)" in answer.out
    assert "Accounts after it" in answer.out
    assert "BTC3L" not in answer.out


def test_a_plan_of_the_store_cannot_be_kept_for_apply(run: Run, folder: Path) -> None:
    answer = run("plan", "--out", "p.json")
    assert answer.code == 6
    assert "only a running one makes a plan that can be applied" in answer.err
    assert not (folder / "p.json").exists()


def test_a_plan_tells_scripts_whether_there_is_something_to_do(run: Run) -> None:
    assert run("plan", "--detailed-exitcode").code == 5
    assert run("plan", "--due", "--detailed-exitcode").code == 0


@pytest.mark.parametrize("command", ["nav", "history", "plan"])
def test_an_unknown_fund_is_named_together_with_the_known_ones(run: Run, command: str) -> None:
    answer = run(command, "BTC9L")
    assert answer.code == 2
    lines = answer.err.splitlines()
    assert "BTC9L" in lines[-1]
    assert "BTC3L" in lines[-1]


@pytest.mark.parametrize("command", READERS)
def test_numbers_in_documents_are_text(run: Run, command: str) -> None:
    def walk(value: object) -> None:
        assert not isinstance(value, float)
        for each in value.values() if isinstance(value, dict) else ():
            walk(each)
        for each in value if isinstance(value, list) else ():
            walk(each)

    walk(run(command, "--json").json)


@pytest.mark.parametrize("command", READERS)
def test_reading_changes_nothing(run: Run, command: str, store: Path) -> None:
    before = store.read_bytes()
    assert run(command).code == 0
    assert store.read_bytes() == before


@pytest.mark.parametrize("command", READERS)
async def test_reading_works_while_another_process_writes(
    run: Run, command: str, store: Path
) -> None:
    writer = open_store(f"sqlite:///{store}")
    try:
        answer = await asyncio.to_thread(run, command)  # a command has a loop of its own
        assert answer.code == 0
    finally:
        await writer.close()


@pytest.mark.parametrize("command", READERS)
def test_without_a_store_every_reader_says_so(run: Run, command: str, store: Path) -> None:
    store.unlink()
    answer = run(command)
    assert answer.code == 2
    assert "there is no store" in answer.sentence
    assert not store.exists()


@pytest.mark.parametrize("command", READERS)
def test_a_file_that_is_no_store_is_left_as_it_is(run: Run, command: str, store: Path) -> None:
    for content in (b"", b"\x00\xff" * 2_000, b"precious text\n"):
        store.write_bytes(content)
        answer = run(command)
        assert answer.code in (1, 2)
        assert "desk.db" in answer.sentence
        assert store.read_bytes() == content


def test_a_fund_that_left_the_configuration_is_told_in_a_sentence(run: Run, folder: Path) -> None:
    config = folder / "config.toml"
    config.write_text(config.read_text().replace("[funds.BTC1S]", "[funds.BTC2S]"))
    answer = run("plan")
    assert answer.code in (1, 2)
    assert "BTC1S" in answer.err.splitlines()[-1]
    assert "Traceback" not in answer.err


async def test_status_names_every_scope_that_is_not_active(folder: Path, run: Run) -> None:
    written = open_store(f"sqlite:///{folder}/desk.db")
    await written.commit(
        [
            ScopeChanged(NOON, Scope.CONTRACT, BTC, TradingState.HALTED, "its lot changed"),
            ScopeChanged(NOON, Scope.DESK, "", TradingState.REDUCING, "drill"),
        ]
    )
    await written.close()
    said = await asyncio.to_thread(run, "status")
    assert f"contract {BTC} is halted: its lot changed\n" in said.err
    assert "the desk is reducing: drill\n" in said.err
    document = (await asyncio.to_thread(run, "status", "--json")).json
    assert [(each["scope"], each["state"]) for each in document["not_active"]] == [
        ("contract", "halted"),
        ("desk", "reducing"),
    ]


async def test_breaks_show_their_cause_and_repair_until_they_end(folder: Path, run: Run) -> None:
    assert "no break is open" in (await asyncio.to_thread(run, "breaks")).err
    found = Break(
        kind=BreakKind.POSITION,
        account="main",
        contract=BTC,
        units=Decimal("-0.5"),
        cause="sold by hand",
        repair="rebalancer adopt 1",
    )
    written = open_store(f"sqlite:///{folder}/desk.db")
    await written.commit([BreakFound(NOON, 1, found)])
    await written.close()
    shown = await asyncio.to_thread(run, "breaks")
    assert "sold" in shown.out
    (one,) = (await asyncio.to_thread(run, "breaks", "--json")).json["breaks"]
    assert (one["number"], one["units"], one["ended"]) == (1, "-0.5", None)
    assert one["repair"] == "rebalancer adopt 1"
    written = open_store(f"sqlite:///{folder}/desk.db")
    await written.commit([BreakEnded(NOON, 1, BreakEnd.ADOPTED, "known")])
    await written.close()
    assert (await asyncio.to_thread(run, "breaks", "--json")).json["breaks"] == []
    (one,) = (await asyncio.to_thread(run, "breaks", "--all", "--json")).json["breaks"]
    assert one["ended"] == "adopted"


async def test_an_open_break_is_told_behind_any_number_that_ended(folder: Path, run: Run) -> None:
    found = Break(
        kind=BreakKind.BALANCE,
        account="main",
        contract="",
        units=Decimal(-5),
        cause="taken away",
        repair="",
    )
    ended: list[Record] = [BreakEnded(NOON, n, BreakEnd.VANISHED, "") for n in range(2, 6)]
    written = open_store(f"sqlite:///{folder}/desk.db")
    await written.commit([*(BreakFound(NOON, n, found) for n in range(1, 6)), *ended])
    await written.close()
    told = await asyncio.to_thread(run, "breaks", "--limit", "3", "--json")
    assert [each["number"] for each in told.json["breaks"]] == [1]
