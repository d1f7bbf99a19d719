"""Shared server as a source of library ids over HTTP; no connection stays open."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from functools import cache

import httpx2
from anyio import to_thread
from pydantic import ValidationError

from context7_fabric.client.source import (
    CachedHit,
    CachedLibrary,
    RemoteServer,
    bare_library,
    library_of,
)
from context7_fabric.fabric.context import Json
from context7_fabric.http_server.rest.schemas import DocsReply, QueryReply
from context7_fabric.models import Clock
from context7_fabric.parsing.ids import LibraryId, parse_id
from context7_fabric.parsing.keys import name_key
from context7_fabric.privacy.redaction import redact
from context7_fabric.registry.readings import read_name

log = logging.getLogger(__name__)

SECONDS = 10.0
"""Time-out for connecting, sending and the answer, each."""

_EXACT = 1.0


class RemoteRegistry:
    """Registry of a server, limited to the rows that the token may see."""

    def __init__(
        self,
        service: RemoteServer,
        clock: Clock,
        *,
        redacts: bool = True,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        """Use `transport` in place of httpx's own; with `redacts`, send no secrets."""
        self._service = service
        self._clock = clock
        self._redacted = redact if redacts else str
        self._transport = transport

    async def find(self, name: str) -> CachedHit | None:
        """Return the library that `name` means exactly, by the service."""
        asked = {"query": self._redacted(name), "n_results": 1}
        reply = await self._post("query", asked)
        library = None if reply is None else _exact(reply)
        return None if library is None else CachedHit(library, list_tokens=0)

    async def docs(self, library_id: str, question: str) -> str | None:
        """Return a page of the service's docset that answers `question`, None without one."""
        asked = {"library": library_id, "query": self._redacted(question), "upstream": False}
        try:
            reply = await self._reply("docs", asked, none=httpx2.codes.NOT_FOUND)
            return None if reply is None else DocsReply.model_validate_json(reply).text
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            log.warning("%s does not answer: %s", self._service.label, _in_one_line(error))
            return None

    async def learn(self, name: str, library_id: LibraryId) -> CachedHit:
        """Store the id at the service; one with a version is not sent."""
        name = self._redacted(name)
        if library_id.version is None and read_name(name).name:
            metadata = {"library_name": name, "library_id": str(library_id)}
            form = {"documents": [name], "metadatas": [metadata], "ids": [f"lib-{name_key(name)}"]}
            await self._post("index", form)
        return CachedHit(bare_library(name, library_id, self._clock()), list_tokens=0)

    async def used(self, uses: Mapping[str, int]) -> None:
        """Do nothing: the service counts uses itself."""

    async def aclose(self) -> None:
        """Do nothing: nothing is open."""

    async def _post(self, place: str, form: Mapping[str, object]) -> bytes | None:
        """Return the service's reply, or log a failure and return None."""
        try:
            return await self._reply(place, form)
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            log.warning("%s does not answer: %s", self._service.label, _in_one_line(error))
            return None

    async def _reply(
        self, place: str, form: Mapping[str, object], none: int | None = None
    ) -> bytes | None:
        """Return the body of a reply, None for one with the status `none`."""
        trust = await to_thread.run_sync(_ssl_context)
        async with httpx2.AsyncClient(
            headers=self._service.headers, timeout=SECONDS, verify=trust, transport=self._transport
        ) as http:
            reply = await http.post(f"{self._service.url}/{place}", json=form)
        if reply.status_code == none:
            return None
        if reply.status_code != httpx2.codes.OK:
            raise ValueError(f"status {reply.status_code}")
        return reply.content


@cache
def _ssl_context() -> ssl.SSLContext:
    """Return the context with the system's CAs or SSL_CERT_FILE, SSL_CERT_DIR; blocks."""
    return httpx2.create_ssl_context()


def _exact(reply: bytes) -> CachedLibrary | None:
    """Return the exact match in a reply, None if there is none."""
    try:
        results = QueryReply.model_validate_json(reply).results
        if not results or results[0].relevance_score < _EXACT:
            return None
        metadata: dict[str, Json] = results[0].metadata.model_dump()
        return library_of(metadata) if parse_id(results[0].metadata.library_id) else None
    except (ValidationError, ValueError) as error:
        log.warning("a reply cannot be read: %s", _in_one_line(error))
        return None


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
