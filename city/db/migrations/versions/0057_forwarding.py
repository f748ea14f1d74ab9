"""Other owners' endpoints, and the requests that go there and come from there."""

import sqlalchemy as sa
from alembic import op

from city.db.models import UtcDateTime

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_GOES_ON = sa.text("next_try_at IS NOT NULL")


def upgrade() -> None:
    op.create_table(
        "endpoints",
        sa.Column("id", _ID),
        sa.Column("name", sa.String(80), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("url", "jurisdiction", "api_key")),
        sa.Column("format", sa.String(4), nullable=False),
        sa.Column("services", sa.JSON(), nullable=False),
        sa.Column("offered", sa.JSON(), nullable=False),
        *(sa.Column(name, sa.Boolean(), nullable=False) for name in ("is_active", "pulls", "repeats")),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("tested_at", UtcDateTime(), nullable=True),
        sa.Column("pulled_until", UtcDateTime(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", UtcDateTime(), nullable=False),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoints")),
        sa.UniqueConstraint("name", name=op.f("uq_endpoints_name")),
    )
    op.create_table(
        "remote_requests",
        sa.Column("id", _ID),
        sa.Column("endpoint_id", _ID, nullable=False),
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("is_ours", sa.Boolean(), nullable=False),
        sa.Column("key", sa.String(64), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("their_id", sa.String(64), nullable=True),
        sa.Column("their_token", sa.String(64), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("person_id", _ID, nullable=True),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.Column("sent_at", UtcDateTime(), nullable=True),
        sa.Column("taken_at", UtcDateTime(), nullable=True),
        sa.Column("status", sa.String(40), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("their_update_at", UtcDateTime(), nullable=True),
        sa.Column("seen_at", UtcDateTime(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", UtcDateTime(), nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remote_requests")),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["endpoints.id"], name=op.f("fk_remote_requests_endpoint_id")
        ),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_remote_requests_case_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_remote_requests_person_id")),
        sa.UniqueConstraint("key", name=op.f("uq_remote_requests_key")),
        sa.UniqueConstraint("endpoint_id", "their_id", name=op.f("uq_remote_requests_endpoint_id")),
    )
    op.create_index(op.f("ix_remote_requests_case_id"), "remote_requests", ["case_id"])
    op.create_index(
        "ix_remote_requests_next_try_at",
        "remote_requests",
        ["next_try_at"],
        sqlite_where=_GOES_ON,
        postgresql_where=_GOES_ON,
    )
    op.create_table(
        "case_hops",
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("hop", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("case_id", "hop", name=op.f("pk_case_hops")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_case_hops_case_id")),
    )
    op.add_column("pauses", sa.Column("passed_to", sa.String(80), nullable=True))
