"""The verify command: on a store that holds, on changed ones, with a desk that runs or not."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from rebalancer.configured import desk_of
from rebalancer.core.capital import FlowDealt
from rebalancer.core.events import FlowsRequested
from rebalancer.core.flow import Flow, FlowKind
from rebalancer.core.records import Record
from rebalancer.settings import parse
from rebalancer.store.sql import SqlStore, open_store
from tests.cli.conftest import CONFIG, Run
from tests.factories import Bench, D


def execute(store: Path, statement: str, *values: object) -> None:
    """Change a store behind its program's back."""
    connection = sqlite3.connect(store)
    for trigger in ("update", "delete", "replace"):
        connection.execute(f"DROP TRIGGER IF EXISTS journal_refuses_{trigger}")
    connection.execute(statement, values)
    connection.commit()
    connection.close()


def test_a_store_that_holds_says_what_was_checked(run: Run, store: Path) -> None:
    document = run("verify", "--json").json
    assert document["holds"] is True
    assert document["problems"] == []
    assert document["head"]["seq"] == document["checked"]["records"] > 10
    for name in ("keys", "postings", "NAVs", "runs", "orders", "fills", "positions", "table rows"):
        assert document["checked"][name] > 0, name


def test_for_people_each_count_has_a_line(run: Run, store: Path) -> None:
    answer = run("verify")
    assert answer.code == 0
    assert "  fills\n" in answer.out
    assert "all of it holds; the chain ends at record " in answer.out


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE journal SET at_ms = at_ms + 1 WHERE seq = 7", "record 7 does not match its hash"),
        ("DELETE FROM journal WHERE seq = 5", "record 5 is missing before 6"),
        ("UPDATE fills SET price = '1'", "table fills: "),
        ("DELETE FROM runs", "table runs: "),
        ("UPDATE funds SET shares = '1' WHERE name = 'BTC3L'", "('BTC3L',)"),
    ],
)
def test_a_store_that_was_changed_is_a_failure_that_names_the_place(
    run: Run, store: Path, statement: str, problem: str
) -> None:
    execute(store, statement)
    answer = run("verify")
    assert answer.code == 1
    assert "does NOT hold" in answer.out
    assert problem in answer.err
    document = run("verify", "--json")
    assert (document.code, document.json["holds"]) == (1, False)
    assert problem in document.json["problems"][0]


def test_it_works_beside_a_desk_that_runs_and_changes_nothing(run: Run, store: Path) -> None:
    before = store.read_bytes()
    held: SqlStore = open_store(f"sqlite:///{store}")
    try:
        assert run("verify", "--json").json["holds"] is True
    finally:
        held._writer._session._lock.release()  # type: ignore[union-attr]
    assert store.read_bytes() == before


def test_a_configuration_without_a_fund_of_the_store_is_told(run: Run, store: Path) -> None:
    (store.parent / "config.toml").write_text(CONFIG.replace("[funds.BTC1S]", "[funds.BTC9S]"))
    answer = run("verify")
    assert answer.code == 1
    assert "BTC1S, which is not configured" in answer.err


def test_without_a_store_there_is_nothing_to_verify(run: Run) -> None:
    answer = run("verify")
    assert answer.code == 2
    assert "there is no store" in answer.sentence


def after_a_flow() -> Bench:
    """Return a desk of the configuration that launched its funds and dealt a subscription."""
    made = Bench(desk_of(parse(CONFIG)))
    flow = Flow(fund="BTC3L", key="a", kind=FlowKind.SUBSCRIBE, amount=D(1_150))
    made.known(100)
    for order in made.orders:
        made.complete(order)
    made.later(120).take(FlowsRequested(made.now_ms, (flow,)))
    made.known(105)
    return made


def write(folder: Path, records: Sequence[Record]) -> None:
    """Write a store whose chain of hashes is whole, whatever its records say."""

    async def commit() -> None:
        opened = open_store(f"sqlite:///{folder}/desk.db")
        await opened.commit(records)
        await opened.close()

    asyncio.run(commit())


def test_a_nav_that_does_not_follow_is_found_under_a_whole_chain_of_hashes(
    run: Run, folder: Path
) -> None:
    made = after_a_flow()
    (dealt,) = made.of(FlowDealt)
    place = made.records.index(dealt)
    write(folder, [*made.records[:place], replace(dealt, nav=dealt.nav - 1)])
    answer = run("verify")
    assert answer.code == 1
    assert f"record {place + 1} (FlowDealt): NAV is 115, the record says 114" in answer.err


def test_what_could_not_be_worked_out_is_said_by_the_kind_of_its_record(
    run: Run, folder: Path
) -> None:
    made = after_a_flow()
    place = made.records.index(made.of(FlowDealt)[0])
    before = replace(made.records[place], marks={})  # type: ignore[call-arg]
    write(folder, [*made.records[:place], before, *made.records[place + 1 :]])
    document = run("verify", "--json").json
    assert document["holds"] is True
    assert document["left_out"]["FlowDealt"] == 1
    assert document["checked"]["left out"] == sum(document["left_out"].values())
    assert "1  left out: FlowDealt, which does not say enough\n" in run("verify").out
