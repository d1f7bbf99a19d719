"""The seam to Context7: list its tools, call one. Everything else about it stays behind this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from context7_fabric.errors import UpstreamOff
from context7_fabric.models import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Reply:
    """What a tool call brought: its text, and whether upstream itself called it an error."""

    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class ToolList:
    """Upstream's tools in wire form (`name`, `description`, `inputSchema`, …)."""

    tools: tuple[dict[str, Any], ...]

    def has(self, name: str) -> bool:
        """Tell whether a tool is called `name`."""
        return any(tool.get("name") == name for tool in self.tools)


class Upstream(Protocol):
    """Context7, or nothing at all.

    Both methods raise `UpstreamOff`, `UpstreamUnreachable`, `UpstreamTimeout`, `UpstreamRejected`
    or `UpstreamUnreadable`.
    """

    async def list_tools(self) -> ToolList:
        """Return upstream's tools."""
        ...

    async def call_tool(
        self, name: str, arguments: dict[str, Any], progress: Progress = no_progress
    ) -> Reply:
        """Call the tool `name`; `progress` hears what upstream reports meanwhile."""
        ...


class NoUpstream:
    """Answers every call with `UpstreamOff`."""

    async def list_tools(self) -> ToolList:
        """Raise `UpstreamOff`."""
        raise UpstreamOff

    async def call_tool(
        self, _name: str, _arguments: dict[str, Any], _progress: Progress = no_progress
    ) -> Reply:
        """Raise `UpstreamOff`."""
        raise UpstreamOff
