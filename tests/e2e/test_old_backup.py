"""An old backup is restored: nothing is traded until what the venue did since then is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rebalancer.clock import WallClock
from rebalancer.core.instant import HOUR_MS
from rebalancer.core.methodology import Trigger
from rebalancer.core.records import IntentCreated
from tests.desk.rig import of
from tests.e2e.market import market
from tests.e2e.process import command, running, wait_until
from tests.e2e.test_live_desk import KEYS, KINDS, Place, done, state_of
from tests.factories import BTC

#: what a desk on an old backup does is the same at each venue; this one keeps two books
XT = next(kind for kind in KINDS if kind.venue == "xt")


def open_breaks(place: Place) -> list[dict[str, Any]]:
    answer = command(place.folder, "breaks", "--json", **KEYS)
    found: list[dict[str, Any]] = answer.json["breaks"]
    return found


def sent(place: Place) -> int:
    return len(place.market.account["ids"])


def test_a_desk_on_an_old_backup_says_why_it_does_not_trade_and_how_that_ends(
    tmp_path: Path,
) -> None:
    both = ["BTC1L", "BTC3S"]
    with market(XT.loopback) as traded:
        place = Place(tmp_path, XT, traded)
        place.configure(WallClock().now_ms() + 6 * HOUR_MS)
        with running(tmp_path, **KEYS) as desk:
            place.until(desk, lambda records: done(records, Trigger.LAUNCH) == both, "both launch")
            assert desk.end() == 0
        assert command(tmp_path, "backup", "old.db").code == 0
        with running(tmp_path, **KEYS) as desk:
            traded.price("56000")
            place.until(desk, lambda records: done(records, Trigger.PRICE_MOVE), "the run")
            assert desk.end() == 0

        assert command(tmp_path, "restore", "old.db").code == 0
        before = sent(place)
        with running(tmp_path, **KEYS) as desk:
            desk.wait_for("ready")
            wait_until(lambda: len(open_breaks(place)) == 2, "trades and position are breaks")
            trades, position = sorted(open_breaks(place), key=lambda each: str(each["kind"]))
            assert (trades["kind"], position["kind"]) == ("foreign_trade", "position")
            assert "the store is an older backup" in trades["cause"]
            resume = ("resume", "--account", "main", "--reason", "checked")
            killed = command(tmp_path, *resume, **KEYS)
            assert "restored from old.db: compare it with the venue first" in killed.sentence
            assert command(tmp_path, "kill", "--release", **KEYS).code == 0
            refused = command(tmp_path, *resume, **KEYS)
            assert "has open breaks" in refused.sentence
            assert sent(place) == before, "nothing was sent"

            assert trades["repair"].startswith(f"rebalancer adopt {trades['number']} ")
            adopt = ("adopt", str(trades["number"]), "--reason", "restored")
            assert command(tmp_path, *adopt, **KEYS).code == 0
            assert open_breaks(place) == [], "the trades explain the position"
            assert command(tmp_path, *resume, **KEYS).code == 0
            desk_too = ("resume", "--desk", "--reason", "checked")
            assert command(tmp_path, *desk_too, **KEYS).code == 0
            traded.price("58000")
            wait_until(lambda: sent(place) > before, "it trades again")
            place.until(desk, lambda records: done(records, Trigger.PRICE_MOVE), "a run is done")
            assert desk.end() == 0

        records = place.records()
        state = state_of(place, records)
        units = sum(fund.holding.units.get(BTC, 0) for fund in state.funds.values())
        assert units == state.accounts["main"].position(BTC) == traded.held(XT.contract_size)
        ids = [record.intent.client_order_id for record in of(records, IntentCreated)]
        assert len(set(traded.account["ids"])) == sent(place), "no id was given twice"
        assert set(ids) <= set(traded.account["ids"])
        assert command(tmp_path, "verify", **KEYS).code == 0
