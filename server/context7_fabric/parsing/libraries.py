"""Reader and writer of library lists as `resolve-library-id` sends them.

Reading is a positive test: only a text that consists of entries alone is a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from context7_fabric.parsing.ids import parse_id

HEADING = "Available Libraries"
RULE = "----------"
REPUTATIONS = ((7, "High"), (4, "Medium"), (0, "Low"))
"""Names of a source's reputation with their minimum trust scores."""

_HEADING = re.compile(rf"{HEADING}[^\n:]*:")
_TITLE = "- Title: "
_ID = "- Context7-compatible library ID: "
# The description may have several lines, and lines that look like fields: the fields are the
# longest run, in upstream's order, that ends the entry.
_ENTRY = re.compile(
    r"- Title: (?P<title>.*)"
    r"\n- Context7-compatible library ID: (?P<id>.*)"
    r"(?P<description>\n- Description:(?s:.*?))?"
    r"(?:\n- Code Snippets: (?P<snippets>\d{1,18}))?"
    r"(?:\n- GitHub Stars: \d{1,18})?"
    r"(?:\n- Source Reputation: (?P<reputation>High|Medium|Low|Unknown))?"
    r"(?:\n- Trust Score: (?P<trust_score>-?\d{1,18}(?:\.\d+)?))?"
    r"(?:\n- Benchmark Score: (?P<benchmark>\d{1,18}(?:\.\d+)?))?"
    r"(?:\n- Versions: (?P<versions>.+))?"
    r"(?:\n- Source: (?P<source>.+))?"
)
# In a description, one of these is a field whose value is cut short or unknown.
_MALFORMED = re.compile(r"\n- (?:Code Snippets|Source Reputation|Trust Score|Benchmark Score):")


@dataclass(frozen=True, slots=True)
class Library:
    """Entry of a list; `id` is in its canonical spelling, `text` has its lines exactly as sent."""

    id: str
    title: str
    description: str
    snippets: int | None
    reputation: str | None
    trust_score: float | None
    benchmark: float | None
    versions: tuple[str, ...]
    source: str | None
    text: str


@dataclass(frozen=True, slots=True)
class LibraryList:
    """Complete list.

    `preamble` is the text before the note and the entries, exactly as sent, blank lines included;
    `note` is upstream's remark that a filter was applied.
    """

    preamble: str
    note: str | None
    libraries: tuple[Library, ...]


def parse_list(text: str) -> LibraryList | None:
    """Read a list of libraries of any server version; None if `text` is anything else.

    A text with one entry that is malformed or cut short is not a list.
    """
    lines = text.strip().split("\n")
    first = next((at for at, line in enumerate(lines) if line.startswith(_TITLE)), len(lines))
    head = _parse_head("".join(f"{line}\n" for line in lines[:first]))
    libraries = _parse_entries(lines[first:])
    return LibraryList(*head, libraries) if head and libraries else None


def list_start(lines: Sequence[str]) -> int | None:
    """Return the first line of a list after any other text; None if there is none."""
    pairs = enumerate(pairwise(lines))
    entries = (at for at, (a, b) in pairs if a.startswith(_TITLE) and b.startswith(_ID))
    entry = next(entries, None)
    headings = (at for at, line in enumerate(lines[:entry]) if _HEADING.match(line))
    return None if entry is None else next(headings, entry)


def _parse_head(text: str) -> tuple[str, str | None] | None:
    """Split the text before the entries into preamble and note; None if it is neither."""
    paragraphs = text.replace("\r", "").strip().split("\n\n")
    note = paragraphs.pop() if paragraphs[-1].startswith("**Note:**") else None
    if note is None and not paragraphs[0]:
        return text, None
    # Older servers explain the fields at length, and close the explanation with a rule.
    heading, *explanation = paragraphs or [""]
    if not _HEADING.fullmatch(heading) or (explanation and explanation[-1] != RULE):
        return None
    return text if note is None else text[: text.index("**Note:**")], note


def _parse_entries(lines: Sequence[str]) -> tuple[Library, ...] | None:
    rules = [at for at, line in enumerate(lines) if line.rstrip("\r") == RULE]
    starts, ends = [0, *(at + 1 for at in rules)], [*rules, len(lines)]
    spans = zip(starts, ends, strict=True)
    found = [_parse_entry("\n".join(lines[start:end]).rstrip("\r")) for start, end in spans]
    libraries = tuple(library for library in found if library is not None)
    return libraries if len(libraries) == len(found) and _are_alike(libraries) else None


def _are_alike(libraries: Iterable[Library]) -> bool:
    """Return whether the entries have the same constant lines.

    A server prints description and reputation in every entry or in none: if only some have them,
    one was cut short.
    """
    traits = {("\n- Description:" in entry.text, bool(entry.reputation)) for entry in libraries}
    return len(traits) == 1


def _parse_entry(text: str) -> Library | None:
    match = _ENTRY.fullmatch(text.replace("\r\n", "\n"))
    library_id = parse_id(match["id"]) if match else None
    if not match or not library_id or _MALFORMED.search(match["description"] or ""):
        return None
    snippets, trust_score, benchmark = match.group("snippets", "trust_score", "benchmark")
    return Library(
        id=str(library_id),
        title=match["title"],
        description=(match["description"] or "").removeprefix("\n- Description:").strip(),
        snippets=None if snippets is None else int(snippets),
        reputation=match["reputation"],
        trust_score=None if trust_score is None else float(trust_score),
        benchmark=None if benchmark is None else float(benchmark),
        versions=tuple(match["versions"].split(", ")) if match["versions"] else (),
        source=match["source"],
        text=text,
    )


def with_id(library: Library, library_id: str) -> Library:
    """Return an entry with another id, its other lines exactly as they are."""
    head, _, rest = library.text.partition(f"\n{_ID}")
    _, end, others = rest.partition("\n")
    return replace(library, id=library_id, text=f"{head}\n{_ID}{library_id}{end}{others}")


def format_list(libraries: Iterable[Library]) -> str:
    """Write a list as server 4.1.1 does, each entry from its fields."""
    entries = f"\n{RULE}\n".join(format_entry(library) for library in libraries)
    return f"{HEADING}:\n\n{entries}"


def format_entry(library: Library) -> str:
    """Write one entry as server 4.1.1 does, from the fields of `library`; `text` is not used."""
    lines = {
        "Title": library.title,
        "Context7-compatible library ID": library.id,
        "Description": library.description,
        "Code Snippets": library.snippets if library.snippets != -1 else None,
        "Source Reputation": library.reputation or _reputation(library.trust_score),
        "Benchmark Score": _js_number(library.benchmark) if library.benchmark else None,
        "Versions": ", ".join(library.versions) or None,
        "Source": library.source or None,
    }
    return "\n".join(f"- {label}: {value}" for label, value in lines.items() if value is not None)


def _reputation(trust_score: float | None) -> str:
    score = -1 if trust_score is None else trust_score
    earned = (name for least, name in REPUTATIONS if score >= least)
    return next(earned, "Unknown")


def _js_number(value: float) -> str:
    """Write a number as JavaScript prints it: a whole one has no decimal point."""
    return str(value).removesuffix(".0")
