"""Cached list of upstream's tools, stored so that no client waits for upstream to list them.

Every model reads the descriptions, and they come from outside: a changed one is logged, and one
that fails screening is not adopted.
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

MAX_TOOL_BYTES = 64 * 1024
LISTED = "upstream:tools:"
"""Prefix of the keys of the stored lists."""

CONTEXT7_TOOLS = (RESOLVE, QUERY_DOCS, GET_DOCS)


class ToolCache:
    """Upstream's tools, in memory and in the fabric."""

    def __init__(
        self,
        fabric: Fabric,
        upstream: Upstream,
        origin: str,
        tasks: TaskGroup | None = None,
    ) -> None:
        """Keep the list of the Context7 called `origin` in `fabric`.

        Without `tasks` to fetch it in, a new home has no list before its first call.
        """
        self.patience = PATIENCE
        """Seconds that the first request for the list of a new home waits for upstream's."""
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
        """The list in memory, without a look at the store."""
        return self._tools

    async def stored(self) -> ToolList | None:
        """Return the list that any process stored last, None if upstream was never reached.

        A list that the store has lost, or could not take, counts until another one is stored.
        """
        for context in await self._fabric.get_many([self._key]):
            mark = context.version, context.created_at
            if mark != self._read:
                self._read = mark
                self._tools = _tool_list(context.value) or self._tools
        return self._tools

    async def listed(self) -> ToolList | None:
        """Return the list as `stored` does; in a new home, fetch it and wait a little for it.

        The wait happens once: a list that comes later is stored, and clients are notified.
        """
        stored = await self.stored()
        if stored is not None or self._tasks is None:
            return stored
        if self._first is None:
            self._first = anyio.Event()
            self._patience_ends = anyio.current_time() + self.patience
            self._tasks.start_soon(self._fetch_first, self._first)
        with anyio.CancelScope(deadline=self._patience_ends):
            await self._first.wait()
        return self._tools

    async def generation(self) -> ToolGeneration:
        """Return the generation of upstream's tools; ask for them if they were never seen.

        Raises:
            UpstreamError: They were never seen, and upstream gives no answer.
        """
        tools = self._tools or await self.stored() or await self.refresh()
        return generation_of(tools)

    async def refresh(self) -> ToolList:
        """Fetch the list, adopt what passes screening, and store it.

        Raises:
            UpstreamError: Upstream gives no answer.
        """
        known = await self.stored()
        fetched = await self._upstream.list_tools()
        adopted = _screened(fetched.tools, known)
        if adopted != known:
            self._tools = adopted
            value = cast("Json", list(adopted.tools))
            await self._fabric.set_context(self._key, value, disposable=True)
        return adopted

    async def refresh_quietly(self) -> None:
        """Refresh after a new connection; log a failure, which upstream's next call shows too."""
        try:
            await self.refresh()
        except UpstreamError as error:
            log.info("tools not listed: %s", error)

    async def _fetch_first(self, done: anyio.Event) -> None:
        try:
            await self.refresh_quietly()
        except FabricError as error:
            log.warning("upstream's tools are not stored: %s", error)
        finally:
            done.set()


def _tool_list(value: Json) -> ToolList | None:
    listed = value if isinstance(value, list) else []
    tools = _screened((dict(tool) for tool in listed if isinstance(tool, dict)), known=None)
    return tools if tools.tools else None


def _screened(tools: Iterable[dict[str, Any]], known: ToolList | None) -> ToolList:
    """Return Context7's tools of either generation, each once, as they may be shown."""
    ours: dict[str, dict[str, Any]] = {}
    for tool in tools:
        if tool.get("name") in CONTEXT7_TOOLS:
            ours.setdefault(tool["name"], tool)
    return ToolList(tuple(_adopted(tool, known) for tool in ours.values()))


def _adopted(tool: dict[str, Any], known: ToolList | None) -> dict[str, Any]:
    """Return `tool` if its text may be shown, else the known one, else one without its prose."""
    name = tool["name"]
    before = known.get(name) if known else None
    if _is_unfit(tool):
        log.warning("the description of tool %r fails screening: not adopted", name)
        # The name alone shows the generation, and our own words describe the tool.
        bare = {"name": name, "inputSchema": {"type": "object"}}
        return bare if before is None or _is_unfit(before) else before
    if before not in (None, tool):
        log.warning("upstream changed its description of tool %r", name)
    return tool


def _is_unfit(tool: dict[str, Any]) -> bool:
    """Return whether `tool` cannot be stored, or may not be shown."""
    try:
        check_json([tool], "tools")
    except ValueError:
        return True
    if len(json.dumps(tool, ensure_ascii=False)) > MAX_TOOL_BYTES:
        return True
    return any(found.flags or found.notices for found in map(screen, _texts(tool)))


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []
