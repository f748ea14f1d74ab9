"""Work that waits: held, deposited, to be looked at; photos declared before they are here; tokens renewed"""

import sqlalchemy as sa
from alembic import op

import city.db.models

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NOT_DONE = sa.text("code IN ('held', 'deposited')")
TO_REVIEW = sa.text("review IS NOT NULL")
MISSING = sa.text("photo_id IS NULL")


def upgrade() -> None:
    with op.batch_alter_table("devices") as batch_op:
        batch_op.alter_column("person_id", existing_type=SERIAL, nullable=True)
        batch_op.add_column(sa.Column("next_hash", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("token_at", city.db.models.UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("signed_in_at", city.db.models.UtcDateTime(), nullable=True))
        batch_op.create_index(op.f("ix_devices_next_hash"), ["next_hash"])
    with op.batch_alter_table("sessions") as batch_op:
        batch_op.add_column(sa.Column("device_id", sa.String(length=36), nullable=True))
        batch_op.create_foreign_key(op.f("fk_sessions_device_id"), "devices", ["device_id"], ["id"])
    with op.batch_alter_table("operations") as batch_op:
        batch_op.alter_column("person_id", existing_type=SERIAL, nullable=True)
        batch_op.add_column(sa.Column("prev", sa.String(length=36), nullable=True))
        batch_op.add_column(sa.Column("code", sa.String(length=12), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("case_id", SERIAL, nullable=True))
        batch_op.add_column(sa.Column("version", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("review", sa.String(length=20), nullable=True))
        batch_op.create_foreign_key(op.f("fk_operations_case_id"), "cases", ["case_id"], ["id"])
    # What earlier versions set aside still waits for somebody to look at it.
    operations = sa.table(
        "operations", sa.column("result", sa.JSON()), sa.column("code"), sa.column("review"),
        sa.column("raw"),
    )  # fmt: skip
    op.execute(operations.update().values(code=operations.c.result["result"].as_string()))
    op.execute(operations.update().where(operations.c.code == "quarantined").values(review="quarantined"))
    for name, where in (("not_done", NOT_DONE), ("review", TO_REVIEW)):
        op.create_index(
            f"ix_operations_{name}", "operations", ["received_at"], sqlite_where=where, postgresql_where=where
        )
    op.create_table(
        "declared_photos",
        sa.Column("operation_id", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("device_id", sa.String(length=36), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("declared_at", city.db.models.UtcDateTime(), nullable=False),
        sa.Column("case_id", SERIAL, nullable=True),
        sa.Column("cycle", sa.Integer(), nullable=True),
        sa.Column("closure_id", SERIAL, nullable=True),
        sa.Column("report_id", SERIAL, nullable=True),
        sa.Column("photo_id", sa.String(length=36), nullable=True),
        sa.Column("fault", sa.String(length=20), nullable=True),
        *(
            sa.ForeignKeyConstraint([column], [f"{table}.id"], name=op.f(f"fk_declared_photos_{column}"))
            for column, table in (
                ("operation_id", "operations"), ("device_id", "devices"), ("case_id", "cases"),
                ("closure_id", "closures"), ("report_id", "reports"), ("photo_id", "photos"),
            )
        ),
        sa.PrimaryKeyConstraint("operation_id", "id", name=op.f("pk_declared_photos")),
    )  # fmt: skip
    for column in ("closure_id", "report_id", "photo_id"):
        op.create_index(op.f(f"ix_declared_photos_{column}"), "declared_photos", [column])
    op.create_index("ix_declared_photos_device_id", "declared_photos", ["device_id", "id"])
    op.create_index(
        "ix_declared_photos_missing", "declared_photos", ["device_id", "declared_at"],
        sqlite_where=MISSING, postgresql_where=MISSING,
    )  # fmt: skip


def downgrade() -> None:
    op.drop_table("declared_photos")
    for name in ("not_done", "review"):
        op.drop_index(f"ix_operations_{name}", "operations")
    with op.batch_alter_table("operations") as batch_op:
        batch_op.drop_constraint(op.f("fk_operations_case_id"), type_="foreignkey")
        for column in ("review", "version", "case_id", "code", "prev"):
            batch_op.drop_column(column)
    with op.batch_alter_table("sessions") as batch_op:
        batch_op.drop_constraint(op.f("fk_sessions_device_id"), type_="foreignkey")
        batch_op.drop_column("device_id")
    with op.batch_alter_table("devices") as batch_op:
        batch_op.drop_index(op.f("ix_devices_next_hash"))
        for column in ("signed_in_at", "token_at", "next_hash"):
            batch_op.drop_column(column)
