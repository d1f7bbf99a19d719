"""Documentation for models on the web: llms-full.txt, or llms.txt with the pages that it lists."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import anyio
from anyio import CapacityLimiter, to_thread
from anyio.abc import TaskGroup

from context7_fabric.docsets.sources.llms import WebPage, is_list, is_llms, links, pages
from context7_fabric.docsets.sources.source import (
    SIZE_OPTION,
    LlmsSource,
    Omitted,
    Progress,
    SourceBounds,
    SourceFetch,
    SourceTree,
)
from context7_fabric.docsets.sources.web_client import WebClient, WebText
from context7_fabric.errors import (
    DocsetSourceError,
    SourceNotFound,
    SourceRefused,
    SourceTooLarge,
    SourceUnavailable,
)

AT_ONCE = 4
"""Pages that are asked for at once: courteous, and fast enough for some hundreds."""

MOST_SILENT = 0.1
"""Share of the pages that may give no answer: with more the documentation is not whole."""

MOST_MISSES = 5
"""Pages that are asked for as Markdown, before a site that has none is asked no more."""

UNFETCHED = "page: "
_SILENT = f"{UNFETCHED}no answer"
_TEXT = (".md", ".mdx", ".txt", ".rst", ".markdown")
_KINDS = {
    SourceNotFound: "nothing there",
    SourceRefused: "no text of this site",
    SourceTooLarge: "too large or too slow",
    SourceUnavailable: _SILENT.removeprefix(UNFETCHED),
}
_SLUG = re.compile(r"[^\w]+")
_LONGEST_SLUG = 80


async def fetch_llms(source: LlmsSource, fetch: SourceFetch) -> SourceTree:
    """Read a file for models, and the pages of its own site that it lists.

    Raises:
        DocsetSourceError: It is missing, unsafe, too large, out of reach, or holds no text.
    """
    fetch.progress(f"reading {source.url}")
    async with WebClient(source.line, fetch.bounds, fetch.settings) as client:
        main = await client.text(source.url, fetch.bounds.text_bytes)
        found, omitted, revision = await _pages_of(main, client, source, fetch)
    files = _Files(main.url, found)
    await to_thread.run_sync(files.write, fetch.into)
    return SourceTree(
        fetch.into,
        source.line,
        revision,
        address=files.address,
        version=fetch.version,
        documents=fetch.version,
        pages=files.names,
        omitted=tuple(omitted),
        note=f"{len(found)} pages of {urlsplit(main.url).hostname}",
    )


async def latest_web_revision(source: LlmsSource, fetch: SourceFetch, known: str) -> str:
    """Return the revision that `fetch_llms` would give now.

    With a `known` revision that is an ETag or a date the site is asked for changes alone. A list
    is read with its pages, as it says nothing of them.

    Raises:
        DocsetSourceError: As `fetch_llms`.
    """
    async with WebClient(source.line, fetch.bounds, fetch.settings) as client:
        if await client.is_unchanged(source.url, known):
            return known
        main = await client.text(source.url, fetch.bounds.text_bytes)
        _found, _omitted, revision = await _pages_of(main, client, source, fetch)
        return revision


async def _pages_of(
    main: WebText, client: WebClient, source: LlmsSource, fetch: SourceFetch
) -> tuple[list[WebPage], list[Omitted], str]:
    """Return the pages in a file or listed in it, those left out, and the revision of all."""
    if _lists_pages(main):
        found, omitted = await _listed(client, main, source, fetch)
        return found, omitted, _digest(found)
    found = pages(main.text, main.url)
    return found, [], main.validator or _digest(found)


def _lists_pages(main: WebText) -> bool:
    """Tell whether a file is a list: some are called llms-full.txt and hold links alone."""
    is_named_so = urlsplit(main.url).path.endswith("llms.txt")
    return (is_named_so or is_list(main.text)) and bool(links(main.text, main.url))


def _digest(found: Sequence[WebPage]) -> str:
    texts = (f"{page.url}\0{len(page.text)}\0{page.text}" for page in found)
    return hashlib.sha256("".join(texts).encode("utf-8", "replace")).hexdigest()[:40]


async def _listed(
    client: WebClient, main: WebText, source: LlmsSource, fetch: SourceFetch
) -> tuple[list[WebPage], list[Omitted]]:
    """Read the pages that a list names, in its order, and name those that cannot be read.

    Raises:
        SourceNotFound: None of them is text.
        SourceTooLarge: All together are too much.
        SourceUnavailable: Many give no answer, so that most of the documentation may be missing.
    """
    bounds = fetch.bounds
    listed = links(main.text, main.url)
    reading = _Pages(client, source.line, bounds, fetch.progress, listed[: bounds.pages])
    found = await reading.read()
    omitted = reading.omitted + [
        Omitted(url, f"{UNFETCHED}beyond the first {bounds.pages:,}")
        for url in listed[bounds.pages :]
    ]
    if not found:
        reason = f"none of its {len(listed):,} pages is text ({omitted[0].reason})"
        raise SourceNotFound(source.line, reason, "add the repository of the documentation")
    return found, omitted


@dataclass
class _Pages:
    """Reading of the pages of one site, a few at once."""

    client: WebClient
    source: str
    bounds: SourceBounds
    progress: Progress
    urls: Sequence[str]
    omitted: list[Omitted] = field(default_factory=list)
    _found: dict[str, list[WebPage]] = field(default_factory=dict)
    _size: int = 0
    _misses: int = 0

    async def read(self) -> list[WebPage]:
        """Return the pages in the order of their addresses.

        Raises:
            SourceTooLarge: Their text, or what was transferred, exceeds the bound.
            SourceUnavailable: Many of them give no answer.
        """
        limiter = CapacityLimiter(AT_ONCE)
        async with anyio.create_task_group() as tasks:
            for url in self.urls:
                tasks.start_soon(self._read, url, limiter, tasks)
        self._check()
        self.omitted.sort(key=lambda each: self.urls.index(each.path))
        return [page for url in self.urls for page in self._found.get(url, ())]

    def _check(self) -> None:
        bounds, silent = self.bounds, sum(each.reason == _SILENT for each in self.omitted)
        if self._size > bounds.text_bytes or self.client.is_exhausted:
            most = min(bounds.text_bytes, bounds.transfer_bytes)
            reason = f"its pages take more than {most / 1e6:g} MB"
            remedy = "add its repository, or a part as a folder"
            raise SourceTooLarge(self.source, reason, remedy, SIZE_OPTION)
        if silent > MOST_SILENT * len(self.urls):
            reason = f"{silent} of its {len(self.urls)} pages give no answer"
            raise SourceUnavailable(self.source, reason, "try again later")

    async def _read(self, url: str, limiter: CapacityLimiter, tasks: TaskGroup) -> None:
        async with limiter:
            try:
                self._keep(url, await self._text(url))
            except DocsetSourceError as error:
                self.omitted.append(Omitted(url, f"{UNFETCHED}{_kind(error)}"))
        if self._size > self.bounds.text_bytes or self.client.is_exhausted:
            tasks.cancel_scope.cancel()

    def _keep(self, url: str, text: WebText) -> None:
        is_file = is_llms(url)
        self._found[url] = pages(text.text, text.url) if is_file else [WebPage(url, "", text.text)]
        self._size += len(text.text)
        self.progress(f"{len(self._found)} of {len(self.urls)} pages")

    async def _text(self, url: str) -> WebText:
        """Return a page as text: sites serve the Markdown of a page under its address and .md."""
        host, most = urlsplit(url).netloc, self.bounds.file_bytes
        if not urlsplit(url).path.endswith(_TEXT) and self._misses < MOST_MISSES:
            with suppress(SourceNotFound, SourceRefused):
                text = await self.client.text(_as_markdown(url), most, host=host)
                self._misses = -len(self.urls)
                return text
            self._misses += 1
        return await self.client.text(url, most, host=host)


def _as_markdown(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path.rstrip('/') or '/index'}.md").geturl()


def _kind(error: DocsetSourceError) -> str:
    """Return the reason why a page is left out, by which such pages are counted."""
    return _KINDS.get(type(error), "cannot be read")


class _Files:
    """Pages as files: the address of all of them, and the file of each by its path."""

    def __init__(self, main: str, found: Sequence[WebPage]) -> None:
        """Give pages without an address that of the file they stand in, and their heading."""
        urls = [page.url or _place(main, page.title) for page in found]
        origins = {_origin(url) for url in urls}
        self.address = f"{min(origins)}/{{path}}" if len(origins) == 1 else "{path}"
        texts = dict[str, list[str]]()
        for url, page in zip(urls, found, strict=True):
            texts.setdefault(self._path(url), []).append(page.text)
        self._texts = {path: "\n\n".join(parts) for path, parts in texts.items()}
        self.names = {path: f"{at:06}.txt" for at, path in enumerate(texts)}

    def write(self, folder: Path) -> None:
        """Write all files; this blocks."""
        for path, name in self.names.items():
            (folder / name).write_text(self._texts[path], "utf-8", "replace")

    def _path(self, url: str) -> str:
        if self.address == "{path}":
            return url
        return url.removeprefix(_origin(url)).lstrip("/") or "."  # the page of the site itself


def _place(main: str, title: str) -> str:
    slug = _SLUG.sub("-", title.lower()).strip("-")[:_LONGEST_SLUG]
    return f"{main}#{slug}" if slug else main


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
