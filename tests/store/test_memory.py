"""The store in memory: what it shares with no other, the rest is in the contract."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal

import pytest

from rebalancer.core.records import FundLaunched, PointSet, ShortfallCovered
from rebalancer.errors import BrokenInvariant
from rebalancer.store.memory import MemoryStore


def launched(fund: str = "BTC3L") -> FundLaunched:
    return FundLaunched(
        at_ms=1, fund=fund, account="main", shares=Decimal(1), cash=Decimal("100.00")
    )


def test_importing_it_imports_no_database() -> None:
    probe = "import sys, rebalancer.store.memory; print('sqlalchemy' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=True)
    assert answer.stdout.strip() == b"False"


async def test_the_records_of_one_store_start_the_next() -> None:
    first = MemoryStore()
    await first.commit([launched()])
    await first.close()
    second = MemoryStore(first.records)
    assert await second.load() == (launched(),)
    with pytest.raises(BrokenInvariant, match="launch/BTC3L"):
        await second.commit([launched()])


async def test_it_keeps_the_records_themselves_unless_it_is_told_to_go_through_the_codec() -> None:
    prices = {"B": Decimal("2.0"), "A": Decimal(1)}
    record = PointSet(
        at_ms=1, fund="F", nav=Decimal(1), prices=prices, leverage=Decimal(3), opened_ms=1
    )
    plain, coded = MemoryStore(), MemoryStore(through_codec=True)
    await plain.commit([record])
    await coded.commit([record])
    assert plain.records[0] is record
    (copy,) = coded.records
    assert copy == record
    assert isinstance(copy, PointSet)
    assert list(copy.prices) == ["A", "B"]


async def test_through_the_codec_a_record_that_no_database_could_keep_is_refused() -> None:
    bad = ShortfallCovered(at_ms=1, fund="F", account="main", amount=Decimal("NaN"))
    with pytest.raises(BrokenInvariant, match=r"ShortfallCovered\.amount"):
        await MemoryStore(through_codec=True).commit([bad])


async def test_views_and_prices_are_the_last_ones_given() -> None:
    store = MemoryStore()
    await store.save_views([], {"A": Decimal(1), "B": Decimal(1)})
    await store.save_views([], {"A": Decimal(2)})
    assert (store.views, store.prices) == ((), {"A": Decimal(2)})
