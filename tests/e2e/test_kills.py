"""A desk that is killed without warning, again and again, in the middle of its trades."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

from rebalancer.bootstrap import desk_of
from rebalancer.core.folding import fold
from rebalancer.core.records import CommandTaken, IntentCreated, Record, Traded
from rebalancer.settings import load
from rebalancer.store.reader import open_reader
from rebalancer.venues.paper import PaperBook
from tests.desk.rig import of
from tests.e2e.process import Desk, command, running
from tests.factories import BTC

KILLS = 10
#: "no trade has more than once been sent" is only worth something if there were many
TRADES_MIN = 20


def kept(folder: Path) -> list[Record]:
    """Return every record, after the chain of hashes was checked."""
    with open_reader(f"sqlite:///{folder}/desk.db") as reader:
        return list(reader.records())


def sent(desk: Desk) -> list[str]:
    """Return the id of every order that left this desk."""
    return [str(event["order"]) for event in desk.events("order_sent")]


def check_books(folder: Path, records: list[Record]) -> None:
    """Fail unless the funds' ledger is what a venue with these records holds."""
    desk = desk_of(load(folder / "config.toml", {}))
    state = fold(desk, records)
    held = sum(
        (fund.holding.units.get(BTC, Decimal(0)) for fund in state.funds.values()), Decimal(0)
    )
    book = PaperBook(account="main", contracts=desk.contracts)
    book.recover(records)
    assert held == state.accounts["main"].position(BTC) == book.position(BTC)
    paid_in = sum(fund.fund.initial_nav * fund.fund.initial_shares for fund in state.funds.values())
    assert paid_in
    assert book.cash == sum(fund.holding.cash for fund in state.funds.values())


def test_killed_at_ten_random_moments(folder: Path) -> None:
    dice = random.Random(20260101)  # noqa: S311 - a failure should be repeatable, as far as it can
    ever_sent: list[str] = []
    answered: list[str] = []
    records: list[Record] = []
    for number in range(KILLS):
        with running(folder) as desk:
            desk.wait_for("ready")
            if number % 3 == 2:
                reason = f"drill {number}"
                if command(folder, "rebalance", "BTC3L", "--reason", reason).code == 0:
                    answered.append(reason)
            time.sleep(dice.uniform(0.0, 0.9))
            assert desk.end(signal.SIGKILL) == -signal.SIGKILL
            assert "Traceback" not in desk.said
            ever_sent += sent(desk)
        before, records = records, kept(folder)
        assert records[: len(before)] == before, "a record was lost or changed"
        written = {record.intent.client_order_id for record in of(records, IntentCreated)}
        assert set(ever_sent) <= written, "an order left that is not on record"
        check_books(folder, records)
    assert max(Counter(ever_sent).values()) == 1, "an order was sent twice"
    assert len(of(records, Traded)) >= TRADES_MIN
    assert answered
    assert set(answered) <= {record.reason for record in of(records, CommandTaken)}
    with running(folder) as desk:
        desk.wait_for("order_sent")
        assert desk.end() == 0
    check_books(folder, kept(folder))
