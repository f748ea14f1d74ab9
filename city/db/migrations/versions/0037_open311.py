"""What keys open and how often, what other programs list by, and pictures to be fetched"""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("scopes", sa.JSON(), nullable=False, server_default='["report"]'))
    op.add_column("api_keys", sa.Column("hourly", sa.Integer(), nullable=False, server_default="1000"))
    op.create_index("ix_events_at", "events", ["at"])
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "wanted_pictures",
        sa.Column("id", number, primary_key=True),
        sa.Column("report_id", number, nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name=op.f("fk_wanted_pictures_report_id")),
    )
    op.create_index("ix_wanted_pictures_report_id", "wanted_pictures", ["report_id"])
    op.create_index("ix_wanted_pictures_next_try_at", "wanted_pictures", ["next_try_at"])


def downgrade() -> None:
    op.drop_table("wanted_pictures")
    op.drop_index("ix_events_at", "events")
    op.drop_column("api_keys", "hourly")
    op.drop_column("api_keys", "scopes")
