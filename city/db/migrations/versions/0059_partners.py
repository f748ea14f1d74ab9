"""Partners, who work without a log-in: their links, and how it goes with their jobs."""

import sqlalchemy as sa
from alembic import op

from city.db.models import UtcDateTime

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    name = "partners"
    op.create_table(
        name,
        sa.Column("crew_id", _ID, autoincrement=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("lang", sa.String(10), nullable=False),
        sa.Column("services", sa.JSON(), nullable=False),
        sa.Column("areas", sa.JSON(), nullable=False),
        sa.Column("needs_acceptance", sa.Boolean(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("crew_id", name=op.f(f"pk_{name}")),
        sa.ForeignKeyConstraint(["crew_id"], ["crews.id"], name=op.f(f"fk_{name}_crew_id")),
    )
    name = "partner_links"
    op.create_table(
        name,
        sa.Column("id", _ID),
        sa.Column("crew_id", _ID, nullable=False),
        sa.Column("case_id", _ID, nullable=True),
        sa.Column("nonce", sa.String(22), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("revoked_at", UtcDateTime(), nullable=True),
        sa.Column("used_at", UtcDateTime(), nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")),
        sa.ForeignKeyConstraint(["crew_id"], ["partners.crew_id"], name=op.f(f"fk_{name}_crew_id")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f(f"fk_{name}_case_id")),
        sa.UniqueConstraint("nonce", name=op.f(f"uq_{name}_nonce")),
    )
    op.create_index(op.f(f"ix_{name}_crew_id"), name, ["crew_id"])
    op.create_index(op.f(f"ix_{name}_case_id"), name, ["case_id"])
    name = "handovers"
    op.create_table(
        name,
        sa.Column("assignment_id", _ID, autoincrement=False),
        sa.Column("told_at", UtcDateTime(), nullable=True),
        sa.Column("accepted_at", UtcDateTime(), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("assignment_id", name=op.f(f"pk_{name}")),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignments.id"], name=op.f(f"fk_{name}_assignment_id")),
    )
