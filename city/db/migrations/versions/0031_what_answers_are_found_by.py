"""What answers are found by, with indexes of both databases; who was helped; what nobody answers"""

import re
import unicodedata
from collections.abc import Iterator

import snowballstemmer
import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

# Contentless: the words stand in answer_words, and are handed over again when they go.
INDEX = """
CREATE VIRTUAL TABLE words_answers USING fts5(stems, content='', detail=none, tokenize='ascii')
"""
TRIGGERS = """
CREATE TRIGGER answer_words_come AFTER INSERT ON answer_words BEGIN
  INSERT INTO words_answers (rowid, stems) VALUES (new.id, new.stems);
END;
CREATE TRIGGER answer_words_go AFTER DELETE ON answer_words BEGIN
  INSERT INTO words_answers (words_answers, rowid, stems) VALUES ('delete', old.id, old.stems);
END;
CREATE TRIGGER answer_words_change AFTER UPDATE ON answer_words BEGIN
  INSERT INTO words_answers (words_answers, rowid, stems) VALUES ('delete', old.id, old.stems);
  INSERT INTO words_answers (rowid, stems) VALUES (new.id, new.stems);
END;
"""
# PostgreSQL takes this for a trifle, and would rather do it for every text there is than ask the index.
LEXEMES = """
CREATE FUNCTION answer_lexemes(words text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 1000
AS $$ BEGIN RETURN array_to_tsvector(string_to_array(words, ' ')); END $$
"""
LONGEST = 40
STEMMED = {
    "de": "german", "en": "english", "es": "spanish", "fr": "french", "it": "italian", "nl": "dutch",
    "pl": "polish", "pt": "portuguese", "ru": "russian",
}  # fmt: skip
MARKS = {"title": "¹", "script": "²", "body": ""}


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    words = op.create_table(
        "answer_words",
        sa.Column("id", number, nullable=False),
        sa.Column("answer_id", number, nullable=False),
        sa.Column("lang", sa.String(10), nullable=False),
        sa.Column("stems", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["answer_id"], ["answers.id"], name=op.f("fk_answer_words_answer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_answer_words")),
        sa.UniqueConstraint("answer_id", "lang", name=op.f("uq_answer_words_answer_id")),
    )
    op.create_table(
        "answer_votes",
        sa.Column("answer_id", number, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("helpful", sa.Integer(), nullable=False),
        sa.Column("unhelpful", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["answer_id"], ["answers.id"], name=op.f("fk_answer_votes_answer_id")),
        sa.PrimaryKeyConstraint("answer_id", "version", name=op.f("pk_answer_votes")),
    )
    op.create_table(
        "unanswered",
        sa.Column("id", number, nullable=False),
        sa.Column("key", sa.String(300), nullable=False),
        sa.Column("lang", sa.String(10), nullable=False),
        sa.Column("words", sa.String(120), nullable=False),
        sa.Column("answer_id", number, nullable=True),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["answer_id"], ["answers.id"], name=op.f("fk_unanswered_answer_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_unanswered")),
        sa.UniqueConstraint("key", name=op.f("uq_unanswered_key")),
    )
    op.create_index(op.f("ix_unanswered_last_at"), "unanswered", ["last_at"])
    bind = op.get_bind()
    if bind.dialect.name == "sqlite":
        bind.exec_driver_sql(INDEX)
        for trigger in TRIGGERS.strip().split("END;"):
            if trigger.strip():
                bind.exec_driver_sql(f"{trigger} END")
    # On PostgreSQL an index is made faster over rows that are there, on SQLite its triggers must fill it.
    _fill(bind, words)
    if bind.dialect.name == "postgresql":
        op.execute(LEXEMES)
        # Read a thousand times as often as written: a list of what is not yet in order would cost more.
        op.execute(
            "CREATE INDEX ix_answer_words_stems ON answer_words USING gin (answer_lexemes(stems)) "
            "WITH (fastupdate = off)"
        )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE words_answers")
    for name in ("unanswered", "answer_votes", "answer_words"):
        op.drop_table(name)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION answer_lexemes(text)")


def _fill(connection: sa.Connection, table: sa.Table) -> None:
    """Reads what every shown answer is found by now, as answers/search.py did when this was written."""
    texts = connection.execute(
        sa.text(
            "SELECT answers.id, lang, title, script, body FROM answers JOIN answer_texts "
            "ON answer_texts.answer_id = answers.id AND answer_texts.version = answers.version "
            "WHERE answers.state = 'published' ORDER BY answers.id, lang"
        )
    ).all()
    stemmers = {lang: snowballstemmer.stemmer(name) for lang, name in STEMMED.items()}
    for row in texts:
        marked: dict[str, str] = {}
        words: dict[str, None] = {}
        for place, mark in MARKS.items():
            for word in _folded(_unlinked(getattr(row, place)) if place == "body" else getattr(row, place)):
                words[word] = None
                marked.setdefault(stemmers[row.lang].stemWord(word) if row.lang in stemmers else word, mark)
        stems = " ".join(mark + word for word, mark in marked.items())
        found = {"answer_id": row.id, "lang": row.lang, "stems": stems, "words": " ".join(words)}
        connection.execute(sa.insert(table), [found])


def _folded(told: str) -> Iterator[str]:
    plain = unicodedata.normalize("NFKD", told.casefold())
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    for word in re.findall(r"[^\W_]+", plain.replace("'", "").replace("’", "")):
        yield word[:LONGEST]


def _unlinked(body: str) -> str:
    return re.sub(r"\]\((?:[^)\]]|\](?!\())*\)", "]", body)
