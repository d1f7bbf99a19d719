"""CONTRIBUTING.md against the code: its picture, its paths and its table of promises."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "server" / "context7_fabric"
TEXT = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
PICTURE = re.findall(r"^```text\n(.+?)^```$", TEXT, re.MULTILINE | re.DOTALL)[0].splitlines()
FLOORS = [re.split(r" [:|] ", line) for line in PICTURE]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
BESIDE = {room for line in PICTURE if " : " in line for room in line.split(" : ")}
PROMISES = re.findall(r"^\| (.+) \|(.*)\| `(.+)::(test_\w+)` \|(.*)\|$", TEXT, re.MULTILINE)
MODULE = re.compile(r"`((?:\w+/)*\w+\.py)`")


def test_picture_has_every_room_once() -> None:
    rooms = [path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or _is_package(path)]
    assert sorted(room for rooms in FLOORS for room in rooms) == sorted({*rooms} - {"__init__"})


def test_picture_is_the_layers_that_are_linted() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (layers,) = (each["layers"] for each in contracts["contracts"] if each["id"] == "layers")
    assert layers == PICTURE


def test_imports_run_down_the_picture() -> None:
    upward = [
        (path.relative_to(PACKAGE).as_posix(), target)
        for path in PACKAGE.rglob("*.py")
        if (room := _room(path)) != "__init__"
        for target in _imported_rooms(path)
        if target != room and not _may_import(room, target)
    ]
    assert upward == []


@pytest.mark.parametrize("path", sorted(set(MODULE.findall(TEXT))))
def test_paths_that_are_named_exist(path: str) -> None:
    assert (PACKAGE / path).exists() or (ROOT / path).exists() or (ROOT / "tests" / path).exists()


def test_table_of_promises_has_a_row_for_each_line_of_it() -> None:
    table = TEXT[TEXT.index("| promise |") :].strip().splitlines()[2:]
    assert len(PROMISES) == len(table)


@pytest.mark.parametrize(("promise", "module", "path", "test", "bench"), PROMISES)
def test_promise_names_a_module_a_test_and_a_bench_that_exist(
    promise: str, module: str, path: str, test: str, bench: str
) -> None:
    assert promise
    assert not module.strip() or (PACKAGE / module.strip(" `")).exists()
    assert test in _functions(ROOT / "tests" / path)
    assert not bench.strip() or (ROOT / "tests" / "bench" / f"{bench.strip(' `')}.py").exists()


def _may_import(room: str, target: str) -> bool:
    beside = LEVEL[target] == LEVEL[room] and {room, target} <= BESIDE
    return LEVEL[target] > LEVEL[room] or beside


def _imported_rooms(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("context7_fabric"):
            named = (node.module or "").split(".")[1:2] or [alias.name for alias in node.names]
            yield from (name for name in named if name in LEVEL)


def _room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def _is_package(path: Path) -> bool:
    return (path / "__init__.py").exists()


def _functions(path: Path) -> set[str]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)}
