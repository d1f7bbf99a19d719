"""`warm` in a project of two languages: its budget, docsets, questions, resuming and ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from support.forked import started
from support.listener import serving
from support.mcp_upstream import McpUpstream
from support.product import PROGRAM, product_environment, run_product
from support.site import Site, site

FULL = "# Quay\n\nQuay keeps ships.\n\n# Mooring\n\nCall `mooringLine(ship)` to moor a ship.\n"
ELSEWHERE = "https://github.com/another/place/blob/main/docs/a.md"
"""Source that no certain docset is made of, so that no test leaves this machine."""
QUESTIONS = ("getting started", "errors")
PYPROJECT = '[project]\nname = "shop"\ndependencies = ["requests", "quay==1.2", "zzqx-nothing"]\n'
PACKAGE = {"name": "shop", "dependencies": {"express": "^4.19.0", "requests": "1.0.0"}}
LOCK = {
    "lockfileVersion": 3,
    "packages": {"": {}, "node_modules/express": {"version": "4.19.2"}},
}
LIBRARIES = {
    "requests": ("/psf/requests", "Requests", "A simple HTTP library for Python."),
    "quay": ("/harbour/quay", "Quay", "Keeps ships, in Python."),
    "express": ("/expressjs/express", "Express", "Web framework for Node.js."),
}

pytestmark = pytest.mark.either_mode


class ProjectUpstream(McpUpstream):
    """Upstream that knows three libraries, counts its calls and may fail or wait after some."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, ...]] = []
        self.sources: dict[str, str] = {}
        self.unknown: set[str] = set()
        self.listed = dict(LIBRARIES)
        self.limited_after = 10_000
        self.waits_after = 10_000
        self.waiting, self.released = Event(), Event()

    def _called(self, params: dict[str, Any]) -> dict[str, Any]:
        arguments = params["arguments"]
        is_look_up = params["name"] == "resolve-library-id"
        key = "libraryName" if is_look_up else "libraryId"
        self.asked.append((arguments[key], arguments["query"]))
        if len(self.asked) > self.waits_after:
            self.waiting.set()
            self.released.wait(20)
        if len(self.asked) > self.limited_after:
            text = "Monthly quota exceeded. Upgrade your plan for more requests."
            return {"result": {"content": [{"type": "text", "text": text}], "isError": True}}
        text = self._list(arguments[key]) if is_look_up else self._answer(arguments[key])
        return {"result": {"content": [{"type": "text", "text": text}]}}

    def _list(self, name: str) -> str:
        if name not in self.listed:
            return "No libraries found matching the provided name."
        library_id, title, description = self.listed[name]
        return (
            f"Available Libraries:\n\n- Title: {title}\n- Context7-compatible library ID:"
            f" {library_id}\n- Description: {description}\n- Code Snippets: 10"
        )

    def _answer(self, library: str) -> str:
        if library in self.unknown:
            return f'Library "{library}" not found. Please check the library ID.'
        source = self.sources.get(library, ELSEWHERE)
        return f"### Start\n\nSource: {source}\n\nUse it.\n\n```py\nrun()\n```"


@pytest.fixture
def upstream() -> Iterator[ProjectUpstream]:
    upstream = ProjectUpstream()
    with serving(upstream) as port:
        upstream.url = f"http://127.0.0.1:{port}/mcp"
        try:
            yield upstream
        finally:
            upstream.released.set()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in Python and JavaScript, of five dependencies, one of which fits no library."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "package.json").write_text(json.dumps(PACKAGE))
    (folder / "package-lock.json").write_text(json.dumps(LOCK))
    (folder / "questions.txt").write_text("# first\n" + "\n".join(QUESTIONS) + "\n")
    return folder


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    with site(folder, "localhost") as running:
        running.text("/llms-full.txt", FULL)
        yield running


def environment(home: Path, upstream: ProjectUpstream, **more: str) -> dict[str, str]:
    variables = {
        "CONTEXT7_FABRIC_UPSTREAM": upstream.url,
        "CONTEXT7_FABRIC_DOCSETS_PRIVATE_ADDRESSES": "on",
        "VIRTUAL_ENV": "",
    }
    return product_environment(home, variables | more)


def warm(
    project: Path, env: dict[str, str], *words: str, yes: Sequence[str] = ("--yes",)
) -> subprocess.CompletedProcess[str]:
    return run_product(
        "warm", "--json", "--questions", "questions.txt", *yes, *words, env=env, cwd=project
    )


def held(done: subprocess.CompletedProcess[str]) -> dict[tuple[str, str], Any]:
    """Name of the docset, or number of the answers, of each dependency."""
    return {
        (each["ecosystem"], each["name"]): each["docset"] or each["answers"]
        for each in json.loads(done.stdout)["libraries"]
    }


ALL_ASKED = {
    ("python", "requests"): 2,
    ("python", "quay"): 2,
    ("python", "zzqx-nothing"): 0,
    ("javascript", "express"): 2,
    ("javascript", "requests"): 0,
}


def test_warm_asks_about_each_library_and_names_what_fits_none(
    home: Path, project: Path, upstream: ProjectUpstream
) -> None:
    env = environment(home, upstream)
    done = warm(project, env, "--no-docsets")
    assert done.returncode == 0, done.stderr
    assert held(done) == ALL_ASKED
    result = json.loads(done.stdout)
    express = next(each for each in result["libraries"] if each["name"] == "express")
    assert (express["library_id"], express["version"]) == ("/expressjs/express", "4.19.2")
    assert result["calls"] == len(upstream.asked) == 5 + 3 * 2
    again = warm(project, env, "--no-docsets", yes=())
    assert held(again) == ALL_ASKED
    assert json.loads(again.stdout)["calls"] == 0
    assert len(upstream.asked) == 11
    off = env | {"CONTEXT7_FABRIC_UPSTREAM": "off"}
    offline = run_product("docs", "/expressjs/express", "errors", env=off)
    assert (offline.returncode, "run()" in offline.stdout) == (0, True)


@pytest.mark.parametrize("calls", [0, 6, 7])
def test_warm_makes_no_more_calls_than_permitted(
    home: Path, project: Path, upstream: ProjectUpstream, calls: int
) -> None:
    done = warm(project, environment(home, upstream), "--max-calls", str(calls))
    assert done.returncode == 0, done.stderr
    assert len(upstream.asked) == json.loads(done.stdout)["calls"] == calls
    assert f"Calls to Context7: {calls} at most." in done.stderr


def test_warm_holds_the_docset_of_a_certain_source_and_asks_no_more_about_it(
    home: Path, project: Path, upstream: ProjectUpstream, web: Site
) -> None:
    upstream.sources = {"/harbour/quay": f"{web.url}/guide"}
    metadata = project / ".venv" / "lib" / "python3.11" / "site-packages" / "quay-1.2.dist-info"
    metadata.mkdir(parents=True)
    (project / ".venv" / "pyvenv.cfg").write_text("")
    (metadata / "METADATA").write_text(f"Name: quay\nProject-URL: Documentation, {web.url}\n")
    env = environment(home, upstream, SSL_CERT_FILE=str(web.authority))
    done = warm(project, env)
    assert held(done) == ALL_ASKED | {("python", "quay"): "/harbour/quay"}
    assert sum(library == "/harbour/quay" for library, _ in upstream.asked) == 1
    requests, quay, *_ = json.loads(done.stdout)["libraries"]
    assert "a site does not say its version, so not filed under '1.2'" in quay["note"]
    assert "not certain: `context7-fabric add /psf/requests` asks" in requests["note"]
    off = env | {"CONTEXT7_FABRIC_UPSTREAM": "off"}
    page = run_product("docs", "/harbour/quay", "mooringLine", env=off)
    assert "Call `mooringLine(ship)`" in page.stdout
    count = len(upstream.asked)
    assert held(warm(project, env, yes=())) == held(done)
    assert len(upstream.asked) == count


def test_warm_takes_a_docset_of_that_version_for_held(
    home: Path, project: Path, upstream: ProjectUpstream
) -> None:
    env = environment(home, upstream)
    (project / "docs").mkdir()
    (project / "docs" / "index.md").write_text(FULL)
    words = ("add", "docs", "--id", "/harbour/quay", "--version", "1.2")
    assert run_product(*words, env=env, cwd=project).returncode == 0
    done = warm(project, env, "--no-docsets")
    assert held(done) == ALL_ASKED | {("python", "quay"): "/harbour/quay@1.2"}
    assert not any(library == "/harbour/quay" for library, _ in upstream.asked)


def test_warm_that_is_interrupted_twice_ends_where_one_run_ends(
    home: Path, project: Path, upstream: ProjectUpstream
) -> None:
    env = environment(home, upstream)
    words = [PROGRAM, "warm", "--json", "--yes", "--no-docsets", "--questions", "questions.txt"]
    for calls in (3, 6):
        upstream.waits_after = calls
        upstream.waiting.clear()
        pipe = subprocess.PIPE
        with started(words, env, project, stdin=pipe, stdout=pipe, stderr=pipe) as process:
            assert upstream.waiting.wait(20)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=10)
        upstream.waits_after = 10_000
        upstream.released.set()
        upstream.released.clear()
        assert process.returncode == 130, err
        assert json.loads(out)["interrupted"]
        assert err.decode().rstrip().endswith("what is listed is kept; run it again to go on")
        assert b"Traceback" not in err
    done = warm(project, env, "--no-docsets")
    assert (done.returncode, held(done)) == (0, ALL_ASKED)
    assert len(upstream.asked) <= 11 + 2


def test_warm_at_the_quota_stops_asking_and_says_so(
    home: Path, project: Path, upstream: ProjectUpstream
) -> None:
    upstream.limited_after = 6
    done = warm(project, environment(home, upstream), "--no-docsets")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert "quota" in result["stopped"].lower()
    assert len(upstream.asked) == 7
    assert sum(each["answers"] for each in result["libraries"]) == 1


def test_warm_of_an_id_that_is_refused_looks_up_once_and_asks_of_the_listed_one(
    home: Path, project: Path, upstream: ProjectUpstream
) -> None:
    seeded = "/websites/fastapi_tiangolo"
    (project / "pyproject.toml").write_text(PYPROJECT.replace("zzqx-nothing", "fastapi"))
    env = environment(home, upstream)
    upstream.listed["fastapi"] = (seeded, "FastAPI", "Web framework for Python.")
    assert run_product("resolve", "fastapi", env=env).returncode == 0
    upstream.listed["fastapi"] = ("/fastapi/fastapi", "FastAPI", "Web framework for Python.")
    upstream.unknown = {seeded}
    upstream.asked.clear()
    done = warm(project, env, "--no-docsets")
    assert held(done)[("python", "fastapi")] == 2
    assert sum(subject == seeded for subject, _ in upstream.asked) == 1
    assert sum(subject == "fastapi" for subject, _ in upstream.asked) == 1


def test_warm_asks_an_id_that_is_refused_no_more(
    home: Path, project: Path, upstream: ProjectUpstream
) -> None:
    upstream.unknown = {"/psf/requests"}
    done = warm(project, environment(home, upstream), "--no-docsets")
    assert held(done)[("python", "requests")] == 0
    assert sum(subject == "/psf/requests" for subject, _ in upstream.asked) == 1
    note = json.loads(done.stdout)["libraries"][0]["note"]
    assert 'Library "/psf/requests" not found' in note


def test_warm_with_upstream_down_stops_asking(home: Path, project: Path) -> None:
    upstream = ProjectUpstream()
    upstream.url = "http://127.0.0.1:9/mcp"
    done = warm(project, environment(home, upstream))
    assert done.returncode == 1
    assert "cannot be reached" in json.loads(done.stdout)["stopped"]
    assert json.loads(done.stdout)["calls"] <= 2


def test_warm_without_a_terminal_or_a_yes_ends_with_2_in_one_line(
    home: Path, project: Path, upstream: ProjectUpstream
) -> None:
    done = warm(project, environment(home, upstream), yes=())
    assert (done.returncode, done.stdout) == (2, "")
    line = "context7-fabric: warm would make 15 calls at most: --yes agrees to it\n"
    assert done.stderr == line
    assert upstream.asked == []


def test_warm_on_a_terminal_asks_once_and_no_does_nothing(
    home: Path, project: Path, upstream: ProjectUpstream
) -> None:
    keyboard, end = pty.openpty()
    pipe = subprocess.PIPE
    words = [PROGRAM, "warm"]
    with started(
        words, environment(home, upstream), project, stdin=end, stdout=pipe, stderr=pipe
    ) as process:
        os.close(end)
        os.write(keyboard, b"n\n")
        out, err = process.communicate(timeout=30)
    os.close(keyboard)
    assert (process.returncode, out) == (1, b"")
    assert b"5 direct dependencies in 2 files: 0 held already" in err
    assert b"Nothing was done." in err
    assert upstream.asked == []


def test_warm_in_a_pipe_prints_a_table(
    home: Path, project: Path, upstream: ProjectUpstream
) -> None:
    env = environment(home, upstream)
    done = run_product("warm", "--yes", "--no-docsets", env=env, cwd=project)
    rows = done.stdout.splitlines()
    assert rows[0].split() == ["library", "version", "answered", "offline", "by"]
    assert rows[1].split() == ["requests", "(python)", "-", "5", "stored", "answers"]
    assert "no library fits its name for certain" in rows[3]
    assert "no library fits its name for certain" in rows[5]


def test_warm_where_nothing_is_declared_says_what_is_read(
    home: Path, tmp_path: Path, upstream: ProjectUpstream
) -> None:
    done = run_product("warm", "--yes", env=environment(home, upstream), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no dependency is declared in" in done.stderr
    assert done.stderr.count("\n") == 1
