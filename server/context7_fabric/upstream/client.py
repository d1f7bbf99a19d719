"""One MCP connection to Context7: opened on need, reopened when it dies, usable from any task.

An MCP client must be entered and left by the same task, so each connection is held by a task of
its own; callers only send requests over it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeVar

import anyio
import mcp_types as types
from anyio.abc import TaskGroup
from mcp import Client
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from context7_fabric.errors import (
    UpstreamError,
    UpstreamLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from context7_fabric.lenient_json import readable
from context7_fabric.models import Progress, no_progress
from context7_fabric.upstream.base import Reply, ToolList
from context7_fabric.upstream.target import Door

log = logging.getLogger(__name__)

CONNECT_TIMEOUT = 30.0
"""Seconds for a connection, hand-shake included: `npx` may have to install first."""

MOST_TIMEOUTS = 2
"""So many time-outs in a row, and the connection is taken for dead: another is made."""

MOST_PAGES = 20
"""Pages of a list of tools that are read: upstream has a few tools, on one page."""

_ERRNO = re.compile(r"^\[Errno -?\d+\] ")
_T = TypeVar("_T")
_Open = Callable[[], AbstractAsyncContextManager[Any]]


class _Link:
    """One connection, from the wish for it to its end."""

    def __init__(self) -> None:
        self.ready = anyio.Event()
        self.broken = anyio.Event()
        self.ended = anyio.Event()
        self.making = anyio.CancelScope()
        self.client: Client | None = None
        self.timeouts = 0
        self.reason = "the connection broke"

    def fail(self, reason: str) -> None:
        self.reason = reason
        self.client = None
        self.broken.set()
        self.ready.set()


class McpUpstream:
    """Context7 over MCP, in whichever protocol era it speaks."""

    def __init__(
        self,
        open_transport: _Open,
        tasks: TaskGroup,
        *,
        label: str,
        timeout: float,
        door: Door | None = None,
    ) -> None:
        """Connect with `open_transport`; connections live in `tasks` and end with it.

        `label` names upstream in messages, `timeout` bounds a call in seconds, `door` tells why
        the HTTP server in front of upstream turned a call away.
        """
        self._open_transport = open_transport
        self._tasks = tasks
        self._label = label
        self._timeout = timeout
        self._door = door or Door()
        self.on_connected: Callable[[], Coroutine[Any, Any, None]] | None = None
        """Runs behind each new connection."""
        self._link: _Link | None = None

    @property
    def connected(self) -> bool:
        """Tell whether there is a connection that can be used."""
        return self._link is not None and self._link.client is not None

    async def list_tools(self) -> ToolList:
        """Return upstream's tools, of `MOST_PAGES` pages at most."""
        tools: list[types.Tool] = []
        page: types.PaginatedRequestParams | None = None
        for _page in range(MOST_PAGES):
            result = await self._request(partial(ClientSession.list_tools, params=page))
            tools += result.tools
            if result.next_cursor is None:
                break
            page = types.PaginatedRequestParams(cursor=result.next_cursor)
        dumped = (tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in tools)
        return ToolList(tuple(dumped))

    async def call_tool(
        self, name: str, arguments: dict[str, Any], progress: Progress = no_progress
    ) -> Reply:
        """Call the tool `name` and return its text, block after block."""
        # The client's own call_tool lists the tools again after each call of an unlisted one.
        params = types.CallToolRequestParams(name=name, arguments=_sendable(arguments))
        request = types.CallToolRequest(params=params)
        result = await self._request(
            lambda session: session.send_request(
                request,
                types.CallToolResult,
                progress_callback=progress,
            )
        )
        texts = [block.text for block in result.content if isinstance(block, types.TextContent)]
        return Reply("\n".join(texts), is_error=bool(result.is_error))

    async def aclose(self) -> None:
        """End the connection and, with it, the child process if there is one."""
        link = self._link
        if link is not None:
            self._drop(link)
            await link.ended.wait()

    async def _request(self, send: Callable[[ClientSession], Awaitable[_T]]) -> _T:
        """Send over the connection; once more if it turns out broken (the tools are idempotent)."""
        reason = ""
        for _attempt in range(2):
            link = await self._connected()
            if link.client is None:
                raise self._unconnected(link)
            try:
                return await self._sent(send, link, link.client.session)
            except MCPError as error:
                if error.code != types.CONNECTION_CLOSED:
                    raise self._rejected(error) from error
                reason = link.reason
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                reason = link.reason
            except ValidationError as error:
                raise UpstreamRejected(
                    types.INTERNAL_ERROR, "upstream's reply is malformed"
                ) from error
            self._drop(link)
        raise UpstreamUnreachable(self._label, reason)

    async def _sent(
        self, send: Callable[[ClientSession], Awaitable[_T]], link: _Link, session: ClientSession
    ) -> _T:
        """Send and wait for the answer; the bound is for both, as a peer may not read either."""
        try:
            with anyio.fail_after(self._timeout):
                result = await send(session)
        except TimeoutError as error:
            link.timeouts += 1
            if link.timeouts >= MOST_TIMEOUTS:
                self._drop(link)
            raise UpstreamTimeout(self._label, self._timeout) from error
        link.timeouts = 0
        return result

    def _unconnected(self, link: _Link) -> UpstreamError:
        if self._door.limited:
            return UpstreamLimited(self._label, self._door.retry_after)
        return UpstreamUnreachable(self._label, link.reason)

    def _rejected(self, error: MCPError) -> UpstreamError:
        if error.code == types.REQUEST_TIMEOUT:
            return UpstreamTimeout(self._label, self._timeout)
        if self._door.limited:
            return UpstreamLimited(self._label, self._door.retry_after)
        return UpstreamRejected(error.code, error.message)

    async def _connected(self) -> _Link:
        link = self._link
        if link is None:
            link = self._link = _Link()
            self._tasks.start_soon(self._hold, link)
        await link.ready.wait()
        return link

    async def _hold(self, link: _Link) -> None:
        """Be the one task that enters and leaves this connection's client."""
        try:
            with link.making, anyio.fail_after(CONNECT_TIMEOUT) as connecting:
                async with Client(
                    self._open_transport(), mode="auto", cache=None, client_info=_client_info()
                ) as client:
                    connecting.deadline = float("inf")
                    link.client = client
                    link.ready.set()
                    self._announce()
                    await link.broken.wait()
        except Exception as error:  # noqa: BLE001  # whatever a transport raises ends only this link
            link.fail(_reason(error))
            log.info("upstream connection ended: %s", link.reason)
        finally:
            link.fail(link.reason)
            self._forget(link)
            link.ended.set()

    def _announce(self) -> None:
        if self.on_connected is not None:
            self._tasks.start_soon(_quietly, self.on_connected)

    def _drop(self, link: _Link) -> None:
        link.broken.set()
        if not link.ready.is_set():
            link.making.cancel()
        self._forget(link)

    def _forget(self, link: _Link) -> None:
        if self._link is link:
            self._link = None


def _sendable(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments whose texts UTF-8 can say: another would break the connection."""
    return {
        name: readable(value) if isinstance(value, str) else value
        for name, value in arguments.items()
    }


async def _quietly(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    try:
        await run()
    except Exception:
        log.exception("what is done behind a new connection has failed")


def _client_info() -> types.Implementation:
    from context7_fabric import __version__  # noqa: PLC0415  # the package's face stays light

    return types.Implementation(name="context7-fabric", version=__version__)


def _reason(error: BaseException) -> str:
    """Return one line about the innermost cause of `error`."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, FileNotFoundError):
        return f"there is no command {error.filename!r}"
    if isinstance(error, TimeoutError):
        return f"no connection within {CONNECT_TIMEOUT:g} s"
    if isinstance(error, MCPError) and error.code == types.CONNECTION_CLOSED:
        return "it ended before it answered"
    text = _ERRNO.sub("", " ".join(str(error).split()))
    return text or type(error).__name__
