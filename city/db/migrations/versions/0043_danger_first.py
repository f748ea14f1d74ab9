"""Danger that was put on hold before comes first in the queue again"""

from alembic import op

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # No count knows of ranks. What was late when it was put on hold, and is counted, is recount's to mend.
    op.execute("UPDATE cases SET rank = 0 WHERE rank = 3 AND urgent")


def downgrade() -> None:
    op.execute("UPDATE cases SET rank = 3 WHERE rank = 0 AND state = 'waiting'")
