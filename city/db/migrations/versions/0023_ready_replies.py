"""Which ready reply a closing meant"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("closures", sa.Column("reply", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    op.drop_column("closures", "reply")
