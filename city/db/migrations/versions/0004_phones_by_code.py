"""Phones that are made a crew's by a code, and what they say of themselves"""

import sqlalchemy as sa
from alembic import op

import city.db.models

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "enrol_codes",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("person_id", SERIAL, nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("made_at", city.db.models.UtcDateTime(), nullable=False),
        sa.Column("used_at", city.db.models.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_enrol_codes_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrol_codes")),
    )
    op.create_index(op.f("ix_enrol_codes_person_id"), "enrol_codes", ["person_id"])
    op.create_index(op.f("ix_enrol_codes_code_hash"), "enrol_codes", ["code_hash"])
    op.create_table(
        "tries",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("what", sa.String(length=10), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("at", city.db.models.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tries")),
    )
    op.create_index("ix_tries_what_source_at", "tries", ["what", "source", "at"])
    with op.batch_alter_table("devices") as batch_op:
        batch_op.add_column(sa.Column("release", sa.String(length=80), nullable=False, server_default=""))
        batch_op.add_column(
            sa.Column("waiting", sa.JSON(none_as_null=True), nullable=False, server_default="{}")
        )


def downgrade() -> None:
    with op.batch_alter_table("devices") as batch_op:
        batch_op.drop_column("waiting")
        batch_op.drop_column("release")
    op.drop_table("tries")
    op.drop_table("enrol_codes")
