"""Streets, addresses and corners are found in memory by their labels: nothing asks for the normal form"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

TABLES = ("streets", "addresses", "crossings")


def upgrade() -> None:
    for table in TABLES:
        with op.batch_alter_table(table) as batch_op:
            batch_op.drop_index(f"ix_{table}_norm")
            batch_op.drop_column("norm")


def downgrade() -> None:
    for table in TABLES:
        with op.batch_alter_table(table) as batch_op:
            batch_op.add_column(sa.Column("norm", sa.Text(), nullable=False, server_default=""))
            batch_op.create_index(f"ix_{table}_norm", ["norm"], unique=False)
