"""One connection to upstream, held by a task of its own, and one request on its way."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import mcp_types as types
from mcp import Client
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError

from context7_fabric.upstream.base import Reply
from context7_fabric.upstream.exchange import CURRENT, Exchange, Loss
from context7_fabric.upstream.reasons import connection_reason, innermost, loss_in

log = logging.getLogger(__name__)

CLOSE_SECONDS = 3.0
"""How long an HTTP server may take to end a session; a command's process has its own limits."""

RENEW_EVERY = 60.0
"""Seconds between two new sessions that were made only because an error may mean a lost one."""

_LONGEST_SAID = 100

Open = Callable[[], AbstractAsyncContextManager[Any]]
Send = Callable[[ClientSession], Awaitable[Any]]


class Link:
    """One connection, from the wish for it to its end."""

    def __init__(self) -> None:
        self.begun = anyio.current_time()
        self.ready = anyio.Event()
        self.broken = anyio.Event()
        self.ended = anyio.Event()
        self.making = anyio.CancelScope()
        self.exchange = Exchange()
        self.error: MCPError | None = None
        self.client: Client | None = None
        self.timeouts = 0
        self.answered = False
        self.lost_session = False
        self.reason = "the connection broke"

    def fail(self, reason: str) -> None:
        """End it, because of `reason`."""
        self.reason = reason
        self.client = None
        self.broken.set()
        self.ready.set()

    async def hold(
        self, open_transport: Open, seconds: float, announce: Callable[[], None]
    ) -> None:
        """Be the one task that enters and leaves this connection's client, until it is broken.

        It may take `seconds` to be made; `announce` hears when it is.
        """
        CURRENT.set(self.exchange)
        try:
            with self.making, anyio.fail_after(seconds) as connecting:
                async with Client(
                    open_transport(), mode="auto", cache=None, client_info=_client_info()
                ) as client:
                    connecting.deadline = float("inf")
                    self.exchange = Exchange()
                    self.client = client
                    self.ready.set()
                    announce()
                    await self.broken.wait()
                    connecting.deadline = anyio.current_time() + CLOSE_SECONDS
        except Exception as error:  # noqa: BLE001  # whatever a transport raises ends only this link
            if not self.broken.is_set():
                self.error = innermost(error, MCPError)
                self.fail(connection_reason(error, self.exchange, seconds))
            log.info("upstream connection ended: %s", self.reason)
        finally:
            self.fail(self.reason)


class LostByTool(MCPError):
    """A tool's own error result that tells of a lost session; it stands if a new one is no help."""

    def __init__(self, reply: Reply) -> None:
        """Keep the result."""
        super().__init__(types.INVALID_REQUEST, reply.text)
        self.reply = reply


class Renewals:
    """Decides when a lost session is worth a new one."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Let `tell` hear how each loss showed."""
        self._tell = tell
        self._last = float("-inf")

    def allowed(self, link: Link, error: MCPError, exchange: Exchange) -> bool:
        """Tell whether a new session is worth a try after `error`, and note that it is made."""
        loss = loss_in(error, exchange)
        if loss is Loss.NONE:
            return False
        if not link.lost_session:
            now = anyio.current_time()
            due = link.answered and now - self._last >= RENEW_EVERY
            if loss is Loss.POSSIBLE and not due:
                return False
            self._last = now if loss is Loss.POSSIBLE else self._last
            link.lost_session = True
            said = f"it answered {error.message[:_LONGEST_SAID]!r}"
            self._tell(exchange.described if exchange.failed else said)
        return True


class Sending:
    """One request on its way, in a task that its sender need not wait for."""

    def __init__(self, send: Send, session: ClientSession, exchange: Exchange) -> None:
        self._send, self._session, self._exchange = send, session, exchange
        self._result: Any = None
        self._error: Exception | None = anyio.ClosedResourceError()  # until it has ended
        self.scope = anyio.CancelScope()
        self.done = anyio.Event()

    async def run(self) -> None:
        """Send, and keep what comes of it."""
        CURRENT.set(self._exchange)
        try:
            with self.scope:
                self._result = await self._send(self._session)
                self._error = None
        except Exception as error:  # noqa: BLE001  # it belongs to the sender
            self._error = error
        finally:
            self.done.set()

    def outcome(self) -> Any:  # noqa: ANN401  # whatever the request brings
        """Return the result; raises what the request raised."""
        if self._error is not None:
            raise self._error
        return self._result


def _client_info() -> types.Implementation:
    from context7_fabric import __version__  # noqa: PLC0415  # the package's face stays light

    return types.Implementation(name="context7-fabric", version=__version__)
