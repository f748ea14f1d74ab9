"""A skip that nobody allowed fails the run, and every skip is named below pytest's closing line."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
A_SKIP = "import pytest\n\ndef test_a(): pass\n\ndef test_b(): pytest.skip('no moon tonight')\n"


@pytest.mark.parametrize(
    ("workers", "allowed", "code", "verdict"),
    [
        (0, "# nothing", 1, " (not allowed by tests/skips.txt)"),
        (2, "# nothing", 1, " (not allowed by tests/skips.txt)"),
        (0, "*: no moon*", 0, ""),
        (0, "test_moon.py::test_b: *", 0, ""),
    ],
)
@pytest.mark.slow
def test_a_skip_passes_only_where_it_is_listed(
    workers: int, allowed: str, code: int, verdict: str, tmp_path: Path
) -> None:
    shutil.copy(TESTS / "skips.py", tmp_path)
    (tmp_path / "skips.txt").write_text(allowed)
    (tmp_path / "test_moon.py").write_text(A_SKIP)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *f"--rootdir . -p no:cacheprovider -p skips -n {workers}".split()],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    closing, named = done.stdout.splitlines()[-2:]
    assert (done.returncode, named) == (code, f"skipped{verdict}: test_moon.py::test_b: no moon tonight")
    assert "1 passed, 1 skipped" in closing
