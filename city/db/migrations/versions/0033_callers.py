"""Who calls, by their number, and how they want to hear of it"""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "callers",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("phone", sa.String(20), nullable=False),
        sa.Column("lang", sa.String(10), nullable=False),
        sa.Column("called_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("phone"),
    )
    op.create_index("ix_callers_called_at", "callers", ["called_at"])
    with op.batch_alter_table("contacts") as table:
        table.add_column(sa.Column("caller_id", sa.BigInteger().with_variant(sa.Integer, "sqlite")))
        table.add_column(sa.Column("reply_by", sa.String(10), nullable=False, server_default="none"))
        table.create_foreign_key("fk_contacts_caller_id", "callers", ["caller_id"], ["id"])
    op.create_index("ix_contacts_caller_id", "contacts", ["caller_id"])


def downgrade() -> None:
    op.drop_index("ix_contacts_caller_id", "contacts")
    with op.batch_alter_table("contacts") as table:
        table.drop_constraint("fk_contacts_caller_id", type_="foreignkey")
        table.drop_column("reply_by")
        table.drop_column("caller_id")
    op.drop_table("callers")
