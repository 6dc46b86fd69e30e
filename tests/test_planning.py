"""Plans over the control socket: made on the live state, taken back whole, edited by nobody."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rebalancer.clock import VirtualClock
from rebalancer.core.events import Commanded, CommandKind, PlanOffered, WindDownAsked
from rebalancer.core.scope import Scope
from rebalancer.desk.control import ControlServer
from rebalancer.desk.inbox import Inbox
from rebalancer.desk.requests import trades_at_once
from rebalancer.errors import CommandRefused
from rebalancer.planning import Planner
from rebalancer.settings import DeskSettings, Mode
from tests.core.test_applying import FUNDS, drifted
from tests.factories import NOON, Bench, D

SETTINGS = DeskSettings(view_interval_ms=5_000, control_socket=Path("desk.sock"))


def planner(made: Bench, mode: Mode = Mode.PAPER) -> Planner:
    clock = VirtualClock()
    clock.set(made.now_ms)
    return Planner(made.state, clock, SETTINGS, mode)


def plan_of(made: Bench, *names: str) -> dict[str, Any]:
    """Return a plan after a way through JSON, as a file has it."""
    answer = planner(made).propose({"funds": list(names), "reason": "drill"})
    document: dict[str, Any] = json.loads(json.dumps(answer))["plan"]
    return document


def test_a_plan_that_comes_back_unchanged_is_carried_out() -> None:
    made = drifted()
    offered = planner(made).offer({"plan": plan_of(made)})
    assert (offered.funds, offered.reason) == (FUNDS, "drill")
    made.take(offered)
    (order,) = made.orders
    assert order.contracts == D("0.857")


def test_it_is_good_for_as_long_as_the_desk_says_whatever_stands_in_it() -> None:
    made = drifted()
    offered = planner(made).offer({"plan": plan_of(made)})
    assert offered.agreed is not None
    assert offered.agreed.expires_ms == made.now_ms + 300_000
    assert offered.agreed.max_move == D("0.005")


def test_costs_beside_it_are_no_part_of_what_is_agreed() -> None:
    made = drifted()
    document = plan_of(made) | {"costs": {"trades": [], "known": "0"}}
    assert planner(made).offer({"plan": document}).funds == FUNDS


def _later(plan: dict[str, Any]) -> None:
    plan["expires"] = "2099-01-01T00:00:00Z"


def _larger(plan: dict[str, Any]) -> None:
    plan["orders"][0]["contracts"] = "857"


def _fewer(plan: dict[str, Any]) -> None:
    plan["apply"] = ["BTC3L"]


def _dearer(plan: dict[str, Any]) -> None:
    plan["prices"][0]["price"] = "106"


@pytest.mark.parametrize("edit", [_later, _larger, _fewer, _dearer])
def test_an_edited_plan_is_refused(edit: Callable[[dict[str, Any]], None]) -> None:
    made = drifted()
    document = plan_of(made)
    edit(document)
    with pytest.raises(CommandRefused, match="was changed after it was made"):
        planner(made).offer({"plan": document})


@pytest.mark.parametrize("nonsense", [None, [], "x", {}, {"kind": "other"}, 7])
def test_something_else_is_no_plan(nonsense: Any) -> None:
    with pytest.raises(CommandRefused, match="this is no plan; make one with"):
        planner(drifted()).offer({"plan": nonsense})


def test_a_plan_that_was_spoilt_and_sealed_again_is_refused_in_a_sentence() -> None:
    """Whoever can compute the digest can still not make the desk stumble."""
    from rebalancer.planning import SEALED, SEALED_LISTS, digest_of  # noqa: PLC0415 - only here

    made = drifted()
    for key in (*SEALED, *SEALED_LISTS):
        for value in (None, 7, "x", [7], {"x": 7}):
            document = copy.deepcopy(plan_of(made))
            document[key] = value
            document["digest"] = digest_of(document)
            try:
                made.take(planner(made).offer({"plan": document}))
            except CommandRefused:
                continue
            assert key == "reason", (key, value)
            made = drifted()


def test_an_unknown_fund_and_an_impossible_list_are_told() -> None:
    here = planner(drifted())
    with pytest.raises(CommandRefused, match="there is no fund X; the desk runs BTC3L, BTC3S"):
        here.propose({"funds": ["X"]})
    with pytest.raises(CommandRefused, match="funds is a list of names"):
        here.propose({"funds": "BTC3L"})


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (Commanded(NOON, CommandKind.REBALANCE, "BTC3L", "x"), ("BTC3L",)),
        (Commanded(NOON, CommandKind.FLATTEN, "", "x", Scope.DESK), ("desk",)),
        (Commanded(NOON, CommandKind.FLATTEN, "main", "x", Scope.ACCOUNT), ("main",)),
        (WindDownAsked(NOON, "BTC3L", "x"), ("BTC3L",)),
        (PlanOffered(NOON, FUNDS, "x", {}), FUNDS),
        (Commanded(NOON, CommandKind.HALT, "BTC3L", "x"), ()),
        (Commanded(NOON, CommandKind.RESUME, "BTC3L", "x"), ()),
    ],
)
def test_what_trades_at_once_is_named_by_what_it_is_about(
    request_: Any, names: tuple[str, ...]
) -> None:
    assert trades_at_once(request_) == names


class TestALiveDesk:
    """Its orders are real: what is meant is named twice, whoever asks over the socket."""

    @pytest.fixture
    def server(self) -> ControlServer:
        found = ControlServer(Path("desk.sock"), Inbox(), VirtualClock())
        found.live = True
        found.planner = planner(drifted(), Mode.LIVE)
        return found

    async def test_a_command_that_trades_asks_for_the_name(self, server: ControlServer) -> None:
        line = {"command": "rebalance", "fund": "BTC3L", "reason": "x"}
        said: list[Any] = [None, [], ["BTC3S"], "BTC3L"]
        for confirm in said:
            answer = await server._answer(json.dumps(line | {"confirm": confirm}).encode())
            assert answer == {
                "ok": False,
                "confirm": ["BTC3L"],
                "error": "this desk is live and nothing was sent; in a script say "
                "--yes --confirm BTC3L",
            }

    async def test_a_plan_asks_for_the_name_of_every_fund(self, server: ControlServer) -> None:
        assert server.planner is not None
        plan = server.planner.propose({})["plan"]
        line = {"command": "apply", "plan": plan, "confirm": ["BTC3L"]}
        answer = await server._answer(json.dumps(line).encode())
        assert answer["confirm"] == ["BTC3L", "BTC3S"]

    async def test_a_plan_itself_is_free(self, server: ControlServer) -> None:
        answer = await server._answer(b'{"command": "plan"}')
        assert answer["ok"] is True
        assert answer["plan"]["mode"] == "live"
