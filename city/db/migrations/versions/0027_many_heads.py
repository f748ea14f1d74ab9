"""How many people's reports raise a case's priority, by service"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("services", sa.Column("heads", sa.Integer(), nullable=False, server_default="5"))


def downgrade() -> None:
    op.drop_column("services", "heads")
