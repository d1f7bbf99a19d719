"""Upstream's own list of tools, kept on disk so that no client waits for upstream to list them.

A description is text from outside that every model reads: a changed one is logged, and one that
fails screening is not adopted.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup

from context7_fabric.errors import FabricError, UpstreamError
from context7_fabric.fabric.codec import check_json
from context7_fabric.fabric.context import Json
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import GET_DOCS, QUERY_DOCS, RESOLVE
from context7_fabric.parsing.keys import bounded
from context7_fabric.parsing.screening import screen
from context7_fabric.upstream.base import ToolList, Upstream
from context7_fabric.upstream.tool_versions import ToolGeneration, generation_of

log = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds that the first request for the list of a new home waits for upstream's."""

MAX_TOOL_BYTES = 64 * 1024
LISTED = "upstream:tools:"
"""How the keys begin under which the lists of tools are kept."""

CONTEXT7_TOOLS = (RESOLVE, QUERY_DOCS, GET_DOCS)


class ToolCache:
    """The tools that upstream said it has."""

    def __init__(
        self,
        fabric: Fabric,
        upstream: Upstream,
        origin: str,
        tasks: TaskGroup | None = None,
    ) -> None:
        """Keep the list of the Context7 called `origin` in `fabric`.

        Without `tasks` to fetch it in, a new home waits for its first call to have one.
        """
        self._tasks = tasks
        self._first: anyio.Event | None = None
        self._patience_ends = 0.0
        self._fabric = fabric
        self._upstream = upstream
        self._key = bounded(f"{LISTED}{origin}")
        self._tools: ToolList | None = None
        self._read: tuple[int, float] | None = None

    @property
    def known(self) -> ToolList | None:
        """The list as far as it is in memory, without a look at what others stored since."""
        return self._tools

    async def stored(self) -> ToolList | None:
        """Return the list as any process saw it last, None until upstream was ever reached.

        What the store has lost, or could not take, counts until another list is stored.
        """
        for context in await self._fabric.get_many([self._key]):
            mark = context.version, context.created_at
            if mark != self._read:
                self._read = mark
                self._tools = _tool_list(context.value) or self._tools
        return self._tools

    async def listed(self) -> ToolList | None:
        """Return the list as `stored` does; in a new home, fetch it and wait a little for it.

        That is done once: what comes later is stored, and clients are notified.
        """
        stored = await self.stored()
        if stored is not None or self._tasks is None:
            return stored
        if self._first is None:
            self._first = anyio.Event()
            self._patience_ends = anyio.current_time() + PATIENCE
            self._tasks.start_soon(self._fetch_first, self._first)
        with anyio.CancelScope(deadline=self._patience_ends):
            await self._first.wait()
        return self._tools

    async def _fetch_first(self, done: anyio.Event) -> None:
        try:
            await self.refresh_quietly()
        except FabricError as error:
            log.warning("upstream's tools are not kept: %s", error)
        finally:
            done.set()

    async def generation(self) -> ToolGeneration:
        """Tell which set of tools upstream has, asking it when it was never seen.

        Raises:
            UpstreamError: It was never seen and gives no answer.
        """
        tools = self._tools or await self.stored() or await self.refresh()
        return generation_of(tools)

    async def refresh(self) -> ToolList:
        """Fetch the list, adopt what passes screening, and keep it.

        Raises:
            UpstreamError: Upstream gives no answer.
        """
        known = await self.stored()
        fetched = await self._upstream.list_tools()
        adopted = _screened(fetched.tools, known)
        if adopted != known:
            self._tools = adopted
            await self._fabric.set_context(
                self._key, cast("Json", list(adopted.tools)), disposable=True
            )
        return adopted

    async def refresh_quietly(self) -> None:
        """Refresh behind a connection; a failure is upstream's and shows in its next call."""
        try:
            await self.refresh()
        except UpstreamError as error:
            log.info("tools not listed: %s", error)


def _screened(tools: Iterable[dict[str, Any]], known: ToolList | None) -> ToolList:
    """Return Context7's tools of either generation, each once, as they may be shown."""
    ours: dict[str, dict[str, Any]] = {}
    for tool in tools:
        if tool.get("name") in CONTEXT7_TOOLS:
            ours.setdefault(tool["name"], tool)
    return ToolList(tuple(_adopted(tool, known) for tool in ours.values()))


def _adopted(tool: dict[str, Any], known: ToolList | None) -> dict[str, Any]:
    """Return `tool` if its text may be shown, else as it was known, else without its prose."""
    before = _named(known, tool.get("name"))
    if _unfit(tool):
        log.warning("the description of tool %r fails screening: not adopted", tool.get("name"))
        return before if before is not None and not _unfit(before) else _bare(tool)
    if before not in (None, tool):
        log.warning("upstream changed its description of tool %r", tool.get("name"))
    return tool


def _unfit(tool: dict[str, Any]) -> bool:
    """Tell whether `tool` cannot be kept, or may not be shown."""
    try:
        check_json([tool], "tools")
    except ValueError:
        return True
    prose = json.dumps(tool, ensure_ascii=False)
    findings = (screen(text) for text in _texts(tool))
    return len(prose) > MAX_TOOL_BYTES or any(found.flags or found.notices for found in findings)


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []


def _bare(tool: dict[str, Any]) -> dict[str, Any]:
    """Return the name alone: it tells the generation, and our own words describe the tool."""
    return {"name": tool["name"], "inputSchema": {"type": "object"}}


def _named(tools: ToolList | None, name: object) -> dict[str, Any] | None:
    found = (tool for tool in (tools.tools if tools else ()) if tool.get("name") == name)
    return next(found, None)


def _tool_list(value: Json) -> ToolList | None:
    listed = value if isinstance(value, list) else []
    tools = _screened((dict(tool) for tool in listed if isinstance(tool, dict)), known=None)
    return tools if tools.tools else None
