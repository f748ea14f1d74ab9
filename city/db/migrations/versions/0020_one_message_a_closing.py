"""Which closing a message tells of, so that everybody hears of each once"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

events = sa.table("events", *map(sa.column, ("seq", "subject", "kind")), sa.column("facts", sa.JSON))
messages = sa.table("messages", *map(sa.column, ("id", "event_seq", "kind", "closure_id")))
closures = sa.table("closures", *map(sa.column, ("id", "case_id", "cycle")))
cases = sa.table("cases", *map(sa.column, ("id", "number")))


def upgrade() -> None:
    with op.batch_alter_table("messages") as batch_op:
        batch_op.add_column(sa.Column("closure_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite")))
        batch_op.create_foreign_key(batch_op.f("fk_messages_closure_id"), "closures", ["closure_id"], ["id"])
        batch_op.create_index(batch_op.f("ix_messages_closure_id"), ["closure_id"])
    connection = op.get_bind()
    told = sa.select(messages.c.id, events.c.subject, events.c.kind, events.c.facts).where(
        messages.c.kind == "closed", events.c.seq == messages.c.event_seq
    )
    for id_, subject, kind, facts in connection.execute(told).all():
        closure = connection.scalar(_closing(subject, kind, facts))
        connection.execute(sa.update(messages).where(messages.c.id == id_).values(closure_id=closure))


def _closing(subject: str, kind: str, facts: dict[str, Any]) -> sa.Select[Any]:
    last = sa.select(closures.c.id).order_by(closures.c.cycle.desc()).limit(1)
    if kind == "close":
        own = int(subject.partition(":")[2])
        return last.where(closures.c.case_id == own, closures.c.cycle == facts["cycle"])
    into = sa.select(cases.c.id).where(cases.c.number == facts["into"]).scalar_subquery()
    return last.where(closures.c.case_id == into)


def downgrade() -> None:
    with op.batch_alter_table("messages") as batch_op:
        batch_op.drop_index("ix_messages_closure_id")
        batch_op.drop_constraint("fk_messages_closure_id", type_="foreignkey")
        batch_op.drop_column("closure_id")
