"""The pages without script: the numbers of the dashboard as tables of plain HTML.

Everything comes from the documents of the interface, and every text passes `escape`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from html import escape
from urllib.parse import quote

from rebalancer.api import documents
from rebalancer.api.assets import PAGE_PREFIX
from rebalancer.core.consolidation import Conversion, ConversionKind
from rebalancer.core.instant import iso

PLAIN_PATH = "/plain"
NONE = "\N{EN DASH}"
_LIST_COLUMNS = (
    "Token",
    ">NAV",
    ">Formula NAV",
    "NAV is",
    ">Leverage",
    ">Target",
    "Band",
    ">Premium",
    ">Issued",
    "Next rebalance (UTC)",
    "State",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """All that is told of one token; what is None is not for this listener."""

    token: documents.Token
    rebalances: Sequence[documents.Rebalance] = ()
    strikes: Sequence[documents.Strike] = ()
    premiums: Sequence[documents.PremiumStep] = ()
    consolidations: Sequence[documents.Consolidation] = ()
    distributions: Sequence[documents.Distribution] = ()
    basket: documents.Basket | None = None
    triggers: documents.Triggers | None = None
    fees: documents.Fees | None = None
    decisions: Sequence[documents.Decision] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table; a column whose name begins with ">" is one of numbers."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    #: what is said where there are no rows
    nothing: str = "None."
    #: where the first cell of each row leads; empty: nowhere
    links: Sequence[str] = field(default=())

    def html(self) -> str:
        """Return it with its caption; a sentence in its place where it has no rows."""
        if not self.rows:
            return f"<h2>{escape(self.caption)}</h2><p>{escape(self.nothing)}</p>"
        heads = "".join(
            f'<th scope="col"{_kind(name)}>{_title(name)}</th>' for name in self.columns
        )
        rows = "".join(self._row(place, row) for place, row in enumerate(self.rows))
        label = escape(self.caption, quote=True)
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>'
            f"<caption>{escape(self.caption)}</caption><thead><tr>{heads}</tr></thead>"
            f"<tbody>{rows}</tbody></table></div>"
        )

    def _row(self, place: int, row: Sequence[str]) -> str:
        first, *others = row
        name = escape(first)
        if self.links:
            name = f'<a href="{escape(self.links[place], quote=True)}">{name}</a>'
        cells = "".join(
            f"<td{_kind(column)}>{escape(cell)}</td>"
            for column, cell in zip(self.columns[1:], others, strict=True)
        )
        return f'<tr><th scope="row"{_kind(self.columns[0])}>{name}</th>{cells}</tr>'


def tokens_page(mode: str, now_ms: int, tokens: Iterable[documents.Token]) -> str:
    """Return the table of tokens as a whole HTML document."""
    shown = list(tokens)
    table = Table(
        "NAV and leverage of each token",
        _LIST_COLUMNS,
        [_line(token) for token in shown],
        "This desk runs no token.",
        [f"{PLAIN_PATH}/{quote(token.token_name)}" for token in shown],
    )
    about = f"{_as_of(now_ms)} Each name leads to what the token holds and did."
    return _document("rebalancer: tokens", f"Tokens, {mode} desk", about, "/", [table.html()])


def token_page(mode: str, now_ms: int, story: Story) -> str:
    """Return all that is told of one token as a whole HTML document."""
    token = story.token
    parts = [f'<p><a href="{PLAIN_PATH}">All tokens</a></p>', _figures(token)]
    parts += [
        f"<p>{escape(text)}</p>" for text in (token.description, token.risk_statement) if text
    ]
    parts += [table.html() for table in _tables(story)]
    home = f"/#/fund/{quote(token.token_name)}"
    title = f"{token.token_name}, {mode} desk"
    return _document(f"rebalancer: {token.token_name}", title, _as_of(now_ms), home, parts)


def _document(title: str, heading: str, about: str, home: str, parts: Sequence[str]) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f'<link rel="icon" href="{PAGE_PREFIX}icon.svg">'
        f'<link rel="stylesheet" href="{PAGE_PREFIX}style.css"></head><body class="plain"><main>'
        f"<h1>{escape(heading)}</h1><p>{escape(about)} Load the page again for newer numbers; "
        f'<a href="{escape(home, quote=True)}">the dashboard</a> updates by itself.</p>'
        f"{''.join(parts)}</main></body></html>"
    )


def _as_of(now_ms: int) -> str:
    return f"As of {iso(now_ms)[:19].replace('T', ' ')} UTC."


def _line(token: documents.Token) -> list[str]:
    return [
        token.token_name,
        nav(token.nav),
        nav(token.formula_nav),
        token.nav_state,
        number(token.real_leverage, 3),
        number(token.target_leverage, 2),
        _band(token),
        share(token.premium),
        number(token.token_issued, 2),
        moment(token.next_rebalance_time),
        f"{token.state} {token.state_reason}".strip(),
    ]


def _band(token: documents.Token) -> str:
    if token.lower_band is None:
        return "none"
    return f"{number(token.lower_band, 2)} to {number(token.upper_band, 2)}"


def _market(token: documents.Token) -> str:
    if token.market is None:
        return "no market of this token is watched"
    if token.market_price is None:
        return f"no market price now ({token.market})"
    return f"{nav(token.market_price)} on {token.market}, {share(token.premium)} from the NAV"


def _figures(token: documents.Token) -> str:
    facts = [
        ("NAV", nav(token.nav)),
        ("Formula NAV", nav(token.formula_nav)),
        ("NAV is", token.nav_state),
        ("Leverage", number(token.real_leverage, 3)),
        ("Target", number(token.target_leverage, 2)),
        ("Band", _band(token)),
        ("Market price", _market(token)),
        ("Issued", number(token.token_issued, 2)),
        ("Next rebalance (UTC)", moment(token.next_rebalance_time)),
        ("State", f"{token.state} {token.state_reason}".strip()),
    ]
    rows = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(told)}</dd></div>" for name, told in facts
    )
    return f'<dl class="figures">{rows}</dl>'


def _tables(story: Story) -> Iterable[Table]:
    token = story.token
    yield _basket(token)
    if story.basket is not None:
        yield _positions(story.basket)
    if story.triggers is not None:
        yield _triggers(story.triggers)
    yield _rebalances(story.rebalances)
    yield Table(
        "Daily NAV",
        ("Boundary (UTC)", ">NAV", ">Formula NAV", ">Issued"),
        [
            [moment(one.time), nav(one.nav), nav(one.formula_nav), number(one.token_issued, 2)]
            for one in story.strikes
        ],
        "None was struck yet.",
    )
    if story.fees is not None:
        yield _fees(story.fees)
    yield Table(
        "Premium, each change of its stage",
        ("Time (UTC)", "Stage", "Market", ">Market price", ">NAV", ">Premium"),
        [
            [
                moment(one.time),
                one.stage,
                one.market,
                nav(one.market_price),
                nav(one.nav),
                share(one.premium),
            ]
            for one in story.premiums
        ],
        "It never left its first stage." if token.market else "No market of this token is watched.",
    )
    yield from _conversions(story)
    if story.decisions is not None:
        yield Table(
            "Decisions",
            ("Time (UTC)", "Verdict", "Why"),
            [[moment(one.time), _verdict(one.trigger), one.reason] for one in story.decisions],
        )


def _basket(token: documents.Token) -> Table:
    prices = {} if token.last_rebalance is None else token.last_rebalance.prices
    return Table(
        "Basket",
        ("Contract", ">Weight", ">Price at the last rebalance"),
        [
            [one.symbol, number(one.weight, 4), price(prices.get(one.symbol))]
            for one in token.underlying
        ],
    )


def _positions(basket: documents.Basket) -> Table:
    return Table(
        "Positions",
        ("Contract", ">Amount", ">Mark", ">Value", ">Maintenance margin", ">Liquidation at"),
        [
            [
                one.symbol,
                number(one.amount, 4),
                price(one.mark),
                number(one.notional_value, 2),
                number(one.maintenance_margin, 2),
                price(one.liquidation_price),
            ]
            for one in basket.positions
        ],
        "It holds none.",
    )


def _triggers(triggers: documents.Triggers) -> Table:
    told = [
        (
            _verdict(one.trigger),
            f"{one.source} of "
            + ", ".join(f"{symbol} {one.fires} {price(at)}" for symbol, at in one.prices.items()),
            share(one.move),
        )
        for one in triggers.items
    ]
    return Table(
        "Trigger prices",
        ("Rule", "Fires when", ">From now"),
        list(dict.fromkeys(told)),  # both NAVs may end it, and mostly do so at one price
        "No price is known at which a rule fires.",
    )


def _rebalances(runs: Sequence[documents.Rebalance]) -> Table:
    private = any(isinstance(run, documents.PrivateRebalance) for run in runs)
    rows = [
        [
            moment(run.time),
            _verdict(run.trigger),
            _change(number(run.leverage_before, 3), number(run.leverage_after, 3)),
            _change(nav(run.nav_before), nav(run.nav_after)),
            *_paid(run),
            run.status,
            run.reason,
        ]
        for run in runs
    ]
    paid = (">Traded", ">Fees and slippage", ">Slippage") if private else ()
    columns = ("Time (UTC)", "Trigger", ">Leverage", ">NAV", *paid, "Status", "Reason")
    return Table("Rebalances", columns, rows, "No rebalance yet.")


def _paid(run: documents.Rebalance) -> list[str]:
    if not isinstance(run, documents.PrivateRebalance):
        return []
    return [number(run.traded_notional, 2), number(run.cost, 2), number(run.slippage, 2)]


def _fees(fees: documents.Fees) -> Table:
    rows = [
        ["Trading fees", number(fees.trading_fees, 2)],
        ["Slippage", number(fees.slippage, 2)],
        ["Funding", number(fees.funding, 2)],
        ["Management fee", number(fees.management_fee, 2)],
        ["Management fee, accrued", number(fees.accrued_management_fee, 2)],
        ["Funding, accrued", number(fees.accrued_funding, 2)],
        ["Financing", number(fees.financing, 2)],
    ]
    return Table("Paid so far, in quote currency", ("What", ">Amount"), rows)


def _conversions(story: Story) -> Iterable[Table]:
    yield Table(
        "Merges and splits",
        ("Time (UTC)", "Kind", ">NAV", ">Issued"),
        [
            [
                moment(one.time),
                Conversion(kind=ConversionKind(one.kind), ratio=one.ratio).words,
                _change(nav(one.nav_before), nav(one.nav_after)),
                _change(number(one.issued_before, 2), number(one.issued_after, 2)),
            ]
            for one in story.consolidations
        ],
    )
    yield Table(
        "Paid out to holders",
        ("Time (UTC)", "What", ">Amount"),
        [[moment(one.time), one.kind, number(one.amount, 2)] for one in story.distributions],
        "Nothing.",
    )


def _change(before: str, after: str) -> str:
    return f"{before} \N{RIGHTWARDS ARROW} {after}"


def _verdict(trigger: str) -> str:
    return "no trade" if trigger == "none" else trigger


def _kind(column: str) -> str:
    return ' class="num"' if column.startswith(">") else ""


def _title(column: str) -> str:
    return escape(column.removeprefix(">"))


def moment(at_ms: int | None) -> str:
    """Write an instant to the minute; a dash where there is none."""
    return NONE if at_ms is None else iso(at_ms)[:16].replace("T", " ")


def number(value: str | None, places: int) -> str:
    """Write a decimal with so many places and thousands separators."""
    return NONE if value is None else f"{Decimal(value):,.{places}f}"


def nav(value: str | None) -> str:
    """Write a NAV, or a market price of a token: small ones with more places."""
    if value is None:
        return NONE
    size = abs(Decimal(value))
    return number(value, 2 if size >= 1_000 else 4 if size >= 1 else 6)


def price(value: str | None) -> str:
    """Write the price of a contract with at least five significant digits."""
    if value is None:
        return NONE
    size = abs(Decimal(value))
    if size >= 1_000 or not size:
        return number(value, 2)
    return number(value, min(12, 4 - size.adjusted()) if size < 1 else 4)


def share(value: str | None) -> str:
    """Write a ratio as percent, with its sign."""
    return NONE if value is None else f"{Decimal(value) * 100:+,.2f} %"
