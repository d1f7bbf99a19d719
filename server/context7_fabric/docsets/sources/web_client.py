"""HTTP client for text of public sites: checked addresses, own redirects, bounds on everything.

A connection goes to an address that was checked, under the host's own name in TLS and in the
request. Redirects are followed by hand, each target checked as the first one.
"""

from __future__ import annotations

import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import urljoin, urlsplit

import anyio
import httpx2
from anyio import to_thread

from context7_fabric.docsets.sources.addresses import CheckedAddress, checked_address
from context7_fabric.docsets.sources.files import decoded
from context7_fabric.docsets.sources.source import CREDENTIALS, SIZE_OPTION, SourceBounds
from context7_fabric.errors import (
    SettingError,
    SourceNotFound,
    SourceRefused,
    SourceTooLarge,
    SourceUnavailable,
)
from context7_fabric.process import harmless
from context7_fabric.settings.values import DocsetSettings
from context7_fabric.version import __version__

MOST_REDIRECTS = 5
CONNECT_SECONDS = 10.0
PAGE_SECONDS = 60.0
"""Seconds for one page; a body that drips has no idle time."""

_HEADERS = {
    "Accept": "text/markdown, text/plain;q=0.9, */*;q=0.1",
    "Accept-Encoding": "gzip",
    "User-Agent": f"context7-fabric/{__version__}",
}
_NONE: Mapping[str, str] = {}
_TEXT = frozenset({"", "text/plain", "text/markdown", "text/x-markdown", "text/mdx"})
_UNKNOWN = frozenset({"application/octet-stream", "binary/octet-stream"})
_HTML = ("<!doctype", "<html", "<?xml")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_FOR_NOW = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_LATER = "try again later, or add a copy as a folder"
_AS_TEXT = "give the address of a text"
_LONGEST_VALIDATOR = 200
_LONGEST_REASON = 200
_GZIP = 31
"""Window of zlib that wants the gzip form."""


@dataclass(frozen=True, slots=True)
class WebText:
    """Text at a web address after redirects, and its ETag or date of change, if it has one."""

    url: str
    text: str
    validator: str


class WebClient:
    """Reads texts for one source, whose `transfer_bytes` bound all of them together."""

    def __init__(self, source: str, bounds: SourceBounds, settings: DocsetSettings) -> None:
        """Make no connection yet; use it as a context manager."""
        self._source = source
        self._bounds = bounds
        self._settings = settings
        self._left = bounds.transfer_bytes
        self._clients: dict[tuple[str, str | None], httpx2.AsyncClient] = {}
        self._exits = AsyncExitStack()
        self._trust: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        """Load the certificates to trust."""
        named = (self._settings.environment.get(name) for name in _CERTIFICATES)
        self._trust = await to_thread.run_sync(_trust, *named)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all connections."""
        await self._exits.__aexit__(kind, error, trace)

    @property
    def is_exhausted(self) -> bool:
        """More was sent than all texts together may take."""
        return self._left < 0

    async def text(self, url: str, most: int, *, host: str | None = None) -> WebText:
        """Return the text at an address, at most `most` bytes of it; with `host`, of that alone.

        Raises:
            DocsetSourceError: It is missing, no text, too large, too slow, or not at a safe place.
        """
        with anyio.move_on_after(PAGE_SECONDS):
            async with self._followed(url, host) as (found, response):
                _check_type(found, response)
                body = await self._body(response, most)
                return _text(found, body, validator_of(response))
        raise SourceTooLarge(self._source, f"{url} takes longer than {PAGE_SECONDS:g} s", _LATER)

    async def is_unchanged(self, url: str, validator: str) -> bool:
        """Ask if a text still has this ETag, or this date of change; False for any other text.

        Raises:
            DocsetSourceError: As `text`.
        """
        headers = _conditional(validator)
        if not headers:
            return False
        async with self._followed(url, None, headers) as (_found, response):
            return response.status_code == HTTPStatus.NOT_MODIFIED

    @asynccontextmanager
    async def _followed(
        self, url: str, host: str | None, headers: Mapping[str, str] = _NONE
    ) -> AsyncIterator[tuple[str, httpx2.Response]]:
        """Open the address that `url` leads to, and yield it with the head of its response."""
        at = url
        for _each in range(MOST_REDIRECTS + 1):
            async with self._opened(at, url, headers) as response:
                if response.status_code not in _REDIRECTS:
                    self._check_status(at, response)
                    yield at, response
                    return
                target = urljoin(at, response.headers.get("Location", ""))
            if host is not None and urlsplit(target).netloc != host:
                raise SourceRefused(self._source, f"{url} leads to another site", "leave it out")
            at = target
        raise SourceRefused(
            self._source, f"{url} redirects without an end", "give its last address"
        )

    @asynccontextmanager
    async def _opened(
        self, url: str, named: str, headers: Mapping[str, str]
    ) -> AsyncIterator[httpx2.Response]:
        is_named = urlsplit(url).netloc == urlsplit(named).netloc
        checked = await checked_address(url, self._source, self._settings, named=is_named)
        try:
            client = await self._client(checked)
            async with _sent(client, url, checked, headers) as response:
                yield response
        except (httpx2.HTTPError, httpx2.InvalidURL, ssl.SSLError, ImportError) as error:
            reason = f"{checked.host} gives no answer ({_in_words(error)})"
            raise SourceUnavailable(self._source, reason, _LATER) from error

    async def _client(self, checked: CheckedAddress) -> httpx2.AsyncClient:
        """Return the client for a host: connections are shared by address, so by no other host."""
        key = (checked.host, checked.proxy)
        if key not in self._clients:
            transport = httpx2.AsyncHTTPTransport(
                verify=self._trust or True, trust_env=False, proxy=checked.proxy
            )
            timeout = httpx2.Timeout(self._bounds.idle, connect=CONNECT_SECONDS)
            client = httpx2.AsyncClient(
                transport=transport, timeout=timeout, headers=_HEADERS, trust_env=False
            )
            self._clients[key] = await self._exits.enter_async_context(client)
        return self._clients[key]

    def _check_status(self, url: str, response: httpx2.Response) -> None:
        status = response.status_code
        if status in {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED}:
            return
        reason = f"{url} answers with status {status}"
        if status in _FOR_NOW or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise SourceUnavailable(self._source, reason, _LATER)
        raise SourceNotFound(self._source, reason, "give the address of a public text")

    async def _body(self, response: httpx2.Response, most: int) -> bytes:
        """Return the body, unpacked in bounded steps: a small one may unpack to any size."""
        unpacking, body = _Unpacking(response), bytearray()
        async for chunk in response.aiter_raw():
            self._left -= len(chunk)
            if self._left < 0:
                raise self._too_large(self._bounds.transfer_bytes, "all pages together")
            body += unpacking.feed(chunk, most + 1 - len(body))
            if len(body) > most:
                raise self._too_large(most, str(response.url.path))
        unpacking.finish()
        return bytes(body)

    def _too_large(self, most: int, what: str) -> SourceTooLarge:
        reason = f"{what} exceeds {most / 1e6:g} MB"
        remedy = "add its repository, or a part as a folder"
        return SourceTooLarge(self._source, reason, remedy, SIZE_OPTION)


@asynccontextmanager
async def _sent(
    client: httpx2.AsyncClient, url: str, checked: CheckedAddress, headers: Mapping[str, str]
) -> AsyncIterator[httpx2.Response]:
    """Send a request to the first of the checked addresses that takes the connection."""
    *others, last = [
        _request(client, url, address, headers) for address in checked.addresses or (checked.host,)
    ]
    response = None
    for request in others:
        with suppress(httpx2.ConnectError, httpx2.ConnectTimeout):
            response = await client.send(request, stream=True)
            break
    response = response or await client.send(last, stream=True)
    try:
        yield response
    finally:
        with anyio.CancelScope(shield=True):
            await response.aclose()


def _request(
    client: httpx2.AsyncClient,
    url: str,
    address: str,
    headers: Mapping[str, str],
) -> httpx2.Request:
    """Return the request to one address under the host's name."""
    parsed = httpx2.URL(url)
    return client.build_request(
        "GET",
        parsed.copy_with(host=address),
        headers={**headers, "Host": parsed.netloc.decode("ascii")},
        extensions={"sni_hostname": parsed.raw_host.decode("ascii")},
    )


def _conditional(validator: str) -> dict[str, str]:
    """Return the header that asks for changes alone, none for what is neither ETag nor date."""
    if validator.endswith('"'):
        return {"If-None-Match": validator}
    return {"If-Modified-Since": validator} if validator.endswith("GMT") else {}


def _check_type(url: str, response: httpx2.Response) -> None:
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in _TEXT | _UNKNOWN:
        raise SourceRefused(url, f"it is {kind!r}, and only text and Markdown are read", _AS_TEXT)


def _text(url: str, body: bytes, validator: str) -> WebText:
    text = decoded(body)
    if text is None or text.lstrip().lower().startswith(_HTML):
        kind = "binary" if text is None else "HTML"
        raise SourceRefused(url, f"it is {kind}, and only text and Markdown are read", _AS_TEXT)
    return WebText(url, text, validator)


def validator_of(response: httpx2.Response) -> str:
    """Return the ETag, else the date of change, in printable characters; empty without either."""
    found = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    return harmless(found).strip()[:_LONGEST_VALIDATOR]


class _Unpacking:
    """Body of a response, unpacked by the chunk."""

    def __init__(self, response: httpx2.Response) -> None:
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip", "x-gzip"}:
            raise httpx2.DecodingError(f"its encoding {encoding[:40]!r} was not asked for")
        self._gzip = None if encoding == "identity" else zlib.decompressobj(_GZIP)

    def feed(self, chunk: bytes, most: int) -> bytes:
        """Return what a chunk unpacks to, at most a number of bytes above 0."""
        try:
            return chunk[:most] if self._gzip is None else self._gzip.decompress(chunk, most)
        except zlib.error as error:
            raise httpx2.DecodingError("its gzip form is damaged") from error

    def finish(self) -> None:
        """Check that nothing is missing."""
        if self._gzip is not None and not self._gzip.eof:
            raise httpx2.DecodingError("its gzip form is cut off")


def _in_words(error: Exception) -> str:
    """Return the reason of an error in one short line."""
    if isinstance(error, httpx2.TimeoutException):
        return "it took too long"
    text = " ".join(str(error).split()) or type(error).__name__
    return harmless(CREDENTIALS.sub("…@", text))[:_LONGEST_REASON]


@cache
def _trust(file: str | None, folder: str | None) -> ssl.SSLContext:
    """Trust what the system trusts, or the authorities that the environment names."""
    if not file and not folder:
        return httpx2.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=file, capath=folder)
    except OSError as error:
        raise SettingError(_CERTIFICATES[0], file or "", "a file of certificates") from error
