"""Which phone a code was used on, and what only that phone knows"""

import sqlalchemy as sa
from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("enrol_codes") as table:
        table.add_column(sa.Column("attempt_hash", sa.String(64)))
        table.add_column(sa.Column("device_id", sa.String(36)))
        table.create_foreign_key(op.f("fk_enrol_codes_device_id"), "devices", ["device_id"], ["id"])


def downgrade() -> None:
    with op.batch_alter_table("enrol_codes") as table:
        table.drop_constraint(op.f("fk_enrol_codes_device_id"), type_="foreignkey")
        table.drop_column("device_id")
        table.drop_column("attempt_hash")
