"""The session of docs/first-minutes.md, on a clean home, with the wheel installed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.context7_api import Api, running_api
from support.examples import Command, commands, examples
from support.faults import Fault
from support.inspector import inspector_program
from support.upstreams import clean_environment, context7_command

ROOT = Path(__file__).parents[2]
KEY = "ctx7sk-0a1b2c3d-4e5f"
ENTRY = {"command": "npx", "args": ["-y", "@upstash/context7-mcp", "--api-key", KEY]}
CURSOR = {"mcpServers": {"tickets": {"command": "tickets"}, "context7": ENTRY}}
PROJECT = {
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\ndependencies = ["pydantic"]\n',
    "uv.lock": 'version = 1\n\n[[package]]\nname = "pydantic"\nversion = "2.11.7"\n',
    "package.json": '{"name": "shop", "dependencies": {"next": "^15.1.0"}}\n',
    "package-lock.json": json.dumps(
        {
            "name": "shop",
            "lockfileVersion": 3,
            "packages": {
                "": {"dependencies": {"next": "^15.1.0"}},
                "node_modules/next": {"version": "15.1.8"},
            },
        }
    ),
}

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]


@dataclass(frozen=True)
class Shell:
    """A user's shell in the project, with the programs of the session on its path."""

    home: Path
    project: Path
    environment: dict[str, str]
    inspector: str

    @property
    def cursor(self) -> Path:
        return self.home / ".cursor" / "mcp.json"

    def run(self, command: Command) -> str:
        """Run a command of the document; return what it printed on both streams."""
        words = [word.replace("~", str(self.home), word[:1] == "~") for word in command.words]
        words[0] = {"mcp-inspector": self.inspector}.get(words[0], words[0])
        done = subprocess.run(
            words,
            env=self.environment,
            cwd=self.project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program from the wheel, in an environment of its own beside the locked packages."""
    folder = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip"]
    quietly = ["--quiet", "--no-deps", "--disable-pip-version-check"]
    built = folder / "dist"
    make = [*pip, "wheel", *quietly, "--no-build-isolation", "--wheel-dir", str(built), str(ROOT)]
    subprocess.run(make, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (wheel,) = built.glob("*.whl")
    python = folder / "venv" / "bin" / "python"
    install = [*pip, "--python", str(python), "install", *quietly, "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    return folder / "venv" / "bin" / "context7-fabric"


@pytest.fixture
def api() -> Iterator[Api]:
    with running_api() as api:
        yield api


@pytest.fixture
def shell(tmp_path: Path, program: Path, api: Api) -> Iterator[Shell]:
    home, project = tmp_path / "home", tmp_path / "shop"
    (home / ".cursor").mkdir(parents=True)
    (home / ".cursor" / "mcp.json").write_text(json.dumps(CURSOR, indent=2) + "\n")
    project.mkdir()
    for name, text in PROJECT.items():
        (project / name).write_text(text)
    environment = {
        **clean_environment(),
        "HOME": str(home),
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
        "TZ": "UTC",
        "CONTEXT7_API_URL": api.url,
        "CONTEXT7_FABRIC_UPSTREAM": shlex.join(context7_command()),
        "CONTEXT7_FABRIC_MODEL": "off",
    }
    for name in ("VIRTUAL_ENV", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    yield Shell(home, project, environment, inspector_program())
    subprocess.run([program, "daemon", "stop"], env=environment, check=False, capture_output=True)


def session() -> dict[str, list[Command]]:
    text = (ROOT / "docs" / "first-minutes.md").read_text("utf-8")
    return {title: commands(block) for title, block in examples(text, "console").items()}


def shown(printed: list[str], output: str) -> None:
    """Check that the lines of the document stand in the output, in their order."""
    patterns = [re.escape(line.rstrip()).replace("…", ".*") for line in printed if line.strip()]
    rest = [" ".join(line.split()) for line in output.splitlines()]
    for pattern in patterns:
        form = re.compile(" ".join(pattern.replace("\\ ", " ").split()))
        at = next((at for at, line in enumerate(rest) if form.fullmatch(line)), None)
        assert at is not None, f"no line is like {pattern!r} in:\n{output}"
        rest = rest[at + 1 :]


def test_session_of_a_new_user_goes_as_documented(shell: Shell, api: Api) -> None:
    before = shell.cursor.read_bytes()
    for title, block in session().items():
        if title == "Unplug":
            api.fail(Fault(cut="whole"))
        for command in block:
            shown(command.printed, shell.run(command))
    assert shell.cursor.read_bytes() == before
