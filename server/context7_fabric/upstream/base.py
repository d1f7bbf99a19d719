"""Protocol of the connection to Context7: list its tools, call one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from context7_fabric.errors import UpstreamOff
from context7_fabric.models import Progress, no_progress


@dataclass(frozen=True, slots=True)
class Reply:
    """Text of a tool's result, and whether upstream itself called it an error."""

    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class ToolList:
    """Upstream's tools in wire form (`name`, `description`, `inputSchema`, …)."""

    tools: tuple[dict[str, Any], ...]

    def get(self, name: str) -> dict[str, Any] | None:
        """Return the tool `name`, None if there is none."""
        return next((tool for tool in self.tools if tool.get("name") == name), None)


class Upstream(Protocol):
    """Context7, or an upstream that is switched off.

    Both calls raise `UpstreamOff`, `UpstreamUnreachable`, `UpstreamTimeout`, `UpstreamRejected`
    or `UpstreamUnreadable`.
    """

    @property
    def connecting_for(self) -> float:
        """Seconds for which a connection has been in the making; 0 if none is."""
        ...

    async def list_tools(self) -> ToolList:
        """Return upstream's tools."""
        ...

    async def call_tool(
        self, name: str, arguments: dict[str, Any], progress: Progress = no_progress
    ) -> Reply:
        """Call the tool `name`; upstream's progress reports go to `progress`."""
        ...


class NoUpstream:
    """Upstream that is switched off: every call raises `UpstreamOff`."""

    connecting_for = 0.0

    async def list_tools(self) -> ToolList:
        """Raise `UpstreamOff`."""
        raise UpstreamOff

    async def call_tool(
        self, _name: str, _arguments: dict[str, Any], _progress: Progress = no_progress
    ) -> Reply:
        """Raise `UpstreamOff`."""
        raise UpstreamOff
