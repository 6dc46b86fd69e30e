"""The trading states of the desk, its accounts and contracts."""

from typing import NoReturn

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "scopes",
        sa.Column("scope", sa.Text, primary_key=True, autoincrement=False),
        sa.Column("name", sa.Text, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("at_ms", WHOLE, nullable=False),
        sqlite_strict=True,
    )


def downgrade() -> NoReturn:
    raise NotImplementedError("a store is never taken back to an older layout")
