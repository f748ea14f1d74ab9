"""What comes in by mail, text and voicemail and is no case yet."""

import sqlalchemy as sa
from alembic import op

from city.db.models import UtcDateTime

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_WORDS = ("sender", "sender_name", "subject", "words", "rest")
_WAITS = sa.text("settled_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "inbox_entries",
        sa.Column("id", _ID),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("channel", sa.String(10), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _WORDS),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("added", sa.JSON(), nullable=False),
        sa.Column("lang", sa.String(10), nullable=False),
        sa.Column("came_at", UtcDateTime(), nullable=False),
        sa.Column("report_id", _ID, nullable=True),
        sa.Column("replies", sa.JSON(), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=True),
        sa.Column("held_by", _ID, nullable=True),
        sa.Column("held_at", UtcDateTime(), nullable=True),
        sa.Column("settled_at", UtcDateTime(), nullable=True),
        sa.Column("contact_id", _ID, nullable=True),
        sa.Column("forgotten_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbox_entries")),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name=op.f("fk_inbox_entries_report_id")),
        sa.ForeignKeyConstraint(["contact_id"], ["contacts.id"], name=op.f("fk_inbox_entries_contact_id")),
        sa.ForeignKeyConstraint(["held_by"], ["persons.id"], name=op.f("fk_inbox_entries_held_by")),
        sa.UniqueConstraint("key", name=op.f("uq_inbox_entries_key")),
    )  # fmt: skip
    for column in ("sender", "report_id", "contact_id"):
        op.create_index(op.f(f"ix_inbox_entries_{column}"), "inbox_entries", [column])
    op.create_index(
        "ix_inbox_entries_waiting", "inbox_entries", ["came_at"], sqlite_where=_WAITS, postgresql_where=_WAITS
    )
    op.create_table(
        "recordings",
        sa.Column("entry_id", _ID, nullable=False),
        sa.Column("kind", sa.String(80), nullable=False),
        sa.Column("sound", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_recordings")),
        sa.ForeignKeyConstraint(["entry_id"], ["inbox_entries.id"], name=op.f("fk_recordings_entry_id")),
    )
    op.add_column("case_messages", sa.Column("reminded_at", UtcDateTime(), nullable=True))
    with op.batch_alter_table("photo_downloads") as batch:
        batch.alter_column("report_id", existing_type=_ID, nullable=True)
        for column, table in (("message_id", "case_messages"), ("entry_id", "inbox_entries")):
            batch.add_column(sa.Column(column, _ID, nullable=True))
            batch.create_foreign_key(op.f(f"fk_photo_downloads_{column}"), table, [column], ["id"])
    op.create_index(op.f("ix_photo_downloads_entry_id"), "photo_downloads", ["entry_id"])
