"""Things keep their row by what the register calls them, have an owner, and are retired"""

import sqlalchemy as sa
from alembic import op

import city.db.models

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

LIVE = sa.text("retired_at IS NULL")


def upgrade() -> None:
    for table in ("streets", "areas"):
        op.add_column(table, sa.Column("source_id", sa.String(length=80), nullable=True))
    with op.batch_alter_table("assets") as batch_op:
        batch_op.add_column(sa.Column("source_id", sa.String(length=80), nullable=True))
        batch_op.add_column(sa.Column("owner", sa.String(length=80), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("retired_at", city.db.models.UtcDateTime(), nullable=True))
        batch_op.drop_constraint("uq_assets_kind", type_="unique")
    op.create_index(
        "uq_assets_number", "assets", ["kind", "owner", "number"], unique=True,
        sqlite_where=LIVE, postgresql_where=LIVE,
    )  # fmt: skip


def downgrade() -> None:
    # What was retired, or belongs to others, cannot be told apart any more where a number stands twice.
    twice = (
        "SELECT a.id FROM assets a JOIN assets b ON b.kind = a.kind AND b.number = a.number AND b.id < a.id"
    )
    op.execute(sa.text(f"UPDATE cases SET asset_id = NULL WHERE asset_id IN ({twice})"))
    op.execute(sa.text(f"DELETE FROM assets WHERE id IN ({twice})"))
    op.drop_index("uq_assets_number", "assets")
    with op.batch_alter_table("assets") as batch_op:
        batch_op.create_unique_constraint("uq_assets_kind", ["kind", "number"])
        for name in ("retired_at", "owner", "source_id"):
            batch_op.drop_column(name)
    for table in ("areas", "streets"):
        with op.batch_alter_table(table) as batch_op:
            batch_op.drop_column("source_id")
