"""Residents type the numbers of an old system into addresses, so they are found without reading all"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_imported_ref"), "imported", ["ref"])


def downgrade() -> None:
    op.drop_index(op.f("ix_imported_ref"), "imported")
