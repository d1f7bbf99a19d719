"""Table of clients: paths by platform and environment."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest

from context7_fabric.client_config.clients import CLIENTS, NAMES, Machine

HOME = PurePosixPath("/u/me")
WINDOWS_HOME = PureWindowsPath("C:/Users/me")
SUPPORT = "Library/Application Support"


def paths(client: str, platform: str, **environ: str) -> list[str]:
    """The files of a client, below the user's folder where they are there."""
    home = WINDOWS_HOME if platform == "win32" else HOME
    groups = CLIENTS[client].files(Machine(platform, environ, home))
    found = [path for group in groups for path in group]
    return [
        (path.relative_to(home) if path.is_relative_to(home) else path).as_posix() for path in found
    ]


@pytest.mark.parametrize(
    ("client", "linux", "darwin", "win32"),
    [
        ("claude-code", ".claude.json", None, None),
        (
            "claude-desktop",
            ".config/Claude/claude_desktop_config.json",
            f"{SUPPORT}/Claude/claude_desktop_config.json",
            "AppData/Roaming/Claude/claude_desktop_config.json",
        ),
        ("cursor", ".cursor/mcp.json", None, None),
        (
            "vscode",
            ".config/Code/User/mcp.json",
            f"{SUPPORT}/Code/User/mcp.json",
            "AppData/Roaming/Code/User/mcp.json",
        ),
        (
            "windsurf",
            ".config/devin/mcp_config.json",
            None,
            "AppData/Roaming/devin/mcp_config.json",
        ),
        ("codex", ".codex/config.toml", None, None),
        ("gemini", ".gemini/settings.json", None, None),
        ("qwen", ".qwen/settings.json", None, None),
        ("opencode", ".config/opencode/opencode.json", None, None),
        ("zed", ".config/zed/settings.json", None, "AppData/Roaming/Zed/settings.json"),
        ("copilot", ".copilot/mcp-config.json", None, None),
        ("cline", ".cline/data/settings/cline_mcp_settings.json", None, None),
        ("amp", ".config/amp/settings.json", None, None),
        ("crush", ".config/crush/crush.json", None, None),
        ("continue", ".continue/mcpServers/context7.json", None, None),
        ("antigravity", ".gemini/config/mcp_config.json", None, None),
    ],
)
def test_files_of_each_platform_are_those_of_the_clients_source(
    client: str, linux: str, darwin: str | None, win32: str | None
) -> None:
    assert paths(client, "linux")[0] == linux
    assert paths(client, "darwin")[0] == (darwin or linux)
    assert paths(client, "win32")[0] == (win32 or linux)
    assert CLIENTS[client].source


def test_files_of_the_table_are_tested_for_every_client() -> None:
    assert len(CLIENTS) == 16
    assert NAMES["devin"] == NAMES["windsurf"] == "windsurf"


@pytest.mark.parametrize(
    ("client", "variable", "value", "expected"),
    [
        ("claude-code", "CLAUDE_CONFIG_DIR", "/c", "/c/.claude.json"),
        ("codex", "CODEX_HOME", "/c", "/c/config.toml"),
        ("codex", "CODEX_HOME", "~/c", "c/config.toml"),
        ("codex", "CODEX_HOME", "relative", ".codex/config.toml"),
        ("codex", "CODEX_HOME", " ", ".codex/config.toml"),
        ("gemini", "GEMINI_CLI_HOME", "/c", "/c/.gemini/settings.json"),
        ("qwen", "QWEN_HOME", "/c", "/c/settings.json"),
        ("opencode", "XDG_CONFIG_HOME", "/c", "/c/opencode/opencode.json"),
        ("opencode", "OPENCODE_CONFIG", "/c/x.json", "/c/x.json"),
        ("opencode", "OPENCODE_CONFIG_DIR", "/c", "/c/opencode.json"),
        ("zed", "XDG_CONFIG_HOME", "/c", "/c/zed/settings.json"),
        ("zed", "FLATPAK_XDG_CONFIG_HOME", "/c", "/c/zed/settings.json"),
        ("vscode", "XDG_CONFIG_HOME", "/c", "/c/Code/User/mcp.json"),
        ("copilot", "COPILOT_HOME", "/c", "/c/mcp-config.json"),
        ("cline", "CLINE_DATA_DIR", "/c", "/c/settings/cline_mcp_settings.json"),
        ("cline", "CLINE_MCP_SETTINGS_PATH", "/c/x.json", "/c/x.json"),
        ("crush", "CRUSH_GLOBAL_CONFIG", "/c", "/c/crush.json"),
    ],
)
def test_files_follow_the_variables_of_the_client(
    client: str, variable: str, value: str, expected: str
) -> None:
    assert paths(client, "linux", **{variable: value})[0] == expected


def test_files_of_the_packaged_claude_desktop_are_looked_for_as_well() -> None:
    assert paths("claude-desktop", "win32", LOCALAPPDATA="D:\\L")[1:] == [
        "D:/L/Packages/Claude_*/LocalCache/Roaming/Claude/claude_desktop_config.json",
        "D:/L/Claude-Data/claude_*/claude_desktop_config.json",
    ]
