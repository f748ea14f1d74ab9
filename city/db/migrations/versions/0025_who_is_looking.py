"""Who has a case's drawer open now"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "looking",
        sa.Column("case_id", number, nullable=False),
        sa.Column("person_id", number, nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_looking_case_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_looking_person_id")),
        sa.PrimaryKeyConstraint("case_id", "person_id", name=op.f("pk_looking")),
    )


def downgrade() -> None:
    op.drop_table("looking")
