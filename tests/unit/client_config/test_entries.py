"""Entries of every client: their form, and what they take over from an existing one."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest

from context7_fabric.client_config.clients import CLIENTS, Dialect, McpClient
from context7_fabric.client_config.entries import FilePlan, NewServer, parse, plan_file

KEY = "ctx7sk-0123456789"
PROGRAM = "/opt/bin/context7-fabric"
SERVER = NewServer([PROGRAM, "serve"])
URL = "https://mcp.context7.com/mcp"
OTHER: dict[str, Any] = {"command": "/bin/other", "args": ["a"]}
PLAIN = {"command": PROGRAM, "args": ["serve"]}
TYPED = {"type": "stdio", **PLAIN}
FORMS: dict[str, dict[str, Any]] = {
    "claude-code": TYPED,
    "claude-desktop": PLAIN,
    "cursor": TYPED,
    "vscode": TYPED,
    "windsurf": PLAIN,
    "codex": {**PLAIN, "startup_timeout_sec": 60},
    "gemini": PLAIN,
    "qwen": PLAIN,
    "opencode": {"type": "local", "command": [PROGRAM, "serve"], "enabled": True},
    "zed": PLAIN,
    "copilot": {"type": "local", **PLAIN, "tools": ["*"]},
    "cline": {**PLAIN, "timeout": 60},
    "amp": PLAIN,
    "crush": TYPED,
    "continue": PLAIN,
    "antigravity": PLAIN,
}
OLD: dict[str, dict[str, Any]] = {
    "npx": {"command": "npx", "args": ["-y", "@upstash/context7-mcp@latest", "--api-key", KEY]},
    "cmd": {
        "command": "cmd",
        "args": ["/c", "npx", "-y", "@upstash/context7-mcp", "--api-key", KEY],
    },
    "env": {
        "command": "npx",
        "args": ["-y", "@upstash/context7-mcp"],
        "env": {"CONTEXT7_API_KEY": KEY, "CONTEXT7_API_URL": "https://a.example/api"},
    },
    "header": {"url": URL, "headers": {"CONTEXT7_API_KEY": KEY}},
    "bearer": {"url": URL, "headers": {"Authorization": f"Bearer {KEY}"}},
    "ours": {**PLAIN, "env": {"CONTEXT7_API_KEY": KEY}},
}
every_client = pytest.mark.parametrize("client", CLIENTS.values(), ids=list(CLIENTS))


def text_of(client: McpClient, entries: dict[str, Any]) -> str:
    """A file of a client that has entries, as a user would have it."""
    text = ""
    for name, entry in entries.items():
        text = parse(text, client.dialect).with_entry(client.container, name, entry)
    return text


def planned(client: McpClient, text: str, server: NewServer = SERVER) -> FilePlan:
    plan = plan_file(client, text, server)
    value = tomllib.loads(plan.text) if client.dialect is Dialect.TOML else json.loads(plan.text)
    for placed in plan.placed:
        found = value
        for key in placed.container:
            found = found[key]
        assert found[placed.name] == placed.entry
    return plan


def env_of(plan: FilePlan) -> dict[str, str]:
    (placed,) = plan.placed
    variables: dict[str, str] = placed.entry.get("env") or placed.entry.get("environment") or {}
    return variables


@every_client
def test_plan_without_a_file_has_the_form_of_the_client(client: McpClient) -> None:
    (placed,) = planned(client, "").placed
    assert placed.entry == FORMS[client.name]
    assert (placed.container, placed.name) == (client.container, "context7")


@every_client
def test_plan_beside_other_servers_leaves_their_text(client: McpClient) -> None:
    text = text_of(client, {"other": OTHER, "more": OTHER})
    after = planned(client, text).text
    assert parse(after, client.dialect).entries(client.container)["other"] == OTHER
    assert parse(after, client.dialect).put_back(client.container, "context7", None) == text


@every_client
@pytest.mark.parametrize("form", OLD)
def test_plan_over_an_existing_entry_keeps_name_place_key_and_settings(
    client: McpClient, form: str
) -> None:
    text = text_of(client, {"before": OTHER, "Context7": OLD[form], "after": OTHER})
    plan = planned(client, text)
    (placed,) = plan.placed
    variables = env_of(plan)
    assert placed.name == "Context7"
    assert variables["CONTEXT7_API_KEY"] == KEY
    assert variables.get("CONTEXT7_API_URL") == OLD[form].get("env", {}).get("CONTEXT7_API_URL")
    assert placed.secrets == (KEY,)
    assert list(parse(plan.text, client.dialect).entries(client.container)) == [
        "before",
        "Context7",
        "after",
    ]
    assert plan_file(client, plan.text, SERVER).text == plan.text


@every_client
def test_plan_with_a_key_in_the_shell_writes_no_key(client: McpClient) -> None:
    plan = planned(client, "", NewServer([PROGRAM], {}, ["CONTEXT7_API_KEY"]))
    (placed,) = plan.placed
    value = env_of(plan).get("CONTEXT7_API_KEY")
    if client.dialect is Dialect.TOML:
        assert placed.entry["env_vars"] == ["CONTEXT7_API_KEY"]
    elif client.reference is None:
        assert (value, len(plan.notes)) == (None, 1)
    elif client.passes_environment and client.name != "claude-code":
        assert (value, plan.notes) == (None, ())
    else:
        assert value == client.reference % "CONTEXT7_API_KEY"


@pytest.mark.parametrize(
    ("client", "reference"),
    [
        ("cursor", "${env:CONTEXT7_API_KEY}"),
        ("vscode", "${input:context7-key}"),
        ("gemini", "$MY_KEY"),
        ("claude-code", "${MY_KEY:-}"),
    ],
)
def test_plan_over_a_reference_keeps_it_as_it_is(client: str, reference: str) -> None:
    old = {"url": URL, "headers": {"CONTEXT7_API_KEY": reference}}
    plan = planned(CLIENTS[client], text_of(CLIENTS[client], {"context7": old}))
    assert env_of(plan)["CONTEXT7_API_KEY"] == reference
    assert plan.placed[0].secrets == ()


@pytest.mark.parametrize("form", ["bearer_token_env_var", "env_http_headers"])
def test_plan_over_a_variable_of_codex_passes_the_variable_on(form: str) -> None:
    variable: object = "CONTEXT7_API_KEY"
    if form == "env_http_headers":
        variable = {"CONTEXT7_API_KEY": variable}
    text = text_of(CLIENTS["codex"], {"context7": {"url": URL, form: variable}})
    (placed,) = planned(CLIENTS["codex"], text).placed
    assert placed.entry["env_vars"] == ["CONTEXT7_API_KEY"]
    assert "env" not in placed.entry


def test_plan_keeps_time_outs_and_approvals_but_no_switch_and_no_list_of_context7s_tools() -> None:
    old = {
        **OLD["npx"],
        "timeout": 9000,
        "trust": True,
        "disabled": True,
        "tools": ["query-docs", "resolve-library-id"],
    }
    (placed,) = planned(CLIENTS["copilot"], text_of(CLIENTS["copilot"], {"context7": old})).placed
    assert placed.entry["timeout"] == 9000
    assert placed.entry["trust"] is True
    assert "disabled" not in placed.entry
    assert placed.entry["tools"] == ["*"]


@pytest.mark.parametrize(
    "old",
    [
        {"url": f"{URL}/oauth"},
        {"command": "/bin/another", "args": []},
        {"command": "sh", "args": ["-c", "x=$(pass ctx7); npx @upstash/context7-mcp"]},
    ],
)
def test_plan_over_an_entry_that_has_to_stay_says_so_and_changes_nothing(
    old: dict[str, Any],
) -> None:
    text = text_of(CLIENTS["cursor"], {"context7": old})
    plan = plan_file(CLIENTS["cursor"], text, SERVER)
    assert plan.obstacle
    assert (plan.text, plan.placed) == (text, ())


def test_plan_of_claude_code_replaces_the_entry_of_a_project_as_well() -> None:
    text = json.dumps({"projects": {"/p": {"mcpServers": {"context7": OLD["npx"]}}, "/q": {}}})
    plan = planned(CLIENTS["claude-code"], text)
    assert [placed.container for placed in plan.placed] == [
        ("mcpServers",),
        ("projects", "/p", "mcpServers"),
    ]
    assert plan.placed[1].entry["env"] == {"CONTEXT7_API_KEY": KEY}


def test_plan_names_further_entries_that_reach_context7() -> None:
    text = text_of(CLIENTS["cursor"], {"context7": OLD["npx"], "docs": OLD["header"]})
    assert planned(CLIENTS["cursor"], text).notes == (
        "entry 'docs' reaches Context7 too, and stays",
    )


@pytest.mark.parametrize("switch", [{"disabled": True}, {"enabled": False}])
def test_plan_says_that_an_entry_is_switched_on_again(switch: dict[str, bool]) -> None:
    text = text_of(CLIENTS["cursor"], {"context7": {**OLD["npx"], **switch}})
    assert planned(CLIENTS["cursor"], text).notes == ("it was switched off, and is on again",)


def test_plan_in_a_project_of_copilot_has_no_list_of_tools() -> None:
    (placed,) = plan_file(CLIENTS["copilot"], "", SERVER, in_project=True).placed
    assert placed.entry == TYPED
