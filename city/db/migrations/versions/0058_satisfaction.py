"""How satisfied reporters are with a closing, and to which mailboxes a receipt went."""

import sqlalchemy as sa
from alembic import op

from city.db.models import UtcDateTime

revision = "0058"
down_revision = "0057"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    name = "satisfaction_answers"
    op.create_table(
        name,
        sa.Column("id", _ID),
        sa.Column("report_id", _ID, nullable=True),
        sa.Column("case_id", _ID, nullable=True),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("department_code", sa.String(40), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("said_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name=op.f(f"fk_{name}_report_id")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f(f"fk_{name}_case_id")),
        sa.ForeignKeyConstraint(
            ["department_code"], ["departments.code"], name=op.f(f"fk_{name}_department_code")
        ),
        sa.UniqueConstraint("report_id", "case_id", "cycle", name=op.f(f"uq_{name}_report_id")),
    )
    op.create_index(op.f(f"ix_{name}_month"), name, ["month"])
    op.add_column("subscriptions", sa.Column("receipt_at", UtcDateTime(), nullable=True))
