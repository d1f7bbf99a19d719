"""Recognition of existing Context7 entries: every documented form, and any shape at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from context7_fabric.client_config.context7_entry import Context7Entry, KeyForm, recognise
from context7_fabric.client_config.launch import EntryForm

KEY = "ctx7sk-0a1b2c3d-4e5f"
PACKAGE = "@upstash/context7-mcp"
URL = "https://mcp.context7.com/mcp"

WITH_KEY: dict[str, tuple[EntryForm, dict[str, Any]]] = {
    "npx": (EntryForm.PACKAGE, {"command": "npx", "args": ["-y", PACKAGE, "--api-key", KEY]}),
    "npx with a version and one word for the key": (
        EntryForm.PACKAGE,
        {"command": "npx", "args": ["-y", f"{PACKAGE}@latest", f"--api-key={KEY}"]},
    ),
    "npx by its path on Windows": (
        EntryForm.PACKAGE,
        {
            "command": "C:\\Program Files\\nodejs\\npx.cmd",
            "args": ["-y", PACKAGE, "--api-key", KEY],
        },
    ),
    "npx of a named package": (
        EntryForm.PACKAGE,
        {"command": "npx", "args": ["-y", "-p", PACKAGE, "context7-mcp", "--api-key", KEY]},
    ),
    "npm exec": (
        EntryForm.PACKAGE,
        {"command": "npm", "args": ["exec", "--yes", "--", PACKAGE, "--api-key", KEY]},
    ),
    "cmd /c": (
        EntryForm.PACKAGE,
        {"command": "cmd", "args": ["/c", "npx", "-y", PACKAGE, "--api-key", KEY]},
    ),
    "cmd /c with one text": (
        EntryForm.PACKAGE,
        {"command": "cmd.exe", "args": ["/d", "/C", f"npx -y {PACKAGE} --api-key {KEY}"]},
    ),
    "bunx": (
        EntryForm.PACKAGE,
        {"command": "bunx", "args": ["-y", PACKAGE, "--api-key", KEY]},
    ),
    "bun x": (
        EntryForm.PACKAGE,
        {"command": "bun", "args": ["x", "--bun", PACKAGE, "--api-key", KEY]},
    ),
    "pnpm dlx": (
        EntryForm.PACKAGE,
        {"command": "pnpm", "args": ["--silent", "dlx", PACKAGE, "--api-key", KEY]},
    ),
    "yarn dlx": (
        EntryForm.PACKAGE,
        {"command": "yarn", "args": ["dlx", "-q", PACKAGE, "--api-key", KEY]},
    ),
    "deno": (
        EntryForm.PACKAGE,
        {
            "command": "deno",
            "args": ["run", "--allow-env=A,B", "--allow-net", f"npm:{PACKAGE}", "--api-key", KEY],
        },
    ),
    "one text for all": (
        EntryForm.PACKAGE,
        {"command": f"npx -y {PACKAGE} --api-key {KEY}"},
    ),
    "a plain command in a shell": (
        EntryForm.PACKAGE,
        {"command": "/bin/bash", "args": ["-lc", f"npx -y {PACKAGE} --api-key '{KEY}'"]},
    ),
    "env in front": (
        EntryForm.PACKAGE,
        {"command": "/usr/bin/env", "args": [f"CONTEXT7_API_KEY={KEY}", "npx", "-y", PACKAGE]},
    ),
    "variable of the entry": (
        EntryForm.PACKAGE,
        {"command": "npx", "args": ["-y", PACKAGE], "env": {"CONTEXT7_API_KEY": KEY}},
    ),
    "opencode": (
        EntryForm.PACKAGE,
        {"type": "local", "command": ["npx", "-y", PACKAGE, "--api-key", KEY]},
    ),
    "opencode with a variable": (
        EntryForm.PACKAGE,
        {
            "type": "local",
            "command": ["npx", "-y", PACKAGE],
            "environment": {"CONTEXT7_API_KEY": KEY},
        },
    ),
    "older Zed": (
        EntryForm.PACKAGE,
        {
            "source": "custom",
            "command": {"path": "npx", "args": ["-y", PACKAGE, "--api-key", KEY], "env": None},
        },
    ),
    "Cline's own form": (
        EntryForm.PACKAGE,
        {
            "transport": {
                "type": "stdio",
                "command": "npx",
                "args": ["-y", PACKAGE],
                "env": {"CONTEXT7_API_KEY": KEY},
            }
        },
    ),
    "installed program": (
        EntryForm.PROGRAM,
        {"command": "/opt/my node/bin/context7-mcp", "args": ["--api-key", KEY]},
    ),
    "installed script": (
        EntryForm.PROGRAM,
        {
            "command": "node",
            "args": [f"/usr/lib/node_modules/{PACKAGE}/dist/index.js", "--api-key", KEY],
        },
    ),
    "script of a checkout": (
        EntryForm.PROGRAM,
        {
            "command": "node",
            "args": ["C:\\src\\context7\\packages\\mcp\\dist\\index.js", "--api-key", KEY],
        },
    ),
    "docker": (
        EntryForm.CONTAINER,
        {
            "command": "docker",
            "args": ["run", "-i", "--rm", "-e", f"CONTEXT7_API_KEY={KEY}", "mcp/context7:1"],
        },
    ),
    "docker with the variable of the entry": (
        EntryForm.CONTAINER,
        {
            "command": "docker",
            "args": ["run", "-i", "--rm", "-e", "CONTEXT7_API_KEY", "context7-mcp"],
            "env": {"CONTEXT7_API_KEY": KEY},
        },
    ),
    "docker with a runner inside": (
        EntryForm.CONTAINER,
        {
            "command": "podman",
            "args": ["run", "-i", "node:22", "npx", "-y", PACKAGE, "--api-key", KEY],
        },
    ),
    "url": (EntryForm.URL, {"url": URL, "headers": {"CONTEXT7_API_KEY": KEY}}),
    "url with the other spelling": (
        EntryForm.URL,
        {"type": "http", "url": URL + "/", "headers": {"Context7-Api-Key": KEY}},
    ),
    "url with Bearer": (
        EntryForm.URL,
        {"type": "remote", "url": URL, "headers": {"Authorization": f"Bearer {KEY}"}},
    ),
    "serverUrl": (EntryForm.URL, {"serverUrl": URL, "headers": {"CONTEXT7_API_KEY": KEY}}),
    "httpUrl": (
        EntryForm.URL,
        {"httpUrl": URL, "headers": {"CONTEXT7_API_KEY": KEY, "Accept": "application/json"}},
    ),
    "sse": (
        EntryForm.URL,
        {"url": "https://mcp.context7.com/sse", "headers": {"CONTEXT7_API_KEY": KEY}},
    ),
    "Codex's headers": (EntryForm.URL, {"url": URL, "http_headers": {"CONTEXT7_API_KEY": KEY}}),
    "Continue": (
        EntryForm.URL,
        {
            "name": "context7",
            "type": "streamable-http",
            "url": URL,
            "requestOptions": {"headers": {"Authorization": f"bearer {KEY}"}, "verifySsl": True},
        },
    ),
    "Cline's own form with a url": (
        EntryForm.URL,
        {
            "transport": {
                "type": "streamableHttp",
                "url": URL,
                "headers": {"CONTEXT7_API_KEY": KEY},
            }
        },
    ),
    "mcp-remote": (
        EntryForm.BRIDGE,
        {"command": "npx", "args": ["mcp-remote", URL, "--header", f"CONTEXT7_API_KEY: {KEY}"]},
    ),
    "mcp-remote with a header from a variable": (
        EntryForm.BRIDGE,
        {
            "command": "npx",
            "args": ["-y", "mcp-remote@0.1.3", URL, "--header", "Authorization:${AUTH}"],
            "env": {"AUTH": f"Bearer {KEY}"},
        },
    ),
}


@pytest.mark.parametrize("form", WITH_KEY)
def test_recognise_of_each_documented_form_returns_its_key(form: str) -> None:
    expected, entry = WITH_KEY[form]
    found = _recognised("context7", entry)
    assert (found.form, found.key_form, found.obstacle) == (expected, KeyForm.LITERAL, None)
    assert found.key == KEY
    assert found.settings == {}
    assert KEY not in str(found)


@pytest.mark.parametrize(
    ("entry", "key", "form"),
    [
        ({"url": URL, "headers": {"CONTEXT7_API_KEY": "${env:K}"}}, "${env:K}", "reference"),
        (
            {"url": URL, "headers": {"Authorization": "Bearer ${input:k}"}},
            "${input:k}",
            "reference",
        ),
        ({"url": URL, "headers": {"Authorization": "Bearer ${K:-}"}}, "${K:-}", "reference"),
        ({"url": URL, "headers": {"CONTEXT7_API_KEY": "{env:K}"}}, "{env:K}", "reference"),
        ({"url": URL, "headers": {"CONTEXT7_API_KEY": "{file:~/.k}"}}, "{file:~/.k}", "reference"),
        ({"url": URL, "headers": {"CONTEXT7_API_KEY": "$K"}}, "$K", "reference"),
        ({"url": URL, "headers": {"CONTEXT7_API_KEY": "$(cat k)"}}, "$(cat k)", "reference"),
        (
            {"url": URL, "headers": {"Authorization": "Bearer ${{ secrets.K }}"}},
            "${{ secrets.K }}",
            "reference",
        ),
        (
            {"command": "npx", "args": [PACKAGE], "env": {"CONTEXT7_API_KEY": "CONTEXT7_API_KEY"}},
            "CONTEXT7_API_KEY",
            "reference",
        ),
        ({"command": ["npx", PACKAGE, "--api-key", "{env:K}"]}, "{env:K}", "reference"),
        (
            {"command": "cmd", "args": ["/c", "npx", PACKAGE, "--api-key", "%K%"]},
            "%K%",
            "reference",
        ),
        ({"url": URL, "bearer_token_env_var": "CONTEXT7_API_KEY"}, "CONTEXT7_API_KEY", "variable"),
        (
            {"url": URL, "env_http_headers": {"CONTEXT7_API_KEY": "CONTEXT7_API_KEY"}},
            "CONTEXT7_API_KEY",
            "variable",
        ),
        (
            {"command": "npx", "args": [PACKAGE], "env_vars": ["CONTEXT7_API_KEY", "HTTPS_PROXY"]},
            "CONTEXT7_API_KEY",
            "variable",
        ),
        (
            {"command": "docker", "args": ["run", "-i", "-e", "CONTEXT7_API_KEY", "context7-mcp"]},
            "CONTEXT7_API_KEY",
            "variable",
        ),
        (
            {
                "command": "npx",
                "args": ["mcp-remote", URL, "--header", "Authorization:Bearer ${K}"],
            },
            "K",
            "variable",
        ),
        ({"url": URL}, None, "none"),
        ({"command": "npx", "args": ["-y", PACKAGE, "--api-key"]}, None, "none"),
        ({"command": "npx", "args": ["-y", PACKAGE, "--api-key", "YOUR_API_KEY"]}, None, "none"),
        ({"url": URL, "headers": {"CONTEXT7_API_KEY": "<YOUR-KEY>"}}, None, "none"),
        ({"url": URL, "headers": {"CONTEXT7_API_KEY": " "}}, None, "none"),
    ],
)
def test_recognise_of_a_reference_returns_it_as_it_is(
    entry: dict[str, Any], key: str | None, form: str
) -> None:
    found = _recognised("context7", entry)
    assert (found.key, found.key_form, found.obstacle) == (key, form, None)


def test_recognise_with_several_keys_returns_the_one_that_the_server_takes() -> None:
    both = {"command": "npx", "args": [PACKAGE, "--api-key", KEY], "env": {"CONTEXT7_API_KEY": "x"}}
    headers = {"CONTEXT7_API_KEY": "x", "X-Api-Key": "y", "authorization": f"Bearer {KEY}"}
    assert _recognised("context7", both).key == KEY
    assert _recognised("context7", {"url": URL, "headers": headers}).key == KEY


def test_recognise_returns_variables_and_settings_that_are_kept() -> None:
    found = _recognised(
        "Context7",
        {
            "command": "npx",
            "args": ["-y", PACKAGE],
            "env": {
                "CONTEXT7_API_KEY": KEY,
                "CONTEXT7_API_URL": "https://docs.example/api",
                "PORT": 3000,
                "DEBUG": True,
                "NOTHING": None,
            },
            "timeout": 20000,
            "disabled": True,
            "autoApprove": ["query-docs"],
            "tools": ["query-docs", "resolve-library-id"],
            "cwd": "/srv",
        },
    )
    assert found.name == "Context7"
    assert found.env == {
        "CONTEXT7_API_URL": "https://docs.example/api",
        "PORT": "3000",
        "DEBUG": "true",
    }
    assert found.settings == {
        "timeout": 20000,
        "disabled": True,
        "autoApprove": ["query-docs"],
        "cwd": "/srv",
    }


def test_recognise_of_codex_settings_keeps_them() -> None:
    entry = {
        "url": URL,
        "startup_timeout_sec": 40,
        "enabled": False,
        "enabled_tools": ["query-docs"],
    }
    found = _recognised("context7", entry)
    assert found.settings == {"startup_timeout_sec": 40, "enabled": False}


@pytest.mark.parametrize("tools", [["*"], ["query-docs", "resolve-library-id", "fabric-stats"]])
def test_recognise_keeps_a_list_of_more_than_upstreams_tools(tools: list[str]) -> None:
    assert _recognised("context7", {"url": URL, "tools": tools}).settings == {"tools": tools}


def test_recognise_names_the_headers_that_a_process_cannot_have() -> None:
    headers = {"CONTEXT7_API_KEY": KEY, "X-Team": "a", "accept": "*/*"}
    assert _recognised("context7", {"url": URL, "headers": headers}).left_out == (
        "header 'X-Team'",
    )


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"url": f"{URL}/oauth"}, "OAuth"),
        ({"url": URL, "oauth": {"scope": "x"}}, "OAuth"),
        ({"command": "npx", "args": ["-y", "mcp-remote", f"{URL}/oauth"]}, "OAuth"),
        ({"url": URL, "headersHelper": "/bin/key"}, "headers"),
        ({"url": URL, "bearer_token_env_var": "K"}, "'K'"),
        (
            {"command": "docker", "args": ["run", "-i", "--env-file", "a.env", "mcp/context7"]},
            "'a.env'",
        ),
        (
            {"command": "bash", "args": ["-c", f". ~/.keys && npx -y {PACKAGE} --api-key $K"]},
            "script for 'bash'",
        ),
        ({"command": "op", "args": ["run", "--", "npx", "-y", PACKAGE]}, "'op'"),
        (
            {
                "command": "npx",
                "args": ["-y", "@smithery/cli@latest", "run", PACKAGE, "--key", "k"],
            },
            "'@smithery/cli@latest'",
        ),
        ({"url": f"https://server.smithery.ai/{PACKAGE}/mcp"}, "address"),
        ({"command": "npx", "args": ["-y", PACKAGE, "--api-key", "two words"]}, "blanks"),
        ({"source": "extension", "enabled": True, "settings": {}}, "extension"),
        ({"settings": {"context7_api_key": KEY}}, "extension"),
    ],
)
def test_recognise_of_what_cannot_be_replaced_gives_the_reason(
    entry: dict[str, Any], reason: str
) -> None:
    found = _recognised("context7", entry)
    assert not found.replaceable
    assert reason in (found.obstacle or "")
    assert found.oauth == (reason == "OAuth")


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ("/home/u/.local/bin/context7-fabric", []),
        ("C:\\Users\\u\\.venv\\Scripts\\context7-fabric.exe", ["--transport", "stdio"]),
        ("uvx", ["--from", "/home/u/context7-fabric", "context7-fabric"]),
        ("uvx", ["context7-fabric@0.9"]),
        ("/usr/bin/pipx", ["run", "--spec", "git+https://host/x", "context7-fabric"]),
        ("python3.11", ["-m", "context7_fabric"]),
    ],
)
def test_recognise_of_our_own_entry_says_so(command: str, args: list[str]) -> None:
    entry = {"command": command, "args": args, "env": {"CONTEXT7_API_KEY": KEY}}
    found = _recognised("context7", entry)
    assert (found.ours, found.key, found.replaceable) == (True, KEY, True)


@pytest.mark.parametrize(
    "entry",
    [
        {"command": "npx", "args": ["-y", "@other/context7-server"]},
        {"command": "python", "args": ["-m", "my_docs", "context7"]},
        {"command": "docker", "args": ["run", "--name", "context7", "-i", "docs/other"]},
        {"command": "docker", "args": ["exec", "-i", "context7-x", "serve"]},
        {"url": "https://docs.example/mcp"},
        {"url": "https://mcp.context7.com.example/mcp"},
        {"url": "http://[broken"},
        {"enabled": False},
        {"command": None},
        {"command": [], "args": "npx"},
        {},
        [],
        "npx",
        None,
        7,
    ],
)
def test_recognise_of_another_program_returns_none(entry: object) -> None:
    assert recognise("context7", entry) is None


@pytest.mark.parametrize(
    "entry",
    [
        {
            "command": "npx",
            "args": ["@modelcontextprotocol/server-filesystem", "/src/context7-mcp"],
        },
        {"command": "uvx", "args": ["mcp-server-git", "--repository", "/src/context7-fabric"]},
        {"command": "node", "args": ["/src/context7/dist/index.js"]},
    ],
)
def test_recognise_of_a_path_in_another_entry_returns_none(entry: object) -> None:
    assert recognise("files", entry) is None


def test_recognise_under_another_name_goes_by_what_it_starts() -> None:
    assert _recognised("docs", {"url": URL}).name == "docs"


_WORDS = st.sampled_from(
    [
        "npx", "-y", PACKAGE, "--api-key", f"--api-key={KEY}", "docker", "run", "-e", "cmd", "/c",
        "env", "A=b", "bash", "-c", "mcp-remote", URL, "--header", "CONTEXT7_API_KEY:x", "uvx",
        "context7-fabric", "", "'", "\\", "$(", "node", "context7/dist/index.js", "--", "[::1",
    ]
)  # fmt: skip
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | _WORDS
_MEMBERS = st.sampled_from(
    [
        "command", "args", "env", "environment", "url", "serverUrl", "httpUrl", "headers",
        "http_headers", "env_http_headers", "bearer_token_env_var", "env_vars", "transport",
        "requestOptions", "path", "settings", "source", "tools", "oauth", "Authorization",
        "CONTEXT7_API_KEY",
    ]
)  # fmt: skip
_VALUES = st.recursive(
    _SCALARS | st.lists(_WORDS, max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_MEMBERS, inner, max_size=6),
    max_leaves=20,
)


@given(st.sampled_from(["context7", "Context7", "docs", ""]), _VALUES)
def test_recognise_of_any_shape_returns_an_entry_or_none(name: str, entry: object) -> None:
    found = recognise(name, entry)
    assert found is None or (
        (found.key is None) == (found.key_form is KeyForm.NONE)
        and all(isinstance(value, str) for value in found.env.values())
        and not found.settings.keys() & {"command", "args", "env", "url", "headers"}
    )


@given(
    st.sampled_from(sorted(WITH_KEY)),
    st.dictionaries(
        st.sampled_from(["timeout", "disabled", "enabled", "autoApprove", "envFile", "x-own"]),
        st.booleans() | st.integers() | st.text(max_size=5),
    ),
)
def test_recognise_keeps_every_setting_beside_any_form(form: str, settings: dict[str, Any]) -> None:
    _, entry = WITH_KEY[form]
    found = _recognised("context7", {**entry, **settings})
    assert dict(found.settings) == settings
    assert found.key_form is KeyForm.LITERAL


def _recognised(name: str, entry: object) -> Context7Entry:
    found = recognise(name, entry)
    assert found is not None
    return found
