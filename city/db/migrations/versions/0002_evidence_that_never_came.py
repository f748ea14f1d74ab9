"""Closings whose evidence never came, and a quick look at photos that are not in the store yet"""

import sqlalchemy as sa
from alembic import op

import city.db.models

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("closures", sa.Column("unproven_at", city.db.models.UtcDateTime(), nullable=True))
    op.create_index(
        "ix_photos_unstored",
        "photos",
        ["added_at"],
        sqlite_where=sa.text("stored_at IS NULL"),
        postgresql_where=sa.text("stored_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_photos_unstored", table_name="photos")
    op.drop_column("closures", "unproven_at")
