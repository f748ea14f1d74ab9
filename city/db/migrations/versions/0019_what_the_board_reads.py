"""How each case stands as the board reads it, and how many open ones lie in every cell"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from math import asinh, floor, pi, radians, tan
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op
from shapely import STRtree
from shapely.geometry import Point, shape

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

OPEN = ("new", "accepted", "assigned", "underway", "waiting")
INDEXES = {
    "queue": ["rank", "due_at", "id"],
    "standing": ["standing", "rank", "due_at", "id"],
    "crew": ["crew_id", "rank", "due_at", "id"],
    "service": ["service_code", "rank", "due_at", "id"],
    "area": ["area_id", "rank", "due_at", "id"],
    "quad": ["quad"],
}
AT_ONCE = 5000


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    with op.batch_alter_table("cases") as batch_op:
        batch_op.add_column(sa.Column("raised", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("standing", sa.String(4), nullable=False, server_default="done"))
        batch_op.add_column(sa.Column("rank", sa.SmallInteger(), nullable=False, server_default="4"))
        batch_op.add_column(sa.Column("crew_id", number))
        batch_op.add_column(sa.Column("area_id", number))
        batch_op.add_column(sa.Column("quad", sa.BigInteger()))
        batch_op.add_column(sa.Column("counted", sa.JSON(none_as_null=True)))
        batch_op.create_foreign_key(batch_op.f("fk_cases_crew_id"), "crews", ["crew_id"], ["id"])
        batch_op.create_foreign_key(
            batch_op.f("fk_cases_area_id"), "areas", ["area_id"], ["id"], ondelete="SET NULL"
        )
    counts = op.create_table(
        "cell_counts",
        sa.Column("facet", sa.String(8), nullable=False),
        sa.Column("value", sa.String(40), nullable=False),
        sa.Column("quad", sa.BigInteger(), nullable=False),
        sa.Column("standing", sa.String(4), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("lat", sa.BigInteger(), nullable=False),
        sa.Column("lon", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("facet", "value", "quad", "standing", name=op.f("pk_cell_counts")),
    )
    _fill(op.get_bind(), counts)
    where = sa.text("rank < 4")
    for name, columns in INDEXES.items():
        op.create_index(f"ix_cases_open_{name}", "cases", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    op.drop_table("cell_counts")
    for name in INDEXES:
        op.drop_index(f"ix_cases_open_{name}", "cases")
    with op.batch_alter_table("cases") as batch_op:
        for column in ("crew_id", "area_id"):
            batch_op.drop_constraint(f"fk_cases_{column}", type_="foreignkey")
        for column in ("raised", "standing", "rank", "crew_id", "area_id", "quad", "counted"):
            batch_op.drop_column(column)


def _fill(connection: sa.Connection, counts: sa.Table) -> None:
    """Derives all of it for the cases that are there. How their promises stand, the next look says better."""
    moment = sa.DateTime(timezone=connection.dialect.name == "postgresql")
    now = datetime.now(UTC)
    if connection.dialect.name == "sqlite":
        now = now.replace(tzinfo=None)
    areas, find = _areas(connection)
    sums: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    mend = sa.text(
        "UPDATE cases SET standing = :standing, rank = :rank, crew_id = :crew, area_id = :area, "
        "quad = :quad, counted = :counted WHERE id = :case"
    ).bindparams(sa.bindparam("counted", type_=sa.JSON(none_as_null=True)))
    for rows in _cases(connection, moment):
        mended = []
        for row in rows:
            standing, rank, quad, area, counted = "done", 4, None, None, None
            cell, lat, lon = -1, 0, 0
            if row.lat is not None and row.lon is not None:
                quad = _quad(row.lat, row.lon)
                cell, lat, lon = quad >> 8, round(row.lat * 1_000_000), round(row.lon * 1_000_000)
                hits = find.query(Point(row.lon, row.lat), predicate="intersects") if areas else ()
                area = areas[min(hits)] if len(hits) else None
            if row.state in OPEN:
                standing = "late" if row.due_at < now else "risk" if row.risk_at <= now else "ok"
                standing = "wait" if row.state == "waiting" else standing
                rank = 3 if row.state == "waiting" else 0 if row.urgent else 2
                counted = [row.state, standing, row.service_code, row.held, area, cell, lat, lon]
                where = [("all", ""), ("state", row.state), ("service", row.service_code)]
                where.append(("crew", str(row.held or "none")))
                where += [("area", str(area))] if area is not None else []
                for facet, value in where:
                    sum_ = sums[facet, value, cell, standing]
                    sum_[:] = sum_[0] + 1, sum_[1] + lat, sum_[2] + lon
            if counted or quad is not None:
                mended.append(
                    {
                        "case": row.id, "standing": standing, "rank": rank, "crew": row.held, "area": area,
                        "quad": quad, "counted": counted,
                    }
                )  # fmt: skip
        if mended:
            connection.execute(mend, mended)
    names = ("facet", "value", "quad", "standing", "n", "lat", "lon")
    told = [dict(zip(names, (*key, *sum_), strict=True)) for key, sum_ in sorted(sums.items())]
    for start in range(0, len(told), AT_ONCE):
        connection.execute(sa.insert(counts), told[start : start + AT_ONCE])


def _cases(connection: sa.Connection, moment: sa.DateTime) -> Iterator[Any]:
    asked = sa.text(
        "SELECT id, state, service_code, lat, lon, urgent, due_at, risk_at, (SELECT crew_id FROM assignments "
        "WHERE case_id = cases.id AND ended_at IS NULL) AS held FROM cases WHERE id > :last ORDER BY id "
        f"LIMIT {AT_ONCE}"
    ).columns(due_at=moment, risk_at=moment)
    last = 0
    while rows := connection.execute(asked, {"last": last}).all():
        yield rows
        last = rows[-1].id


def _areas(connection: sa.Connection) -> tuple[list[int], STRtree]:
    kinds = ("area", "ward", "district")
    asked = sa.text("SELECT id, kind, geometry FROM areas WHERE kind IN ('area', 'ward', 'district')")
    rows = sorted(connection.execute(asked), key=lambda row: (kinds.index(row.kind), row.id))
    told = [orjson.loads(g) if isinstance(g, str) else g for g in (row.geometry for row in rows)]
    return [row.id for row in rows], STRtree([shape(geometry) for geometry in told])


def _quad(lat: float, lon: float) -> int:
    """Column and row of the web map's tile at zoom 20, their bits in turn."""
    count = 1 << 20
    y = (1 - asinh(tan(radians(max(-85.0511287798066, min(85.0511287798066, lat))))) / pi) / 2
    column, row = (max(0, min(count - 1, floor(part * count))) for part in ((lon + 180) / 360, y))
    return sum((column >> bit & 1) << 2 * bit | (row >> bit & 1) << 2 * bit + 1 for bit in range(20))
