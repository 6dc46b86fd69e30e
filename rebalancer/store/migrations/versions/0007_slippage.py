"""What a run lost against its marks, and the notional it traded, beside its whole cost."""

from typing import NoReturn

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("slippage", sa.Text, nullable=True))
    op.add_column("runs", sa.Column("traded_notional", sa.Text, nullable=True))


def downgrade() -> NoReturn:
    raise NotImplementedError("a store is never taken back to an older layout")
