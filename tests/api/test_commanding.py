"""Commands over HTTP: the same way as the Unix socket, once for each key, and on record."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from rebalancer.api import access, commanding, idempotency
from rebalancer.api.command_documents import PlainCommand
from rebalancer.api.commanding import needed
from rebalancer.api.tokens import TokenScope, read_tokens
from rebalancer.core.breaks import Break, BreakKind
from rebalancer.core.consolidation import Consolidation
from rebalancer.core.events import CommandKind
from rebalancer.core.flow import FlowRule
from rebalancer.core.records import CommandTaken
from rebalancer.core.scope import Scope
from rebalancer.costing import estimate_beside
from rebalancer.desk.kill_switch import KillSwitch
from rebalancer.planning import Planner
from rebalancer.settings import DeskSettings, Mode, parse
from rebalancer.store.reader import open_reader
from tests.api.rig import Published, published
from tests.factories import desk, fund, only
from tests.test_costing import COSTLY

HALT = "/api/v1/tokens/BTC3L/halt"


async def post(
    desk_at_work: Published,
    path: str,
    *,
    as_: TokenScope | None = TokenScope.OPERATE,
    key: str = "key-0001",
    **body: Any,
) -> httpx.Response:
    headers = {"idempotency-key": key} | ({} if as_ is None else desk_at_work.bearer(as_))
    return await desk_at_work.private.post(path, json={"reason": "a drill"} | body, headers=headers)


def commands_of(folder: Path) -> list[CommandTaken]:
    with open_reader(f"sqlite:///{folder}/desk.db") as reader:
        return [record for record in reader.records() if isinstance(record, CommandTaken)]


async def test_a_fund_is_halted_and_resumed_and_the_records_say_by_whom(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        halted = await post(desk_at_work, HALT)
        await desk_at_work.quiet()
        token = (await desk_at_work.private.get("/api/v1/tokens/BTC3L")).json()
        resumed = await post(desk_at_work, "/api/v1/tokens/BTC3L/resume", key="key-0002")
    assert (halted.status_code, resumed.status_code) == (200, 200)
    assert halted.json()["command"] == "halt"
    assert token["state"] == "halted"
    assert token["stateReason"].startswith("halted: a drill (token tester-operate ")
    first, second = commands_of(tmp_path)
    assert (first.kind, second.kind) == (CommandKind.HALT, CommandKind.RESUME)
    assert first.reason.startswith("a drill (token tester-operate ")


async def test_a_rebalance_says_which_run_it_opened(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        await desk_at_work.price(105)
        answer = await post(desk_at_work, "/api/v1/tokens/BTC3L/rebalance")
    document = answer.json()
    assert document["rebalanceId"] == "BTC3L-000002"
    assert document["trigger"] == "manual"
    assert set(document["deltas"]) == {"BTC/USDT:USDT"}


async def test_the_same_key_again_is_the_same_answer_and_nothing_is_done(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        answers = await asyncio.gather(*(post(desk_at_work, HALT) for _ in range(5)))
        answers.append(await post(desk_at_work, HALT))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len(commands_of(tmp_path)) == 1


async def test_a_refusal_is_remembered_too(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        path = "/api/v1/tokens/BTC3L/resume"
        first, again = [await post(desk_at_work, path) for _ in range(2)]
    assert first.status_code == again.status_code == 409
    assert first.json()["detail"] == again.json()["detail"] == "BTC3L is not halted"
    assert commands_of(tmp_path) == []


async def test_a_key_is_for_one_wish(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        await post(desk_at_work, HALT)
        other = await post(desk_at_work, HALT, reason="something else")
        theirs = await post(desk_at_work, HALT, as_=TokenScope.ADMIN)
    assert other.status_code == 422
    assert "another command" in other.json()["detail"]
    # Another holder's key is another key: the command is carried out, and refused by the desk.
    assert theirs.status_code == 409


async def test_keys_are_forgotten_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "KEY_KEPT_MS", 0)
    async with published(tmp_path) as desk_at_work:
        first, again = [await post(desk_at_work, HALT) for _ in range(2)]
    assert (first.status_code, again.status_code) == (200, 409)


@pytest.mark.parametrize(("scope", "status"), [(None, 401), (TokenScope.READ, 403)])
async def test_without_the_scope_nothing_is_done(
    tmp_path: Path, scope: TokenScope | None, status: int
) -> None:
    async with published(tmp_path) as desk_at_work:
        answer = await post(desk_at_work, HALT, as_=scope)
    assert answer.status_code == status
    assert commands_of(tmp_path) == []


async def test_state_is_never_changed_by_anything_but_a_post(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        headers = desk_at_work.bearer(TokenScope.ADMIN) | {"idempotency-key": "key-0001"}
        for method in ("GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"):
            answer = await desk_at_work.private.request(method, HALT, headers=headers)
            assert answer.status_code == 405
    assert commands_of(tmp_path) == []


async def test_the_public_listener_takes_no_command(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        headers = desk_at_work.bearer(TokenScope.ADMIN) | {"idempotency-key": "key-0001"}
        answer = await desk_at_work.public.post(HALT, json={"reason": "x"}, headers=headers)
    assert answer.status_code == 404
    assert commands_of(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "body", "key", "status"),
    [
        (HALT, {}, "key-0001", 422),
        (HALT, {"reason": ""}, "key-0001", 422),
        (HALT, {"reason": "x" * 401}, "key-0001", 422),
        (HALT, {"reason": "x", "more": 1}, "key-0001", 422),
        (HALT, {"reason": "x"}, "", 422),
        (HALT, {"reason": "x"}, "a b c d e", 422),
        ("/api/v1/tokens/BTC3L/explode", {"reason": "x"}, "key-0001", 422),
        ("/api/v1/tokens/BTC9L/halt", {"reason": "x"}, "key-0001", 404),
    ],
)
async def test_a_command_that_is_none_is_refused(
    tmp_path: Path, path: str, body: dict[str, Any], key: str, status: int
) -> None:
    async with published(tmp_path) as desk_at_work:
        headers = desk_at_work.bearer(TokenScope.OPERATE) | {"idempotency-key": key}
        answer = await desk_at_work.private.post(path, json=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert commands_of(tmp_path) == []


@pytest.mark.parametrize("command", ["adopt", "explain"])
async def test_breaks_are_ended_by_the_command_line_alone(tmp_path: Path, command: str) -> None:
    about = {"command": command, "scope": "desk", "name": "1"}
    async with published(tmp_path) as desk_at_work:
        found = Break(
            kind=BreakKind.BALANCE, account="main", contract="", units=Decimal(-1), cause="gone"
        )
        desk_at_work.daemon.state.breaks[1] = found
        answer = await post(desk_at_work, "/api/v1/commands", as_=TokenScope.ADMIN, **about)
        path = f"/api/v1/tokens/BTC3L/{command}"
        other = await post(desk_at_work, path, as_=TokenScope.ADMIN, key="key-0002")
        assert list(desk_at_work.daemon.state.breaks) == [1]
    assert (answer.status_code, other.status_code) == (422, 422)
    assert "'rebalance', 'halt', 'reduce', 'resume' or 'flatten'" in answer.json()["detail"]


async def test_a_desk_that_does_not_answer_in_time_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with published(tmp_path) as desk_at_work:
        headers = desk_at_work.bearer(TokenScope.OPERATE)
        assert headers
        monkeypatch.setattr(commanding, "ANSWER_SECONDS", 0.0)
        late = await post(desk_at_work, HALT)
        monkeypatch.setattr(commanding, "ANSWER_SECONDS", 10.0)
        again = await post(desk_at_work, HALT)
    assert (late.status_code, late.headers["retry-after"]) == (503, "5")
    assert again.status_code == 200
    assert len(commands_of(tmp_path)) == 1


async def test_a_wrong_token_carries_nothing_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "FIRST_DELAY_SECONDS", 0.01)
    async with published(tmp_path) as desk_at_work:
        headers = {"authorization": "Bearer rbl_x", "idempotency-key": "key-0001"}
        answer = await desk_at_work.private.post(HALT, json={"reason": "x"}, headers=headers)
    assert answer.status_code == 401
    assert commands_of(tmp_path) == []


def test_every_command_has_a_scope_above_reading() -> None:
    for kind in PlainCommand:
        for scope in Scope:
            assert needed(kind, scope) is not TokenScope.READ
    assert needed(PlainCommand.HALT, Scope.DESK) is TokenScope.OPERATE
    assert needed(PlainCommand.RESUME, Scope.DESK) is TokenScope.ADMIN
    assert needed(PlainCommand.FLATTEN, Scope.FUND) is TokenScope.ADMIN


async def test_the_whole_desk_is_halted_by_an_operator_and_resumed_by_an_admin(
    tmp_path: Path,
) -> None:
    path = "/api/v1/commands"
    async with published(tmp_path) as desk_at_work:
        halted = await post(desk_at_work, path, command="halt", scope="desk")
        await desk_at_work.quiet()
        token = (await desk_at_work.private.get("/api/v1/tokens/BTC3S")).json()
        refused = await post(desk_at_work, path, key="key-0002", command="resume", scope="desk")
        resumed = await post(
            desk_at_work, path, as_=TokenScope.ADMIN, command="resume", scope="desk"
        )
    assert [halted.status_code, refused.status_code, resumed.status_code] == [200, 403, 200]
    assert token["state"] == "halted"
    assert token["stateReason"].startswith("the desk is halted: a drill (token")


async def test_while_the_kill_switch_is_set_nothing_but_a_halt_is_taken(tmp_path: Path) -> None:
    """The same refusal as on the Unix socket: it is the same door."""
    async with published(tmp_path) as desk_at_work:
        switch = KillSwitch(tmp_path / "desk.kill")
        desk_at_work.service._desk.commands._kill_switch = switch
        switch.set("fire drill", 0)
        refused = await post(desk_at_work, "/api/v1/tokens/BTC3L/rebalance")
        halted = await post(desk_at_work, HALT, key="key-0002")
    assert [refused.status_code, halted.status_code] == [409, 200]
    assert "the kill switch is set" in refused.json()["detail"]


async def test_a_subscription_is_dealt_once_for_its_key(tmp_path: Path) -> None:
    """Spec section 6: 115 into a 3L at NAV 115 is one share more and leaves its leverage."""
    rules = only(flow=FlowRule())
    known = desk(fund("BTC3L", 3, methodology=rules, initial_shares=Decimal(1)), free_launch=True)
    path = "/api/v1/tokens/BTC3L/flows"
    async with published(tmp_path, known) as desk_at_work:
        await desk_at_work.price(105)
        body = {"kind": "subscribe", "amount": "115"}
        headers = desk_at_work.bearer(TokenScope.OPERATE) | {"idempotency-key": "flow-0001"}
        refused = await desk_at_work.private.post(
            path, json=body | {"amount": "0"}, headers=headers
        )
        dealt = await desk_at_work.private.post(path, json=body, headers=headers)
        again = await desk_at_work.private.post(path, json=body, headers=headers)
        reader = desk_at_work.bearer(TokenScope.READ) | {"idempotency-key": "flow-0002"}
        unfit = await desk_at_work.private.post(path, json=body, headers=reader)
        await desk_at_work.quiet()
        token = (await desk_at_work.private.get("/api/v1/tokens/BTC3L")).json()
    assert [refused.status_code, dealt.status_code, unfit.status_code] == [409, 200, 403]
    assert [dealt.json()["status"], again.json()["status"]] == ["dealt", "repeated"]
    assert [dealt.json()["nav"], dealt.json()["tokens"]] == ["115", "1"]
    assert [token["tokenIssued"], token["nav"]] == ["2", "115"]


async def test_a_merge_is_announced_by_an_admin_and_taken_back(tmp_path: Path) -> None:
    rules = {"consolidation": Consolidation(below=Decimal("0.05"))}
    known = desk(fund("BTC3L", 3, methodology=only(), **rules), free_launch=True)
    path = "/api/v1/tokens/BTC3L/consolidations"
    async with published(tmp_path, known) as desk_at_work:
        unfit = await post(desk_at_work, path, ratio=10)
        announced = await post(desk_at_work, path, as_=TokenScope.ADMIN, ratio=10)
        again = await post(desk_at_work, path, as_=TokenScope.ADMIN, ratio=10)
        gone = await post(desk_at_work, path, as_=TokenScope.ADMIN, key="key-0002", cancel=True)
    assert [unfit.status_code, announced.status_code, gone.status_code] == [403, 200, 200]
    (merge,) = announced.json()["announced"]
    assert (merge["kind"], merge["ratio"]) == ("merge", 10)
    assert merge["freezeTime"] > announced.json()["time"]
    assert again.json() == announced.json()
    assert gone.json()["announced"] == []


async def test_a_plan_is_shown_and_then_exactly_that_is_done_once(tmp_path: Path) -> None:
    """Spec section 6: a 3L at NAV 115 and 2.7391x buys 30 at a price of 105."""
    known = desk(fund("BTC3L", 3, methodology=only(), initial_shares=Decimal(1)), free_launch=True)
    async with published(tmp_path, known) as desk_at_work:
        await desk_at_work.price(105)
        daemon = desk_at_work.daemon
        settings = DeskSettings(view_interval_ms=1, control_socket=tmp_path / "sock")
        planner = Planner(daemon.state, daemon.clock, settings, Mode.PAPER)
        plans = desk_at_work.service._desk.planner
        object.__setattr__(desk_at_work.service._desk, "planner", lambda: planner)
        none = await post(desk_at_work, "/api/v1/plans", as_=TokenScope.READ, tokens=["BTC3L"])
        strange = await post(desk_at_work, "/api/v1/plans", tokens=["BTC9L"])
        object.__setattr__(
            desk_at_work.service._desk, "costs", lambda: partial(estimate_beside, parse(COSTLY))
        )
        free = await post(desk_at_work, "/api/v1/plans", tokens=["BTC3L"], costs=False)
        made = await post(desk_at_work, "/api/v1/plans", tokens=["BTC3L"])
        path = f"/api/v1/plans/{made.json()['planId']}/apply"
        headers = desk_at_work.bearer(TokenScope.OPERATE) | {"idempotency-key": "key-0001"}
        applied = await desk_at_work.private.post(path, json={}, headers=headers)
        again = await desk_at_work.private.post(path, json={}, headers=headers)
        late = await desk_at_work.private.post(
            path, json={}, headers=headers | {"idempotency-key": "key-0002"}
        )
        unknown = await desk_at_work.private.post(
            f"/api/v1/plans/{'0' * 64}/apply",
            json={},
            headers=headers | {"idempotency-key": "key-0003"},
        )
        await desk_at_work.quiet()
        token = (await desk_at_work.private.get("/api/v1/tokens/BTC3L")).json()
    assert plans() is None
    assert [none.status_code, strange.status_code, made.status_code] == [403, 409, 200]
    (order,) = made.json()["plan"]["orders"]
    assert (order["side"], order["notional"]) == ("buy", "29.999999925")
    (cost,) = made.json()["costs"]
    assert (cost["feeBps"], cost["slippageBps"]) == ("4", "1")
    assert (cost["fee"], cost["toldBy"]) == ("0.01199999997", "accounts.main.paper")
    assert made.json()["plan"]["costs"]["trades"][0]["fee"] == cost["fee"]
    (after,) = made.json()["accounts"]
    assert (after["account"], after["equity"]) == ("main", "115")
    assert after["initialMargin"].startswith("3.4499")
    assert free.json()["costs"] == []
    assert free.json()["planId"] == made.json()["planId"], "costs are no part of what is agreed to"
    assert [applied.status_code, late.status_code, unknown.status_code] == [200, 409, 404]
    assert again.json() == applied.json()
    assert [run["tokenName"] for run in applied.json()["runs"]] == ["BTC3L"]
    assert token["realLeverage"].startswith("2.99999999")


async def test_on_a_live_desk_whatever_sends_orders_names_its_token_again(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        object.__setattr__(desk_at_work.service._desk, "mode", "live")
        path = "/api/v1/tokens/BTC3L/rebalance"
        bare = await post(desk_at_work, path)
        other = await post(desk_at_work, path, key="key-0002", confirm=["BTC3S"])
        named = await post(desk_at_work, path, key="key-0003", confirm=["BTC3L"])
        halt = await post(desk_at_work, HALT, key="key-0004")
    assert [bare.status_code, other.status_code, named.status_code] == [409, 409, 200]
    assert "name in confirm: BTC3L" in bare.json()["detail"]
    assert halt.status_code == 200, "to stop asks for nothing more"


async def test_the_end_of_a_token_is_for_an_admin_and_flattens_it(tmp_path: Path) -> None:
    path = "/api/v1/tokens/BTC3L/close"
    async with published(tmp_path) as desk_at_work:
        unfit = await post(desk_at_work, path)
        closed = await post(desk_at_work, path, as_=TokenScope.ADMIN)
        await desk_at_work.quiet()
        basket = (await desk_at_work.private.get("/api/v1/tokens/BTC3L/basket")).json()
    assert [unfit.status_code, closed.status_code] == [403, 200]
    assert closed.json()["rebalanceId"]
    assert basket["positions"] == []


async def test_an_operator_kills_and_only_the_command_line_undoes_it(tmp_path: Path) -> None:
    async with published(tmp_path) as desk_at_work:
        without = await post(desk_at_work, "/api/v1/kill", key="key-0000")
        switch = KillSwitch(tmp_path / "desk.kill")
        desk_at_work.service._desk = replace(desk_at_work.service._desk, kill_switch=switch)
        commands = commanding.Commands(desk_at_work.service._desk)
        desk_at_work.bearer(TokenScope.OPERATE)
        (holder,) = read_tokens(tmp_path / "desk.tokens")
        first = await commands.kill(holder, "fire")
        second = await commands.kill(holder, "fire")
        reader = await post(desk_at_work, "/api/v1/kill", as_=TokenScope.READ, key="key-0001")
    assert [without.status_code, reader.status_code] == [409, 403]
    assert (first.newly_set, second.newly_set) == (True, False)
    assert (switch.reason() or "").startswith("fire (token tester-operate ")


async def test_a_test_alert_is_raised_listed_nowhere_and_told_on_the_stream(
    tmp_path: Path,
) -> None:
    async with published(tmp_path) as desk_at_work:
        hub = next(hub for hub, public in desk_at_work.service._hubs.items() if not public)
        before = hub.seq
        unfit = await post(desk_at_work, "/api/v1/alerts/test", as_=TokenScope.READ)
        raised = await post(desk_at_work, "/api/v1/alerts/test")
        told = [m for m in hub._ring if m.seq > before and '"alert"' in m.data]
        listed = (await desk_at_work.private.get("/api/v1/alerts")).json()
    assert [unfit.status_code, raised.status_code] == [403, 200]
    assert raised.json()["text"].startswith("a test, raised at ")
    assert "alert_test: a test" in told[0].data
    assert listed["items"] == []
