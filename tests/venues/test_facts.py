"""The table of venues: complete, true to ccxt's names, and proving nothing too much."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import ccxt.pro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.core.order import PositionSide, client_order_id
from rebalancer.errors import BrokenInvariant
from rebalancer.venues.facts import FACTS, VenueFacts
from rebalancer.venues.facts_books import ALWAYS_HEDGED
from rebalancer.venues.facts_ids import from_cloid, to_cloid
from rebalancer.venues.facts_page import page
from rebalancer.venues.facts_shape import Ask
from rebalancer.venues.rates import Budget
from tests.venues.golden import proofs
from tests.venues.golden.shapes import as_markdown

ROOT = Path(__file__).resolve().parents[2]
IDS = [
    *("binanceusdm", "bybit", "okx", "gate", "xt", "bitget"),
    *("kucoinfutures", "mexc", "hyperliquid"),
]
#: codes that may stand for an order that lives on, or that say it does
NEVER_A_REJECTION = {
    "binanceusdm": {"-1", "-1000", "-1001", "-1006", "-1007", "-1008", "-2010", "-4116"},
    "bybit": {"10000", "10014", "10016", "5004", "110030", "110072", "170141", "12141"},
    "okx": {"1", "2", "50001", "50004", "50005", "50013", "50026", "51011", "51016"},
    "gate": {"INTERNAL", "SERVER_ERROR", "TOO_BUSY", "REPEATED_CREATION", "ORDER_NOT_FOUND"},
    "xt": {"400", "500", "502", "503"},
    "bitget": {"40010", "40015", "40200", "40604", "40786", "45034", "43118", "50060", "25212"},
    "kucoinfutures": {"400100", "126033", "126044", "300018", "408000", "500000"},
    "mexc": {"500", "501", "504", "603", "9999"},
    "hyperliquid": {"Internal error"},
}


@pytest.fixture(params=IDS)
def facts(request: pytest.FixtureRequest) -> VenueFacts:
    return FACTS[request.param]


def test_there_are_nine_rows_and_ccxt_knows_each() -> None:
    assert list(FACTS) == IDS
    assert all(hasattr(ccxt.pro, venue_id) for venue_id in IDS)


def test_every_method_named_in_a_row_exists(facts: VenueFacts) -> None:
    exchange: Any = getattr(ccxt.pro, facts.venue_id)()
    settings = (facts.position_mode, facts.margin_mode, facts.leverage)
    streams = facts.streams
    names = [name for setting in settings for name in (setting.read, setting.set)]
    names += [stream or "" for stream in (streams.mark, streams.index, streams.bid_ask)]
    names += [facts.fee_query, facts.funding_query, *facts.silenced]
    assert all(callable(getattr(exchange, name)) for name in names if name)
    assert all(setting.set or setting.note for setting in settings)


@given(seq=st.integers(1, 10**9), contract=st.text(max_size=20))
def test_our_ids_fit_everywhere_and_come_back(seq: int, contract: str) -> None:
    ours = client_order_id("desk", "main", contract, seq)
    for facts in FACTS.values():
        theirs = facts.client_ids.to_venue(ours)
        assert len(theirs) <= facts.client_ids.max_length
        assert re.fullmatch(facts.client_ids.pattern, theirs)
        assert facts.client_ids.from_venue(theirs) == ours


def test_a_foreign_id_is_never_turned_into_one_of_ours() -> None:
    for foreign in ("", "r12", "x" * 26, "r" + "z" * 25):
        with pytest.raises(BrokenInvariant):
            to_cloid(foreign)
    assert from_cloid("web") == "web"


def test_codes_that_prove_rejection_and_acceptance_are_apart(facts: VenueFacts) -> None:
    assert facts.judge.rejects
    assert not facts.judge.rejects & facts.judge.duplicates
    assert not facts.judge.rejects & NEVER_A_REJECTION[facts.venue_id]


def test_every_kind_of_request_can_leave(facts: VenueFacts) -> None:
    names = {limit.window.name for limit in facts.limits.windows}
    budget = Budget(facts.limits.rate_windows)
    assert set(facts.limits.costs) == set(Ask)
    for ask, cost in facts.limits.costs.items():
        assert cost
        assert set(cost) <= names
        # A question must fit beside the reserve that is kept for orders.
        assert budget.wait_ms(cost, 0, urgent=ask in (Ask.ORDER, Ask.CANCEL)) == 0


def test_a_batch_fits_into_the_windows(facts: VenueFacts) -> None:
    if facts.batch is not None:
        budget = Budget(facts.limits.rate_windows)
        assert budget.wait_ms(facts.limits.batch(facts.batch.most), 0, urgent=True) == 0
        assert facts.batch.most >= 2


def test_batches_count_as_the_venues_count_them() -> None:
    assert FACTS["binanceusdm"].limits.batch(5) == {
        "orders-10s": 5,
        "orders-1m": 1,
        "weight-1m": 5,
    }
    assert FACTS["bybit"].limits.batch(10) == {"batch-1s": 10, "address-5s": 1}
    assert FACTS["hyperliquid"].limits.batch(79) == {"weight-1m": 2}


def test_the_lock_out_of_xt_is_out_of_reach() -> None:
    (minute,) = [w for w in FACTS["xt"].limits.rate_windows if w.length_ms == 60_000]
    assert minute.limit < 1_000


def test_books_are_said_in_words() -> None:
    assert FACTS["xt"].book == "hedge"
    assert FACTS["hyperliquid"].book == "one-way"
    others = set(FACTS) - {"xt", "hyperliquid"}
    assert {FACTS[venue_id].book for venue_id in others} == {"by account mode"}
    assert PositionSide.NET not in FACTS["xt"].spelling.books


def test_the_venues_of_two_books_are_those_whose_rows_know_no_net_one() -> None:
    hedged = {name for name, row in FACTS.items() if PositionSide.NET not in row.spelling.books}
    assert hedged == ALWAYS_HEDGED


def test_the_table_is_read_without_ccxt() -> None:
    modules = "facts, answers, requests, facts_page"
    code = f"import sys; from rebalancer.venues import {modules}; sys.exit('ccxt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0


def test_the_page_of_venues_is_what_the_table_says() -> None:
    written = (ROOT / "docs" / "venues.md").read_text(encoding="utf-8")
    wanted = page(as_markdown(), proofs.as_markdown())
    assert written == wanted, "python -m tests.venues.golden --write"
