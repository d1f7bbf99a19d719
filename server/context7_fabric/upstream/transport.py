"""Transports to Context7: streamable HTTP, or the stdio of a child process."""

from __future__ import annotations

import os
import re
import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Self, TextIO

import anyio
import httpx2
from anyio import to_thread
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from context7_fabric.errors import SettingError, UpstreamOff
from context7_fabric.settings.values import CommandTarget, UpstreamSettings, UrlTarget
from context7_fabric.upstream.failures import CURRENT, watch
from context7_fabric.upstream.replies import LenientStream, mend

LONGEST_LINE = 200
"""Characters that are kept of a line."""

LAST_SECONDS = 0.5
"""Seconds to wait for the rest of a child's stderr once it has ended."""

_CHUNK = 65536
_KEPT_BYTES = 8192
_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)?")
_NOISE = re.compile(r"Node\.js v[\d.]+|npm (?:error|ERR!) (?:A complete log of this run|\s*/).*")
"""Last lines of programs that say nothing about the error."""


class ChildStderr:
    """Pipe for a child's stderr, emptied by a thread: a stalled stderr of ours blocks no loop."""

    def __init__(self, secret: str | None = None, *, shows: bool = True) -> None:
        """Mask `secret` in the line that is kept; pass all on to our own stderr if it `shows`."""
        self._secret = secret
        self._kept = b""
        self._own = sys.stderr if shows else None
        reader, writer = os.pipe()
        self.writer: TextIO = os.fdopen(writer, "w")
        self._thread = Thread(target=self._pump, args=(reader,), name="stderr", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Close our end of the pipe; the thread ends when the child's is closed."""
        self.close()

    def close(self) -> None:
        """Close our writing end, so that the pipe ends with the child."""
        self.writer.close()

    async def last_words(self) -> str:
        """Return the last line that the child wrote, empty when it wrote none."""
        self.close()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(self._thread.join, LAST_SECONDS)
        return last_line(self._kept, self._secret)

    def _pump(self, reader: int) -> None:
        with os.fdopen(reader, "rb", buffering=0) as pipe:
            while chunk := pipe.read(_CHUNK):
                self._kept = (self._kept + chunk)[-_KEPT_BYTES:]
                with suppress(OSError, ValueError):
                    if self._own is not None:
                        _write_all(self._own.fileno(), chunk)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def last_line(written: bytes, secret: str | None = None) -> str:
    """Return the last informative line, without terminal escapes, cut to a length."""
    text = _ESCAPES.sub("", written.decode("utf-8", "replace"))
    if secret:
        text = text.replace(secret, "[key]")
    lines = [_plain(line) for line in re.split(r"[\r\n]+", text)]
    informative = [line for line in lines if line and not _NOISE.fullmatch(line)]
    return informative[-1][:LONGEST_LINE] if informative else ""


def _plain(line: str) -> str:
    return " ".join("".join(sign if sign.isprintable() else " " for sign in line).split())


CONNECT_TIMEOUT = 5.0
"""Seconds for a TCP connection, and as many for TLS on it."""

READ_MARGIN = 10.0
"""Seconds by which a call's time-out precedes the transport's, so that only the call ends."""

START_SECONDS = 300.0
"""Seconds for a command to start, in the background of calls that wait for it: `npx` may have to
install it first, over a slow network."""


@dataclass(frozen=True, slots=True)
class TransportFactory:
    """Factory of transports to one upstream with one credential.

    `shows_stderr` tells whether the stderr of a command is passed on; its last line is kept anyway.
    """

    settings: UpstreamSettings
    shows_stderr: bool = True

    @property
    def label(self) -> str:
        """Name of upstream, without credentials."""
        return self.settings.target.label

    @property
    def patience(self) -> float:
        """Seconds to connect, handshake included; a call may give up before."""
        is_command = isinstance(self.settings.target, CommandTarget)
        return max(START_SECONDS, self.settings.timeout) if is_command else self.settings.timeout

    def open(self) -> AbstractAsyncContextManager[object]:
        """Return a context manager that yields the transport's read and write streams.

        Raises:
            UpstreamOff: There is no upstream to connect to.
        """
        target = self.settings.target
        if isinstance(target, UrlTarget):
            return _over_http(target, self.settings)
        if isinstance(target, CommandTarget):
            return _as_child(target, self.settings, shows_stderr=self.shows_stderr)
        raise UpstreamOff


@asynccontextmanager
async def _over_http(target: UrlTarget, settings: UpstreamSettings) -> AsyncGenerator[object]:
    headers = {"Authorization": f"Bearer {settings.api_key}"} if settings.api_key else {}
    timeout = httpx2.Timeout(
        settings.timeout,
        connect=min(CONNECT_TIMEOUT, settings.timeout),
        read=settings.timeout + READ_MARGIN,
    )
    hooks = {"response": [watch, mend]}
    trust = await to_thread.run_sync(_trust, settings.extra_ca_file)
    async with (
        httpx2.AsyncClient(
            headers=headers, timeout=timeout, verify=trust, event_hooks=hooks
        ) as client,
        streamable_http_client(target.url, http_client=client) as (read, write),
    ):
        yield LenientStream(read), write


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
async def _as_child(
    target: CommandTarget, settings: UpstreamSettings, *, shows_stderr: bool
) -> AsyncGenerator[object]:
    with ChildStderr(settings.api_key, shows=shows_stderr) as stderr:
        try:
            parameters = _child_parameters(target, settings)
            async with stdio_client(parameters, errlog=stderr.writer) as (read, write):
                stderr.close()
                yield LenientStream(read), write
        finally:
            exchange = CURRENT.get()
            if exchange is not None:
                exchange.last_words = await stderr.last_words()


def _child_parameters(target: CommandTarget, settings: UpstreamSettings) -> StdioServerParameters:
    environment = dict(settings.child_environment)
    if settings.api_key:
        environment["CONTEXT7_API_KEY"] = settings.api_key
    command, *arguments = target.command
    return StdioServerParameters(
        command=command,
        args=arguments,
        env=environment,
        cwd=settings.directory,
        encoding_error_handler="replace",
    )
