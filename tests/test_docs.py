"""The README against the code: variables, commands, and examples are those there are."""

import json
import re
from pathlib import Path

import pytest

from context7_fabric.cli.main import COMMANDS
from context7_fabric.http_server.app import MOST_IDENTITIES, MOST_OF_ONE
from context7_fabric.http_server.auth import burst_of
from context7_fabric.http_server.listener import (
    HEAD_BYTES,
    HEAD_SECONDS,
    MOST_CONNECTIONS,
    MOST_HEADERS,
    MOST_UNSENT,
    READING_SECONDS,
)
from context7_fabric.http_server.middleware import (
    MOST_BYTES,
    MOST_SECONDS,
    MOST_TOGETHER,
    STREAM_BYTES,
)
from context7_fabric.mcp_server.http import MOST_IN_BATCH, MOST_UNANSWERED
from context7_fabric.settings import read_settings
from context7_fabric.settings.values import WebSettings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
SERVER = (ROOT / "docs" / "server.md").read_text("utf-8")
PACKAGE = ROOT / "server" / "context7_fabric"


def variables_in(text: str) -> set[str]:
    """Return our own variables that `text` names."""
    return set(re.findall(r"CONTEXT7_FABRIC_[A-Z_]+", text))


def test_every_variable_of_the_settings_stands_in_the_readme_and_no_other() -> None:
    source = "".join(path.read_text("utf-8") for path in (PACKAGE / "settings").glob("*.py"))
    reads = r'reader\.(?:text|path|choice|duration|whole)\(\s*"([A-Z_]+)"'
    known = {f"CONTEXT7_FABRIC_{name}" for name in re.findall(reads, source)}
    assert known
    assert variables_in(README) == known


def test_the_servers_document_names_no_other_variable() -> None:
    assert "CONTEXT7_FABRIC_TOKENS_FILE" in variables_in(SERVER)
    assert variables_in(SERVER) <= variables_in(README)


def test_the_limits_in_the_servers_document_are_those_of_the_code() -> None:
    rate = WebSettings().rate
    rows = {
        "requests of each token": f"{rate} a minute, {burst_of(rate)} at once",
        "body of a request": f"{MOST_BYTES // 2**20} MiB, in {MOST_SECONDS:g} s",
        "head of a request": f"{HEAD_BYTES // 2**10} KiB and {MOST_HEADERS} headers,"
        f" in {HEAD_SECONDS:g} s",
        "body that asks for a stream": f"{STREAM_BYTES // 2**10} KiB",
        "bodies that arrive at once, together": f"{MOST_TOGETHER // 2**20} MiB",
        "answers that wait for slow clients, together": f"{MOST_UNSENT // 2**20} MiB;"
        f" each client reads something within {READING_SECONDS:g} s",
        "connections": f"{MOST_CONNECTIONS:,}, or as many as the limit of open files allows",
        "messages of a batch": f"{MOST_IN_BATCH}",
        "requests of one `/sse` stream without an answer": f"{MOST_UNANSWERED}",
        "different keys and tokens at once": f"{MOST_IDENTITIES}",
        "of them with one token, or from one address where there are none": f"{MOST_OF_ONE}",
    }
    for what, limit in rows.items():
        assert f"\n| {what} | {limit} |" in SERVER


def test_every_command_stands_in_the_readme() -> None:
    listed = set(re.findall(r"^\| `context7-fabric ([a-z]+)", README, re.MULTILINE))
    assert listed == set(COMMANDS) - {"serve"}


def test_the_example_configuration_is_a_bare_command_with_variables_that_exist() -> None:
    example = json.loads((ROOT / "mcp.json.example").read_text("utf-8"))
    server = example["mcpServers"]["context7"]
    assert server["command"] == "context7-fabric"
    assert server["args"] == []
    assert {name for name in server["env"] if name not in README} == set()
    assert read_settings(server["env"]).upstream.api_key is None


def unpublished(text: str) -> list[str]:
    """Return the installations in `text` that name our package where no index has it."""
    return re.findall(r"(?:install|add|uvx|pipx run|tool run)\s+['\"]?context7-fabric\b\S*", text)


@pytest.mark.parametrize(
    "command",
    [
        "pip install 'context7-fabric[telemetry]'",
        "uv tool install context7-fabric",
        'pipx install "context7-fabric"',
        "uvx context7-fabric demo",
    ],
)
def test_an_installation_by_name_is_noticed(command: str) -> None:
    assert unpublished(f"Run {command} first.")


def test_no_text_installs_the_package_by_its_name() -> None:
    texts = [README, *(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md"))]
    texts += [path.read_text("utf-8") for path in PACKAGE.rglob("*.py")]
    assert [each for text in texts for each in unpublished(text)] == []


@pytest.mark.parametrize("file", ["Makefile", "deploy/Dockerfile"])
def test_every_installation_by_hashes_takes_what_the_lock_names_and_no_more(file: str) -> None:
    text = (ROOT / file).read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if "install" in line and "--require-hashes" in line]
    assert lines
    assert [
        each for each in lines if "--no-deps" not in each and "$(call install," not in each
    ] == []
    assert all("--no-deps" in line for line in text.splitlines() if line.startswith("install ="))
