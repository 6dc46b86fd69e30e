"""Whatever happens to the file, an answered commit is kept and a refused one never appears."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from rebalancer.errors import StoreUnavailable
from rebalancer.store.sql import SqlStore
from tests.store import storage_faults

SEEDS = 20


def test_whatever_happens_to_the_file_what_was_acknowledged_is_there_in_order(
    tmp_path: Path,
) -> None:
    assert list(storage_faults.tried(range(SEEDS), tmp_path)) == []


def test_a_store_that_acknowledged_what_it_could_not_write_would_be_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound = SqlStore.commit

    async def believing(self: SqlStore, records: Any) -> None:
        with suppress(StoreUnavailable):
            await sound(self, records)

    monkeypatch.setattr(SqlStore, "commit", believing)
    faults = range(len(storage_faults.FAULTS))
    assert len(list(storage_faults.tried(faults, tmp_path))) == len(faults)
