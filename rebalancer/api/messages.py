"""What the streams carry: one model per message, in the letters of the Binance streams.

Each message is encoded once, when somebody first needs it, whatever the number of its readers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field

from rebalancer.api.documents import DecimalText, Milliseconds
from rebalancer.api.klines import Kline
from rebalancer.api.pictures import Picture
from rebalancer.api.writing import nav_state
from rebalancer.core.money import text, text_or_none

#: streams that are not about one token
ALL_NAVS = "!tokenNav@arr"
EVENTS = "events"
NAV_SUFFIX = "@tokenNav"
KLINE_SUFFIX = "@nav_kline_1m"


class StreamMessage(BaseModel):
    """The base of every message."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BasketLine(StreamMessage):
    """What is held of one contract."""

    s: str = Field(description="symbol")
    n: DecimalText = Field(description="position in base coins, signed")


class TokenNav(StreamMessage):
    """`<token>@tokenNav`: the NAV of a token, at each publication."""

    e: str = "tokenNav"
    E: Milliseconds = Field(description="time of the message")
    u: int = Field(description="sequence number, of all messages of the desk")
    s: str = Field(description="token")
    m: DecimalText = Field(description="tokens issued")
    b: list[BasketLine] | None = Field(description="basket; null on the public listener")
    n: DecimalText | None = Field(description="account NAV")
    i: DecimalText | None = Field(description="formula NAV")
    l: DecimalText | None = Field(description="real leverage")  # noqa: E741 - the venue's letter
    t: DecimalText = Field(description="target leverage")
    T: Milliseconds | None = Field(description="time of the oldest price in the NAV")
    S: str = Field(description="LIVE, STALE, WAITING")
    p: DecimalText | None = Field(
        description="price of the token on its secondary market; null: not watched or not live"
    )


class KlineBody(StreamMessage):
    """A candle of NAVs."""

    t: Milliseconds = Field(description="open time")
    T: Milliseconds = Field(description="close time")
    s: str = Field(description="token")
    i: str = Field(description="interval")
    f: Milliseconds = Field(description="time of the first NAV in it")
    L: Milliseconds = Field(description="time of the last NAV in it")
    o: DecimalText
    h: DecimalText
    l: DecimalText  # noqa: E741 - the venue's letter
    c: DecimalText
    v: DecimalText | None = Field(description="real leverage at the last NAV")
    n: int = Field(description="number of NAVs in it")
    x: bool = Field(description="whether it is closed")


class NavKline(StreamMessage):
    """`<token>@nav_kline_1m`: the candle of this minute, at each publication."""

    e: str = "nav_kline"
    E: Milliseconds = Field(description="time of the message")
    u: int = Field(description="sequence number")
    s: str = Field(description="token")
    k: KlineBody


class DeskEvent(StreamMessage):
    """`events`: what happened to a token, as it was committed to the records."""

    e: str = Field(description="rebalance, state, premium, decision, strike, consolidation, alert")
    E: Milliseconds = Field(description="time of the message")
    u: int = Field(description="sequence number")
    s: str = Field(description="token; of an alert what it is about, empty for the desk")
    a: str = Field(description="what happened to it: opened, done, halted, none, critical, ...")
    r: str = Field(description="why")


class Hello(StreamMessage):
    """The first message of a stream of server-sent events."""

    e: str = "hello"
    E: Milliseconds = Field(description="time of the message")
    u: int = Field(description="newest sequence number")
    resumed: bool = Field(description="whether every event since the last id follows")
    heartbeatMs: int  # noqa: N815 - as the other interface words


class Heartbeat(StreamMessage):
    """Sent when nothing else was, so that a reader knows a silence from an outage."""

    e: str = "heartbeat"
    E: Milliseconds = Field(description="time of the message")
    u: int = Field(description="newest sequence number")


class Dropped(StreamMessage):
    """The last message to a reader that is let go."""

    e: str = "dropped"
    r: str = Field(description="why")


class Message:
    """A message on its way: its stream, its number and its text, made once."""

    def __init__(self, stream: str, seq: int, model: StreamMessage, *, kept: bool = False) -> None:
        """Take a model; a message that is `kept` is not replaced by the next of its stream."""
        self.stream = stream
        self.seq = seq
        self.key = f"{stream}/{seq}" if kept else stream
        self._model = model

    @property
    def event(self) -> str:
        """The kind of message, as server-sent events name it."""
        return str(getattr(self._model, "e", ""))

    @cached_property
    def data(self) -> str:
        """The message as JSON."""
        return self._model.model_dump_json()

    @cached_property
    def sse(self) -> bytes:
        """The message as a server-sent event."""
        return f"id: {self.seq}\nevent: {self.event}\ndata: {self.data}\n\n".encode()

    @cached_property
    def wrapped(self) -> str:
        """The message with the name of its stream around it."""
        return f'{{"stream":{json.dumps(self.stream)},"data":{self.data}}}'


class NavList(Message):
    """Every NAV of one publication as one message, joined from their texts."""

    def __init__(self, seq: int, navs: Sequence[Message]) -> None:
        super().__init__(ALL_NAVS, seq, StreamMessage())
        self.navs = navs

    @property
    def event(self) -> str:
        """The kind of message."""
        return "tokenNavs"

    @cached_property
    def data(self) -> str:
        """A JSON list."""
        return f"[{','.join(message.data for message in self.navs)}]"


def nav_message(picture: Picture, seq: int, *, public: bool) -> TokenNav:
    """Return a token's NAV as a message."""
    view = picture.view
    lines = [BasketLine(s=symbol, n=text(held)) for symbol, held in picture.units.items()]
    return TokenNav(
        E=view.at_ms,
        u=seq,
        s=view.fund,
        m=text(view.shares),
        b=None if public else lines,
        n=text_or_none(view.nav),
        i=text_or_none(view.formula_nav),
        l=text_or_none(view.leverage),
        t=text(view.target_leverage),
        T=view.price_at_ms,
        S=nav_state(picture),
        p=None if picture.quote is None else text(picture.quote.price),
    )


def kline_message(token: str, kline: Kline, seq: int, at_ms: int, *, closed: bool) -> NavKline:
    """Return a one-minute candle as a message."""
    body = KlineBody(
        t=kline.open_ms,
        T=kline.close_ms,
        s=token,
        i="1m",
        f=kline.first_ms,
        L=kline.last_ms,
        o=text(kline.open),
        h=text(kline.high),
        l=text(kline.low),
        c=text(kline.close),
        v=text_or_none(kline.leverage),
        n=kline.updates,
        x=closed,
    )
    return NavKline(E=at_ms, u=seq, s=token, k=body)


def streams_of(tokens: Iterable[str]) -> list[str]:
    """Return the name of every stream of a desk with these tokens."""
    named = [f"{token}{suffix}" for token in tokens for suffix in (NAV_SUFFIX, KLINE_SUFFIX)]
    return [ALL_NAVS, EVENTS, *named]
