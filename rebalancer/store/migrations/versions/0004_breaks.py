"""Breaks: differences between the venues and the records."""

from typing import NoReturn

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    texts = ("kind", "account", "contract", "units", "cause", "repair")
    op.create_table(
        "breaks",
        sa.Column("number", WHOLE, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in texts),
        sa.Column("found_ms", WHOLE, nullable=False),
        sa.Column("how", sa.Text, nullable=True),
        sa.Column("end_reason", sa.Text, nullable=True),
        sa.Column("ended_ms", WHOLE, nullable=True),
        sqlite_strict=True,
    )


def downgrade() -> NoReturn:
    raise NotImplementedError("a store is never taken back to an older layout")
