"""A city without topics has one for each department"""

from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Its file, which is read anew at each start, says so by itself; only a changed one writes the rows.
    op.execute(
        "INSERT INTO topics (code, names, department_code) "
        "SELECT code, names, code FROM departments WHERE NOT EXISTS (SELECT 1 FROM topics)"
    )


def downgrade() -> None:
    pass  # contacts may name them
