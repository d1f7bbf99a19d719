"""`doctor` with one real fault at a time: its line, its exit code, and what mends it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.responses import Response

from context7_fabric.cli.main import main
from context7_fabric.runtime.runtime import open_app
from context7_fabric.settings import read_settings
from contracts.disk_store import execute
from support.docsets import QUAY, add, library_in, write_pages
from support.knocks import knocks
from support.listener import serving
from support.product import PROGRAM, product_environment, run_product
from support.sessions import session_upstream

KEY = "ctx7sk-0123abcd-4567-89ef-0123-456789abcdef"
FIX = "`context7-fabric doctor --fix`"
FULL = 'mkdir -p "$0" && mount -t tmpfs -o size=4m none "$0" && exec "$@"'


@dataclass
class Place:
    """A home with a docset, and what a fault may change."""

    home: Path
    user: Path
    pages: Path
    patch: pytest.MonkeyPatch
    running: ExitStack

    def set(self, name: str, value: object) -> None:
        self.patch.setenv(f"CONTEXT7_FABRIC_{name}", str(value))

    def store(self) -> Path:
        """Make the store, and return its folder."""
        anyio.run(self._open)
        return self.home / "fabric"

    async def _open(self, calls: int = 0, *, is_limited: bool = False, failures: int = 0) -> None:
        async with open_app(read_settings(os.environ)) as app:
            gate = app.services.call_gate
            for _each in range(calls):
                app.services.quota.count_call()
            for _each in range(failures):
                async with gate.permit() as permit:
                    await gate.failed(permit, "HTTP 503")
            if is_limited:
                await gate.limited("Monthly quota exceeded.", None)

    def call(self, calls: int) -> None:
        anyio.run(self._open, calls)

    def limit(self) -> None:
        anyio.run(partial(self._open, is_limited=True))

    def fail(self, failures: int) -> None:
        anyio.run(partial(self._open, failures=failures))

    def docset(self) -> Path:
        """The file of the docset."""
        (file,) = (self.home / "docsets").glob("*.sqlite")
        return file

    def client(self, text: str) -> None:
        """Write a file of Cursor's."""
        (self.user / ".cursor").mkdir()
        (self.user / ".cursor" / "mcp.json").write_text(text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A healthy installation of a user without clients, and no upstream."""
    home, user = tmp_path / "home", tmp_path / "user"
    user.mkdir()
    variables = product_environment(home, {"CONTEXT7_FABRIC_UPSTREAM": "off", "HOME": str(user)})
    variables |= {"CONTEXT7_FABRIC_DAEMON": "off", "PATH": "/usr/bin:/bin"}
    for name in set(os.environ) - set(variables):
        monkeypatch.delenv(name)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    pages = write_pages(tmp_path / "pages")
    add(library_in(home, clock=lambda: 2e9), pages)
    with ExitStack() as running:
        yield Place(home, user, pages, monkeypatch, running)


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Run `doctor --json` in this process; return its exit code and its lines."""

    def run(*options: str) -> tuple[int, dict[str, Any]]:
        capsys.readouterr()
        code = main(["doctor", "--json", *options])
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return code, found

    return run


Doctor = Callable[..., tuple[int, Mapping[str, Any]]]


def open_modes(place: Place) -> None:
    place.docset().chmod(0o644)
    (place.home / "secret").write_bytes(b"s" * 32)
    (place.home / "secret").chmod(0o640)


def unusable_home(place: Place) -> None:
    (place.user / "file").touch()
    place.set("HOME", place.user / "file" / "home")


def refuse_writes(place: Place) -> None:
    refusal = "CREATE TRIGGER refuse BEFORE INSERT ON Cache BEGIN SELECT RAISE(FAIL, 'no'); END"
    execute(place.store(), refusal)


def dead_socket(place: Place) -> None:
    place.set("DAEMON", "auto")
    folder = place.home / "daemon"
    folder.mkdir(0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(folder)  # the whole path may be too long for a socket
        listener.bind("0abc.sock")
        os.chdir(here)
    (folder / "0abc.sock").chmod(0o600)


def file_for_daemons(place: Place) -> None:
    place.set("DAEMON", "auto")
    (place.home / "daemon").touch(0o600)


def black_hole(place: Place) -> None:
    listener = place.running.enter_context(socket.create_server(("127.0.0.1", 0)))
    place.set("UPSTREAM", f"http://127.0.0.1:{listener.getsockname()[1]}/mcp")
    place.set("UPSTREAM_TIMEOUT", "1s")


def refused(place: Place) -> None:
    dead = place.running.enter_context(knocks())
    place.set("UPSTREAM", f"{dead.url}/mcp")


def answering(status: int, place: Place) -> None:
    port = place.running.enter_context(serving(Response("no", status, media_type="text/plain")))
    place.set("UPSTREAM", f"http://127.0.0.1:{port}/mcp")


def used_up(place: Place) -> None:
    place.set("MONTHLY_CALLS", "5")
    place.call(5)


def open_breaker(place: Place) -> None:
    place.fail(5)


def no_model(place: Place) -> None:
    place.set("MODEL", "sentence-transformers/all-MiniLM-L6-v2")


def empty_model_path(place: Place) -> None:
    no_model(place)
    place.set("MODEL_PATH", place.pages)


def no_index_server(place: Place) -> None:
    no_model(place)
    dead = place.running.enter_context(knocks())
    place.set("QDRANT_URL", dead.url)


def damaged_docset(place: Place) -> None:
    os.truncate(place.docset(), 100)


def old_docset(place: Place) -> None:
    os.utime(place.docset(), (1e9, 1e9))


def lost_source(place: Place) -> None:
    place.pages.rename(place.pages.with_name("moved"))


def misspelt_variable(place: Place) -> None:
    place.set("UPSTRAEM", "off")


def unreadable_pins(place: Place) -> None:
    project = place.user / "shop"
    project.mkdir()
    (project / ".context7-fabric.toml").write_text("pins = [")
    (place.home / "pins.toml").write_text('[pins]\nhono = "hono"\n')
    (place.home / "pins.toml").chmod(0o600)
    place.set("PROJECT", project)


def old_home(place: Place) -> None:
    place.patch.delenv("CONTEXT7_FABRIC_HOME")
    place.patch.setenv("XDG_DATA_HOME", str(place.user / "data"))
    place.patch.setenv("XDG_CACHE_HOME", str(place.user / "cache"))
    old = place.user / "cache" / "context7-fabric"
    old.mkdir(mode=0o700, parents=True)
    (old / "secret").touch(0o600)
    place.home.rename(place.user / "away")
    (place.user / "data").mkdir()
    (place.user / "data" / "context7-fabric").mkdir(0o700)
    place.store()


def unreadable_client(place: Place) -> None:
    place.client('{"mcpServers": {"context7": ')


def dead_entry(place: Place) -> None:
    command = {"command": "/no/such/bin/context7-fabric", "args": []}
    place.client(json.dumps({"mcpServers": {"context7": command}}))


def entry_of_upstream(place: Place) -> None:
    command = {"command": "npx", "args": ["-y", "@upstash/context7-mcp"]}
    place.client(json.dumps({"mcpServers": {"context7": command}}))


@dataclass(frozen=True)
class Case:
    """A fault, the line that shows it with its state, and parts of its text and its remedy."""

    inject: Callable[[Place], None]
    line: str
    state: str
    text: str
    remedy: str
    is_fixed: bool = False


FAULTS = {
    "modes": Case(open_modes, "modes", "wrong", "secret (0640)", FIX, is_fixed=True),
    "unusable home": Case(unusable_home, "home", "wrong", "file", "set CONTEXT7_FABRIC_HOME"),
    "store": Case(refuse_writes, "store", "wrong", "put failed: no", "move the store's folder"),
    "dead socket": Case(dead_socket, "daemon", "warning", "0abc", FIX, is_fixed=True),
    "no daemons": Case(
        file_for_daemons, "daemon", "wrong", "cannot be used", "CONTEXT7_FABRIC_HOME"
    ),
    "black hole": Case(black_hole, "upstream", "wrong", "within 1 s", "HTTPS_PROXY"),
    "refused": Case(refused, "upstream", "wrong", "cannot be reached", "HTTPS_PROXY"),
    "401": Case(partial(answering, 401), "upstream", "wrong", "401", "correct CONTEXT7_API_KEY"),
    "429": Case(partial(answering, 429), "upstream", "wrong", "429", "key with more calls"),
    "quota": Case(used_up, "quota", "warning", "5 of 5 calls", "CONTEXT7_API_KEY"),
    "limit": Case(Place.limit, "limits", "wrong", "Monthly quota exceeded", FIX, is_fixed=True),
    "breaker": Case(open_breaker, "breaker", "wrong", "HTTP 503", FIX, is_fixed=True),
    "no model": Case(no_model, "model", "warning", "MiniLM", "`context7-fabric model fetch`"),
    "empty model path": Case(
        empty_model_path, "model", "wrong", "pages", "`unset CONTEXT7_FABRIC_MODEL_PATH`"
    ),
    "index server": Case(
        no_index_server, "index server", "wrong", "127.0.0.1", "`unset CONTEXT7_FABRIC_QDRANT_URL`"
    ),
    "damaged": Case(damaged_docset, "docsets", "wrong", ".sqlite", FIX, is_fixed=True),
    "old docset": Case(
        old_docset, "docset age", "warning", QUAY, f"`context7-fabric docsets refresh {QUAY}`"
    ),
    "lost source": Case(
        lost_source, "sources", "warning", "pages", f"`context7-fabric add SOURCE --id {QUAY}`"
    ),
    "variable": Case(
        misspelt_variable,
        "variables",
        "warning",
        "did you mean CONTEXT7_FABRIC_UPSTREAM?",
        "`unset CONTEXT7_FABRIC_UPSTRAEM`",
    ),
    "pins": Case(
        unreadable_pins,
        "pins",
        "warning",
        ".context7-fabric.toml (not TOML",
        "`context7-fabric pin --list`",
    ),
    "old home": Case(old_home, "old home", "info", "secret", "`rm -r "),
    "client file": Case(
        unreadable_client, "client cursor", "wrong", "mcp.json", "`context7-fabric setup cursor`"
    ),
    "dead entry": Case(
        dead_entry, "client cursor", "wrong", "/no/such/bin", "`context7-fabric setup cursor`"
    ),
    "other entry": Case(
        entry_of_upstream, "client cursor", "info", "own server", "`context7-fabric setup cursor`"
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_has_its_line_its_exit_code_and_its_remedy(
    name: str, place: Place, doctor: Doctor
) -> None:
    case = FAULTS[name]
    case.inject(place)
    code, found = doctor()
    line = found[case.line]
    assert line["state"] == case.state, line
    assert case.text in line["told"]
    assert case.remedy in line["remedy"]
    assert code == (1 if case.state == "wrong" else 0), found
    if case.is_fixed:
        fixed = doctor("--fix")[1]
        assert "fixed" in fixed or fixed[case.line]["state"] == "ok"
        code, found = doctor()
        assert (code, found[case.line]["state"]) in ((0, "ok"), (0, "info"))


def test_a_healthy_installation_has_nothing_wrong_and_nothing_to_fix(
    place: Place, doctor: Doctor
) -> None:
    with session_upstream() as upstream:
        place.set("UPSTREAM", upstream.url)
        code, found = doctor("--fix")
    assert code == 0
    assert {line["state"] for line in found.values()} == {"ok", "info"}
    assert "fixed" not in found
    assert "answers in " in found["upstream"]["told"]


def test_stderr_of_upstream_shows_only_in_the_line_of_its_failure(place: Place) -> None:
    script = place.user / "upstream"
    script.write_text("#!/bin/sh\necho it speaks >&2\nexit 3\n")
    script.chmod(0o700)
    place.set("UPSTREAM", script)
    done = run_product("doctor", "--json", env=dict(os.environ))
    assert "it speaks" in json.loads(done.stdout)["upstream"]["told"]
    assert done.stderr == ""


def test_fix_keeps_the_file_of_a_damaged_docset(place: Place, doctor: Doctor) -> None:
    damaged_docset(place)
    file = place.docset()
    _, found = doctor("--fix")
    aside = file.with_name(f"{file.name}.damaged")
    assert (file.exists(), aside.stat().st_size) == (False, 100)
    assert aside.name in found["fixed"]["told"]
    assert found["docsets"]["told"].startswith("0 docsets")


def test_fix_leaves_a_folder_of_all_users_and_links_as_they_are(
    place: Place, doctor: Doctor
) -> None:
    outside = place.user / "outside"
    outside.touch(0o666)
    outside.chmod(0o666)
    place.home.joinpath("link").symlink_to(outside)
    place.home.chmod(0o1777)
    _, found = doctor("--fix")
    assert found["modes"]["state"] == "ok"
    assert (outside.stat().st_mode & 0o777, place.home.stat().st_mode & 0o7777) == (0o666, 0o1777)


def test_a_full_disk_is_wrong(tmp_path: Path) -> None:
    environment = product_environment(tmp_path / "home", {"CONTEXT7_FABRIC_UPSTREAM": "off"})
    alone = ["unshare", "--mount", "sh", "-c", FULL, str(tmp_path / "home")]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs root and permission to mount")
    done = subprocess.run(
        [*alone, PROGRAM, "doctor", "--json"],
        env={**environment, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    line = json.loads(done.stdout)["disk"]
    assert (done.returncode, line["state"]) == (1, "wrong"), done
    assert "nothing can be kept soon" in line["told"]
    assert "`context7-fabric purge --all`" in line["remedy"]


def test_report_holds_no_key_no_user_no_path_and_no_private_library(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    place.patch.setenv("CONTEXT7_API_KEY", KEY)
    place.patch.setenv("LOGNAME", "annabell")
    place.set("PRINCIPAL", "team-of-annabell")
    place.pages.rename(place.pages.with_name("moved-by-annabell"))
    lost_at = str(place.pages)
    place.docset().chmod(0o644)
    unreadable_client(place)
    assert main(["doctor", "--report"]) == 1
    text = capsys.readouterr().out
    for private in (KEY, "annabell", str(place.home), str(place.user), QUAY, "quay", lost_at):
        assert private not in text
    for shown in ("### What happened", "Python 3", "| modes | wrong |", "CONTEXT7_API_KEY"):
        assert shown in text
    assert "| sources | warning |" in text
    rows = [row for row in text.splitlines() if row.startswith("|")]
    assert {row.replace("\\|", "").count("|") for row in rows} == {4}


def test_report_hides_the_name_in_the_file_of_a_damaged_docset(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged_docset(place)
    assert main(["doctor", "--fix", "--report"]) == 0
    text = capsys.readouterr().out
    assert "quay" not in text
    assert "| fixed | info | damaged docsets are kept as <home>/docsets/<file " in text


def test_table_has_one_line_for_each_check(place: Place) -> None:
    done = run_product("doctor", env=dict(os.environ))
    names = [line.split("  ")[0].strip() for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert len(names) == len(set(names))
    assert {"home", "modes", "disk", "upstream", "quota", "model", "docsets", "index"} <= set(names)
