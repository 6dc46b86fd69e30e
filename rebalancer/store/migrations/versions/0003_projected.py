"""How far the projections have come: they may follow the journal a moment later."""

from typing import NoReturn

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table("projected", sa.Column("seq", WHOLE, nullable=False), sqlite_strict=True)
    # Up to this layout every commit wrote both at once.
    op.execute("INSERT INTO projected (seq) SELECT coalesce(max(seq), 0) FROM journal")


def downgrade() -> NoReturn:
    raise NotImplementedError("a store is never taken back to an older layout")
