"""`.ci/twice.py`, which `make test` runs: what failed runs once more, alone, and then decides."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "twice.py"
OPTIONS = ("-p", "xdist", "-n", "2", "--dist", "worksteal", "-q", "-k", "not unwanted")
ALONE = "passed alone, after failing beside the others: a defect of the test to mend"
PASSES = "def test_passes(): pass\ndef test_unwanted(): assert False\n"
FAILS = "def test_fails(): assert False\n"
FAILS_ONCE = """
from pathlib import Path
def test_fails_once():
    failed = Path("failed")
    is_second = failed.exists()
    failed.touch()
    assert is_second
"""
ELEVEN_FAIL = """
import pytest
@pytest.mark.parametrize("number", range(11))
def test_fails(number): assert False
"""


@pytest.mark.parametrize(
    ("tests", "code", "runs", "passed_alone"),
    [
        (PASSES, 0, 1, []),
        (PASSES + FAILS, 1, 2, []),
        (PASSES + FAILS_ONCE, 0, 2, ["test_fails_once"]),
        (PASSES + FAILS + FAILS_ONCE, 1, 2, ["test_fails_once"]),
        (PASSES + FAILS_ONCE + ELEVEN_FAIL, 1, 1, []),
    ],
    ids=["none", "one", "one once", "one and one once", "twelve"],
)
def test_twice_when_some_fail_runs_up_to_ten_again_and_fails_by_the_last_run(
    tmp_path: Path, tests: str, code: int, runs: int, passed_alone: list[str]
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (tmp_path / "test_sample.py").write_text(tests, encoding="utf-8")
    earlier = tmp_path / ".pytest_cache/v/cache/lastfailed"
    earlier.parent.mkdir(parents=True)
    earlier.write_text('{"test_sample.py::test_passes": true}', encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *OPTIONS],
        cwd=tmp_path,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert len(re.findall(r"^\d.* in [\d.]+s$", done.stdout, re.MULTILINE)) == runs
    named = done.stdout.partition(ALONE)[2].split()
    assert named == [f"test_sample.py::{name}" for name in passed_alone]
