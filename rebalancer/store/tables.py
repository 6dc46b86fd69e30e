"""The tables of a store: the journal, what is folded from it, and what readers see now.

Money and sizes are TEXT in every engine: no column may round. Times are milliseconds since 1970.
The migrations create these tables; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table, Text

#: The newest layout this program writes, and every one it can bring up to it.
SCHEMA_HEAD = "0009"
KNOWN_SCHEMAS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", SCHEMA_HEAD)
VERSION_TABLE = "rebalancer_schema"

METADATA = MetaData()

# STRICT tables of SQLite know INTEGER only, which holds 64 bits there.
_WHOLE = BigInteger().with_variant(Integer(), "sqlite")
_FLAG = Boolean().with_variant(Integer(), "sqlite")


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _text(name: str, *, nullable: bool = False, default: str | None = None) -> Column[str]:
    return Column(name, Text, nullable=nullable, server_default=default)


def _whole(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, _WHOLE, nullable=nullable)


def _flag(name: str) -> Column[bool]:
    return Column(name, _FLAG, nullable=False)


def _table(name: str, *parts: Column[str] | Column[int] | Column[bool] | Index) -> Table:
    return Table(name, METADATA, *parts, sqlite_strict=True)


#: Facts, appended once; each hash covers the row and the hash before it.
JOURNAL = _table(
    "journal",
    Column("seq", _WHOLE, primary_key=True, autoincrement=False),
    _whole("at_ms"),
    _text("kind"),
    Column("key", Text, unique=True, nullable=True),
    _text("body"),
    _text("hash"),
)

FUNDS = _table(
    "funds",
    _key("name"),
    _text("account", default=""),
    _text("shares", default="0"),
    _whole("launched_ms", nullable=True),
    _text("state", default="active"),
    _text("state_reason", default=""),
    _text("last_run_id", nullable=True),
    _text("point_nav", nullable=True),
    _text("point_leverage", nullable=True),
    _text("point_prices", nullable=True),
    _whole("point_ms", nullable=True),
)

RUNS = _table(
    "runs",
    _key("run_id"),
    _text("fund"),
    _text("trigger"),
    _text("status"),
    _text("reason"),
    _text("status_reason"),
    _whole("opened_ms"),
    _whole("ended_ms", nullable=True),
    _text("target_leverage"),
    _text("leverage_before", nullable=True),
    _text("leverage_after", nullable=True),
    _text("nav_before"),
    _text("nav_after", nullable=True),
    _text("cost"),
    _text("slippage", nullable=True),
    _text("traded_notional", nullable=True),
    _text("delta_units"),
    Index("runs_by_time", "opened_ms"),
)

ORDERS = _table(
    "orders",
    _key("client_order_id"),
    _text("account"),
    _text("contract"),
    _whole("seq"),
    _text("side"),
    _text("position_side"),
    _text("contracts"),
    _text("wanted", default="{}"),
    _text("limit_price"),
    _flag("reduce_only"),
    _text("status"),
    _text("reason"),
    _text("venue_order_id"),
    _text("filled_contracts"),
    _text("closed_contracts", nullable=True),
    _whole("created_ms"),
    Index("orders_by_time", "created_ms"),
)

#: Venues number trades by market: two contracts of an account may have one number.
FILLS = _table(
    "fills",
    _key("account"),
    _key("trade_id"),
    _text("client_order_id"),
    _key("contract"),
    _text("price"),
    _text("contracts"),
    _text("units"),
    _text("fee"),
    _whole("at_ms"),
    _flag("forced"),
    Index("fills_by_time", "at_ms"),
)

FIXED = _table(
    "fixed",
    _key("fund"),
    Column("due_ms", _WHOLE, primary_key=True, autoincrement=False),
    _text("settlement"),
    _text("reason"),
    _text("run_id"),
)

VERDICTS = _table(
    "verdicts",
    _key("fund"),
    _text("trigger"),
    _text("reason"),
    _whole("at_ms"),
)

#: Every difference between a venue and the records; what is open has not ended.
BREAKS = _table(
    "breaks",
    Column("number", _WHOLE, primary_key=True, autoincrement=False),
    _text("kind"),
    _text("account"),
    _text("contract"),
    _text("units"),
    _text("cause"),
    _text("repair"),
    _whole("found_ms"),
    _text("how", nullable=True),
    _text("end_reason", nullable=True),
    _whole("ended_ms", nullable=True),
)

#: The latest trading state of the desk (its name is empty), of accounts and of contracts.
SCOPES = _table(
    "scopes",
    _key("scope"),
    _key("name"),
    _text("state"),
    _text("reason"),
    _whole("at_ms"),
)

NAVS = _table(
    "navs",
    _key("fund"),
    Column("boundary_ms", _WHOLE, primary_key=True, autoincrement=False),
    _text("nav"),
    _text("formula_nav"),
    _text("equity"),
    _text("shares"),
)

#: The latest NavView of each fund; the columns are its fields.
VIEWS = _table(
    "views",
    _key("fund"),
    _whole("at_ms"),
    _text("nav", nullable=True),
    _text("formula_nav", nullable=True),
    _text("leverage", nullable=True),
    _text("target_leverage"),
    _text("equity", nullable=True),
    _text("shares"),
    _whole("price_at_ms", nullable=True),
    _flag("stale"),
    _text("trading"),
    _text("run"),
    _whole("next_fixed_ms", nullable=True),
    _text("premium", nullable=True),
    _text("premium_stage", default=""),
)

#: Events for other programs: what waits, and what became of the rest.
DELIVERIES = _table(
    "deliveries",
    _key("id"),
    _text("receiver"),
    _text("body"),
    _whole("created_ms"),
    _whole("due_ms"),
    _whole("attempts"),
    _text("status"),
    Index("deliveries_by_due", "receiver", "status", "due_ms"),
)

PRICES = _table("prices", _key("contract"), _text("price"))

#: One row: the number of the last record that is folded into the projections.
PROJECTED = _table("projected", _whole("seq"))

#: What a rebuild empties and folds again from the journal.
PROJECTIONS = (FUNDS, RUNS, ORDERS, FILLS, FIXED, VERDICTS, SCOPES, BREAKS, NAVS)
