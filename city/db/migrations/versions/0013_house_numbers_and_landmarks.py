"""House numbers along the streets, and landmarks"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

ENDS = ("left_from", "left_to", "right_from", "right_to")


def upgrade() -> None:
    for end in ENDS:
        op.add_column("streets", sa.Column(end, sa.Integer(), nullable=True))
    op.create_table(
        "landmarks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lat", sa.Double(), nullable=False),
        sa.Column("lon", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_landmarks")),
    )


def downgrade() -> None:
    op.drop_table("landmarks")
    for end in reversed(ENDS):
        op.drop_column("streets", end)
