"""The premium of each fund's token, beside the rest of what readers see now."""

from typing import NoReturn

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("views", sa.Column("premium", sa.Text, nullable=True))
    op.add_column(
        "views", sa.Column("premium_stage", sa.Text, nullable=False, server_default="")
    )


def downgrade() -> NoReturn:
    raise NotImplementedError("a store is never taken back to an older layout")
