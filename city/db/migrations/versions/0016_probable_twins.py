"""Which case a case probably repeats, how readily a service is told twice, and what was told where of late"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("services", sa.Column("often", sa.Double(), nullable=False, server_default="1"))
    with op.batch_alter_table("cases") as batch_op:
        batch_op.drop_index("ix_cases_cell")
        batch_op.add_column(sa.Column("twin_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite")))
        batch_op.create_foreign_key(
            batch_op.f("fk_cases_twin_id"), "cases", ["twin_id"], ["id"], ondelete="SET NULL"
        )
        batch_op.create_index(batch_op.f("ix_cases_twin_id"), ["twin_id"])
        batch_op.create_index("ix_cases_cell_opened_at", ["cell", "opened_at"])


def downgrade() -> None:
    with op.batch_alter_table("cases") as batch_op:
        batch_op.drop_index("ix_cases_cell_opened_at")
        batch_op.drop_index("ix_cases_twin_id")
        batch_op.drop_constraint("fk_cases_twin_id", type_="foreignkey")
        batch_op.drop_column("twin_id")
        batch_op.create_index(batch_op.f("ix_cases_cell"), ["cell"])
    op.drop_column("services", "often")
