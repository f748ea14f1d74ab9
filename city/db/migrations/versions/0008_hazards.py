"""What a crew must mind on a job of a service"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("services", sa.Column("hazard", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("services", "hazard")
