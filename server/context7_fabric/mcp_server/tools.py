"""Tools of MCP: reads a call's arguments, asks the services, formats and records the answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError

from context7_fabric.errors import ArgumentError, FabricError
from context7_fabric.mcp_server import arguments
from context7_fabric.mcp_server.client_project import ClientProject
from context7_fabric.mcp_server.extra_tools import OPTIONAL, ExtraTools
from context7_fabric.mcp_server.tool_schemas import served_tools
from context7_fabric.models import (
    GET_DOCS,
    QUERY_DOCS,
    RESOLVE,
    Answer,
    Caller,
    DocsetUse,
    Outcome,
    Question,
    Tier,
    Viewer,
)
from context7_fabric.services import Services
from context7_fabric.settings.values import Meta

log = logging.getLogger(__name__)

META_KEY = "context7-fabric/answer"

HandlerContext = ServerRequestContext[str, Any]

_QUESTIONS: Final[dict[str, Callable[[dict[str, Any]], Question]]] = {
    QUERY_DOCS: arguments.question,
    GET_DOCS: arguments.topic_question,
}


class Tools:
    """Lists and calls tools."""

    def __init__(
        self,
        services: Services,
        viewer: Viewer,
        meta: Meta,
        docsets: DocsetUse,
        project: ClientProject,
    ) -> None:
        """Answer from `services` what `viewer` may read, with this use of `docsets`.

        `meta` is the extent of `_meta`; pins of the client's `project` count.
        """
        self._services = services
        self._viewer = viewer
        self._meta: Meta = meta
        self._docsets: DocsetUse = docsets
        self._project = project
        self._optional = ExtraTools(services.feedback, services.contexts)

    async def list(
        self, _ctx: HandlerContext, _params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        """Return those of upstream's tools and ours that are served."""
        tools = served_tools(await self._services.tools.listed(), self._services.tool_names)
        return types.ListToolsResult(tools=tools)

    async def call(
        self, ctx: HandlerContext, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        """Answer a call, and record it unless it is one of our own tools.

        Raises:
            MCPError: No such tool is served.
        """
        if params.name not in self._services.tool_names:
            raise MCPError(types.INVALID_PARAMS, f"Tool {params.name} not found")
        given = params.arguments or {}
        if params.name in OPTIONAL:
            return await self._optional.call(params.name, given)
        await self._project.of(ctx)
        caller = self._caller(ctx)
        answer = self._numbered(await self._answer(params.name, given, caller))
        self._record(params.name, given, caller, answer)
        return as_result(answer, self._meta)

    def cached(self, tool: str, given: dict[str, Any], caller: Caller) -> Answer | None:
        """Return the answer that `call` would give if it is in the response cache, else None.

        It is recorded in the event loop's next round, so that the client does not wait; there is
        none while records come faster than they are written.
        """
        if tool not in self._services.tool_names or tool not in _QUESTIONS:
            return None
        if self._services.call_log.is_behind:
            return None
        try:
            arguments.check_size(tool, given)
            answer = self._services.cached(_QUESTIONS[tool](given), caller)
        except FabricError:
            return None
        if answer is None:
            return None
        answer = self._numbered(answer)
        asyncio.get_running_loop().call_soon(self._record, tool, given, caller, answer)
        return answer

    def callers(self, ctx: HandlerContext) -> Callable[..., Caller]:
        """Return the factory of callers for further calls of the client of `ctx`."""
        viewer = self._viewer
        return partial(
            Caller,
            viewer.principal,
            viewer.owner,
            connection=_session(ctx),
            client=_client(ctx),
            docsets=self._docsets,
            address=_address(ctx),
            project=self._project.directory,
        )

    def _numbered(self, answer: Answer) -> Answer:
        """Return `answer` with a unique execution id."""
        return replace(answer, execution_id=self._services.call_log.new_id())

    def _record(self, tool: str, given: dict[str, Any], caller: Caller, answer: Answer) -> None:
        self._services.note(tool, given, caller, answer)
        log.debug("%s %s by %s %s", tool, answer.outcome, answer.tier, answer.execution_id)

    def _caller(self, ctx: HandlerContext) -> Caller:
        return self.callers(ctx)(progress=ctx.session.report_progress)

    async def _answer(self, tool: str, given: dict[str, Any], caller: Caller) -> Answer:
        try:
            arguments.check_size(tool, given)
            if tool == RESOLVE:
                return await self._services.resolve(arguments.look_up(given), caller)
            return await self._services.query(_QUESTIONS[tool](given), caller)
        except ArgumentError as error:
            return Answer(str(error), Outcome.ERROR, Tier.LOCAL, is_error=True)


def _session(ctx: HandlerContext) -> str | None:
    """Return the client's session: a lasting connection, or one that the request names.

    None for any other request over HTTP: an address may be that of several clients.
    """
    if has_channel(ctx) or ctx.request is None:
        return ctx.lifespan_context
    return ctx.request.headers.get("mcp-session-id") or None


def _address(ctx: HandlerContext) -> str:
    """Return the address that a request without a session came from, empty for any other."""
    client = ctx.request.client if ctx.request is not None and _session(ctx) is None else None
    return client.host if client is not None else ""


def has_channel(ctx: HandlerContext) -> bool:
    """Tell whether the connection lasts and has a channel of its own, as over stdio and `/sse`."""
    return ctx.session._connection.has_standalone_channel  # noqa: SLF001  # not public


def _client(ctx: HandlerContext) -> str:
    """Return the name and version of the client's program, empty if it gave none."""
    params = ctx.session.client_params
    return f"{params.client_info.name} {params.client_info.version}" if params else ""


def as_result(answer: Answer, meta: Meta) -> types.CallToolResult:
    """Return `answer` as MCP's result: the text, then the note, and provenance in `_meta`."""
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=text) for text in texts_of(answer)],
        is_error=answer.is_error,
        _meta=meta_of(answer, meta),
    )


def texts_of(answer: Answer) -> list[str]:
    """Return the text of each content block of `answer`."""
    return [answer.text] if answer.note is None else [answer.text, answer.note]


def meta_of(answer: Answer, meta: Meta) -> dict[str, Any] | None:
    """Return the `_meta` of a result with `answer`, None for none."""
    if meta == "off":
        return None
    about = _in_full(answer) if meta == "full" else _in_brief(answer)
    return {META_KEY: about | ({"screening": list(answer.screening)} if answer.screening else {})}


def _in_full(answer: Answer) -> dict[str, Any]:
    return {
        "outcome": answer.outcome.value,
        "tier": answer.tier.value,
        "fetched_at": answer.fetched_at,
        "age_seconds": None if answer.age_seconds is None else round(answer.age_seconds, 3),
        "library_id": answer.library_id,
        "execution_id": answer.execution_id,
        "tokens_saved": answer.tokens_saved,
    }


def _in_brief(answer: Answer) -> dict[str, Any]:
    """Return what a model can use: many clients pass it all of a result, `_meta` included."""
    about: dict[str, Any] = {"outcome": answer.outcome.value, "tier": answer.tier.value}
    if answer.age_seconds is not None and answer.tier is not Tier.UPSTREAM:
        about["age_seconds"] = int(answer.age_seconds)
    return about | {"execution_id": answer.execution_id}
