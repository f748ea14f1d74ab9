"""What figures are added up from: a row for each thing the log tells of a month"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.orm import Session

from city.audit import counters

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tallies",
        sa.Column("facet", sa.String(length=10), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("what", sa.String(length=20), nullable=False),
        sa.Column("value", sa.String(length=40), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("facet", "month", "what", "value", name=op.f("pk_tallies")),
    )
    # The log's own columns never change, so today's way of counting it can be asked for here.
    with Session(op.get_bind()) as s:
        counters.rebuild(s)
        s.flush()


def downgrade() -> None:
    op.drop_table("tallies")
