"""What cases are found by, with an index of each database's own kind; orders of the queue; saved views"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

# Contentless: the words stand in case_words, and are handed over again when they go. The figure after
# `prefix` makes the beginnings of that many letters words of their own. With secure-delete what was erased
# leaves the index at once, and not when it is next put in order.
INDEX = """
CREATE VIRTUAL TABLE words_{0} USING fts5(
  words, content='', detail=none, prefix='2 3', tokenize='ascii'
)
"""
SECURE_SINCE = (3, 42)
TRIGGERS = """
CREATE TRIGGER case_words_{0}_come AFTER INSERT ON case_words WHEN new.open = {1} BEGIN
  INSERT INTO words_{0} (rowid, words) VALUES (new.case_id, new.words);
END;
CREATE TRIGGER case_words_{0}_go AFTER DELETE ON case_words WHEN old.open = {1} BEGIN
  INSERT INTO words_{0} (words_{0}, rowid, words) VALUES ('delete', old.case_id, old.words);
END;
CREATE TRIGGER case_words_{0}_change AFTER UPDATE ON case_words BEGIN
  INSERT INTO words_{0} (words_{0}, rowid, words)
    SELECT 'delete', old.case_id, old.words WHERE old.open = {1};
  INSERT INTO words_{0} (rowid, words) SELECT new.case_id, new.words WHERE new.open = {1};
END;
"""


QUEUES = {
    "state": ["state", "rank", "due_at", "id"], "opened": ["opened_at", "id"], "number": ["number", "id"]
}  # fmt: skip
OPEN = ("new", "accepted", "assigned", "underway", "waiting")
AT_ONCE = 500
LONGEST = 40
MOST_BYTES = 200_000  # PostgreSQL's index takes a megabyte of one row and no more
# Short forms of what a street is, after the Postal Service's list, of directions, figures and titles.
LONG = {
    short: long
    for long, shorts in {
        "alley": "aly", "avenue": "ave av avda avenida", "boulevard": "blvd bulevar", "bridge": "brg puente",
        "center": "ctr centre", "circle": "cir", "court": "ct", "crescent": "cres", "drive": "dr",
        "extension": "ext", "gardens": "gdns", "green": "grn", "heights": "hts", "highway": "hwy",
        "hill": "hl", "lane": "ln", "landing": "lndg", "park": "pk", "parkway": "pkwy", "place": "pl",
        "plaza": "plz", "road": "rd camino", "square": "sq", "street": "st str", "terrace": "ter terr",
        "trail": "trl", "turnpike": "tpke", "north": "n", "south": "s", "east": "e", "west": "w",
        "first": "1st", "second": "2nd", "third": "3rd", "fourth": "4th", "fifth": "5th", "sixth": "6th",
        "seventh": "7th", "eighth": "8th", "ninth": "9th", "tenth": "10th", "eleventh": "11th",
        "twelfth": "12th", "mount": "mt", "fort": "ft", "sergeant": "sgt", "corporal": "cpl",
        "monsignor": "msgr", "junior": "jr",
    }.items()
    for short in shorts.split()
}  # fmt: skip
BEFORE_A_NAME = {"st": "saint", "dr": "doctor"}


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    words = op.create_table(
        "case_words",
        sa.Column("case_id", number, autoincrement=False, nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("street", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_case_words_case_id")),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_case_words")),
    )
    op.create_index("ix_case_words_street", "case_words", ["open", "street", "case_id"])
    op.create_table(
        "saved_views",
        sa.Column("id", number, nullable=False),
        sa.Column("person_id", number, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("args", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_saved_views_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
    )
    op.create_index(op.f("ix_saved_views_person_id"), "saved_views", ["person_id"])
    op.create_index(op.f("ix_saved_views_shared"), "saved_views", ["shared"])
    for name, columns in QUEUES.items():
        is_open = sa.text("rank < 4")
        op.create_index(
            f"ix_cases_open_{name}", "cases", columns, sqlite_where=is_open, postgresql_where=is_open
        )
    has_ended = sa.text("rank = 4")
    for name in ("closed", "opened"):
        op.create_index(
            f"ix_cases_ended_{name}", "cases", ["state", f"{name}_at", "id"],
            sqlite_where=has_ended, postgresql_where=has_ended,
        )  # fmt: skip
    no_cell = sa.text("quad < 0")
    op.create_index(
        "ix_cell_counts_totals", "cell_counts", ["facet", "value", "quad", "standing"],
        sqlite_where=no_cell, postgresql_where=no_cell,
    )  # fmt: skip
    op.execute(
        "INSERT INTO cell_counts (facet, value, quad, standing, n, lat, lon) "
        "SELECT facet, value, -2, standing, sum(n), sum(lat), sum(lon) FROM cell_counts "
        "GROUP BY facet, value, standing"
    )
    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        _index_in_sqlite(bind)
    # On PostgreSQL an index is made faster over rows that are there, on SQLite its triggers must fill it.
    _fill(bind, words)
    if bind.dialect.name == "postgresql":
        for name, about in (("open", "open"), ("ended", "NOT open")):
            op.execute(
                f"CREATE INDEX ix_case_words_{name} ON case_words USING gin "
                f"(array_to_tsvector(string_to_array(words, ' '))) WHERE {about}"
            )


def _index_in_sqlite(bind: sa.Connection) -> None:
    version = tuple(map(int, bind.exec_driver_sql("SELECT sqlite_version()").scalar_one().split(".")))
    for name, is_open in (("open", 1), ("ended", 0)):
        bind.exec_driver_sql(INDEX.format(name))
        if version >= SECURE_SINCE:
            bind.exec_driver_sql(f"INSERT INTO words_{name} (words_{name}, rank) VALUES ('secure-delete', 1)")
        for trigger in TRIGGERS.format(name, is_open).strip().split("END;"):
            if trigger.strip():
                bind.exec_driver_sql(f"{trigger} END")


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE words_open")
        op.execute("DROP TABLE words_ended")
    op.drop_table("case_words")
    op.execute("DELETE FROM cell_counts WHERE quad = -2")
    op.drop_index("ix_cell_counts_totals", "cell_counts")
    for name in ("closed", "opened"):
        op.drop_index(f"ix_cases_ended_{name}", "cases")
    for name in QUEUES:
        op.drop_index(f"ix_cases_open_{name}", "cases")
    op.drop_table("saved_views")


def _fill(connection: sa.Connection, table: sa.Table) -> None:
    """Reads what every case is found by now, as search.py did when this was written."""
    asked = sa.text(
        "SELECT cases.id, cases.number, cases.state, cases.address, assets.number AS asset FROM cases "
        "LEFT JOIN assets ON assets.id = cases.asset_id WHERE cases.id > :last ORDER BY cases.id "
        f"LIMIT {AT_ONCE}"
    )
    last = 0
    while rows := connection.execute(asked, {"last": last}).all():
        told = _told(connection, last, rows[-1].id)
        found = [
            {
                "case_id": row.id,
                "open": row.state in OPEN,
                "words": _capped(
                    (*_number(row.number), *_place(row.address), *_number(row.asset or ""), *told[row.id])
                ),
                "street": _street(row.address),
            }
            for row in rows
            if row.state != "undone"  # an import's undoing took it back
        ]
        if found:
            connection.execute(sa.insert(table), found)
        last = rows[-1].id


def _told(connection: sa.Connection, after: int, until: int) -> dict[int, list[str]]:
    """The numbers of the reports on these cases, the addresses for news, numbers over there, then words."""
    words: dict[int, list[str]] = defaultdict(list)
    between = {"after": after, "until": until}
    where = "WHERE case_id > :after AND case_id <= :until"
    reports = f"SELECT case_id, number, address, words FROM reports {where} ORDER BY id"
    told = connection.execute(sa.text(reports), between).all()
    for row in told:
        words[row.case_id] += _folded(row.number)
    people = (
        "SELECT reports.case_id, subscriptions.email FROM subscriptions "
        f"JOIN reports ON reports.id = subscriptions.report_id {where} ORDER BY subscriptions.id"
    )
    for row in connection.execute(sa.text(people), between):
        words[row.case_id] += _folded(row.email)
    called = f"SELECT case_id, ref FROM imported {where} ORDER BY ref"
    for row in connection.execute(sa.text(called), between):
        words[row.case_id] += _number(row.ref)
    for row in told:
        words[row.case_id] += (*_place(row.address), *_folded(row.words))
    return words


def _capped(words: Iterable[str]) -> str:
    whole = " ".join(dict.fromkeys(words))
    told = whole.encode()
    return whole if len(told) <= MOST_BYTES else told[:MOST_BYTES].decode(errors="ignore").rpartition(" ")[0]


def _folded(told: str) -> Iterator[str]:
    plain = unicodedata.normalize("NFKD", told.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    for word in re.findall(r"[^\W_]+", plain.replace("'", "").replace("’", "")):
        yield word[:LONGEST]


def _number(number: str) -> Iterator[str]:
    """In its parts, as one, and its figure without noughts."""
    parts = list(_folded(number))
    yield from parts
    if len(parts) > 1:
        yield "".join(parts)[:LONGEST]
    if parts and (figure := parts[-1].lstrip("0")) != parts[-1]:
        yield figure or "0"


def _place(address: str) -> Iterator[str]:
    yield from _folded(address)
    yield from _folded(_long(address))


def _street(address: str) -> str:
    """The street, then the house number."""
    figure, rest = re.match(r"(\d*)(.*)", _long(address), re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{rest.strip()} {figure[:8]:0>8}" if figure else rest


def _long(address: str) -> str:
    """An address in small letters, without accents, in long forms."""
    plain = re.sub("[½¼¾]", lambda part: " " + unicodedata.normalize("NFKD", part[0]), address)
    plain = unicodedata.normalize("NFKD", plain).replace("\u2044", "/").encode("ascii", "ignore").decode()
    short, long = re.sub(r"[.,#]", " ", plain.lower().replace("'", "")).split(), []
    for n, token in enumerate(short):
        leads = n + 1 < len(short) and (n == 0 or short[n - 1][0].isdigit())
        long.append(BEFORE_A_NAME[token] if leads and token in BEFORE_A_NAME else LONG.get(token, token))
    return " ".join(long)
