"""Which funds wanted an order, and how much of it: the journal has known all along."""

import json
from typing import Any, NoReturn

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_PAGE_ROWS = 10_000
_INTENTS = sa.text(
    "SELECT seq, body FROM journal WHERE kind = 'IntentCreated' AND seq > :after "
    "ORDER BY seq LIMIT :rows"
)
_FILL = sa.text("UPDATE orders SET wanted = :wanted WHERE client_order_id = :id")


def upgrade() -> None:
    op.add_column("orders", sa.Column("wanted", sa.Text, nullable=False, server_default="{}"))
    connection, after = op.get_bind(), 0
    while rows := connection.execute(_INTENTS, {"after": after, "rows": _PAGE_ROWS}).all():
        after = rows[-1].seq
        connection.execute(_FILL, [_filled(json.loads(row.body)["intent"]) for row in rows])


def _filled(intent: dict[str, Any]) -> dict[str, str]:
    # Part of a canonical document, and so it is one itself when it is written the same way.
    wanted = json.dumps(intent["wanted"], sort_keys=True, separators=(",", ":"))
    return {"wanted": wanted, "id": intent["client_order_id"]}


def downgrade() -> NoReturn:
    raise NotImplementedError("a store is never taken back to an older layout")
