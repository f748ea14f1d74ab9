"""Promises in working hours, and the calendars by which the given ones count"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TABLES = ("services", "cases")


def upgrade() -> None:
    op.create_table(
        "calendars",
        sa.Column("id", _ID, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendars")),
        sa.UniqueConstraint("sha256", name=op.f("uq_calendars_sha256")),
    )
    number = "INTEGER" if op.get_bind().dialect.name == "sqlite" else "BIGINT"
    for table in _TABLES:
        op.add_column(table, sa.Column("promise_hours", sa.Integer(), nullable=True))
        # As words: alembic would make SQLite's table anew, of a city's million cases too.
        op.execute(
            f"ALTER TABLE {table} ADD COLUMN calendar_id {number} "
            f"CONSTRAINT fk_{table}_calendar_id REFERENCES calendars (id)"
        )


def downgrade() -> None:
    for table in _TABLES:
        with op.batch_alter_table(table) as batch_op:
            batch_op.drop_constraint(f"fk_{table}_calendar_id", type_="foreignkey")
            batch_op.drop_column("calendar_id")
            batch_op.drop_column("promise_hours")
    op.drop_table("calendars")
