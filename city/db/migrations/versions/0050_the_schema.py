"""The schema of 0.2.0: every table, the search's own indexes, and the guards of the log.

What was kept before is not led here: those were no releases. From here on migrations only go forward.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0050"
down_revision = None
branch_labels = None
depends_on = None

SECURE_SINCE = (3, 42)  # from this SQLite on what is deleted from an index is overwritten

# The words of cases, open and ended; a trigger keeps each index true to its table.
CASE_WORDS = """
CREATE VIRTUAL TABLE words_{0} USING fts5(
  words, content='', detail=none, prefix='2 3', tokenize='ascii'
);;
CREATE TRIGGER case_words_{0}_come AFTER INSERT ON case_words WHEN new.open = {1} BEGIN
  INSERT INTO words_{0} (rowid, words) VALUES (new.case_id, new.words);
END;;
CREATE TRIGGER case_words_{0}_go AFTER DELETE ON case_words WHEN old.open = {1} BEGIN
  INSERT INTO words_{0} (words_{0}, rowid, words) VALUES ('delete', old.case_id, old.words);
END;;
CREATE TRIGGER case_words_{0}_change AFTER UPDATE ON case_words BEGIN
  INSERT INTO words_{0} (words_{0}, rowid, words)
    SELECT 'delete', old.case_id, old.words WHERE old.open = {1};
  INSERT INTO words_{0} (rowid, words) SELECT new.case_id, new.words WHERE new.open = {1};
END
"""
ARTICLE_WORDS = """
CREATE VIRTUAL TABLE words_articles USING fts5(stems, content='', detail=none, tokenize='ascii');;
CREATE TRIGGER article_words_come AFTER INSERT ON article_words BEGIN
  INSERT INTO words_articles (rowid, stems) VALUES (new.id, new.stems);
END;;
CREATE TRIGGER article_words_go AFTER DELETE ON article_words BEGIN
  INSERT INTO words_articles (words_articles, rowid, stems) VALUES ('delete', old.id, old.stems);
END;;
CREATE TRIGGER article_words_change AFTER UPDATE ON article_words BEGIN
  INSERT INTO words_articles (words_articles, rowid, stems) VALUES ('delete', old.id, old.stems);
  INSERT INTO words_articles (rowid, stems) VALUES (new.id, new.stems);
END
"""
# A list of what is not yet in order would cost more: articles are read a thousand times as often as written.
POSTGRESQL_WORDS = """
CREATE INDEX ix_case_words_open ON case_words
  USING gin (array_to_tsvector(string_to_array(words, ' '))) WHERE open;;
CREATE INDEX ix_case_words_ended ON case_words
  USING gin (array_to_tsvector(string_to_array(words, ' '))) WHERE NOT open;;
CREATE FUNCTION article_lexemes(words text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS $$ BEGIN RETURN array_to_tsvector(string_to_array(words, ' ')); END $$;;
CREATE INDEX ix_article_words_stems ON article_words
  USING gin (article_lexemes(stems)) WITH (fastupdate = off)
"""
# The log only grows. A migration that rebuilds its table on SQLite loses the triggers: put them back.
GUARDS = {
    "sqlite": """
CREATE TRIGGER events_no_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;;
CREATE TRIGGER events_no_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;;
CREATE TRIGGER events_no_replace BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE seq = NEW.seq OR (subject = NEW.subject AND n = NEW.n))
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END
""",
    "postgresql": """
CREATE FUNCTION refuse_log_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the log is append-only'; END $$;;
CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE ON events
FOR EACH ROW EXECUTE FUNCTION refuse_log_change();;
CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_log_change()
""",
}


def upgrade() -> None:
    _tables()
    op.execute("INSERT INTO event_sequence (id, n) VALUES (1, 0)")
    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        _index_in_sqlite(bind)
    else:
        _run(bind, POSTGRESQL_WORDS)
    _run(bind, GUARDS[bind.dialect.name])


def _index_in_sqlite(bind: sa.Connection) -> None:
    version = tuple(map(int, bind.exec_driver_sql("SELECT sqlite_version()").scalar_one().split(".")))
    for name, is_open in (("open", 1), ("ended", 0)):
        _run(bind, CASE_WORDS.format(name, is_open))
        if version >= SECURE_SINCE:
            bind.exec_driver_sql(f"INSERT INTO words_{name} (words_{name}, rank) VALUES ('secure-delete', 1)")
    _run(bind, ARTICLE_WORDS)


def _run(bind: sa.Connection, statements: str) -> None:
    for statement in statements.split(";;"):
        bind.exec_driver_sql(statement)


def serial() -> Any:
    """Only INTEGER counts up by itself on SQLite."""
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def json() -> sa.JSON:
    return sa.JSON(none_as_null=True)


def moment() -> sa.DateTime:
    return sa.DateTime(timezone=True)


def partial_index(name: str, table: str, columns: list[Any], *, where: str, unique: bool = False) -> None:
    about = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=about, postgresql_where=about)


def _tables() -> None:
    op.create_table(
        "account_letters",
        sa.Column("id", serial(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("lang", sa.String(length=10), nullable=False),
        sa.Column("facts", json(), nullable=False),
        sa.Column("made_at", moment(), nullable=False),
        sa.Column("next_try_at", moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_letters")),
    )
    op.create_index(op.f("ix_account_letters_email"), "account_letters", ["email"])
    op.create_index(op.f("ix_account_letters_next_try_at"), "account_letters", ["next_try_at"])
    op.create_table(
        "addresses",
        sa.Column("id", serial(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("lat", sa.Double(), nullable=False),
        sa.Column("lon", sa.Double(), nullable=False),
        sa.Column("cell", sa.String(length=24), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_addresses")),
    )
    op.create_index(op.f("ix_addresses_cell"), "addresses", ["cell"])
    op.create_table(
        "areas",
        sa.Column("id", serial(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("geometry", json(), nullable=False),
        sa.Column("source_id", sa.String(length=80), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_areas")),
    )
    op.create_index(op.f("ix_areas_kind"), "areas", ["kind"])
    op.create_table(
        "assets",
        sa.Column("id", serial(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("number", sa.String(length=40), nullable=False),
        sa.Column("source_id", sa.String(length=80), nullable=True),
        sa.Column("owner", sa.String(length=80), nullable=False),
        sa.Column("lat", sa.Double(), nullable=False),
        sa.Column("lon", sa.Double(), nullable=False),
        sa.Column("cell", sa.String(length=24), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("retired_at", moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assets")),
    )
    op.create_index(op.f("ix_assets_cell"), "assets", ["cell"])
    op.create_index(op.f("ix_assets_number"), "assets", ["number"])
    partial_index(
        "uq_assets_number", "assets", ["kind", "owner", "number"], unique=True, where="retired_at IS NULL"
    )
    op.create_table(
        "backups",
        sa.Column("id", serial(), nullable=False),
        sa.Column("made_at", moment(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backups")),
    )
    op.create_table(
        "calendars",
        sa.Column("id", serial(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendars")),
        sa.UniqueConstraint("sha256", name=op.f("uq_calendars_sha256")),
    )
    op.create_table(
        "callers",
        sa.Column("id", serial(), nullable=False),
        sa.Column("phone", sa.String(length=20), nullable=False),
        sa.Column("lang", sa.String(length=10), nullable=False),
        sa.Column("called_at", moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callers")),
        sa.UniqueConstraint("phone", name=op.f("uq_callers_phone")),
    )
    op.create_index(op.f("ix_callers_called_at"), "callers", ["called_at"])
    op.create_table(
        "chain_tips",
        sa.Column("subject", sa.String(length=60), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_chain_tips")),
    )
    op.create_index(op.f("ix_chain_tips_seq"), "chain_tips", ["seq"])
    op.create_table(
        "city_versions",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("applied_at", moment(), nullable=False),
        sa.Column("applied_by", sa.String(length=40), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("changes", json(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_city_versions")),
    )
    op.create_table(
        "counters",
        sa.Column("year", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_counters")),
    )
    op.create_table(
        "daily_roots",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("prev", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_daily_roots")),
    )
    op.create_table(
        "departments",
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("names", json(), nullable=False),
        sa.Column("time_zone", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_departments")),
    )
    op.create_table(
        "epochs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("first_seq", sa.BigInteger(), nullable=False),
        sa.Column("at", moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_epochs")),
    )
    op.create_table(
        "erasures",
        sa.Column("id", serial(), nullable=False),
        sa.Column("report_id", sa.Integer(), nullable=True),
        sa.Column("key", sa.String(length=64), nullable=True),
        sa.Column("at", moment(), nullable=False),
        sa.Column("seqs", json(), nullable=False),
        sa.Column("photos", json(), nullable=False),
        sa.Column("gone_at", moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasures")),
    )
    op.create_index(op.f("ix_erasures_gone_at"), "erasures", ["gone_at"])
    op.create_index(op.f("ix_erasures_key"), "erasures", ["key"])
    op.create_table(
        "event_details",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("salt", sa.LargeBinary(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_event_details")),
    )
    op.create_table(
        "event_sequence",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_sequence")),
    )
    op.create_table(
        "events",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("subject", sa.String(length=60), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("was", sa.String(length=12), nullable=True),
        sa.Column("now", sa.String(length=12), nullable=True),
        sa.Column("actor", sa.String(length=40), nullable=False),
        sa.Column("at", moment(), nullable=False),
        sa.Column("at_device", moment(), nullable=True),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.Column("facts", json(), nullable=False),
        sa.Column("photos", json(), nullable=False),
        sa.Column("detail", sa.String(length=64), nullable=True),
        sa.Column("prev", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_events")),
        sa.UniqueConstraint("subject", "n", name=op.f("uq_events_subject")),
    )
    op.create_index("ix_events_at", "events", ["at"])
    op.create_table(
        "followers",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", moment(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_followers")),
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_idempotency_keys")),
    )
    op.create_table(
        "import_runs",
        sa.Column("id", serial(), nullable=False),
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("began_at", moment(), nullable=False),
        sa.Column("ended_at", moment(), nullable=True),
        sa.Column("counts", json(), nullable=False),
        sa.Column("undone_at", moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_runs")),
    )
    op.create_table(
        "intersections",
        sa.Column("id", serial(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("lat", sa.Double(), nullable=False),
        sa.Column("lon", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intersections")),
    )
    op.create_table(
        "landmarks",
        sa.Column("id", serial(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lat", sa.Double(), nullable=False),
        sa.Column("lon", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_landmarks")),
    )
    op.create_table(
        "login_codes",
        sa.Column("id", serial(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("seed", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("made_by", sa.String(length=40), nullable=False),
        sa.Column("known", sa.Boolean(), nullable=False),
        sa.Column("made_at", moment(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("used_at", moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_codes")),
    )
    op.create_index(op.f("ix_login_codes_email"), "login_codes", ["email"])
    op.create_table(
        "map_cell_counts",
        sa.Column("facet", sa.String(length=8), nullable=False),
        sa.Column("value", sa.String(length=40), nullable=False),
        sa.Column("quad", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("standing", sa.String(length=4), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("lat", sa.BigInteger(), nullable=False),
        sa.Column("lon", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("facet", "value", "quad", "standing", name=op.f("pk_map_cell_counts")),
    )
    partial_index(
        "ix_map_cell_counts_totals",
        "map_cell_counts",
        ["facet", "value", "quad", "standing"],
        where="quad < 0",
    )
    op.create_table(
        "owners",
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("names", json(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_owners")),
    )
    op.create_table(
        "persons",
        sa.Column("id", serial(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lang", sa.String(length=10), nullable=False),
        sa.Column("disabled_at", moment(), nullable=True),
        sa.Column("wants_late", sa.Boolean(), nullable=False),
        sa.Column("late_told_on", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_persons")),
        sa.UniqueConstraint("email", name=op.f("uq_persons_email")),
    )
    op.create_table(
        "rate_limit_hits",
        sa.Column("id", serial(), nullable=False),
        sa.Column("what", sa.String(length=10), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("at", moment(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rate_limit_hits")),
    )
    op.create_index("ix_rate_limit_hits_what_source_at", "rate_limit_hits", ["what", "source", "at"])
    op.create_table(
        "streets",
        sa.Column("id", serial(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("line", json(), nullable=False),
        sa.Column("source_id", sa.String(length=80), nullable=True),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("left_from", sa.Integer(), nullable=True),
        sa.Column("left_to", sa.Integer(), nullable=True),
        sa.Column("right_from", sa.Integer(), nullable=True),
        sa.Column("right_to", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_streets")),
    )
    op.create_table(
        "sync_feed",
        sa.Column("scope", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("ref", sa.String(length=40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.Column("why", sa.String(length=20), nullable=True),
        sa.PrimaryKeyConstraint("scope", "kind", "ref", name=op.f("pk_sync_feed")),
    )
    op.create_index("ix_sync_feed_scope_seq", "sync_feed", ["scope", "seq"])
    op.create_table(
        "tallies",
        sa.Column("facet", sa.String(length=10), nullable=False),
        sa.Column("month", sa.String(length=7), nullable=False),
        sa.Column("what", sa.String(length=20), nullable=False),
        sa.Column("value", sa.String(length=40), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("facet", "month", "what", "value", name=op.f("pk_tallies")),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", serial(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("made_at", moment(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", moment(), nullable=False),
        sa.Column("failing_since", moment(), nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.Column("dead_at", moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
        sa.UniqueConstraint("url", name=op.f("uq_webhooks_url")),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", serial(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.String(length=64), nullable=False),
        sa.Column("made_at", moment(), nullable=False),
        sa.Column("made_by_id", serial(), nullable=True),
        sa.Column("revoked_at", moment(), nullable=True),
        sa.Column("scopes", json(), nullable=False),
        sa.Column("hourly", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["made_by_id"], ["persons.id"], name=op.f("fk_api_keys_made_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
        sa.UniqueConstraint("key_hash", name=op.f("uq_api_keys_key_hash")),
    )
    op.create_table(
        "batches",
        sa.Column("id", serial(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("person_id", serial(), nullable=False),
        sa.Column("at", moment(), nullable=False),
        sa.Column("act", sa.String(length=20), nullable=False),
        sa.Column("what", json(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("same", sa.Integer(), nullable=False),
        sa.Column("refused", json(), nullable=False),
        sa.Column("undone_at", moment(), nullable=True),
        sa.Column("undone_by_id", serial(), nullable=True),
        sa.Column("left", json(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_batches_person_id")),
        sa.ForeignKeyConstraint(["undone_by_id"], ["persons.id"], name=op.f("fk_batches_undone_by_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
        sa.UniqueConstraint("digest", name=op.f("uq_batches_digest")),
    )
    op.create_index("ix_batches_person_id_at", "batches", ["person_id", "at"])
    op.create_table(
        "crews",
        sa.Column("id", serial(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("department_code", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(
            ["department_code"], ["departments.code"], name=op.f("fk_crews_department_code")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_crews")),
        sa.UniqueConstraint("name", name=op.f("uq_crews_name")),
    )
    op.create_table(
        "daily_root_tips",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("subject", sa.String(length=60), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["day"], ["daily_roots.day"], name=op.f("fk_daily_root_tips_day")),
        sa.PrimaryKeyConstraint("day", "subject", name=op.f("pk_daily_root_tips")),
    )
    op.create_table(
        "devices",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("person_id", serial(), nullable=True),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("next_hash", sa.Text(), nullable=True),
        sa.Column("token_at", moment(), nullable=True),
        sa.Column("signed_in_at", moment(), nullable=True),
        sa.Column("enrolled_at", moment(), nullable=False),
        sa.Column("seen_at", moment(), nullable=False),
        sa.Column("release", sa.String(length=80), nullable=False),
        sa.Column("waiting", json(), nullable=False),
        sa.Column("pack", json(), nullable=False),
        sa.Column("revoked_at", moment(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_devices_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_devices")),
    )
    op.create_index(op.f("ix_devices_next_hash"), "devices", ["next_hash"])
    op.create_index(op.f("ix_devices_person_id"), "devices", ["person_id"])
    op.create_index(op.f("ix_devices_token_hash"), "devices", ["token_hash"])
    op.create_table(
        "person_roles",
        sa.Column("person_id", serial(), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_person_roles_person_id")),
        sa.PrimaryKeyConstraint("person_id", "role", name=op.f("pk_person_roles")),
    )
    op.create_table(
        "saved_views",
        sa.Column("id", serial(), nullable=False),
        sa.Column("person_id", serial(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("args", json(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("made_at", moment(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_saved_views_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_saved_views")),
    )
    op.create_index(op.f("ix_saved_views_person_id"), "saved_views", ["person_id"])
    op.create_index(op.f("ix_saved_views_shared"), "saved_views", ["shared"])
    op.create_table(
        "services",
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("group", sa.String(length=40), nullable=False),
        sa.Column("names", json(), nullable=False),
        sa.Column("chips", json(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("department_code", sa.String(length=40), nullable=False),
        sa.Column("promise_days", sa.Integer(), nullable=False),
        sa.Column("promise_hours", sa.Integer(), nullable=True),
        sa.Column("calendar_id", serial(), nullable=True),
        sa.Column("questions", json(), nullable=False),
        sa.Column("asset_kind", sa.Text(), nullable=True),
        sa.Column("precision_m", sa.Integer(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("office", sa.Boolean(), nullable=False),
        sa.Column("hazard", json(), nullable=True),
        sa.Column("often", sa.Double(), nullable=False),
        sa.Column("many", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["calendar_id"], ["calendars.id"], name=op.f("fk_services_calendar_id")),
        sa.ForeignKeyConstraint(
            ["department_code"], ["departments.code"], name=op.f("fk_services_department_code")
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_services")),
    )
    op.create_table(
        "topics",
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("names", json(), nullable=False),
        sa.Column("department_code", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(
            ["department_code"], ["departments.code"], name=op.f("fk_topics_department_code")
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_topics")),
    )
    op.create_table(
        "articles",
        sa.Column("id", serial(), nullable=False),
        sa.Column("slug", sa.String(length=80), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("department_code", sa.String(length=40), nullable=False),
        sa.Column("topic_code", sa.String(length=40), nullable=False),
        sa.Column("services", json(), nullable=False),
        sa.Column("review_on", sa.Date(), nullable=False),
        sa.ForeignKeyConstraint(
            ["department_code"], ["departments.code"], name=op.f("fk_articles_department_code")
        ),
        sa.ForeignKeyConstraint(["topic_code"], ["topics.code"], name=op.f("fk_articles_topic_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_articles")),
        sa.UniqueConstraint("slug", name=op.f("uq_articles_slug")),
    )
    op.create_index(op.f("ix_articles_topic_code"), "articles", ["topic_code"])
    op.create_table(
        "cases",
        sa.Column("id", serial(), nullable=False),
        sa.Column("number", sa.String(length=20), nullable=False),
        sa.Column("service_code", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("lat", sa.Double(), nullable=True),
        sa.Column("lon", sa.Double(), nullable=True),
        sa.Column("accuracy_m", sa.Double(), nullable=True),
        sa.Column("place_source", sa.String(length=10), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("cell", sa.String(length=24), nullable=True),
        sa.Column("asset_id", serial(), nullable=True),
        sa.Column("urgent", sa.Boolean(), nullable=False),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.Column("opened_at", moment(), nullable=False),
        sa.Column("clock_from", moment(), nullable=False),
        sa.Column("promise_days", sa.Integer(), nullable=False),
        sa.Column("promise_hours", sa.Integer(), nullable=True),
        sa.Column("calendar_id", serial(), nullable=True),
        sa.Column("promised_at", moment(), nullable=True),
        sa.Column("due_at", moment(), nullable=False),
        sa.Column("risk_at", moment(), nullable=False),
        sa.Column("warned", sa.String(length=10), nullable=True),
        sa.Column("closed_at", moment(), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("follow_on", sa.Boolean(), nullable=False),
        sa.Column("review", sa.String(length=20), nullable=True),
        sa.Column("merged_into_id", serial(), nullable=True),
        sa.Column("merged_from", sa.String(length=12), nullable=True),
        sa.Column("merged_crew_id", serial(), nullable=True),
        sa.Column("merged_started_at", moment(), nullable=True),
        sa.Column("linked_to_id", serial(), nullable=True),
        sa.Column("twin_id", serial(), nullable=True),
        sa.Column("raised", sa.Boolean(), nullable=False),
        sa.Column("standing", sa.String(length=4), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("crew_id", serial(), nullable=True),
        sa.Column("area_id", serial(), nullable=True),
        sa.Column("quad", sa.BigInteger(), nullable=True),
        sa.Column("counted", json(), nullable=True),
        sa.Column("cleared_at", moment(), nullable=True),
        sa.ForeignKeyConstraint(
            ["area_id"], ["areas.id"], name=op.f("fk_cases_area_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_cases_asset_id")),
        sa.ForeignKeyConstraint(["calendar_id"], ["calendars.id"], name=op.f("fk_cases_calendar_id")),
        sa.ForeignKeyConstraint(["crew_id"], ["crews.id"], name=op.f("fk_cases_crew_id")),
        sa.ForeignKeyConstraint(["linked_to_id"], ["cases.id"], name=op.f("fk_cases_linked_to_id")),
        sa.ForeignKeyConstraint(["merged_crew_id"], ["crews.id"], name=op.f("fk_cases_merged_crew_id")),
        sa.ForeignKeyConstraint(["merged_into_id"], ["cases.id"], name=op.f("fk_cases_merged_into_id")),
        sa.ForeignKeyConstraint(["service_code"], ["services.code"], name=op.f("fk_cases_service_code")),
        sa.ForeignKeyConstraint(
            ["twin_id"], ["cases.id"], name=op.f("fk_cases_twin_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
        sa.UniqueConstraint("number", name=op.f("uq_cases_number")),
    )
    op.create_index("ix_cases_cell_opened_at", "cases", ["cell", "opened_at"])
    op.create_index(op.f("ix_cases_due_at"), "cases", ["due_at"])
    partial_index("ix_cases_ended_closed", "cases", ["state", "closed_at", "id"], where="rank = 4")
    partial_index(
        "ix_cases_ended_nowhere", "cases", ["state", "closed_at", "id"], where="rank = 4 AND quad IS NULL"
    )
    partial_index("ix_cases_ended_opened", "cases", ["state", "opened_at", "id"], where="rank = 4")
    op.create_index(op.f("ix_cases_merged_into_id"), "cases", ["merged_into_id"])
    partial_index("ix_cases_open_area", "cases", ["area_id", "rank", "due_at", "id"], where="rank < 4")
    partial_index("ix_cases_open_crew", "cases", ["crew_id", "rank", "due_at", "id"], where="rank < 4")
    partial_index("ix_cases_open_due", "cases", ["standing", "due_at"], where="rank < 4")
    partial_index("ix_cases_open_number", "cases", ["number", "id"], where="rank < 4")
    partial_index("ix_cases_open_opened", "cases", ["opened_at", "id"], where="rank < 4")
    partial_index("ix_cases_open_quad", "cases", ["quad"], where="rank < 4")
    partial_index("ix_cases_open_queue", "cases", ["rank", "due_at", "id"], where="rank < 4")
    partial_index("ix_cases_open_risk", "cases", ["standing", "risk_at"], where="rank < 4")
    partial_index(
        "ix_cases_open_service", "cases", ["service_code", "rank", "due_at", "id"], where="rank < 4"
    )
    partial_index("ix_cases_open_standing", "cases", ["standing", "rank", "due_at", "id"], where="rank < 4")
    partial_index("ix_cases_open_state", "cases", ["state", "rank", "due_at", "id"], where="rank < 4")
    partial_index("ix_cases_open_warned", "cases", ["warned", "standing", "due_at"], where="rank < 4")
    op.create_index(op.f("ix_cases_review"), "cases", ["review"])
    op.create_index(op.f("ix_cases_state"), "cases", ["state"])
    op.create_index(op.f("ix_cases_twin_id"), "cases", ["twin_id"])
    op.create_table(
        "crew_members",
        sa.Column("crew_id", serial(), nullable=False),
        sa.Column("person_id", serial(), nullable=False),
        sa.ForeignKeyConstraint(["crew_id"], ["crews.id"], name=op.f("fk_crew_members_crew_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_crew_members_person_id")),
        sa.PrimaryKeyConstraint("crew_id", "person_id", name=op.f("pk_crew_members")),
    )
    op.create_table(
        "enrolment_codes",
        sa.Column("id", serial(), nullable=False),
        sa.Column("person_id", serial(), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("made_at", moment(), nullable=False),
        sa.Column("used_at", moment(), nullable=True),
        sa.Column("attempt_hash", sa.String(length=64), nullable=True),
        sa.Column("device_id", sa.String(length=36), nullable=True),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_enrolment_codes_device_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_enrolment_codes_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment_codes")),
    )
    op.create_index(op.f("ix_enrolment_codes_code_hash"), "enrolment_codes", ["code_hash"])
    op.create_index(op.f("ix_enrolment_codes_person_id"), "enrolment_codes", ["person_id"])
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("person_id", serial(), nullable=False),
        sa.Column("device_id", sa.String(length=36), nullable=True),
        sa.Column("began_at", moment(), nullable=False),
        sa.Column("until", moment(), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_sessions_device_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_sessions_person_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_person_id"), "sessions", ["person_id"])
    op.create_index(op.f("ix_sessions_until"), "sessions", ["until"])
    op.create_table(
        "article_texts",
        sa.Column("answer_id", serial(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("lang", sa.String(length=10), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("script", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["answer_id"], ["articles.id"], name=op.f("fk_article_texts_answer_id")),
        sa.PrimaryKeyConstraint("answer_id", "version", "lang", name=op.f("pk_article_texts")),
    )
    op.create_table(
        "article_votes",
        sa.Column("answer_id", serial(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("helpful", sa.Integer(), nullable=False),
        sa.Column("unhelpful", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["answer_id"], ["articles.id"], name=op.f("fk_article_votes_answer_id")),
        sa.PrimaryKeyConstraint("answer_id", "version", name=op.f("pk_article_votes")),
    )
    op.create_table(
        "article_words",
        sa.Column("id", serial(), nullable=False),
        sa.Column("answer_id", serial(), nullable=False),
        sa.Column("lang", sa.String(length=10), nullable=False),
        sa.Column("stems", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["answer_id"], ["articles.id"], name=op.f("fk_article_words_answer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_article_words")),
        sa.UniqueConstraint("answer_id", "lang", name=op.f("uq_article_words_answer_id")),
    )
    op.create_table(
        "assignments",
        sa.Column("id", serial(), nullable=False),
        sa.Column("case_id", serial(), nullable=False),
        sa.Column("crew_id", serial(), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("given_at", moment(), nullable=False),
        sa.Column("started_at", moment(), nullable=True),
        sa.Column("ended_at", moment(), nullable=True),
        sa.Column("ended_why", sa.String(length=20), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_assignments_case_id")),
        sa.ForeignKeyConstraint(["crew_id"], ["crews.id"], name=op.f("fk_assignments_crew_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assignments")),
    )
    op.create_index(op.f("ix_assignments_case_id"), "assignments", ["case_id"])
    op.create_index(op.f("ix_assignments_crew_id"), "assignments", ["crew_id"])
    partial_index("uq_assignments_live", "assignments", ["case_id"], unique=True, where="ended_at IS NULL")
    op.create_table(
        "batch_items",
        sa.Column("batch_id", serial(), nullable=False),
        sa.Column("case_id", serial(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("was", json(), nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_batch_items_batch_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_batch_items_case_id")),
        sa.PrimaryKeyConstraint("batch_id", "case_id", name=op.f("pk_batch_items")),
    )
    op.create_table(
        "case_tags",
        sa.Column("case_id", serial(), nullable=False),
        sa.Column("tag", sa.String(length=40), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_case_tags_case_id")),
        sa.PrimaryKeyConstraint("case_id", "tag", name=op.f("pk_case_tags")),
    )
    op.create_index("ix_case_tags_tag_case_id", "case_tags", ["tag", "case_id"])
    op.create_table(
        "case_words",
        sa.Column("case_id", serial(), autoincrement=False, nullable=False),
        sa.Column("open", sa.Boolean(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("street", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_case_words_case_id")),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_case_words")),
    )
    op.create_index("ix_case_words_street", "case_words", ["open", "street", "case_id"])
    op.create_table(
        "closures",
        sa.Column("id", serial(), nullable=False),
        sa.Column("case_id", serial(), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("no_photo", sa.String(length=20), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("reply", json(), nullable=True),
        sa.Column("crew_id", serial(), nullable=True),
        sa.Column("person_id", serial(), nullable=True),
        sa.Column("done_at", moment(), nullable=False),
        sa.Column("closed_at", moment(), nullable=False),
        sa.Column("unproven_at", moment(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_closures_case_id")),
        sa.ForeignKeyConstraint(["crew_id"], ["crews.id"], name=op.f("fk_closures_crew_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_closures_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_closures")),
        sa.UniqueConstraint("case_id", "cycle", name=op.f("uq_closures_case_id")),
    )
    op.create_table(
        "contacts",
        sa.Column("id", serial(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("began_at", moment(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("topic_code", sa.String(length=40), nullable=False),
        sa.Column("lang", sa.String(length=10), nullable=False),
        sa.Column("outcome", sa.String(length=12), nullable=False),
        sa.Column("person_id", serial(), nullable=True),
        sa.Column("case_id", serial(), nullable=True),
        sa.Column("answer_id", serial(), nullable=True),
        sa.Column("transferred_to", sa.String(length=40), nullable=True),
        sa.Column("instead_of", sa.String(length=40), nullable=True),
        sa.Column("caller_id", serial(), nullable=True),
        sa.Column("reply_by", sa.String(length=10), nullable=False),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.ForeignKeyConstraint(["answer_id"], ["articles.id"], name=op.f("fk_contacts_answer_id")),
        sa.ForeignKeyConstraint(["caller_id"], ["callers.id"], name=op.f("fk_contacts_caller_id")),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_contacts_case_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_contacts_person_id")),
        sa.ForeignKeyConstraint(["topic_code"], ["topics.code"], name=op.f("fk_contacts_topic_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contacts")),
        sa.UniqueConstraint("key", name=op.f("uq_contacts_key")),
    )
    op.create_index(op.f("ix_contacts_began_at"), "contacts", ["began_at"])
    op.create_index(op.f("ix_contacts_caller_id"), "contacts", ["caller_id"])
    op.create_index(op.f("ix_contacts_case_id"), "contacts", ["case_id"])
    op.create_table(
        "failed_searches",
        sa.Column("id", serial(), nullable=False),
        sa.Column("key", sa.String(length=300), nullable=False),
        sa.Column("lang", sa.String(length=10), nullable=False),
        sa.Column("words", sa.String(length=120), nullable=False),
        sa.Column("answer_id", serial(), nullable=True),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("first_at", moment(), nullable=False),
        sa.Column("last_at", moment(), nullable=False),
        sa.Column("settled_at", moment(), nullable=True),
        sa.ForeignKeyConstraint(["answer_id"], ["articles.id"], name=op.f("fk_failed_searches_answer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failed_searches")),
        sa.UniqueConstraint("key", name=op.f("uq_failed_searches_key")),
    )
    op.create_index(op.f("ix_failed_searches_last_at"), "failed_searches", ["last_at"])
    op.create_table(
        "import_changes",
        sa.Column("run_id", serial(), nullable=False),
        sa.Column("case_id", serial(), nullable=False),
        sa.Column("was", json(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_import_changes_case_id")),
        sa.ForeignKeyConstraint(["run_id"], ["import_runs.id"], name=op.f("fk_import_changes_run_id")),
        sa.PrimaryKeyConstraint("run_id", "case_id", name=op.f("pk_import_changes")),
    )
    op.create_index(op.f("ix_import_changes_case_id"), "import_changes", ["case_id"])
    op.create_table(
        "imported",
        sa.Column("source", sa.String(length=40), nullable=False),
        sa.Column("ref", sa.String(length=80), nullable=False),
        sa.Column("run_id", serial(), nullable=False),
        sa.Column("case_id", serial(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_imported_case_id")),
        sa.ForeignKeyConstraint(["run_id"], ["import_runs.id"], name=op.f("fk_imported_run_id")),
        sa.PrimaryKeyConstraint("source", "ref", name=op.f("pk_imported")),
    )
    op.create_index(op.f("ix_imported_case_id"), "imported", ["case_id"])
    op.create_index(op.f("ix_imported_ref"), "imported", ["ref"])
    op.create_index(op.f("ix_imported_run_id"), "imported", ["run_id"])
    op.create_table(
        "legal_holds",
        sa.Column("case_id", serial(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("placed_at", moment(), nullable=False),
        sa.Column("placed_by_id", serial(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_legal_holds_case_id")),
        sa.ForeignKeyConstraint(["placed_by_id"], ["persons.id"], name=op.f("fk_legal_holds_placed_by_id")),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_legal_holds")),
    )
    op.create_table(
        "not_duplicates",
        sa.Column("case_id", serial(), nullable=False),
        sa.Column("other_id", serial(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_not_duplicates_case_id")),
        sa.ForeignKeyConstraint(["other_id"], ["cases.id"], name=op.f("fk_not_duplicates_other_id")),
        sa.PrimaryKeyConstraint("case_id", "other_id", name=op.f("pk_not_duplicates")),
    )
    op.create_index(op.f("ix_not_duplicates_other_id"), "not_duplicates", ["other_id"])
    op.create_table(
        "pauses",
        sa.Column("id", serial(), nullable=False),
        sa.Column("case_id", serial(), nullable=False),
        sa.Column("why", sa.String(length=20), nullable=False),
        sa.Column("began_at", moment(), nullable=False),
        sa.Column("ended_at", moment(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_pauses_case_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pauses")),
    )
    op.create_index(op.f("ix_pauses_case_id"), "pauses", ["case_id"])
    op.create_table(
        "reports",
        sa.Column("id", serial(), nullable=False),
        sa.Column("number", sa.String(length=24), nullable=False),
        sa.Column("case_id", serial(), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("service_code", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=10), nullable=False),
        sa.Column("lang", sa.String(length=10), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("answers", json(), nullable=False),
        sa.Column("lat", sa.Double(), nullable=True),
        sa.Column("lon", sa.Double(), nullable=True),
        sa.Column("accuracy_m", sa.Double(), nullable=True),
        sa.Column("place_source", sa.String(length=10), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("danger", sa.Boolean(), nullable=False),
        sa.Column("taken_at", moment(), nullable=False),
        sa.Column("at_device", moment(), nullable=True),
        sa.Column("origin", sa.String(length=10), nullable=False),
        sa.Column("shown_at", moment(), nullable=True),
        sa.Column("erased_at", moment(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_reports_case_id")),
        sa.ForeignKeyConstraint(["service_code"], ["services.code"], name=op.f("fk_reports_service_code")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reports")),
        sa.UniqueConstraint("key", name=op.f("uq_reports_key")),
        sa.UniqueConstraint("number", name=op.f("uq_reports_number")),
    )
    op.create_index(op.f("ix_reports_case_id"), "reports", ["case_id"])
    op.create_table(
        "sync_operations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("device_id", sa.String(length=36), nullable=False),
        sa.Column("person_id", serial(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("t", sa.String(length=20), nullable=False),
        sa.Column("case_ref", sa.String(length=40), nullable=False),
        sa.Column("prev", sa.String(length=36), nullable=True),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("result", json(), nullable=False),
        sa.Column("code", sa.String(length=12), nullable=False),
        sa.Column("case_id", serial(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("raw", sa.Text(), nullable=True),
        sa.Column("review", sa.String(length=20), nullable=True),
        sa.Column("received_at", moment(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_sync_operations_case_id")),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_sync_operations_device_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_sync_operations_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_operations")),
    )
    op.create_index(op.f("ix_sync_operations_device_id"), "sync_operations", ["device_id"])
    partial_index(
        "ix_sync_operations_not_done",
        "sync_operations",
        ["received_at"],
        where="code IN ('held', 'deposited')",
    )
    partial_index("ix_sync_operations_review", "sync_operations", ["received_at"], where="review IS NOT NULL")
    op.create_table(
        "viewers",
        sa.Column("case_id", serial(), nullable=False),
        sa.Column("person_id", serial(), nullable=False),
        sa.Column("seen_at", moment(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_viewers_case_id")),
        sa.ForeignKeyConstraint(["person_id"], ["persons.id"], name=op.f("fk_viewers_person_id")),
        sa.PrimaryKeyConstraint("case_id", "person_id", name=op.f("pk_viewers")),
    )
    op.create_table(
        "not_fixed",
        sa.Column("id", serial(), nullable=False),
        sa.Column("case_id", serial(), nullable=False),
        sa.Column("report_id", serial(), nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.Column("said_at", moment(), nullable=False),
        sa.Column("led_to", sa.String(length=12), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_not_fixed_case_id")),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name=op.f("fk_not_fixed_report_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_not_fixed")),
        sa.UniqueConstraint("report_id", "case_id", "cycle", name=op.f("uq_not_fixed_report_id")),
    )
    op.create_index(op.f("ix_not_fixed_case_id"), "not_fixed", ["case_id"])
    op.create_table(
        "photo_downloads",
        sa.Column("id", serial(), nullable=False),
        sa.Column("report_id", serial(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", moment(), nullable=False),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name=op.f("fk_photo_downloads_report_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_photo_downloads")),
    )
    op.create_index(op.f("ix_photo_downloads_next_try_at"), "photo_downloads", ["next_try_at"])
    op.create_index(op.f("ix_photo_downloads_report_id"), "photo_downloads", ["report_id"])
    op.create_table(
        "photos",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("staged_for", sa.String(length=80), nullable=False),
        sa.Column("upload_sha256", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("sizes", json(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.Column("added_at", moment(), nullable=False),
        sa.Column("stored_at", moment(), nullable=True),
        sa.Column("report_id", serial(), nullable=True),
        sa.Column("case_id", serial(), nullable=True),
        sa.Column("cycle", sa.Integer(), nullable=True),
        sa.Column("closure_id", serial(), nullable=True),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_photos_case_id")),
        sa.ForeignKeyConstraint(["closure_id"], ["closures.id"], name=op.f("fk_photos_closure_id")),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name=op.f("fk_photos_report_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_photos")),
        sa.UniqueConstraint("staged_for", "upload_sha256", name=op.f("uq_photos_staged_for")),
    )
    op.create_index(op.f("ix_photos_case_id"), "photos", ["case_id"])
    op.create_index(op.f("ix_photos_report_id"), "photos", ["report_id"])
    op.create_index(op.f("ix_photos_sha256"), "photos", ["sha256"])
    op.create_index(op.f("ix_photos_staged_for"), "photos", ["staged_for"])
    partial_index("ix_photos_unstored", "photos", ["added_at"], where="stored_at IS NULL")
    op.create_table(
        "secret_links",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("report_id", serial(), nullable=False),
        sa.Column("made_at", moment(), nullable=False),
        sa.Column("revoked_at", moment(), nullable=True),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name=op.f("fk_secret_links_report_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_secret_links")),
    )
    op.create_index(op.f("ix_secret_links_report_id"), "secret_links", ["report_id"])
    op.create_table(
        "subscriptions",
        sa.Column("id", serial(), nullable=False),
        sa.Column("report_id", serial(), nullable=True),
        sa.Column("case_id", serial(), nullable=True),
        sa.Column("place", sa.String(length=200), nullable=True),
        sa.Column("place_name", sa.String(length=200), nullable=False),
        sa.Column("weekly", sa.Boolean(), nullable=False),
        sa.Column("told_seq", sa.BigInteger(), nullable=False),
        sa.Column("told_on", sa.Date(), nullable=True),
        sa.Column("channel", sa.String(length=8), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("keys", json(), nullable=True),
        sa.Column("lang", sa.String(length=10), nullable=False),
        sa.Column("asked_at", moment(), nullable=False),
        sa.Column("confirmed_at", moment(), nullable=True),
        sa.Column("stopped_at", moment(), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_subscriptions_case_id")),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name=op.f("fk_subscriptions_report_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
        sa.UniqueConstraint("report_id", "address", name=op.f("uq_subscriptions_report_id")),
    )
    op.create_index(op.f("ix_subscriptions_address"), "subscriptions", ["address"])
    op.create_index("ix_subscriptions_case_id", "subscriptions", ["case_id", "address"], unique=True)
    op.create_index("ix_subscriptions_place", "subscriptions", ["place", "address"], unique=True)
    op.create_table(
        "expected_photos",
        sa.Column("operation_id", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("device_id", sa.String(length=36), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("declared_at", moment(), nullable=False),
        sa.Column("case_id", serial(), nullable=True),
        sa.Column("cycle", sa.Integer(), nullable=True),
        sa.Column("closure_id", serial(), nullable=True),
        sa.Column("report_id", serial(), nullable=True),
        sa.Column("photo_id", sa.String(length=36), nullable=True),
        sa.Column("fault", sa.String(length=20), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_expected_photos_case_id")),
        sa.ForeignKeyConstraint(["closure_id"], ["closures.id"], name=op.f("fk_expected_photos_closure_id")),
        sa.ForeignKeyConstraint(["device_id"], ["devices.id"], name=op.f("fk_expected_photos_device_id")),
        sa.ForeignKeyConstraint(
            ["operation_id"], ["sync_operations.id"], name=op.f("fk_expected_photos_operation_id")
        ),
        sa.ForeignKeyConstraint(["photo_id"], ["photos.id"], name=op.f("fk_expected_photos_photo_id")),
        sa.ForeignKeyConstraint(["report_id"], ["reports.id"], name=op.f("fk_expected_photos_report_id")),
        sa.PrimaryKeyConstraint("operation_id", "id", name=op.f("pk_expected_photos")),
    )
    op.create_index(op.f("ix_expected_photos_closure_id"), "expected_photos", ["closure_id"])
    op.create_index("ix_expected_photos_device_id", "expected_photos", ["device_id", "id"])
    partial_index(
        "ix_expected_photos_missing",
        "expected_photos",
        ["device_id", "declared_at"],
        where="photo_id IS NULL",
    )
    op.create_index(op.f("ix_expected_photos_photo_id"), "expected_photos", ["photo_id"])
    op.create_index(op.f("ix_expected_photos_report_id"), "expected_photos", ["report_id"])
    op.create_table(
        "messages",
        sa.Column("id", serial(), nullable=False),
        sa.Column("event_seq", sa.BigInteger(), nullable=False),
        sa.Column("subscription_id", serial(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("closure_id", serial(), nullable=True),
        sa.Column("cases", json(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try_at", moment(), nullable=True),
        sa.Column("sent_at", moment(), nullable=True),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["closure_id"], ["closures.id"], name=op.f("fk_messages_closure_id")),
        sa.ForeignKeyConstraint(
            ["subscription_id"], ["subscriptions.id"], name=op.f("fk_messages_subscription_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("event_seq", "subscription_id", "kind", name=op.f("uq_messages_event_seq")),
    )
    op.create_index(op.f("ix_messages_closure_id"), "messages", ["closure_id"])
    op.create_index(op.f("ix_messages_next_try_at"), "messages", ["next_try_at"])
    op.create_index(op.f("ix_messages_subscription_id"), "messages", ["subscription_id"])
