"""What the read side of `/api/v1` answers, from the board and from the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response

from rebalancer import __version__
from rebalancer.api import documents, writing
from rebalancer.api.answers import (
    answer,
    read_cursor,
    write_cursor,
)
from rebalancer.api.desk import DeskDoor
from rebalancer.api.klines import INTERVALS_MS, Kline
from rebalancer.api.margins import account_footing
from rebalancer.api.pictures import Picture
from rebalancer.api.problems import ApiProblem
from rebalancer.core.capital import Consolidated, FinancingPosted
from rebalancer.core.premium import PremiumStaged
from rebalancer.core.records import FixedSettled, Record, RunOpened, VerdictChanged
from rebalancer.store.rows import JournalRow, RunRow


@dataclass(frozen=True, slots=True)
class Telling:
    """A list that is made of records: their kinds, which of them count, and their documents."""

    kinds: Sequence[type[Record]]
    write: Callable[[JournalRow], documents.Document]
    counts: Callable[[Record], bool] = lambda _record: True


DECISIONS = Telling((VerdictChanged, RunOpened, FixedSettled), writing.decision_document)
CONSOLIDATIONS = Telling((Consolidated,), writing.consolidation_document)
DISTRIBUTIONS = Telling(
    (FinancingPosted,),
    writing.distribution_document,
    lambda record: isinstance(record, FinancingPosted) and bool(record.coupon),
)
PREMIUMS = Telling((PremiumStaged,), writing.premium_document)
LAST_MS = 2**53


class Reads:
    """Answers from the board and the store; `public` leaves out what is not for everybody."""

    def __init__(self, desk: DeskDoor, *, public: bool) -> None:
        self._desk = desk
        self._public = public

    def picture(self, name: str) -> Picture:
        """Return a fund's latest picture; an ApiProblem where there is none."""
        found = self._desk.board.picture(name)
        if found is not None:
            return found
        if name in self._desk.names:
            raise ApiProblem(
                HTTPStatus.SERVICE_UNAVAILABLE, "nothing is published yet", {"retry-after": "1"}
            )
        self.refuse_unknown(name)
        raise AssertionError  # pragma: no cover - refused above

    def refuse_unknown(self, name: str) -> None:
        """Raise an ApiProblem for a token that the desk does not run."""
        if name not in self._desk.names:
            raise ApiProblem(HTTPStatus.NOT_FOUND, f"there is no token {name}; see /api/v1/tokens")

    def status(self, request: Request) -> Response:
        """Return the desk itself."""
        desk = self._desk
        return answer(
            request,
            documents.Status(
                mode=desk.mode,
                version=__version__,
                tokens=len(desk.names),
                ready=desk.ready(),
                started=desk.started_ms,
                timestamp=desk.clock.now_ms(),
            ),
        )

    def tokens(self, request: Request, limit: int, cursor: str | None) -> Response:
        """Return a page of tokens by name."""
        position = read_cursor(cursor, str)
        after = position[0] if position else ""
        found = [picture for picture in self._desk.board.in_order() if picture.name > after]
        shown = found[:limit]
        page = documents.Page[documents.Token](
            items=[writing.token_document(picture, public=self._public) for picture in shown],
            next_cursor=write_cursor(shown[-1].name) if len(found) > limit else None,
        )
        return _page(request, page)

    def schedule(self, request: Request) -> Response:
        """Return what is due next."""
        due = [
            documents.Due(token_name=picture.name, next_rebalance_time=picture.view.next_fixed_ms)
            for picture in self._desk.board.in_order()
        ]
        due.sort(key=lambda one: one.next_rebalance_time or LAST_MS)
        now_ms = self._desk.clock.now_ms()
        return answer(request, documents.Schedule(items=due, timestamp=now_ms))

    async def klines(self, request: Request, name: str, interval: str, span: Span) -> Response:
        """Return candles of the NAV, oldest first; the newest where there are more than asked."""
        self.refuse_unknown(name)
        found: Sequence[Kline]
        if interval == "1d":
            known = await self._desk.store.read(lambda r: (r.navs(name), r.conversions(name)))
            found = writing.day_klines(*known)
        else:
            found = list(self._desk.board.klines[name].of_length(INTERVALS_MS[interval]))
        start_ms, end_ms, limit = span
        within = [kline for kline in found if start_ms <= kline.open_ms <= end_ms]
        return answer(request, [writing.kline_row(kline) for kline in within[-limit:]])

    async def rebalances(
        self, request: Request, name: str | None, limit: int, cursor: str | None
    ) -> Response:
        """Return a page of runs, the newest first."""
        if name is not None:
            self.refuse_unknown(name)
        position = read_cursor(cursor, int, str)
        before = (position[0], position[1]) if position else None
        rows = await self._desk.store.read(lambda reader: reader.runs(name, limit + 1, before))
        shown = rows[:limit]
        page = documents.Page[documents.Rebalance](
            items=[writing.rebalance_document(row, public=self._public) for row in shown],
            next_cursor=_run_cursor(shown[-1]) if len(rows) > limit else None,
        )
        return _page(request, page)

    async def told(
        self, request: Request, name: str | None, telling: Telling, paging: Paging
    ) -> Response:
        """Return a page of what the records tell, the newest first."""
        if name is not None:
            self.refuse_unknown(name)
        limit, cursor = paging
        position = read_cursor(cursor, int)
        before = position[0] if position else None
        rows, following = await self._desk.store.read(
            lambda reader: reader.newest(telling.kinds, name, before, limit)
        )
        page = documents.Page[Any](
            items=[telling.write(row) for row in rows if telling.counts(row.record)],
            next_cursor=None if following is None else write_cursor(following),
        )
        return _page(request, page)

    def alerts(self, request: Request) -> Response:
        """Return what needs a person."""
        desk = self._desk
        return answer(request, writing.alerts_document(desk.open_alerts(), desk.clock.now_ms()))

    def basket_of(self, name: str) -> documents.Basket:
        """Return what a token holds, and how its account stands."""
        picture = self.picture(name)
        account = picture.fund.account
        sharing = [each for each in self._desk.board.in_order() if each.fund.account == account]
        return writing.basket_document(picture, account_footing(sharing))

    async def strikes(
        self, request: Request, name: str, limit: int, cursor: str | None
    ) -> Response:
        """Return a page of daily NAVs, the newest first."""
        self.refuse_unknown(name)
        position = read_cursor(cursor, int)
        before = position[0] if position else LAST_MS
        rows = await self._desk.store.read(lambda reader: reader.navs(name))
        older = [row for row in reversed(rows) if row.boundary_ms < before]
        shown = older[:limit]
        page = documents.Page[documents.Strike](
            items=[writing.strike_document(row) for row in shown],
            next_cursor=write_cursor(shown[-1].boundary_ms) if len(older) > limit else None,
        )
        return _page(request, page)


Span = tuple[int, int, int]
"""First and last open time, and how many."""
Paging = tuple[int, str | None]
"""How many, and the cursor."""


def _run_cursor(row: RunRow) -> str:
    return write_cursor(row.opened_ms, row.run_id)


def _page(request: Request, page: documents.Page[Any]) -> Response:
    # Pages of private documents carry more fields than the shape that all listeners share.
    return answer(
        request,
        {
            "items": [item.model_dump(by_alias=True) for item in page.items],
            "nextCursor": page.next_cursor,
        },
    )
