"""Entries for Context7 with a key, in every form that is documented or was seen.

Forms: upstash/context7, `docs/resources/all-clients.mdx` (2026-09).
"""

from __future__ import annotations

from typing import Any

from context7_fabric.client_config.launch import EntryForm

KEY = "ctx7sk-0a1b2c3d-4e5f"
PACKAGE = "@upstash/context7-mcp"
URL = "https://mcp.context7.com/mcp"

WITH_KEY: dict[str, tuple[EntryForm, dict[str, Any]]] = {
    "npx": (
        EntryForm.PACKAGE,
        {"command": "npx", "args": ["-y", PACKAGE, "--api-key", KEY]},
    ),
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
