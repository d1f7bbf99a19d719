"""The shape of the repository: who imports whom, how long a file may be, what it may be called."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON_FILES = sorted(
    path.relative_to(ROOT)
    for folder in ("server", "tests")
    for path in (ROOT / folder).rglob("*.py")
)
PACKAGE = ROOT / "server" / "context7_fabric"
MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in MODULES
}
LONGEST = 800
LONG = 500
LONG_WITH_REASON: dict[str, str] = {}
"""Reasons for files that cannot be read in two, by path."""
MOST_MODULES = 281
MOST_WITH_ONE_IMPORTER = 52
SAYS_NOTHING = {"common", "helper", "helpers", "misc", "util", "utils"}
# In parts, so that this file does not carry them.
INDEX_HOSTS = [
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("files", "pythonhosted", "org"),
        ("registry", "npmjs", "org"),
        ("registry", "yarnpkg", "com"),
        ("index", "crates", "io"),
        ("proxy", "golang", "org"),
    )
]


def test_imports_keep_every_contract() -> None:
    # In a process of its own: it sets up logging anew and silences every logger there is.
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-cache", "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_no_file_is_too_long_to_read_in_one_go() -> None:
    lengths = {path.as_posix(): _lines(path) for path in PYTHON_FILES}
    assert {path: n for path, n in lengths.items() if n > LONGEST} == {}
    assert {path for path, n in lengths.items() if n > LONG} == set(LONG_WITH_REASON)


def test_package_has_few_modules_and_few_with_one_importer() -> None:
    importers = Counter(name for path in MODULES for name in set(_imports(path)) & NAMES)
    alone = {name for name, count in importers.items() if count == 1}
    assert len(MODULES) <= MOST_MODULES
    assert len(alone) <= MOST_WITH_ONE_IMPORTER, sorted(alone)


def test_public_class_names_stand_for_one_thing() -> None:
    classes = Counter(
        node.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in classes.items() if count > 1] == []


def test_names_say_what_a_file_is_for() -> None:
    named = {part for path in PYTHON_FILES for part in (*path.parent.parts, path.stem)}
    assert named & SAYS_NOTHING == set()


@pytest.mark.parametrize("host", INDEX_HOSTS)
def test_no_file_carries_the_address_of_a_package_index(host: str) -> None:
    carriers = [path for path in _repository_files() if host.encode() in path.read_bytes()]
    assert carriers == []


def _imports(path: Path) -> Iterator[str]:
    """Yield the modules of the package that `path` imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in NAMES else node.module


def _lines(path: Path) -> int:
    return len((ROOT / path).read_text(encoding="utf-8").splitlines())


def _repository_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]
