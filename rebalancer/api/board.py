"""The board: the latest picture of every fund, taken between the steps of the desk and published.

Readers look at the board only. The desk is looked at once per publication, a few funds at a time,
so that neither the number of readers nor the number of funds delays a decision by more than that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rebalancer.api.hub import Hub
from rebalancer.api.klines import Kline, NavKlines
from rebalancer.api.messages import (
    EVENTS,
    KLINE_SUFFIX,
    NAV_SUFFIX,
    DeskEvent,
    Message,
    NavList,
    kline_message,
    nav_message,
)
from rebalancer.api.pictures import Picture, picture_of
from rebalancer.core.actions import Alert
from rebalancer.core.capital import Consolidated
from rebalancer.core.consolidation import Conversion
from rebalancer.core.money import text
from rebalancer.core.premium import PremiumStaged
from rebalancer.core.records import (
    FundWiped,
    NavStruck,
    Record,
    RunMoved,
    RunOpened,
    ScopeChanged,
    TradingChanged,
    VerdictChanged,
)
from rebalancer.core.scope import title
from rebalancer.core.state import DeskState
from rebalancer.ports import Clock

#: funds looked at before the loop may do something else: about half a millisecond
FUNDS_AT_ONCE = 20
#: how soon to look again while a commit is under way
COMMIT_PAUSE_SECONDS = 0.001

Candle = tuple[Kline | None, Kline | None]
"""The open candle and the one that was just closed."""


class Board:
    """What is published of every fund now, and the minutes before."""

    def __init__(self, names: Iterable[str]) -> None:
        self.pictures: dict[str, Picture] = {}
        self.klines: dict[str, NavKlines] = {name: NavKlines() for name in names}
        #: publications so far, and when the last one was complete, in seconds of the loop's clock
        self.publications = 0
        self.published_s: float | None = None

    def convert(self, records: Iterable[Record]) -> None:
        """Tell the minutes before in today's shares, where committed records converted a fund's."""
        for record in records:
            if isinstance(record, Consolidated) and record.fund in self.klines:
                factor = record.shares_before / record.shares_after
                self.klines[record.fund].rescale(factor)

    def picture(self, name: str) -> Picture | None:
        """Return the latest picture of a fund."""
        return self.pictures.get(name)

    def in_order(self) -> list[Picture]:
        """Return every picture by name."""
        return [self.pictures[name] for name in sorted(self.pictures)]


class Sampler:
    """Takes pictures of the funds and hands them to the board and to the hubs."""

    def __init__(
        self,
        board: Board,
        state: DeskState,
        clock: Clock,
        *,
        settled: Callable[[], bool],
        hubs: Mapping[Hub, bool],
    ) -> None:
        """Publish to `hubs`; the value says whether a hub is public.

        `settled` says whether everything in the state is committed.
        """
        self._board = board
        self._state = state
        self._clock = clock
        self._settled = settled
        self._hubs = hubs

    async def run(self, every_seconds: float) -> None:
        """Publish for ever."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self.publish()
            # From the due time on, so that the work itself does not make publications rarer.
            due = max(due + every_seconds, loop.time())
            await asyncio.sleep(due - loop.time())

    async def publish(self) -> None:
        """Publish every fund once."""
        names = list(self._state.funds)
        navs: dict[Hub, list[Message]] = {hub: [] for hub in self._hubs}
        for start in range(0, len(names), FUNDS_AT_ONCE):
            while not self._settled():  # noqa: ASYNC110 - a commit has no event
                await asyncio.sleep(COMMIT_PAUSE_SECONDS)
            self._publish_some(names[start : start + FUNDS_AT_ONCE], navs)
            await asyncio.sleep(0)
        for hub, messages in navs.items():
            hub.publish([NavList(hub.next_seq(), messages)])
        self._board.publications += 1
        self._board.published_s = asyncio.get_running_loop().time()

    def _publish_some(self, names: Sequence[str], navs: dict[Hub, list[Message]]) -> None:
        now_ms = self._clock.now_ms()
        taken = [picture_of(self._state, self._state.funds[name], now_ms) for name in names]
        for picture in taken:
            self._board.pictures[picture.name] = picture
        candles = [(picture, self._kline(picture)) for picture in taken]
        for hub, public in self._hubs.items():
            messages = []
            for picture, candle in candles:
                nav = _nav(hub, picture, public=public)
                navs[hub].append(nav)
                messages += [nav, *_candles(hub, picture, candle)]
            hub.publish(messages)

    def _kline(self, picture: Picture) -> Candle:
        view = picture.view
        if view.nav is None or view.stale:  # a candle cannot say that its NAVs were old
            return (None, None)
        klines = self._board.klines[picture.name]
        market = None if picture.quote is None else picture.quote.price
        return klines.add(view.at_ms, view.nav, view.leverage, view.formula_nav, market)


def _nav(hub: Hub, picture: Picture, *, public: bool) -> Message:
    seq = hub.next_seq()
    return Message(f"{picture.name}{NAV_SUFFIX}", seq, nav_message(picture, seq, public=public))


def _candles(hub: Hub, picture: Picture, candle: Candle) -> Iterator[Message]:
    """Yield the candle that this NAV closed, and the one that is open."""
    is_open, closed = candle
    for kline in (closed, is_open):
        if kline is not None:
            seq = hub.next_seq()
            done = kline is closed
            model = kline_message(picture.name, kline, seq, picture.view.at_ms, closed=done)
            yield Message(f"{picture.name}{KLINE_SUFFIX}", seq, model, kept=done)


class Journalist:
    """Tells the hubs what was committed (runs, states, verdicts, strikes), and of alerts."""

    def __init__(self, hubs: Mapping[Hub, bool]) -> None:
        self._hubs = hubs

    def publish(self, records: Sequence[Record]) -> None:
        """Take committed records."""
        for record in records:
            told = event_of(record)
            if told is None:
                continue
            for hub, public in self._hubs.items():
                if public and told[0] == "decision":
                    continue  # why a fund does not trade is the operator's business
                self._tell(hub, told, record)

    def take(self, alert: Alert) -> None:
        """Take an alert, which is for operators only."""
        for hub, public in self._hubs.items():
            if not public:
                self._tell(hub, ("alert", alert.subject, str(alert.severity), _said(alert)), alert)

    def _tell(self, hub: Hub, told: Told, of: Record | Alert) -> None:
        kind, about, what, why = told
        seq = hub.next_seq()
        model = DeskEvent(e=kind, E=of.at_ms, u=seq, s=about, a=what, r=why)
        hub.publish([Message(EVENTS, seq, model)])


def _said(alert: Alert) -> str:
    return f"{alert.name}: {alert.text}"


Told = tuple[str, str, str, str]
"""Kind, token, what happened, and why."""


def _opened(record: RunOpened) -> Told:
    plan = record.plan
    return "rebalance", plan.fund, "opened", f"{plan.trigger}: {plan.reason}"


def _converted(record: Consolidated) -> Told:
    words = Conversion(kind=record.kind, ratio=record.ratio).words
    navs = f"NAV {text(record.nav_before)} -> {text(record.nav_after)}"
    why = f"{words}, {navs}: candles are in new shares"
    return "consolidation", record.fund, str(record.kind), why


#: kinds of records that are not here are not published
_TOLD: Mapping[type[Record], Callable[[Any], Told]] = {
    RunOpened: _opened,
    RunMoved: lambda r: ("rebalance", r.fund, str(r.status), r.reason),
    ScopeChanged: lambda r: (
        "state",
        r.name,
        str(r.state),
        f"{title(r.scope, r.name)}: {r.reason}",
    ),
    TradingChanged: lambda r: ("state", r.fund, str(r.state), r.reason),
    PremiumStaged: lambda r: (
        "premium",
        r.fund,
        str(r.stage),
        f"{r.market} {text(r.price)}: {r.premium:+.2%}",
    ),
    FundWiped: lambda r: ("state", r.fund, "wiped", r.reason),
    VerdictChanged: lambda r: ("decision", r.fund, str(r.trigger), r.reason),
    Consolidated: _converted,
    NavStruck: lambda r: ("strike", r.fund, text(r.nav), "daily NAV"),
}


def event_of(record: Record) -> Told | None:
    """Return what is published of a record; None where that is nothing."""
    tell = _TOLD.get(type(record))
    return None if tell is None else tell(record)
