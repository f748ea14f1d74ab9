"""News by push and text too, and to other systems: what was an e-mail address is one of a channel"""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE subscriptions RENAME COLUMN email TO address")
    op.add_column("subscriptions", sa.Column("channel", sa.String(8), nullable=False, server_default="email"))
    op.add_column("subscriptions", sa.Column("keys", sa.JSON()))
    wants: sa.Column[bool] = sa.Column("wants_late", sa.Boolean(), nullable=False, server_default=sa.false())
    op.add_column("persons", wants)
    op.add_column("persons", sa.Column("late_told_on", sa.Date()))
    op.create_table(
        "webhooks",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("url", sa.Text(), nullable=False, unique=True),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failing_since", sa.DateTime(timezone=True)),
        sa.Column("fault", sa.Text()),
        sa.Column("dead_at", sa.DateTime(timezone=True)),
    )


def downgrade() -> None:
    op.drop_table("webhooks")
    op.drop_column("persons", "late_told_on")
    op.drop_column("persons", "wants_late")
    others = "SELECT id FROM subscriptions WHERE channel <> 'email'"
    op.execute(f"DELETE FROM messages WHERE subscription_id IN ({others})")
    op.execute("DELETE FROM subscriptions WHERE channel <> 'email'")
    op.drop_column("subscriptions", "keys")
    op.drop_column("subscriptions", "channel")
    op.execute("ALTER TABLE subscriptions RENAME COLUMN address TO email")
