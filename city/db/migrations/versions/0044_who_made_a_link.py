"""Who made a link that logs somebody in"""

import sqlalchemy as sa
from alembic import op

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("login_codes", sa.Column("made_by", sa.String(40), nullable=False, server_default=""))


def downgrade() -> None:
    op.drop_column("login_codes", "made_by")
