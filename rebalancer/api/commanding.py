"""Commands: what an operator asks of a token, by POST, on the way that the Unix socket takes too.

Each needs a token of a sufficient scope and an Idempotency-Key: the same key again, with the same
command, is answered as the first time and carries nothing out. Keys are remembered for a day, while
the process lives.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response

from rebalancer.api import command_documents as documents
from rebalancer.api.access import require
from rebalancer.api.answers import answer
from rebalancer.api.desk import DeskDoor
from rebalancer.api.documents import Document
from rebalancer.api.idempotency import Carry, IdempotencyKey, Memory, Remembered, Wish
from rebalancer.api.planning import PlanId, Plans
from rebalancer.api.problems import ApiProblem
from rebalancer.api.routes import TokenName
from rebalancer.api.tokens import Token, TokenScope
from rebalancer.core.events import Commanded, CommandKind, ConsolidationAsked, WindDownAsked
from rebalancer.core.instant import parse
from rebalancer.core.scope import Scope
from rebalancer.desk.requests import FLOWS, read_request, trades_at_once
from rebalancer.desk.requests import Request as Asked
from rebalancer.errors import CommandRefused, InputRefused

_log = structlog.get_logger(__name__)
#: what an operator does to one token
ON_A_TOKEN = frozenset(documents.PlainCommand) - {documents.PlainCommand.FLATTEN}
#: how long an answer is waited for; the command itself is not taken back
ANSWER_SECONDS = 30.0
LIVE = "live"


class Commands:
    """Carries commands to the inbox and answers what came of them."""

    def __init__(self, desk: DeskDoor) -> None:
        self._desk = desk
        self._memory = Memory()

    async def give(self, holder: Token, key: str, wish: Wish, carry: Carry) -> Document:
        """Carry out a command once for each key; raises ApiProblem with the desk's own sentence."""
        now_ms = self._desk.wall.now_ms()
        known = self._memory.find(holder, key, now_ms)
        if known is None:
            outcome = asyncio.ensure_future(carry())
            outcome.add_done_callback(_look_at)
            known = Remembered(wish, now_ms, outcome)
            self._memory.keep(holder, key, known)
        elif known.wish != wish:
            raise ApiProblem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "this Idempotency-Key was used for another command; use a new one",
            )
        try:
            # The caller may go away: the command is carried out and remembered all the same.
            return await asyncio.wait_for(asyncio.shield(known.outcome), ANSWER_SECONDS)
        except TimeoutError:
            raise ApiProblem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the desk has not answered yet; ask again with the same Idempotency-Key",
                {"retry-after": "5"},
            ) from None

    async def ask(
        self, holder: Token, request: Asked, confirm: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Hand a request to the desk and return what it led to; raises ApiProblem."""
        names = trades_at_once(request) if self._desk.mode == LIVE else ()
        if sorted(names) != sorted(confirm) and names:
            raise ApiProblem(
                HTTPStatus.CONFLICT,
                f"this desk is live and nothing was sent; name in confirm: {', '.join(names)}",
            )
        try:
            return await self._desk.commands.give(request)
        except CommandRefused as refused:
            _log.warning(
                "command_refused",
                kind=type(request).__name__,
                by=holder.name,
                reason=str(refused),
            )
            raise ApiProblem(HTTPStatus.CONFLICT, str(refused)) from None

    async def command(
        self,
        holder: Token,
        kind: documents.PlainCommand,
        about: tuple[Scope, str],
        body: documents.CommandBody,
    ) -> documents.CommandAnswer:
        """Give a plain command."""
        scope, name = about
        now_ms = self._desk.commands.now_ms()
        said = signed(body.reason, holder)
        asked = Commanded(now_ms, CommandKind(kind), name, said, scope)
        led_to = await self.ask(holder, asked, body.confirm)
        return documents.CommandAnswer(
            scope=scope,
            name=name,
            command=kind,
            time=led_to["at_ms"],
            rebalance_id=led_to["run_id"],
            trigger=led_to.get("trigger"),
            deltas=led_to.get("delta_units", {}),
        )

    async def consolidate(
        self, holder: Token, name: str, body: documents.ConsolidationBody
    ) -> documents.ConsolidationAnswer:
        """Announce a merge or split, or take one back."""
        asked = ConsolidationAsked(
            self._desk.commands.now_ms(),
            name,
            signed(body.reason, holder),
            ratio=body.ratio,
            split=body.split,
            cancel=body.cancel,
        )
        led_to = await self.ask(holder, asked)
        announced = [
            documents.Announcement(
                kind=each["kind"],
                ratio=each["ratio"],
                freeze_time=parse(each["freeze_at"], "freeze_at"),
            )
            for each in led_to["announced"]
        ]
        return documents.ConsolidationAnswer(
            token_name=name, time=led_to["at_ms"], announced=announced
        )

    async def close(
        self, holder: Token, name: str, body: documents.CommandBody
    ) -> documents.CloseAnswer:
        """End a token for good."""
        now_ms = self._desk.commands.now_ms()
        asked = WindDownAsked(now_ms, name, signed(body.reason, holder))
        led_to = await self.ask(holder, asked, body.confirm)
        return documents.CloseAnswer(
            token_name=name, time=led_to["at_ms"], rebalance_id=led_to["run_id"]
        )

    async def kill(self, holder: Token, reason: str) -> documents.KillAnswer:
        """Set the kill switch."""
        switch, now_ms = self._desk.kill_switch, self._desk.wall.now_ms()
        if switch is None:
            raise ApiProblem(HTTPStatus.CONFLICT, "this desk runs without a kill switch")
        try:
            newly = await asyncio.to_thread(switch.set, signed(reason, holder), now_ms)
        except InputRefused as refused:
            raise ApiProblem(HTTPStatus.SERVICE_UNAVAILABLE, str(refused)) from None
        _log.error("kill_switch_set_over_http", by=holder.name, newly=newly)
        return documents.KillAnswer(time=now_ms, newly_set=newly)


def signed(reason: str, holder: Token) -> str:
    """Return the reason with who asked: the token's name and id, never the token."""
    return f"{reason} (token {holder.name} {holder.id})"


async def deal(
    desk: DeskDoor, holder: Token, name: str, key: str, body: documents.FlowBody
) -> documents.FlowAnswer:
    """Hand a flow to the desk; its key is kept in the records, so that it is dealt once for good.

    Raises ApiProblem with the desk's own sentence.
    """
    asked = {"fund": name, "key": key, **body.model_dump()}
    line = json.dumps({"command": FLOWS, "flows": [asked]}).encode()
    door = desk.commands
    try:
        request = read_request(line, door.now_ms())
        (told,) = (await door.give(request))["flows"]
    except CommandRefused as refused:
        raise ApiProblem(HTTPStatus.CONFLICT, str(refused)) from None
    _log.info("flow_asked", token=name, key=key, by=holder.name, status=told["status"])
    return documents.FlowAnswer(
        token_name=name,
        key=key,
        kind=body.kind,
        time=request.at_ms,
        status=told["status"],
        reason=told.get("reason", ""),
        nav=told.get("nav"),
        tokens=told.get("shares"),
        cash=told.get("cash"),
        fee=told.get("fee"),
    )


def needed(kind: documents.PlainCommand, scope: Scope) -> TokenScope:
    """Return what a token must allow: to stop is everybody's who may operate at all."""
    if kind is documents.PlainCommand.HALT or (scope is Scope.FUND and kind in ON_A_TOKEN):
        return TokenScope.OPERATE
    return TokenScope.ADMIN


def _look_at(outcome: asyncio.Future[Document]) -> None:
    """Mark an error as seen where its caller went away."""
    if not outcome.cancelled():
        outcome.exception()


def command_router(desk: DeskDoor) -> APIRouter:
    """Return the routes of the commands."""
    commands = Commands(desk)
    router = APIRouter(prefix="/api/v1", tags=["commands"])
    _about_a_token(router, desk, commands)
    _about_plans(router, desk, commands)
    _about_the_desk(router, desk, commands)
    return router


_SECURED: dict[str, Any] = {"security": [{"bearer": []}]}


def _about_a_token(router: APIRouter, desk: DeskDoor, commands: Commands) -> None:
    one = "/tokens/{tokenName}"

    def known(name: str) -> str:
        if name not in desk.names:
            raise ApiProblem(HTTPStatus.NOT_FOUND, f"there is no token {name}; see /api/v1/tokens")
        return name

    @router.post(f"{one}/flows", response_model=documents.FlowAnswer, openapi_extra=_SECURED)
    async def flow(
        request: Request, name: TokenName, body: documents.FlowBody, key: IdempotencyKey
    ) -> Response:
        """Subscribe to a token or redeem it, at the account NAV; the key is the holder's."""
        holder = require(request.scope, TokenScope.OPERATE)
        return answer(request, await deal(desk, holder, known(name), key, body))

    @router.post(
        f"{one}/consolidations",
        response_model=documents.ConsolidationAnswer,
        openapi_extra=_SECURED,
    )
    async def consolidate(
        request: Request, name: TokenName, body: documents.ConsolidationBody, key: IdempotencyKey
    ) -> Response:
        """Announce a merge or split after the configured notice, or take it back."""
        holder = require(request.scope, TokenScope.ADMIN)
        wish = ("consolidate", known(name), body.model_dump_json())
        told = await commands.give(
            holder, key, wish, lambda: commands.consolidate(holder, name, body)
        )
        return answer(request, told)

    @router.post(f"{one}/close", response_model=documents.CloseAnswer, openapi_extra=_SECURED)
    async def close(
        request: Request, name: TokenName, body: documents.CommandBody, key: IdempotencyKey
    ) -> Response:
        """End a token for good: flatten it; holders may still redeem."""
        holder = require(request.scope, TokenScope.ADMIN)
        told = await commands.give(
            holder,
            key,
            ("close", known(name), body.model_dump_json()),
            lambda: commands.close(holder, name, body),
        )
        return answer(request, told)

    @router.post(
        f"{one}/{{command}}", response_model=documents.CommandAnswer, openapi_extra=_SECURED
    )
    async def command_a_token(
        request: Request,
        name: TokenName,
        command: documents.PlainCommand,
        body: documents.CommandBody,
        key: IdempotencyKey,
    ) -> Response:
        """Rebalance, halt, reduce, resume or flatten a token; reason and asker go on record."""
        holder = require(request.scope, needed(command, Scope.FUND))
        about = (Scope.FUND, known(name))
        told = await commands.give(
            holder,
            key,
            (command, *about, body.model_dump_json()),
            lambda: commands.command(holder, command, about, body),
        )
        return answer(request, told)


def _about_plans(router: APIRouter, desk: DeskDoor, commands: Commands) -> None:
    plans = Plans(desk)

    @router.post("/plans", response_model=documents.Plan, openapi_extra=_SECURED)
    async def plan(request: Request, body: documents.PlanBody) -> Response:
        """Say what a rebalance to target would do now; changes nothing."""
        holder = require(request.scope, TokenScope.OPERATE)
        reason = signed(body.reason, holder)
        return answer(request, await plans.make(body.tokens, reason, costs=body.costs))

    @router.post(
        "/plans/{planId}/apply",  # noqa: FAST003 - its name comes from the alias
        response_model=documents.Applied,
        openapi_extra=_SECURED,
    )
    async def apply(
        request: Request, plan_id: PlanId, body: documents.ApplyBody, key: IdempotencyKey
    ) -> Response:
        """Carry out exactly this plan, or refuse because something moved on since it was made."""
        holder = require(request.scope, TokenScope.OPERATE)
        wish = ("apply", plan_id, body.model_dump_json())

        async def carry() -> documents.Applied:
            offer = plans.offer(plan_id)
            return plans.applied(plan_id, await commands.ask(holder, offer, body.confirm))

        return answer(request, await commands.give(holder, key, wish, carry))


def _about_the_desk(router: APIRouter, desk: DeskDoor, commands: Commands) -> None:
    @router.post("/commands", response_model=documents.CommandAnswer, openapi_extra=_SECURED)
    async def command_a_scope(
        request: Request, body: documents.ScopedCommandBody, key: IdempotencyKey
    ) -> Response:
        """Halt, reduce, resume or flatten the desk, an account, a fund or a contract."""
        holder = require(request.scope, needed(body.command, body.scope))
        about = (body.scope, body.name)
        told = await commands.give(
            holder,
            key,
            (*about, body.model_dump_json()),
            lambda: commands.command(holder, body.command, about, body),
        )
        return answer(request, told)

    @router.post("/kill", response_model=documents.KillAnswer, openapi_extra=_SECURED)
    async def kill(request: Request, body: documents.CommandBody, key: IdempotencyKey) -> Response:
        """Set the kill switch: no order leaves any more. Only the command line releases it."""
        holder = require(request.scope, TokenScope.OPERATE)
        told = await commands.give(
            holder, key, ("kill", body.reason), lambda: commands.kill(holder, body.reason)
        )
        return answer(request, told)

    @router.post("/alerts/test", response_model=documents.AlertTest, openapi_extra=_SECURED)
    async def test_alert(request: Request) -> Response:
        """Raise an alert that means nothing, to see where it arrives."""
        require(request.scope, TokenScope.OPERATE)
        return answer(request, documents.AlertTest(text=desk.test_alert()["text"]))
