"""A service's many: named for what it is, and no longer like the count it is compared with"""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE services RENAME COLUMN heads TO many")


def downgrade() -> None:
    op.execute("ALTER TABLE services RENAME COLUMN many TO heads")
