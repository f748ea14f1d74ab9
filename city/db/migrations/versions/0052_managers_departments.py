"""Managers answer for departments: inside them they read private cases and figures that others do not."""

import sqlalchemy as sa
from alembic import op

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The new table; nobody answers for a department until somebody says so."""
    serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "person_departments",
        sa.Column("person_id", serial, nullable=False),
        sa.Column("department_code", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_person_departments_person_id")),
        sa.ForeignKeyConstraint(
            ["department_code"], ["departments.code"], name=op.f("fk_person_departments_department_code")
        ),
        sa.PrimaryKeyConstraint("person_id", "department_code", name=op.f("pk_person_departments")),
    )
