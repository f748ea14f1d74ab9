"""The word that an old system gave, and what is needed to undo an import"""

import sqlalchemy as sa
from alembic import op

import city.db.models

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("cases", sa.Column("promised_at", city.db.models.UtcDateTime(), nullable=True))
    op.add_column("import_runs", sa.Column("undone_at", city.db.models.UtcDateTime(), nullable=True))
    op.create_table(
        "import_changes",
        sa.Column("run_id", _ID, nullable=False),
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("was", sa.JSON(none_as_null=True), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["import_runs.id"], name=op.f("fk_import_changes_run_id")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_import_changes_case_id")),
        sa.PrimaryKeyConstraint("run_id", "case_id", name=op.f("pk_import_changes")),
    )
    op.create_index(op.f("ix_import_changes_case_id"), "import_changes", ["case_id"])
    # A run is looked for by what it brought when it is undone.
    op.create_index(op.f("ix_imported_run_id"), "imported", ["run_id"])


def downgrade() -> None:
    op.drop_index(op.f("ix_imported_run_id"), "imported")
    op.drop_table("import_changes")
    op.drop_column("import_runs", "undone_at")
    op.drop_column("cases", "promised_at")
