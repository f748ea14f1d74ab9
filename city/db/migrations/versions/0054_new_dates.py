"""The new date that residents were told of a case."""

import sqlalchemy as sa
from alembic import op

from city.db.models import UtcDateTime

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("cases", sa.Column("rescheduled_to", UtcDateTime(), nullable=True))
