"""News by push and text too: what was an e-mail address is one of a channel"""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE subscriptions RENAME COLUMN email TO address")
    op.add_column("subscriptions", sa.Column("channel", sa.String(8), nullable=False, server_default="email"))
    op.add_column("subscriptions", sa.Column("keys", sa.JSON()))


def downgrade() -> None:
    op.execute("DELETE FROM messages WHERE subscription_id IN (SELECT id FROM subscriptions WHERE channel <> 'email')")
    op.execute("DELETE FROM subscriptions WHERE channel <> 'email'")
    op.drop_column("subscriptions", "keys")
    op.drop_column("subscriptions", "channel")
    op.execute("ALTER TABLE subscriptions RENAME COLUMN address TO email")
