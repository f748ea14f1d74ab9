"""A wait has an end, and stops the promise clock only where somebody else has to act first. A case's type and
place can be corrected.

What waits when this is applied keeps its clock as it was, and comes back within a month.
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

from city.db.models import UtcDateTime

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The new columns."""
    op.add_column("pauses", sa.Column("until", UtcDateTime(), nullable=True))
    op.add_column("pauses", sa.Column("stops_clock", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column(
        "services", sa.Column("waits", sa.JSON(none_as_null=True), nullable=False, server_default="{}")
    )
    op.add_column("cases", sa.Column("restarted_at", UtcDateTime(), nullable=True))
    op.add_column("cases", sa.Column("corrected_version", sa.Integer(), nullable=False, server_default="0"))
    for table, name in (("cases", "corrected_late"), ("reports", "shown_by_hand")):
        op.add_column(table, sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    is_open = sa.text("ended_at IS NULL")
    op.create_index("ix_pauses_until", "pauses", ["until"], sqlite_where=is_open, postgresql_where=is_open)
    pauses = sa.table(
        "pauses", sa.column("case_id"), sa.column("why"), sa.column("ended_at"),
        sa.column("until", UtcDateTime()),
    )  # fmt: skip
    cases = sa.table("cases", sa.column("id"), sa.column("origin"))
    own = sa.select(cases.c.id).where(cases.c.origin != "import")
    op.execute(
        pauses.update()
        .where(pauses.c.ended_at.is_(None), pauses.c.why != "closed", pauses.c.case_id.in_(own))
        .values(until=datetime.now(UTC) + timedelta(days=30))
    )
