"""The columns of the table of venues: what is asked of every venue, and how an answer is written.

A row is values and small functions, nothing else. What ccxt says a venue can do is not used: it
misleads where money is at stake (`docs/venues.md`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from rebalancer.core.order import PositionSide
from rebalancer.venues.evidence import Answer, Judge
from rebalancer.venues.rates import Cost, Window

if TYPE_CHECKING:
    from rebalancer.venues.facts_weights import Weight  # which is written in these columns

Params = Mapping[str, Any]


class Certainty(StrEnum):
    """How we know a fact. No live venue has confirmed any."""

    DOCUMENTED = "documented"  # the venue's own text, or a copy of it
    CCXT_SOURCE = "ccxt source"  # what ccxt sends, parses or notes
    UNVERIFIED = "unverified"  # said by others, or remembered


class IdScope(StrEnum):
    """Among which orders a client id may not come twice."""

    OPEN_ORDERS = "open orders"
    ALWAYS = "always"
    UNKNOWN = "unknown"


class Unit(StrEnum):
    """What a number of an order counts; the same where a contract is one base coin."""

    CONTRACTS = "contracts"
    BASE = "base"


class Ask(StrEnum):
    """The kinds of request that the desk makes."""

    ORDER = "order"
    CANCEL = "cancel"
    QUERY = "one order"
    ORDERS = "list of orders"
    TRADES = "own trades"
    POSITIONS = "positions"
    BALANCE = "balance"
    FUNDING = "funding payments"
    SETTINGS = "modes and leverage"
    MARKETS = "markets"
    CLOCK = "the venue's time"
    RATES = "rates of funding"
    #: what is asked without keys and weighed by no line of `Limits.public`: the dearest of those
    PUBLIC = "any other public"


@dataclass(frozen=True, slots=True)
class Call:
    """One call of ccxt: `getattr(exchange, method)(*arguments)`.

    Where ccxt has no method that will do, `method` is a function of ours, which takes the exchange
    before the arguments.
    """

    method: str | Callable[..., Awaitable[Any]]
    arguments: tuple[Any, ...]

    async def carry_out(self, exchange: Any) -> Any:
        """Return the answer to this call of an exchange of ccxt."""
        if isinstance(self.method, str):
            return await getattr(exchange, self.method)(*self.arguments)
        return await self.method(exchange, *self.arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An order as a question or a cancel has to name it."""

    #: ccxt's unified symbol
    symbol: str
    #: the venue's own name of the contract
    market_id: str
    #: the client id as the venue keeps it
    client_id: str
    #: the venue's order id; "" where it is not known
    order_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientIds:
    """How our ids (26 characters of [a-z0-9]) stand at a venue."""

    max_length: int
    #: a pattern of the whole id
    pattern: str
    to_venue: Callable[[str], str]
    #: the way back; returns foreign ids as they are
    from_venue: Callable[[str], str]
    scope: IdScope
    rule: str
    certainty: Certainty


#: a list this long may be only a page of it; the shortest page that a venue gives
FULL_PAGE = 50
Pages = Sequence[Sequence[Mapping[str, Any]]]
"""The pages of a list so far, each of ccxt's unified orders."""


@dataclass(frozen=True, slots=True)
class AllAtOnce:
    """A list that comes whole in one answer."""

    note: str = "whole"


@dataclass(frozen=True, slots=True)
class Onward:
    """A list that goes on, from the newest row back, by a parameter of the venue."""

    note: str
    #: the parameter for the page after those; None where the venue says that there is none
    after: Callable[[Pages], Params | None]


@dataclass(frozen=True, slots=True)
class Halves:
    """A list that is asked for in two halves of its time, wherever an answer may be a part.

    It matters in neither half which end the venue begins with, nor which stamp it goes by.
    """

    #: the parameter that names the newest instant
    until: str
    #: an answer of so many rows may be a part
    full: int = FULL_PAGE

    @property
    def note(self) -> str:
        """The parameter by which it goes on."""
        return f"halves by {self.until}"


@dataclass(frozen=True, slots=True)
class Newest:
    """A list of the newest rows of all contracts, past which nothing can be asked for."""

    #: the field of the venue's own row by which the newest come
    stamp: str

    @property
    def note(self) -> str:
        """What an order is refused for: that the list does not reach back far enough."""
        return "the newest of all contracts only"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderList:
    """One list of a contract's orders, as ccxt is asked for it."""

    method: str
    #: rows asked for at once; None where ccxt is not to say any number
    limit: int | None = 100
    #: whether it is asked for by contract, not for all contracts
    named: bool = True
    params: Params = field(default_factory=dict)
    #: the parameters that name the oldest instant, in ms; none where the list has none
    since: Callable[[int], Params] = lambda _since_ms: {}
    paging: AllAtOnce | Onward | Halves | Newest

    def call(self, symbol: str, since_ms: int, page: Params | None = None) -> Call:
        """Return how ccxt is asked for the first page, or for the one that `page` names."""
        params = {**self.params, **self.since(since_ms), **(page or {})}
        return Call(self.method, (symbol if self.named else None, None, self.limit, params))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """How an order is found: by its client id, then in the contract's lists, then by its trades.

    It is absent only where none of the three places shows it.
    """

    #: questions that name the client id, one after another until one answers with the order
    steps: Callable[[Named], tuple[Call, ...]]
    #: whether their answers are the venue's own, not ccxt's unified orders
    raw: bool
    #: the contract's orders: the open ones, then those that ended
    lists: tuple[OrderList, ...]
    #: the field of the venue's own order that holds our id, where ccxt does not read it
    order_field: str = ""
    #: the field of the venue's own trade that holds our id; "" where a trade names its order only
    trade_field: str
    #: so long after its end an order is certainly found; None where the venue does not say
    horizon_ms: int | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """What the amount fields of ccxt's unified answers count at a venue."""

    request: Unit
    order_amount: Unit
    order_filled: Unit
    trade: Unit
    position: Unit
    stream_order: Unit


def units(every: Unit) -> Units:
    """Return units of a venue that counts everything alike."""
    return Units(
        request=every,
        order_amount=every,
        order_filled=every,
        trade=every,
        position=every,
        stream_order=every,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """How one of our intents is written for ccxt's `create_order`."""

    #: parameters per book; a book that is not here does not exist at the venue
    books: Mapping[PositionSide, Params]
    #: ccxt's name of a limit order, or the venue's own number for an IOC order
    order_type: str | int = "limit"
    #: parameters of every order: IOC, cross margin
    always: Params
    #: parameters of an order that only shrinks a net position
    shrink_net: Params = field(default_factory=dict)
    #: parameters of an order that only shrinks a long or short book
    shrink_hedged: Params = field(default_factory=dict)
    #: ccxt compares the amount as a number, so it must be one; such amounts are whole
    whole_amounts: bool = False
    #: most significant digits of a price that is no whole number; None where only the tick counts
    price_digits: int | None = None
    #: parameter that carries the leverage of the account in every order; "" where none does
    leverage_param: str = ""


class Reach(StrEnum):
    """What one call that sets a setting reaches."""

    ACCOUNT = "account"
    QUOTE = "quote"  # every contract that settles in one currency
    CONTRACT = "contract"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One account setting: which ccxt method reads it, and which sets it."""

    read: str = ""
    set: str = ""
    reach: Reach = Reach.CONTRACT
    #: parameters of each call of `set`; several where each book is set apart
    calls: tuple[Params, ...] = ({},)
    #: whether it has no call of its own and is set to what the desk trades with each leverage
    with_leverage: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """The ccxt.pro method that streams each price; None = poll."""

    mark: str | None
    index: str | None
    bid_ask: str | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One window, for whom it counts, and how we know."""

    window: Window
    per: str
    source: str
    certainty: Certainty


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a venue lets through, and what each kind of request takes of it."""

    windows: tuple[Limit, ...]
    costs: Mapping[Ask, Cost]
    #: what a batch of n orders takes
    batch: Callable[[int], Cost]
    #: window by the response header, in lower case, in which the venue tells its own count
    counters: Mapping[str, str] = field(default_factory=dict)
    #: codes by which an answer to anything says that there were too many requests; 429 and 418 as
    #: HTTP statuses say it at every venue
    too_many: frozenset[str] = frozenset()
    #: for so many rows of an answer a question takes one unit more; none: whatever it brings
    rows: Mapping[Ask, int] = field(default_factory=dict)
    #: the weights of public requests; the first that fits counts
    public: tuple[Weight, ...] = ()
    note: str = ""

    def public_cost(self, method: str, path: str, params: Params) -> Cost:
        """Return what a public request takes; one that stands nowhere counts as the dearest."""
        fitting = (each.cost for each in self.public if each.fits(method, path, params))
        return next(fitting, self.costs[Ask.PUBLIC])

    @property
    def rate_windows(self) -> tuple[Window, ...]:
        """The windows as a Budget takes them."""
        return tuple(limit.window for limit in self.windows)


ReadBatch = Callable[[Any, Sequence[str]], tuple[Answer | None, ...]]
"""Reads a decoded body: an answer per client id, None where there is none to be had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Several orders in one request, by ccxt's `create_orders`."""

    most: int
    read: ReadBatch
    certainty: Certainty


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a good answer shows besides its order id; each returns "" where nothing is shown."""

    market_id: Callable[[Any], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueFacts:
    """One row of the table."""

    #: ccxt's name of the venue
    venue_id: str
    title: str
    #: the kind of account that the row is about; others are refused at start
    account: str
    client_ids: ClientIds
    lookup: Lookup
    #: how an order is cancelled; None where the venue needs its own order id and has none yet
    cancel: Callable[[Named], Call | None]
    batch: Batch | None
    units: Units
    spelling: Spelling
    position_mode: Setting
    margin_mode: Setting
    leverage: Setting
    streams: Streams
    #: how long after its stamp the venue may still take a request; None where nothing bounds it
    valid_ms: int | None
    valid_note: str
    limits: Limits
    fee_query: str
    funding_query: str
    #: options of the ccxt object, so that an order is exactly one request
    presets: Params
    #: methods of the ccxt object that must be replaced by one that does nothing and returns True:
    #: they send requests of their own, and no option stops them
    silenced: tuple[str, ...] = ()
    judge: Judge
    shown: Shown
    #: what the operator has to know
    notes: tuple[str, ...] = ()

    @property
    def book(self) -> str:
        """Which books the venue keeps, in words."""
        hedged = PositionSide.LONG in self.spelling.books
        if PositionSide.NET not in self.spelling.books:
            return "hedge"
        return "by account mode" if hedged else "one-way"
