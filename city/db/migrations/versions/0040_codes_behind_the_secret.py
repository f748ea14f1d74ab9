"""Log-in codes that only the city's secret gives, counted by network; letters that wait for the worker"""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of those on their way the hash alone tells the code: who waits for one asks for another.
    op.execute("DELETE FROM login_codes WHERE asked_by <> 'link'")
    op.execute("ALTER TABLE login_codes RENAME COLUMN code_hash TO seed")
    op.add_column("login_codes", sa.Column("source", sa.String(64), nullable=False, server_default=""))
    op.create_table(
        "account_letters",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("lang", sa.String(10), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_letters")),
    )
    op.create_index("ix_account_letters_email", "account_letters", ["email"])
    op.create_index("ix_account_letters_next_try_at", "account_letters", ["next_try_at"])


def downgrade() -> None:
    op.drop_table("account_letters")
    op.drop_column("login_codes", "source")
    op.execute("ALTER TABLE login_codes RENAME COLUMN seed TO code_hash")
    op.execute("DELETE FROM login_codes WHERE asked_by <> 'link'")
