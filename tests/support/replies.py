"""Replies of a healthy Context7 API, as a pure function from a request to a reply.

Each generation has its own paths: `/v2/libs/search` and `/v2/context` for servers since 2.1,
`/v2/search` and `/v2/docs/…` for those before.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from support.catalogue import Catalogue, Library, split_id
from support.documents import Edition, context_json, context_text, page_text
from support.faults import LIBRARY_MISSING, NO_LIBRARIES, Endpoint, Fault, Reply, problem

SEARCH_PATHS = ("/api/v2/libs/search", "/api/v2/search")
CONTEXT_PATH = "/api/v2/context"
DOCS_PATH = re.compile(r"/api/v2/docs/(code|info)(/.+)")
NOT_FOUND = problem(404, "not_found", "Endpoint not found.")
MALFORMED = problem(400, "invalid_library_id", "{subject} is no library ID.")
PAGE = 10


@dataclass(frozen=True)
class Call:
    """A request as the API understands it: what kind it is, and about what."""

    path: str
    query: Mapping[str, str]
    key: str | None

    @property
    def endpoint(self) -> Endpoint | None:
        if self.path in SEARCH_PATHS:
            return "search"
        is_docs = self.path == CONTEXT_PATH or DOCS_PATH.fullmatch(self.path)
        return "docs" if is_docs else None

    @property
    def subject(self) -> str:
        if self.endpoint == "search":
            return self.query.get("libraryName", self.query.get("query", ""))
        older = DOCS_PATH.fullmatch(self.path)
        return older[2] if older else self.query.get("libraryId", "")


@dataclass(eq=False, repr=False)
class World:
    """Everything that a reply depends on; a test changes it at any time."""

    catalogue: Catalogue = field(default_factory=Catalogue)
    revision: int = 1
    redirects: dict[str, str] = field(default_factory=dict)


def reply_to(call: Call, world: World, *, filtered: bool = False) -> Reply:
    if call.endpoint is None:
        return _failed(NOT_FOUND, call)
    if call.endpoint == "search":
        return _search(call, world, filtered=filtered)
    return _docs(call, world)


def _search(call: Call, world: World, *, filtered: bool) -> Reply:
    found = world.catalogue.find(call.subject, call.key)
    if not found:
        return _failed(NO_LIBRARIES, call)
    results = [_entry(library, world.revision) for library in found]
    return _json({"results": results, "searchFilterApplied": filtered})


def _entry(library: Library, revision: int) -> dict[str, object]:
    counted = library.total_snippets
    entry: dict[str, object] = {
        "id": library.id,
        "title": library.title,
        "description": library.description,
        "branch": "main",
        "lastUpdateDate": f"2026-10-{revision % 28 + 1:02}T06:00:00.000Z",
        "state": "finalized",
        "totalTokens": max(counted, 0) * 120,
        "totalSnippets": counted if counted < 0 else counted + revision - 1,
        "stars": library.stars,
        "benchmarkScore": library.benchmark,
        "versions": list(library.versions),
        "verified": False,
    }
    return entry if library.trust is None else {**entry, "trustScore": library.trust}


def _docs(call: Call, world: World) -> Reply:
    library_id, version = split_id(call.subject)
    if not library_id.startswith("/") or library_id.count("/") != 2:
        return _failed(MALFORMED, call)
    if library_id in world.redirects:
        return _redirected(library_id, world.redirects[library_id])
    library = world.catalogue.get(library_id, call.key)
    if library is None:
        return _failed(LIBRARY_MISSING, call)
    if version is not None and version not in library.versions:
        return _version_missing(library, version)
    return _text(call, Edition(library=library, version=version, revision=world.revision))


def _text(call: Call, edition: Edition) -> Reply:
    query = call.query
    older = DOCS_PATH.fullmatch(call.path)
    if older:
        page, limit = int(query.get("page", 1)), int(query.get("limit", PAGE))
        text = page_text(edition, older[1], query.get("topic", ""), page, limit)
        return Reply(body=text.encode())
    if query.get("type") == "json":
        return _json(context_json(edition, query.get("query", "")))
    return Reply(body=context_text(edition, query.get("query", "")).encode())


def _redirected(old: str, new: str) -> Reply:
    message = f"Library {old} has been redirected to this library: {new}."
    body = {"error": "library_redirected", "message": message, "redirectUrl": new}
    return _json(body, status=301)


def _version_missing(library: Library, version: str) -> Reply:
    known = ", ".join(library.versions)
    message = (
        f'Version "{version}" not found for library "{library.id}". Available versions: {known}'
    )
    return _json({"error": "tag_not_found", "message": message}, status=404)


def _failed(fault: Fault, call: Call) -> Reply:
    return fault.reply(call.subject, Reply())


def _json(content: object, status: int = 200) -> Reply:
    body = json.dumps(content, ensure_ascii=False).encode()
    return Reply(status=status, body=body, media_type="application/json")
