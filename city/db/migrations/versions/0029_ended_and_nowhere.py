"""The ended cases that lie nowhere, by their state"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    where = sa.text("rank = 4 AND quad IS NULL")
    op.create_index(
        "ix_cases_ended_nowhere", "cases", ["state", "closed_at", "id"],
        sqlite_where=where, postgresql_where=where,
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("ix_cases_ended_nowhere", "cases")
