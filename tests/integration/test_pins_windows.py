"""Pins of two windows of one daemon, each in its own folder, and of the command in one of them."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from support.client import Dialogue, texts_of
from support.context7_api import Api
from support.daemons import daemons, daemons_of, with_daemon
from support.processes import spawn
from support.product import BY_ITSELF, PROGRAM, Variables, product_environment, run_product
from support.projects import lock_python, npm_project, python_project

FASTAPI, NEXT = "/fastapi/fastapi", "/vercel/next.js"
ASKED = {"libraryId": FASTAPI, "query": "How do I test a WebSocket?"}
IN_A_PROJECT = {"CONTEXT7_FABRIC_PROJECT": ""}


@pytest.fixture
def home(home: Path) -> Iterator[Path]:
    with daemons(home):
        yield home


@contextmanager
def window(environment: Variables, folder: Path) -> Iterator[Dialogue]:
    with spawn([PROGRAM], environment, folder) as process:
        dialogue = Dialogue(process)
        dialogue.introduce()
        yield dialogue


def first_id(window: Dialogue, name: str) -> str:
    found = window.call("resolve-library-id", libraryName=name, query="start")
    return texts_of(found)[0].partition("library ID: ")[2].partition("\n")[0]


def test_two_windows_of_one_daemon_get_the_versions_of_their_own_folders(
    api: Api, home: Path, by_http: Variables, tmp_path: Path
) -> None:
    one = python_project(tmp_path / "one", fastapi="0.115.13")
    two = npm_project(tmp_path / "two" / "deep", next="15.2.0").parent / "deep"
    environment = with_daemon(home, {**by_http, **IN_A_PROJECT})
    (two / "src").mkdir()
    with window(environment, one) as first, window(environment, two / "src") as second:
        assert first_id(first, "fastapi") == f"{FASTAPI}/0.115.13"
        assert first_id(second, "fastapi") == FASTAPI
        assert first_id(second, "next.js") == f"{NEXT}/v15.1.8"
        assert first_id(first, "next.js") == NEXT
        answers = [texts_of(each.call("query-docs", **ASKED)) for each in (first, second, first)]
        assert len(daemons_of(home)) == 1
    assert answers[0] == answers[2]
    assert answers[0][0] != answers[1][0]
    assert answers[0][1] == "For version 0.115.13, which this project uses (pyproject.toml)."
    assert len(answers[1]) == 1
    asked = [each.query["libraryId"] for each in api.requests if "libraryId" in each.query]
    assert asked == [f"{FASTAPI}/0.115.13", FASTAPI]


def test_window_by_itself_and_the_command_use_the_pins_of_their_folder(
    home: Path, by_http: Variables, tmp_path: Path
) -> None:
    folder = python_project(tmp_path / "one", fastapi="0.117.0")
    environment = product_environment(home, {**by_http, **BY_ITSELF, **IN_A_PROJECT})
    with window(environment, folder) as alone:
        assert first_id(alone, "fastapi") == f"{FASTAPI}/0.116.1"
    lock_python(folder, fastapi="0.115.13")
    done = run_product("resolve", "fastapi", "--json", env=environment, cwd=folder)
    found = json.loads(done.stdout)
    assert (found["library_id"], found["tier"]) == (f"{FASTAPI}/0.115.13", "pin")
    assert found["note"].endswith("the version that this project uses (pyproject.toml).")
    off = {**environment, "CONTEXT7_FABRIC_PROJECT": "off"}
    done = run_product("resolve", "fastapi", "--json", env=off, cwd=folder)
    assert json.loads(done.stdout)["library_id"] == FASTAPI


def test_pin_of_the_project_is_written_listed_and_counts(
    home: Path, by_http: Variables, tmp_path: Path
) -> None:
    folder = python_project(tmp_path / "one", fastapi="0.128.0")
    subprocess.run(["git", "init", "-q", folder], check=True)
    environment = product_environment(home, {**by_http, **BY_ITSELF, **IN_A_PROJECT})
    run = partial(run_product, env=environment, cwd=folder)
    done = run("pin", "fastapi", f"{FASTAPI}/0.116.1")
    assert done.returncode == 0
    assert (
        folder / ".context7-fabric.toml"
    ).read_text() == f'[pins]\nfastapi = "{FASTAPI}/0.116.1"\n'
    listed = json.loads(run("pin", "--list", "--json").stdout)
    assert [each["in_force"] for each in (*listed["pins"], *listed["locked"])] == [True, False]
    done = run("docs", "fastapi", "How do I start?", "--json")
    assert json.loads(done.stdout)["library_id"] == f"{FASTAPI}/0.116.1"
    assert ".context7-fabric.toml of this project pins" in json.loads(done.stdout)["note"]
    assert run("pin", "--remove", "fastapi").returncode == 0
    assert run("pin", "--remove", "fastapi").returncode == 1
