"""What the log has said of a case's promise, and where the sweeper looks"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

INDEXES = {
    "risk": ["standing", "risk_at"],
    "due": ["standing", "due_at"],
    "warned": ["warned", "standing", "due_at"],
}


def upgrade() -> None:
    op.add_column("cases", sa.Column("warned", sa.String(length=10), nullable=True))
    where = sa.text("rank < 4")
    for name, columns in INDEXES.items():
        op.create_index(f"ix_cases_open_{name}", "cases", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(f"ix_cases_open_{name}", "cases")
    op.drop_column("cases", "warned")
