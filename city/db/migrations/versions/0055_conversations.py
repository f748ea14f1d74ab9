"""What the city and a reporter write each other about a case."""

import sqlalchemy as sa
from alembic import op

from city.db.models import UtcDateTime

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_UNREAD = sa.text("kind = 'ask' AND handed_over_at IS NULL AND failed IS NULL")


def upgrade() -> None:
    op.create_table(
        "case_messages",
        sa.Column("id", _ID),
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("report_id", _ID, nullable=True),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("channel", sa.String(8), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("choices", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("lang", sa.String(10), nullable=False),
        sa.Column("person_id", _ID, nullable=True),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("answers_id", _ID, nullable=True),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("handed_over_at", UtcDateTime(), nullable=True),
        sa.Column("failed", sa.Text(), nullable=True),
        sa.Column("key", sa.String(64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_messages")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_case_messages_case_id")),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name=op.f("fk_case_messages_report_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_case_messages_person_id")),
        sa.ForeignKeyConstraint(
            ["answers_id"], ["case_messages.id"], name=op.f("fk_case_messages_answers_id")
        ),
        sa.UniqueConstraint("key", name=op.f("uq_case_messages_key")),
    )
    for column in ("case_id", "report_id", "answers_id"):
        op.create_index(op.f(f"ix_case_messages_{column}"), "case_messages", [column])
    op.create_index(
        "ix_case_messages_unread", "case_messages", ["id"], sqlite_where=_UNREAD, postgresql_where=_UNREAD
    )
    for table, column in (("photos", "message_id"), ("messages", "case_message_id")):
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column(column, _ID, nullable=True))
            batch.create_foreign_key(op.f(f"fk_{table}_{column}"), "case_messages", [column], ["id"])
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
