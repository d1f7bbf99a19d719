"""Context7 as the services see it: look-ups and questions, whichever tools upstream has."""

from __future__ import annotations

from collections.abc import Callable

from context7_fabric.errors import UpstreamError, UpstreamRejected
from context7_fabric.models import Progress
from context7_fabric.services.tool_book import ToolBook
from context7_fabric.upstream.base import Reply, Upstream
from context7_fabric.upstream.generations import (
    DocsRequest,
    Generation,
    UpstreamCall,
    docs_call,
    resolve_call,
)

TOOL_GONE = -32602
"""JSON-RPC's code for invalid parameters, which MCP servers answer to an unknown tool."""


class Context7:
    """Upstream's two questions."""

    def __init__(self, upstream: Upstream, tools: ToolBook) -> None:
        """Ask `upstream`, in the generation that `tools` tells."""
        self._upstream = upstream
        self._tools = tools

    async def generation(self) -> Generation:
        """Tell which set of tools upstream has; the newer one when nobody can tell."""
        try:
            return await self._tools.generation()
        except UpstreamError:
            return Generation.QUESTION

    async def resolve(self, name: str, question: str, progress: Progress) -> Reply:
        """Look `name` up. Raises an `UpstreamError` when no answer comes."""
        return await self._ask(lambda how: resolve_call(how, name, question), progress)

    async def docs(self, request: DocsRequest, progress: Progress) -> Reply:
        """Ask a question of a library. Raises an `UpstreamError` when no answer comes."""
        return await self._ask(lambda how: docs_call(how, request), progress)

    async def _ask(
        self, call_for: Callable[[Generation], UpstreamCall], progress: Progress
    ) -> Reply:
        generation = await self._tools.generation()
        try:
            return await self._send(call_for(generation), progress)
        except UpstreamRejected as error:
            if error.code != TOOL_GONE or not await self._changed(generation):
                raise
        return await self._send(call_for(await self._tools.generation()), progress)

    async def _send(self, call: UpstreamCall, progress: Progress) -> Reply:
        return await self._upstream.call_tool(call.tool, call.arguments, progress)

    async def _changed(self, generation: Generation) -> bool:
        """Tell whether upstream was exchanged for one with other tools since they were listed."""
        await self._tools.refresh()
        return await self._tools.generation() is not generation
