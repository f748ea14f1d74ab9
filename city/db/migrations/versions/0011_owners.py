"""Owners of things that are not the city's"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "owners",
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("names", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_owners")),
    )


def downgrade() -> None:
    op.drop_table("owners")
