"""Forms of llms.txt and llms-full.txt: the pages in one, the links in the other; pure.

llms.txt lists links below headings (llmstxt.org). llms-full.txt has no specification; generators
write pages one after the other, each with a heading and, next to it, the address it came from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

MOSTLY_LINKS = 0.7
"""Share of the lines of text that are links, from which a file is a list of links."""

_LINK = re.compile(r"\s{0,8}(?:[-*+]|\d+\.)\s[^\[\n]{0,80}\[[^\]\n]*\]\((?P<url>[^)\s]+)[^)]*\)")
_HEADING = re.compile(r"(?P<marks>#{1,6}) +(?P<title>\S.*)")
_ADDRESS = re.compile(
    r"(?:>\s*)?\**(?:source|url)\**:\**\s*<?(?P<url>(?:https?://|/)[^\s<>]*)>?\s*", re.IGNORECASE
)
_FIELD = re.compile(r"(?P<name>url|source|title):\s*[\"']?(?P<text>.*?)[\"']?\s*", re.IGNORECASE)
_FENCE = re.compile(r"\s*(?P<mark>`{3,}|~{3,})")
_RULE = re.compile(r"\s*(?:-{3,}|={3,}|\*{3,})\s*")
_LLMS = re.compile(r"llms[\w-]*\.txt")
_OPTIONAL = re.compile(r"## +optional\s*", re.IGNORECASE)
_NETLOC = re.compile(r"[\w.-]+(?::\d+)?|\[[\da-fA-F:.]+\](?::\d+)?")
_FRONT = "---"
_NEAR = 4
_LONGEST_FRONT = 12
"""Lines below a heading among which its address stands; lines of front matter."""

_PAGE_LEVEL = 2
"""Lowest level of a heading that begins a page, if an address follows."""


@dataclass(frozen=True, slots=True)
class WebPage:
    """A page: its absolute address, empty if it names none, its title and its text."""

    url: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class _Start:
    """First line of a page, by its number; `dropped` are the lines that say where it is from."""

    number: int
    url: str
    title: str
    dropped: tuple[int, ...] = ()


def pages(text: str, base: str) -> list[WebPage]:
    """Return the pages of a file in order; addresses in it are relative to `base`.

    A page begins where an address stands below a heading or in front matter; in a file without
    addresses at each heading of the first level.
    """
    lines = text.splitlines()
    fenced = _fenced(lines)
    starts = list(_addressed(lines, fenced)) or list(_titled(lines, fenced))
    if not starts or starts[0].number > 0:
        starts.insert(0, _Start(0, "", ""))
    ends = [start.number for start in starts[1:]] + [len(lines)]
    found = (_page(lines, start, end, base) for start, end in zip(starts, ends, strict=True))
    return [page for page in found if page.text]


def _page(lines: Sequence[str], start: _Start, end: int, base: str) -> WebPage:
    kept = [lines[at] for at in range(start.number, end) if at not in start.dropped]
    while kept and _is_empty(kept[0]):
        kept.pop(0)
    while kept and _is_empty(kept[-1]):
        kept.pop()
    return WebPage(absolute(base, start.url) if start.url else "", start.title, "\n".join(kept))


def _is_empty(line: str) -> bool:
    return not line.strip() or _RULE.fullmatch(line) is not None


def _addressed(lines: Sequence[str], fenced: Sequence[bool]) -> Iterator[_Start]:
    for number, line in enumerate(lines):
        if fenced[number]:
            continue
        heading = _HEADING.fullmatch(line)
        if heading and len(heading["marks"]) <= _PAGE_LEVEL:
            found = list(_addresses_below(lines, number))
            if found:
                dropped = tuple(at for at, _url in found)
                yield _Start(number, found[0][1], heading["title"], dropped)
        elif line.rstrip() == _FRONT:
            start = _front_matter(lines, number)
            if start is not None:
                yield start


def _addresses_below(lines: Sequence[str], number: int) -> Iterator[tuple[int, str]]:
    for at in range(number + 1, min(number + 1 + _NEAR, len(lines))):
        found = _ADDRESS.fullmatch(lines[at])
        if found:
            yield at, found["url"]
        elif lines[at].strip():
            return


def _front_matter(lines: Sequence[str], number: int) -> _Start | None:
    """Return the page whose front matter, with its address, begins at a rule."""
    fields, last = dict[str, str](), min(number + _LONGEST_FRONT, len(lines))
    for at in range(number + 1, last):
        if lines[at].rstrip() == _FRONT:
            url = fields.get("url") or fields.get("source")
            dropped = tuple(range(number, at + 1))
            return _Start(number, url, fields.get("title", ""), dropped) if url else None
        found = _FIELD.fullmatch(lines[at])
        if found:
            fields[found["name"].lower()] = found["text"]
    return None


def _titled(lines: Sequence[str], fenced: Sequence[bool]) -> Iterator[_Start]:
    for number, line in enumerate(lines):
        heading = None if fenced[number] else _HEADING.fullmatch(line)
        if heading and len(heading["marks"]) == 1:
            yield _Start(number, "", heading["title"])


def _fenced(lines: Sequence[str]) -> list[bool]:
    """Tell of each line if it stands in a fence; one that is never closed ends with its page."""
    inside, mark = list[bool](), ""
    for line in lines:
        found = _FENCE.match(line)
        closes = bool(mark and found and found["mark"].startswith(mark) and not line.strip(" `~\t"))
        inside.append(bool(mark))
        if closes:
            mark = ""
        elif found and not mark:
            mark = found["mark"]
    return inside


def links(text: str, base: str) -> list[str]:
    """Return the addresses that a file lists on the host of `base`, each once, optional ones last.

    Other files for models are left out where it lists pages: they repeat them.
    """
    host = urlsplit(base).netloc
    listed = [absolute(base, url) for url in _listed(text)]
    own = [url for url in dict.fromkeys(listed) if url and urlsplit(url).netloc == host]
    pages_alone = [url for url in own if not is_llms(url)]
    return pages_alone or [url for url in own if url != base]


def _listed(text: str) -> Iterator[str]:
    optional, is_optional = list[str](), False
    for line in text.splitlines():
        if line.startswith("## "):
            is_optional = _OPTIONAL.fullmatch(line) is not None
        found = _LINK.match(line)
        if found and is_optional:
            optional.append(found["url"])
        elif found:
            yield found["url"]
    yield from optional


def is_list(text: str) -> bool:
    """Tell whether a file is a list of links with little text around it."""
    lines = [line for line in text.splitlines() if line.strip() and line[0] not in "#>"]
    listed = sum(_LINK.match(line) is not None for line in lines)
    return listed > 1 and listed >= MOSTLY_LINKS * len(lines)


def is_llms(url: str) -> bool:
    """Tell whether an address is that of an llms.txt or one of its variants."""
    return _LLMS.fullmatch(urlsplit(url).path.rpartition("/")[2]) is not None


def absolute(base: str, url: str) -> str:
    """Return an address without its fragment, empty for one of another scheme or form."""
    try:
        parts = urlsplit(urljoin(base, url))
        _ = parts.port
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not _NETLOC.fullmatch(parts.netloc):
        return ""
    return parts._replace(fragment="").geturl() if url.isprintable() else ""
