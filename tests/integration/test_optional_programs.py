"""On a machine without one of the programs that tests use, these are skipped, with the reason."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS: Mapping[str, Sequence[str]] = {
    "bash": ["integration/test_daemon.py", "-k", "taken_along"],
    "curl": ["integration/test_rest.py", "examples/test_rest_doc.py", "examples/test_ticket.py"],
    "make": ["integration/test_install.py"],
    "nginx": ["integration/test_nginx.py", "-k", "handbook or clients_address"],
    "node": ["integration/test_clients.py", "integration/test_old_upstream.py"],
    "npm": ["integration/test_inspector_walk.py", "integration/test_drop_in.py"],
    "redis-cli": ["integration/test_redis_access.py", "-k", "no_channels"],
    "redis-server": [
        "integration/test_redis.py",
        "integration/test_redis_cluster.py",
        "integration/test_redis_sentinel.py",
        "examples/test_guide.py",
    ],
}
"""By the name of each program, the tests that need it, or some of them."""


def test_every_optional_program_is_taken_away() -> None:
    named = set(re.findall(r"needed(?:_server)?\(([^)]*)\)", _sources()))
    assert {word.strip('" ') for words in named for word in words.split(",")} >= TESTS.keys()


def _sources() -> str:
    return "".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "program",
    [
        "nginx",
        *(pytest.param(each, marks=pytest.mark.long) for each in TESTS if each != "nginx"),
    ],
)
def test_without_a_program_the_tests_that_need_it_are_skipped(program: str, tmp_path: Path) -> None:
    path = _path_without(program, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *TESTS[program]],
        cwd=ROOT / "tests",
        env={**_plain_environment(), "PATH": path},
        capture_output=True,
        text=True,
        timeout=220,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(rf"^SKIPPED .*: needs ([\w-]+ and )?{program}\b", done.stdout, re.MULTILINE)


def _path_without(program: str, folder: Path) -> str:
    """Return a PATH with all programs of the present one but one of them."""
    for place in map(Path, os.environ["PATH"].split(os.pathsep)):
        for each in place.iterdir() if place.is_dir() else ():
            if each.name != program and not (folder / each.name).is_symlink():
                (folder / each.name).symlink_to(each)
    return str(folder)


def _plain_environment() -> dict[str, str]:
    """Return the environment without what makes a skip fail, and without coverage."""
    ours = ("REQUIRE_INTEGRATION", "COVERAGE_", "COV_", "PYTEST_")
    return {name: text for name, text in os.environ.items() if not name.startswith(ours)}
