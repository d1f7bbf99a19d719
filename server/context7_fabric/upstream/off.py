"""No upstream at all: what `CONTEXT7_FABRIC_UPSTREAM=off` stands for."""

from __future__ import annotations

from typing import Any

from context7_fabric.errors import UpstreamOff
from context7_fabric.models import Progress, no_progress
from context7_fabric.upstream.base import Reply, ToolList


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
