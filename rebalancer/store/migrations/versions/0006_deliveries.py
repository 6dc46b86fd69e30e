"""Events for other programs, kept until they are delivered."""

from typing import NoReturn

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("receiver", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_ms", WHOLE, nullable=False),
        sa.Column("due_ms", WHOLE, nullable=False),
        sa.Column("attempts", WHOLE, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("deliveries_by_due", "deliveries", ["receiver", "status", "due_ms"])


def downgrade() -> NoReturn:
    raise NotImplementedError("a store is never taken back to an older layout")
