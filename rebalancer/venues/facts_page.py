"""The page of venues (`docs/venues.md`), written from the table.

`python -m tests.venues.golden --write` writes it, with the outcomes that the tests promise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from rebalancer.venues.evidence import Judge
from rebalancer.venues.exchange_lists import Listing, own_trades, payments
from rebalancer.venues.expected_rates import ALL_AT_ONCE, LENGTHS_APART
from rebalancer.venues.facts import FACTS
from rebalancer.venues.facts_forced import FORCED_ORDERS, FORCED_TRADES
from rebalancer.venues.facts_shape import (
    Ask,
    Certainty,
    Limits,
    Setting,
    VenueFacts,
)
from rebalancer.venues.rates import Cost

_HEAD = """\
# Venues

Written from the table in `rebalancer/venues/facts*.py` by `python -m tests.venues.golden --write`;
a test holds it equal. Change the table, not this page.

**No live venue has confirmed anything on this page.** The section "What was proved" says for each
capability and venue what stands behind it instead; limits, settings, units and windows of validity
were read, not tried, and their certainty stands beside each.

Certainty: *documented* is the venue's own text or a copy of it; *ccxt source* is what ccxt sends,
parses or notes; *unverified* is said by others or remembered.
"""
_PROVED = """\
## What was proved, and how

Nothing here was confirmed by a live venue. A cell names the kinds of proof.

"""
_REFUSED = """\
## What is refused everywhere

- An account of another kind than the row says, and position, margin or leverage settings that
  differ from the configuration: at start, in a sentence that names both values and the remedy.
  Nothing is changed at a venue, least of all under open positions.
- Contracts that do not settle in their quote currency.
- Market orders. Every order is a limit order at the collar that does not rest (IOC).
- Sending an order again. An order whose fate is not known is asked for.
"""


def page(outcomes: str, proofs: str) -> str:
    """Return the page; `outcomes` is the table of what follows from an answer, in Markdown.

    `proofs` says what was proved and how, in Markdown too: both are known to the tests only.
    """
    sections = (
        _HEAD,
        _PROVED + proofs + "\n",
        _table("## Orders", _ORDERS),
        _table("## Accounts and prices", _ACCOUNTS),
        _REFUSED,
        _limits(),
        _codes(),
        _notes(),
        "## What follows from an answer\n\n" + outcomes + "\n",
    )
    return "\n".join(sections)


def _batch(facts: VenueFacts) -> str:
    if facts.batch is None:
        return "none: one by one"
    return f"{facts.batch.most} ({facts.batch.certainty})"


def _lookup(facts: VenueFacts) -> str:
    lookup = facts.lookup
    words = ["raw endpoint" if lookup.raw else "ccxt"]
    if lookup.note:
        words.append(lookup.note)
    return "; ".join(words)


def _lists(facts: VenueFacts) -> str:
    return ", ".join(f"`{each.method}` ({each.paging.note})" for each in facts.lookup.lists)


def _trades(facts: VenueFacts) -> str:
    field = facts.lookup.trade_field
    return f"by `{field}`, else by the order's id" if field else "by the order's id"


def _spelling(params: Mapping[str, object]) -> str:
    return ", ".join(f"`{name}={value}`" for name, value in params.items()) or "nothing"


def _shrink(facts: VenueFacts) -> str:
    spelling = facts.spelling
    books = {str(book) for book in spelling.books}
    words = [f"net: {_spelling(spelling.shrink_net)}"] if "net" in books else []
    if "long" in books:
        words.append(f"hedge: {_spelling(spelling.shrink_hedged)} and the book")
    return "; ".join(words)


def _units(facts: VenueFacts) -> str:
    units = facts.units
    fields = {
        "request": units.request,
        "amount": units.order_amount,
        "filled": units.order_filled,
        "trades": units.trade,
        "positions": units.position,
        "stream": units.stream_order,
    }
    kinds = set(fields.values())
    if len(kinds) == 1:
        return f"{kinds.pop()} everywhere"
    return ", ".join(f"{name} {unit}" for name, unit in fields.items())


def _setting(setting: Setting) -> str:
    words = [f"`{name}`" for name in (setting.read, setting.set) if name]
    if len(setting.calls) > 1:
        words.append("once per book")
    if setting.note:
        words.append(setting.note)
    return "; ".join(words)


def _valid(facts: VenueFacts) -> str:
    bound = "unknown" if facts.valid_ms is None else f"{facts.valid_ms // 1_000:,} s"
    return f"{bound}: {facts.valid_note}"


def _presets(facts: VenueFacts) -> str:
    words = [_spelling(facts.presets)]
    words += [f"`{method}` silenced" for method in facts.silenced]
    return "; ".join(words)


def _ioc(facts: VenueFacts) -> str:
    order_type = facts.spelling.order_type
    kind = "" if order_type == "limit" else f"`type={order_type}`, "
    return kind + _spelling(facts.spelling.always)


def _stream(method: str | None) -> str:
    return f"`{method}`" if method else "polled"


def _own_trades(facts: VenueFacts) -> str:
    return _listed(own_trades(facts))


def _forced(facts: VenueFacts) -> str:
    if facts.venue_id in FORCED_TRADES:
        return "told by the trade"
    known = facts.venue_id in FORCED_ORDERS
    return "told by the order" if known else "not told: trades of somebody else"


def _payments(facts: VenueFacts) -> str:
    return _listed(payments(facts))


def _expected(facts: VenueFacts) -> str:
    if facts.venue_id in ALL_AT_ONCE:
        return "`fetch_funding_rates`, of all contracts"
    apart = facts.venue_id in LENGTHS_APART
    return "`fetch_funding_rate`" + ("; intervals by `fetch_funding_intervals`" if apart else "")


def _listed(listing: Listing) -> str:
    told = listing.told
    words = [f"`{listing.method}`" if isinstance(listing.method, str) else "raw endpoint"]
    words.append(f"{told.page:,} at once")
    words += [f"on by {told.number}"] if told.number else []
    words += [] if told.named else ["of all contracts"]
    return ", ".join(words)


Column = tuple[str, Callable[[VenueFacts], str]]
_ORDERS: tuple[Column, ...] = (
    ("book", lambda facts: facts.book),
    ("client id", lambda facts: f"{facts.client_ids.rule} ({facts.client_ids.certainty})"),
    ("may not come twice among", lambda facts: facts.client_ids.scope.value),
    ("looked up by client id", _lookup),
    ("then in the lists of (a long one goes on by)", _lists),
    ("then in own trades", _trades),
    ("batch", _batch),
    ("IOC and margin", _ioc),
    ("only shrinks", _shrink),
    ("amounts count", _units),
    ("a request is good for", _valid),
    ("preset", _presets),
)
_ACCOUNTS: tuple[Column, ...] = (
    ("account", lambda facts: facts.account),
    ("position mode", lambda facts: _setting(facts.position_mode)),
    ("margin mode", lambda facts: _setting(facts.margin_mode)),
    ("leverage", lambda facts: _setting(facts.leverage)),
    ("mark", lambda facts: _stream(facts.streams.mark)),
    ("index", lambda facts: _stream(facts.streams.index)),
    ("bid and ask", lambda facts: _stream(facts.streams.bid_ask)),
    ("streams", lambda facts: facts.streams.note),
    ("fees", lambda facts: f"`{facts.fee_query}`"),
    ("own trades", _own_trades),
    ("funding paid", _payments),
    ("funding expected", _expected),
    ("liquidations, deleveraging", _forced),
)


def _table(title: str, columns: Iterable[Column]) -> str:
    """Return one table: a row per question, a column per venue."""
    rows = [("", *(facts.title for facts in FACTS.values()))]
    rows += [(name, *(tell(facts) for facts in FACTS.values())) for name, tell in columns]
    return f"{title}\n\n" + _markdown(rows)


def _markdown(rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines) + "\n"


def _limits() -> str:
    windows = [("venue", "window", "limit", "kept for orders", "per", "source", "certainty")]
    costs = [("venue", *(ask.value for ask in Ask), "batch of 5")]
    for facts in FACTS.values():
        for limit in facts.limits.windows:
            window = limit.window
            span = f"{window.limit:,} in {window.length_ms / 1_000:g} s"
            reserve = f"{window.reserve:,}"
            told = (limit.per, limit.source, limit.certainty.value)
            windows.append((facts.title, window.name, span, reserve, *told))
        costs.append((facts.title, *_costs(facts.limits)))
    notes = [f"- {facts.title}: {facts.limits.note}" for facts in FACTS.values()]
    notes = [note for note in notes if not note.endswith(": ")]
    return (
        "## Limits\n\nFigures of an account without any volume tier; where sources differ, the "
        "strictest.\n\n"
        + _markdown(windows)
        + "\nWhat a request takes of the windows:\n\n"
        + _markdown(costs)
        + "\nWhat is asked without keys is weighed by these lines, the first that fits; what fits "
        'none counts as "any other public". What is polled is spread evenly over 0.45 of what a '
        "window leaves beside the part kept for orders, and half is an account's meanwhile.\n\n"
        + _markdown(_weights())
        + "\n"
        + "\n".join(notes)
        + "\n"
    )


def _weights() -> Sequence[tuple[str, ...]]:
    rows = [("venue", "request", "with", "takes", "source", "certainty")]
    for facts in FACTS.values():
        for each in facts.limits.public:
            given = ", ".join(f"{name}={value or 'any'}" for name, value in each.given.items())
            asked = f"`{each.method} {each.path}`"
            told = (_cost(each.cost), each.source, each.certainty.value)
            rows.append((facts.title, asked, given, *told))
    return rows


def _costs(limits: Limits) -> Iterable[str]:
    for cost in (*(limits.costs[ask] for ask in Ask), limits.batch(5)):
        yield _cost(cost)


def _cost(cost: Cost) -> str:
    return ", ".join(f"{units} {name}" for name, units in cost.items())


def _codes() -> str:
    rows = [("venue", "proves that it was not accepted", "proves that an earlier send was")]
    for facts in FACTS.values():
        judge = facts.judge
        rows.append((facts.title, f"{len(judge.rejects)} codes", ", ".join(_sorted(judge))))
    return (
        "## Codes\n\nThe lists with their meanings stand in `rebalancer/venues/facts_codes.py`. "
        "A code that is in neither proves nothing, and the order is asked for.\n\n"
        + _markdown(rows)
    )


def _sorted(judge: Judge) -> list[str]:
    return sorted(judge.duplicates) or ["none known"]


def _notes() -> str:
    lines = [f"- {facts.title}: {note}." for facts in FACTS.values() for note in facts.notes]
    unsure = [
        f"- {facts.title}: {what}." for facts in FACTS.values() for what in _unverified(facts)
    ]
    return (
        "## What an operator should know\n\n"
        + "\n".join(lines)
        + "\n\n## What nobody here could check\n\n"
        + "\n".join(unsure)
        + "\n"
    )


def _unverified(facts: VenueFacts) -> Iterable[str]:
    if facts.client_ids.certainty is Certainty.UNVERIFIED:
        yield "the rule for client ids"
    if facts.client_ids.scope.value == "unknown":
        yield "whether a client id that was filled may come again"
    if facts.lookup.horizon_ms is None:
        yield "how long after its end an order is found by its client id"
    if facts.valid_ms is None:
        yield "how long a request stays good"
    if not facts.judge.duplicates:
        yield "what a client id used twice is answered with"
    for limit in facts.limits.windows:
        if limit.certainty is not Certainty.DOCUMENTED:
            yield f"the limit {limit.window.name} ({limit.certainty})"
