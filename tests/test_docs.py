"""README and docs against the code: settings, commands, limits and examples.

Run as a program, it writes the table of docs/settings.md anew.
"""

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
from context7_fabric.variables import PREFIX, UNSET, VARIABLES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
SERVER = (ROOT / "docs" / "server.md").read_text("utf-8")
SETTINGS = ROOT / "docs" / "settings.md"
PACKAGE = ROOT / "server" / "context7_fabric"


SHOWN_KINDS = {
    "switch": "`on`, `off`",
    "count": "number",
    "secret": "text",
    "project": "path, `off`",
}
"""Words for kinds that a user need not tell apart."""


def settings_table() -> str:
    """Return the table of docs/settings.md, made from the declaration."""
    rows = ["| variable | value | default | what it sets |", "|---|---|---|---|"]
    for name, (kind, default, meaning) in VARIABLES.items():
        value = kind if isinstance(kind, str) else ", ".join(f"`{word}`" for word in kind)
        value = SHOWN_KINDS.get(value, value)
        unset = UNSET.get(name) or (f"`{default}`" if default else "none")
        rows.append(f"| `{PREFIX}{name}` | {value} | {unset} | {meaning} |")
    return "\n".join(rows)


def with_table(page: str) -> str:
    """Return `page` with the table that the declaration makes."""
    return re.sub(
        r"(<!-- table.*?-->\n).*?(<!-- end)", rf"\1{settings_table()}\n\2", page, flags=re.DOTALL
    )


def test_settings_page_holds_the_table_of_the_declaration() -> None:
    page = SETTINGS.read_text("utf-8")
    assert settings_table() in page, "python tests/test_docs.py writes it anew"
    assert with_table(page) == page


def test_documents_name_only_declared_variables() -> None:
    texts = [README, *(path.read_text("utf-8") for path in (ROOT / "docs").glob("*.md"))]
    named = set(re.findall(rf"{PREFIX}[A-Z_]*[A-Z]", "".join(texts)))
    assert named == {PREFIX + name for name in VARIABLES}


def test_the_limits_in_the_servers_document_are_those_of_the_code() -> None:
    rate = WebSettings().rate
    rows = {
        "requests of each token": f"{rate} a minute, {burst_of(rate)} at once",
        "body of a request": f"{MOST_BYTES // 2**20} MiB, in {MOST_SECONDS:g} s",
        "head of a request": f"{HEAD_BYTES // 2**10} KiB and {MOST_HEADERS} headers,"
        f" in {HEAD_SECONDS:g} s",
        "body of a request for a stream": f"{STREAM_BYTES // 2**10} KiB",
        "bodies that arrive at once, together": f"{MOST_TOGETHER // 2**20} MiB",
        "answers buffered for slow clients, together": f"{MOST_UNSENT // 2**20} MiB;"
        f" each client reads something within {READING_SECONDS:g} s",
        "connections": f"{MOST_CONNECTIONS:,}, or as many as the limit of open files allows",
        "messages of a batch": f"{MOST_IN_BATCH}",
        "requests of one `/sse` stream without an answer": f"{MOST_UNANSWERED}",
        "different keys and tokens at once": f"{MOST_IDENTITIES}",
        "of them with one token, or from one address without tokens": f"{MOST_OF_ONE}",
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
    assert {name for name in server["env"] if name not in SETTINGS.read_text("utf-8")} == set()
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


if __name__ == "__main__":
    SETTINGS.write_text(with_table(SETTINGS.read_text("utf-8")), "utf-8")
