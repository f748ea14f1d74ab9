"""When the bytes that were erased or replaced were gone from the store, so that none are forgotten there"""

import sqlalchemy as sa
from alembic import op

import city.db.models

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("erasures", sa.Column("gone_at", city.db.models.UtcDateTime(), nullable=True))
    op.execute(sa.text("UPDATE erasures SET gone_at = at"))
    op.create_index(op.f("ix_erasures_gone_at"), "erasures", ["gone_at"])


def downgrade() -> None:
    op.drop_index(op.f("ix_erasures_gone_at"), table_name="erasures")
    op.drop_column("erasures", "gone_at")
