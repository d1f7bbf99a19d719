"""From an upstream setting to an open transport: streamable HTTP, or a child process."""

from __future__ import annotations

import ssl
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path

import httpx2
from anyio import to_thread
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from context7_fabric.errors import SettingError, UpstreamOff
from context7_fabric.upstream.mending import Mended, mend
from context7_fabric.upstream.settings import CommandTarget, UpstreamSettings, UrlTarget

CONNECT_TIMEOUT = 10.0

READ_MARGIN = 10.0
"""Seconds that a call's own time-out is ahead of the connection's: the call ends, not the link."""

TOO_MANY_REQUESTS = 429


@dataclass(slots=True)
class Door:
    """What the HTTP server in front of upstream said last: a 429, and its Retry-After."""

    limited: bool = False
    retry_after: float | None = None

    async def watch(self, response: httpx2.Response) -> None:
        """Take note of a response's status, whatever its body says."""
        self.limited = response.status_code == TOO_MANY_REQUESTS
        self.retry_after = _seconds(response.headers.get("retry-after")) if self.limited else None


def _seconds(text: str | None) -> float | None:
    """Read a Retry-After header: seconds, or an HTTP date."""
    if text is None:
        return None
    if text.strip().isdigit():
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, at.timestamp() - time.time())


@dataclass(frozen=True, slots=True)
class Dialler:
    """Opens transports to one upstream with one credential."""

    settings: UpstreamSettings
    door: Door = field(default_factory=Door)

    @property
    def label(self) -> str:
        """Where it leads, free of credentials."""
        return self.settings.target.label

    def open(self) -> AbstractAsyncContextManager[object]:
        """Return a context manager that yields the transport's read and write streams.

        Raises:
            UpstreamOff: There is no upstream to connect to.
        """
        target = self.settings.target
        if isinstance(target, UrlTarget):
            return _over_http(target, self.settings, self.door)
        if isinstance(target, CommandTarget):
            return _as_child(target, self.settings)
        raise UpstreamOff


@asynccontextmanager
async def _over_http(
    target: UrlTarget, settings: UpstreamSettings, door: Door
) -> AsyncGenerator[object]:
    headers = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
    timeout = httpx2.Timeout(CONNECT_TIMEOUT, read=settings.timeout + READ_MARGIN)
    hooks = {"response": [door.watch, mend]}
    trust = await to_thread.run_sync(_trust, settings.extra_ca_file)
    async with (
        httpx2.AsyncClient(
            headers=headers, timeout=timeout, verify=trust, event_hooks=hooks
        ) as client,
        streamable_http_client(target.url, http_client=client) as (read, write),
    ):
        yield Mended(read), write


@cache
def _trust(extra_ca_file: Path | None) -> ssl.SSLContext:
    """Trust what the system trusts (or SSL_CERT_FILE, SSL_CERT_DIR), and NODE_EXTRA_CA_CERTS."""
    context = httpx2.create_ssl_context()
    if extra_ca_file is not None:
        _add_authorities(context, extra_ca_file)
    return context


def _add_authorities(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except OSError as error:
        expected = f"a readable file of certificates ({error.strerror or error})"
        raise SettingError("NODE_EXTRA_CA_CERTS", str(path), expected) from error


@asynccontextmanager
async def _as_child(target: CommandTarget, settings: UpstreamSettings) -> AsyncGenerator[object]:
    environment = dict(settings.child_environment)
    if settings.api_key:
        environment["CONTEXT7_API_KEY"] = settings.api_key
    command, *arguments = target.command
    parameters = StdioServerParameters(
        command=command,
        args=arguments,
        env=environment,
        cwd=settings.directory,
        encoding_error_handler="replace",
    )
    async with stdio_client(parameters, errlog=sys.stderr) as (read, write):
        yield Mended(read), write
