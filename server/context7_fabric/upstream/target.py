"""From an upstream setting to an open transport: streamable HTTP, or a child process."""

from __future__ import annotations

import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from context7_fabric.errors import SettingError, UpstreamOff
from context7_fabric.upstream.settings import CommandTarget, UpstreamSettings, UrlTarget

CONNECT_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Dialler:
    """Opens transports to one upstream with one credential."""

    settings: UpstreamSettings

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
            return _over_http(target, self.settings)
        if isinstance(target, CommandTarget):
            return _as_child(target, self.settings)
        raise UpstreamOff


@asynccontextmanager
async def _over_http(target: UrlTarget, settings: UpstreamSettings) -> AsyncGenerator[object]:
    headers = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
    timeout = httpx2.Timeout(CONNECT_TIMEOUT, read=settings.timeout)
    async with (
        httpx2.AsyncClient(headers=headers, timeout=timeout, verify=_trust(settings)) as client,
        streamable_http_client(target.url, http_client=client) as streams,
    ):
        yield streams


def _trust(settings: UpstreamSettings) -> ssl.SSLContext:
    """Trust what the system trusts (or SSL_CERT_FILE, SSL_CERT_DIR), and NODE_EXTRA_CA_CERTS."""
    context = httpx2.create_ssl_context()
    if settings.extra_ca_file is not None:
        _add_authorities(context, settings.extra_ca_file)
    return context


def _add_authorities(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(cafile=path)
    except OSError as error:
        expected = f"a readable file of certificates ({error.strerror or error})"
        raise SettingError("NODE_EXTRA_CA_CERTS", str(path), expected) from error


def _as_child(
    target: CommandTarget, settings: UpstreamSettings
) -> AbstractAsyncContextManager[object]:
    environment = dict(settings.child_environment)
    if settings.api_key:
        environment["CONTEXT7_API_KEY"] = settings.api_key
    command, *arguments = target.command
    parameters = StdioServerParameters(command=command, args=arguments, env=environment)
    return stdio_client(parameters, errlog=sys.stderr)
