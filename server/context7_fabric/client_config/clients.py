"""Table of MCP clients: their configuration files, dialects and limits. Pure.

Each row cites its source, which was checked on 2026-11-30; "run" means that this version of the
client read a file of this form at this place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Final

Files = tuple[tuple[PurePath, ...], ...]
"""Groups of files: each group is written, and of a group the first file that is there."""


class Dialect(StrEnum):
    """Syntax that a client reads."""

    JSON = "JSON"
    COMMENTED = "JSON with comments"
    JSONC = "JSON with comments and trailing commas"
    TOML = "TOML"


class Form(StrEnum):
    """Shape of a client's entry for a server on stdio."""

    PLAIN = "command, args and env"
    TYPED = "these and the type stdio"
    LOCAL = "the type local, the command as one list, and environment"
    TOOLS = "the type local, command, args, env, and the tools that are shown"


@dataclass(frozen=True, slots=True)
class Machine:
    """Platform (as `sys.platform`), environment and folder of a user, on which paths depend."""

    platform: str
    environ: Mapping[str, str]
    home: PurePath

    def named(self, variable: str, default: PurePath) -> PurePath:
        """Return the absolute path of a variable, else the default."""
        value = self.environ.get(variable, "").strip()
        path = self.home / value[2:] if value[:2] in ("~/", "~\\") else type(self.home)(value)
        return path if value and path.is_absolute() else default

    def roaming(self) -> PurePath:
        """Return the folder of roaming data on Windows."""
        return self.named("APPDATA", self.home / "AppData" / "Roaming")

    def local(self) -> PurePath:
        """Return the folder of local data on Windows."""
        return self.named("LOCALAPPDATA", self.home / "AppData" / "Local")

    def xdg(self) -> PurePath:
        """Return the folder of configurations of the XDG specification."""
        return self.named("XDG_CONFIG_HOME", self.home / ".config")

    def applications(self) -> PurePath:
        """Return the folder in which desktop programs of the platform keep their settings."""
        if self.platform == "win32":
            return self.roaming()
        if self.platform == "darwin":
            return self.home / "Library" / "Application Support"
        return self.xdg()


@dataclass(frozen=True, slots=True)
class McpClient:
    """A client; every path function is pure, and a `*` in a path stands for any name."""

    name: str
    title: str
    dialect: Dialect
    container: tuple[str, ...]
    """Keys from the root of the file to the object of all servers."""
    files: Callable[[Machine], Files]
    """Files of the user."""
    source: str
    project_file: str | None = None
    """File in a project's folder, with forward slashes."""
    project_form: Form | None = None
    """Form in that file, if it is another."""
    form: Form = Form.PLAIN
    reference: str | None = None
    """Form of a reference to a variable, with `%s`; None if no form is known."""
    passes_environment: bool = False
    """True if the server gets every variable of the client."""
    programs: tuple[str, ...] = ()
    """Names of its command."""
    signs: Callable[[Machine], tuple[PurePath, ...]] | None = None
    """Paths of which one exists where the client is used; by default the files' folders."""
    also_reads: Callable[[Machine], tuple[PurePath, ...]] | None = None
    """Further files in which it may find a server, and that are never edited."""
    consent: str | None = None
    """Condition under which it starts a server of a user's file, beyond the file."""
    project_consent: str | None = None
    """Condition under which it starts a server of a project's file."""
    limit: float = 30.0
    """Seconds in which a server has to answer `initialize`."""
    aliases: tuple[str, ...] = ()

    @property
    def inherits(self) -> bool:
        """Tell whether a variable is better inherited than referred to.

        A reference without a default stays as it is written where the variable is not set.
        """
        return self.passes_environment and ":-" not in (self.reference or "")

    def is_there(self, machine: Machine, exists: Callable[[PurePath], bool]) -> bool:
        """Tell whether one of its files or folders exists."""
        if self.signs is not None:
            return any(map(exists, self.signs(machine)))
        return any(exists(file.parent) for group in self.files(machine) for file in group)


def _claude_code(machine: Machine) -> Files:
    return ((machine.named("CLAUDE_CONFIG_DIR", machine.home) / ".claude.json",),)


def _claude_desktop(machine: Machine) -> Files:
    name, packages = "claude_desktop_config.json", "Packages/Claude_*/LocalCache/Roaming/Claude"
    folders = [machine.applications() / "Claude"]
    if machine.platform == "win32":
        folders += [machine.local() / packages, machine.local() / "Claude-Data" / "claude_*"]
    return tuple((folder / name,) for folder in folders)


def _vscode_user(machine: Machine) -> PurePath:
    return machine.applications() / "Code" / "User"


def _devin_folder(machine: Machine) -> PurePath:
    folder = machine.roaming() if machine.platform == "win32" else machine.home / ".config"
    return folder / "devin"


def _windsurf(machine: Machine) -> Files:
    name = "mcp_config.json"
    old = machine.home / ".codeium" / "windsurf"
    return ((_devin_folder(machine) / name,), (old / name,))


def _gemini_folder(machine: Machine) -> PurePath:
    return machine.named("GEMINI_CLI_HOME", machine.home) / ".gemini"


def _opencode(machine: Machine) -> Files:
    folder = machine.named("OPENCODE_CONFIG_DIR", machine.xdg() / "opencode")
    default = (folder / "opencode.json", folder / "opencode.jsonc")
    named = machine.named("OPENCODE_CONFIG", default[0])
    return ((named,),) if named != default[0] else (default,)


def _zed(machine: Machine) -> Files:
    if machine.platform == "win32":
        folder = machine.roaming() / "Zed"
    elif machine.platform == "darwin":
        folder = machine.home / ".config" / "zed"
    else:
        folder = machine.named("FLATPAK_XDG_CONFIG_HOME", machine.xdg()) / "zed"
    return ((folder / "settings.json",),)


def _cline(machine: Machine) -> Files:
    name = "cline_mcp_settings.json"
    data = machine.named("CLINE_DATA_DIR", machine.home / ".cline" / "data")
    own = machine.named("CLINE_MCP_SETTINGS_PATH", data / "settings" / name)
    storage = _vscode_user(machine) / "globalStorage" / "saoudrizwan.claude-dev" / "settings"
    return ((own,), (storage / name,))


def _amp(machine: Machine) -> Files:
    folder = machine.home / ".config" / "amp"
    return ((folder / "settings.json", folder / "settings.jsonc"),)


def _crush_folder(machine: Machine) -> PurePath:
    return machine.named("CRUSH_GLOBAL_CONFIG", machine.xdg() / "crush")


def _below_home(*parts: str, variable: str = "", file: str) -> Callable[[Machine], Files]:
    """Return the function for one file in a folder below the user's, or in that of a variable."""

    def files(machine: Machine) -> Files:
        folder = machine.home.joinpath(*parts)
        return (((machine.named(variable, folder) if variable else folder) / file,),)

    return files


_MCP_SERVERS: Final = ("mcpServers",)
_GEMINI_CONSENT: Final = "it starts servers in trusted folders only"
_ENV_REFERENCE: Final = "${env:%s}"

CLIENTS: Final[Mapping[str, McpClient]] = {
    client.name: client
    for client in (
        McpClient(
            "claude-code",
            "Claude Code",
            Dialect.JSON,
            _MCP_SERVERS,
            _claude_code,
            "Claude Code 2.1.332, run; code.claude.com/docs/en/mcp",
            project_file=".mcp.json",
            form=Form.TYPED,
            reference="${%s:-}",
            passes_environment=True,
            programs=("claude",),
            signs=lambda machine: (
                *(file for group in _claude_code(machine) for file in group),
                machine.home / ".claude",
            ),
            also_reads=lambda machine: (
                machine.named("CLAUDE_CONFIG_DIR", machine.home / ".claude") / "settings.json",
            ),
            project_consent="it asks once before it starts the servers of a project",
        ),
        McpClient(
            "claude-desktop",
            "Claude Desktop",
            Dialect.JSON,
            _MCP_SERVERS,
            _claude_desktop,
            "modelcontextprotocol.io/quickstart/user; the packaged Windows program:"
            " anthropics/claude-code#26073, #57998",
        ),
        McpClient(
            "cursor",
            "Cursor",
            Dialect.JSONC,
            _MCP_SERVERS,
            _below_home(".cursor", file="mcp.json"),
            "cursor.com/docs/mcp",
            project_file=".cursor/mcp.json",
            form=Form.TYPED,
            reference=_ENV_REFERENCE,
            programs=("cursor", "cursor-agent"),
            project_consent="it asks before it starts a server of a project",
        ),
        McpClient(
            "vscode",
            "VS Code",
            Dialect.JSONC,
            ("servers",),
            lambda machine: ((_vscode_user(machine) / "mcp.json",),),
            "code.visualstudio.com/docs/agents/reference/mcp-configuration",
            project_file=".vscode/mcp.json",
            form=Form.TYPED,
            reference=_ENV_REFERENCE,
            programs=("code",),
            project_consent="it asks before it starts a server of a project",
        ),
        McpClient(
            "windsurf",
            "Devin Desktop (Windsurf)",
            Dialect.JSONC,
            _MCP_SERVERS,
            _windsurf,
            "docs.sevalla.com/ai-agents/windsurf, vaadin.com (the rename of 2026-06-02)",
            project_file=".devin/mcp_config.json",
            reference=_ENV_REFERENCE,
            programs=("devin", "windsurf"),
            also_reads=lambda machine: (_devin_folder(machine) / "config.json",),
            aliases=("devin",),
        ),
        McpClient(
            "codex",
            "Codex",
            Dialect.TOML,
            ("mcp_servers",),
            _below_home(".codex", variable="CODEX_HOME", file="config.toml"),
            "Codex 0.171.0, run; developers.openai.com/codex/mcp",
            project_file=".codex/config.toml",
            programs=("codex",),
            project_consent="it reads the files of trusted projects only",
        ),
        McpClient(
            "gemini",
            "Gemini CLI",
            Dialect.JSONC,
            _MCP_SERVERS,
            lambda machine: ((_gemini_folder(machine) / "settings.json",),),
            "Gemini CLI 0.61.0, run; its docs/tools/mcp-server.md",
            project_file=".gemini/settings.json",
            reference="${%s:-}",
            programs=("gemini",),
            signs=lambda machine: (_gemini_folder(machine) / "settings.json",),
            limit=600.0,
            consent=_GEMINI_CONSENT,
            project_consent=_GEMINI_CONSENT,
        ),
        McpClient(
            "qwen",
            "Qwen Code",
            Dialect.COMMENTED,
            _MCP_SERVERS,
            _below_home(".qwen", variable="QWEN_HOME", file="settings.json"),
            "Qwen Code 0.24.4, run",
            project_file=".qwen/settings.json",
            reference="$%s",
            passes_environment=True,
            programs=("qwen",),
            limit=600.0,
            project_consent="approve it once: qwen mcp approve context7",
        ),
        McpClient(
            "opencode",
            "opencode",
            Dialect.JSONC,
            ("mcp",),
            _opencode,
            "opencode 1.18.33, run; opencode.ai/docs/mcp-servers",
            project_file="opencode.json",
            form=Form.LOCAL,
            reference="{env:%s}",
            passes_environment=True,
            programs=("opencode",),
        ),
        McpClient(
            "zed",
            "Zed",
            Dialect.JSONC,
            ("context_servers",),
            _zed,
            "zed-industries/zed crates/paths/src/paths.rs, settings_content/src/project.rs",
            project_file=".zed/settings.json",
            programs=("zed", "zeditor"),
            limit=60.0,
            project_consent="it starts the servers of trusted projects only",
        ),
        McpClient(
            "copilot",
            "Copilot CLI",
            Dialect.COMMENTED,
            _MCP_SERVERS,
            _below_home(".copilot", variable="COPILOT_HOME", file="mcp-config.json"),
            "Copilot CLI 1.0.102, run",
            # Claude Code reads the same file, and skips an entry with a list of tools.
            project_file=".mcp.json",
            project_form=Form.TYPED,
            form=Form.TOOLS,
            reference="$%s",
            passes_environment=True,
            programs=("copilot",),
            limit=60.0,
            project_consent="it reads the files of trusted folders only",
        ),
        McpClient(
            "cline",
            "Cline",
            Dialect.JSON,
            _MCP_SERVERS,
            _cline,
            "Cline CLI 3.0.65, run; cline sdk/packages/core/src/extensions/mcp (2026-08-22)",
            programs=("cline",),
        ),
        McpClient(
            "amp",
            "Amp",
            Dialect.JSONC,
            ("amp.mcpServers",),
            _amp,
            "Amp 0.0.1790142911, run; ampcode.com/manual",
            project_file=".amp/settings.json",
            programs=("amp",),
            project_consent="approve it once: amp mcp approve context7",
        ),
        McpClient(
            "crush",
            "Crush",
            Dialect.JSON,
            ("mcp",),
            lambda machine: ((_crush_folder(machine) / "crush.json",),),
            "charmbracelet/crush internal/config/load.go (2026-08-21)",
            project_file="crush.json",
            form=Form.TYPED,
            reference="$%s",
            programs=("crush",),
            also_reads=lambda machine: (_crush_folder(machine) / "crushrc",),
            limit=10.0,
        ),
        McpClient(
            "continue",
            "Continue",
            Dialect.JSONC,
            _MCP_SERVERS,
            _below_home(".continue", "mcpServers", file="context7.json"),
            "continuedev/continue core/context/mcp (2026-06-18)",
            project_file=".continue/mcpServers/context7.json",
            signs=lambda machine: (machine.home / ".continue",),
            also_reads=lambda machine: (machine.home / ".continue" / "config.yaml",),
            limit=20.0,
        ),
        McpClient(
            "antigravity",
            "Antigravity",
            Dialect.JSONC,
            _MCP_SERVERS,
            _below_home(".gemini", "config", file="mcp_config.json"),
            "google-antigravity/antigravity-cli#60 (2026-06)",
            project_file=".agents/mcp_config.json",
            programs=("antigravity", "agy"),
            signs=lambda machine: (
                machine.home / ".gemini" / "config",
                machine.home / ".gemini" / "antigravity",
            ),
        ),
    )
}
"""Clients by name."""

NAMES: Final[Mapping[str, str]] = {
    name: client.name for client in CLIENTS.values() for name in (client.name, *client.aliases)
}
"""Names of clients by each name that is taken."""
