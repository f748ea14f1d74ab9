"""Erasures of reports that a restored database does not hold, so that no phone brings one back"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("erasures") as batch_op:
        batch_op.alter_column("report_id", existing_type=sa.Integer(), nullable=True)
        batch_op.add_column(sa.Column("key", sa.String(length=64), nullable=True))
        batch_op.create_index(op.f("ix_erasures_key"), ["key"])


def downgrade() -> None:
    op.execute(sa.text("DELETE FROM erasures WHERE report_id IS NULL"))
    with op.batch_alter_table("erasures") as batch_op:
        batch_op.drop_index(op.f("ix_erasures_key"))
        batch_op.drop_column("key")
        batch_op.alter_column("report_id", existing_type=sa.Integer(), nullable=False)
