"""Following a case, an area or a street without a report of one's own"""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    with op.batch_alter_table("subscriptions") as table:
        table.alter_column("report_id", existing_type=number, nullable=True)
        table.add_column(sa.Column("case_id", number))
        table.add_column(sa.Column("place", sa.String(200)))
        table.add_column(sa.Column("place_name", sa.String(200), nullable=False, server_default=""))
        table.add_column(sa.Column("weekly", sa.Boolean(), nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("told_seq", sa.BigInteger(), nullable=False, server_default="0"))
        table.add_column(sa.Column("told_on", sa.Date()))
        table.create_foreign_key(op.f("fk_subscriptions_case_id"), "cases", ["case_id"], ["id"])
    op.create_index("ix_subscriptions_case_id", "subscriptions", ["case_id", "address"], unique=True)
    op.create_index("ix_subscriptions_place", "subscriptions", ["place", "address"], unique=True)
    op.create_index("ix_subscriptions_address", "subscriptions", ["address"])
    op.add_column("messages", sa.Column("cases", sa.JSON()))


def downgrade() -> None:
    op.drop_column("messages", "cases")
    others = "SELECT id FROM subscriptions WHERE report_id IS NULL"
    op.execute(f"DELETE FROM messages WHERE subscription_id IN ({others})")
    op.execute("DELETE FROM subscriptions WHERE report_id IS NULL")
    for name in ("address", "place", "case_id"):
        op.drop_index(f"ix_subscriptions_{name}", "subscriptions")
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    with op.batch_alter_table("subscriptions") as table:
        table.drop_constraint(op.f("fk_subscriptions_case_id"), type_="foreignkey")
        for name in ("told_on", "told_seq", "weekly", "place_name", "place", "case_id"):
            table.drop_column(name)
        table.alter_column("report_id", existing_type=number, nullable=False)
