"""Random histories against the sentences of the specification, one plan after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rebalancer.errors import ConfigRefused
from tests.factories import dice_of
from tests.oracle.documents import replayed
from tests.oracle.history import History
from tests.oracle.thrown import ThrownPast, config_text


@pytest.mark.parametrize("seed", range(40))
def test_a_random_history_is_replayed_as_the_sentences_say(seed: int, tmp_path: Path) -> None:
    """Section 8: observations and bars, gaps, funding, costs, fees, missed and skipped times."""
    past = ThrownPast(dice_of(seed)).past()
    prices = files_of(tmp_path, "prices", past.price_lines)
    funding = files_of(tmp_path, "funding", past.funding_lines)
    try:
        found = replayed(config_text(past.config), prices, funding)
    except ConfigRefused as refused:
        assert "it would fire at" in str(refused)  # noqa: PT017 - the one contradiction thrown
        return
    history = History(past.config, past.prices, past.funding, past.every)
    history.run()
    expected = history.document()
    if any(state.wiped for state in history.funds.values()):
        return  # what its debt does to a shared account has tests of its own
    assert found["bars"] == expected["bars"]
    for name, fund in expected["funds"].items():
        told = found["funds"][name]
        assert [without_words(each, fund["rebalances"]) for each in told["rebalances"]] == fund[
            "rebalances"
        ]
        assert {key: told[key] for key in fund if key != "rebalances"} == {
            key: fund[key] for key in fund if key != "rebalances"
        }


def files_of(folder: Path, kind: str, lines: dict[str, list[str]]) -> dict[str, Path]:
    files = {symbol: folder / f"{kind}-{symbol[:3]}.csv" for symbol in lines}
    for symbol, file in files.items():
        file.write_text("\n".join(lines[symbol]) + "\n")
    return files


def without_words(run: dict[str, Any], expected: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a run without its reason, and the prices of the contracts that it traded."""
    held = next((set(each["prices"]) for each in expected if each["at"] == run["at"]), set())
    prices = {symbol: price for symbol, price in run["prices"].items() if symbol in held}
    return {key: each for key, each in run.items() if key != "reason"} | {"prices": prices}
