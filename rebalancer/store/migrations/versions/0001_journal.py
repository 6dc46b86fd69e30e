"""The journal, its projections and the views of the first release."""

from typing import Any, NoReturn

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FLAG = sa.Boolean().with_variant(sa.Integer(), "sqlite")


def key(name: str, kind: Any = sa.Text) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, autoincrement=False)


def text(
    *names: str, nullable: bool = False, default: str | None = None
) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=nullable, server_default=default) for name in names]


def whole(*names: str, nullable: bool = False) -> list[sa.Column[int]]:
    return [sa.Column(name, WHOLE, nullable=nullable) for name in names]


def flag(name: str) -> list[sa.Column[bool]]:
    return [sa.Column(name, FLAG, nullable=False)]


def table(name: str, *columns: sa.Column[Any]) -> None:
    op.create_table(name, *columns, sqlite_strict=True)


def upgrade() -> None:
    create_journal()
    if op.get_bind().dialect.name == "postgresql":
        protect_on_postgresql()
    else:
        protect_on_sqlite()
    create_projections()
    create_views()


def create_journal() -> None:
    table(
        "journal",
        key("seq", WHOLE),
        *whole("at_ms"),
        *text("kind"),
        sa.Column("key", sa.Text, unique=True, nullable=True),
        *text("body", "hash"),
    )


def protect_on_sqlite() -> None:
    for event in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER journal_refuses_{event.lower()} BEFORE {event} ON journal "
            "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
        )
    # INSERT OR REPLACE deletes the old row without asking the trigger above.
    op.execute(
        "CREATE TRIGGER journal_refuses_replace BEFORE INSERT ON journal "
        "WHEN EXISTS (SELECT 1 FROM journal WHERE seq = NEW.seq OR key = NEW.key) "
        "BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END"
    )


def protect_on_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION journal_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER journal_refuses_change BEFORE UPDATE OR DELETE ON journal "
        "FOR EACH ROW EXECUTE FUNCTION journal_is_append_only()"
    )
    op.execute(
        "CREATE TRIGGER journal_refuses_truncate BEFORE TRUNCATE ON journal "
        "FOR EACH STATEMENT EXECUTE FUNCTION journal_is_append_only()"
    )


def create_projections() -> None:
    table(
        "funds",
        key("name"),
        *text("account", default=""),
        *text("shares", default="0"),
        *whole("launched_ms", nullable=True),
        *text("state", default="active"),
        *text("state_reason", default=""),
        *text("last_run_id", "point_nav", "point_leverage", "point_prices", nullable=True),
        *whole("point_ms", nullable=True),
    )
    table(
        "runs",
        key("run_id"),
        *text("fund", "trigger", "status", "reason", "status_reason"),
        *whole("opened_ms"),
        *whole("ended_ms", nullable=True),
        *text("target_leverage"),
        *text("leverage_before", "leverage_after", nullable=True),
        *text("nav_before"),
        *text("nav_after", nullable=True),
        *text("cost", "delta_units"),
    )
    op.create_index("runs_by_time", "runs", ["opened_ms"])
    table(
        "orders",
        key("client_order_id"),
        *text("account", "contract"),
        *whole("seq"),
        *text("side", "position_side", "contracts", "limit_price"),
        *flag("reduce_only"),
        *text("status", "reason", "venue_order_id", "filled_contracts"),
        *text("closed_contracts", nullable=True),
        *whole("created_ms"),
    )
    op.create_index("orders_by_time", "orders", ["created_ms"])
    table(
        "fills",
        key("account"),
        key("trade_id"),
        *text("client_order_id", "contract", "price", "contracts", "units", "fee"),
        *whole("at_ms"),
        *flag("forced"),
    )
    op.create_index("fills_by_time", "fills", ["at_ms"])
    table(
        "fixed",
        key("fund"),
        key("due_ms", WHOLE),
        *text("settlement", "reason", "run_id"),
    )
    table("verdicts", key("fund"), *text("trigger", "reason"), *whole("at_ms"))
    table(
        "navs",
        key("fund"),
        key("boundary_ms", WHOLE),
        *text("nav", "formula_nav", "equity", "shares"),
    )


def create_views() -> None:
    table(
        "views",
        key("fund"),
        *whole("at_ms"),
        *text("nav", "formula_nav", "leverage", nullable=True),
        *text("target_leverage"),
        *text("equity", nullable=True),
        *text("shares"),
        *whole("price_at_ms", nullable=True),
        *flag("stale"),
        *text("trading", "run"),
        *whole("next_fixed_ms", nullable=True),
    )
    table("prices", key("contract"), *text("price"))


def downgrade() -> NoReturn:
    raise NotImplementedError("a store is never taken back to an older layout")
