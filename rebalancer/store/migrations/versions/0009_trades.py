"""A trade is one of its contract: venues number trades by market, and two may have one number."""

import json
from typing import Any, NoReturn

import sqlalchemy as sa
from alembic import op

from rebalancer.store.canonical import storable

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FLAG = sa.Boolean().with_variant(sa.Integer(), "sqlite")

_PAGE_ROWS = 10_000
_TRADES = sa.text(
    "SELECT seq, body FROM journal WHERE kind = 'Traded' AND seq > :after "
    "AND seq <= (SELECT seq FROM projected) ORDER BY seq LIMIT :rows"
)
_FILLS = sa.table(
    "fills",
    *(
        sa.column(name, sa.Text)
        for name in ("account", "trade_id", "client_order_id", "contract", "price", "contracts")
    ),
    sa.column("units", sa.Text),
    sa.column("fee", sa.Text),
    sa.column("at_ms", WHOLE),
    sa.column("forced", FLAG),
)


def upgrade() -> None:
    # Of two with one number the older one is gone from the table: the journal has both.
    op.drop_table("fills")
    op.create_table(
        "fills",
        sa.Column("account", sa.Text, primary_key=True),
        sa.Column("trade_id", sa.Text, primary_key=True),
        sa.Column("client_order_id", sa.Text, nullable=False),
        sa.Column("contract", sa.Text, primary_key=True),
        *(
            sa.Column(name, sa.Text, nullable=False)
            for name in ("price", "contracts", "units", "fee")
        ),
        sa.Column("at_ms", WHOLE, nullable=False),
        sa.Column("forced", FLAG, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("fills_by_time", "fills", ["at_ms"])
    connection, after = op.get_bind(), 0
    while rows := connection.execute(_TRADES, {"after": after, "rows": _PAGE_ROWS}).all():
        after = rows[-1].seq
        connection.execute(_FILLS.insert(), [_filled(json.loads(row.body)) for row in rows])


def _filled(traded: dict[str, Any]) -> dict[str, Any]:
    fill = traded["fill"]
    return {
        "account": storable(traded["account"]),
        "trade_id": storable(fill["trade_id"]),
        "client_order_id": storable(fill["client_order_id"]),
        "contract": storable(traded["contract"]),
        "price": fill["price"],
        "contracts": fill["contracts"],
        "units": traded["units"],
        "fee": fill["fee"],
        "at_ms": fill["at_ms"],
        "forced": traded["forced"],
    }


def downgrade() -> NoReturn:
    raise NotImplementedError("a store is never taken back to an older layout")
