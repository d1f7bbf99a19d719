"""Admission: only complete library lists and documentation are stored.

Admission is a positive test: it looks for lists and snippets, never for errors. The reason for a
refusal is found afterwards and has no part in the decision. The caller screens the text before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from context7_fabric.parsing.ids import parse_id
from context7_fabric.parsing.libraries import LibraryList, parse_list
from context7_fabric.parsing.snippets import Snippet, parse_snippets

MAX_LENGTH = 2_000_000
"""Characters of the longest text that is admitted."""

MAX_MESSAGE_LENGTH = 1_000
"""Characters in which a reason is looked for: upstream's messages about failures are short."""


class Reason(StrEnum):
    """Reason for which a text was refused."""

    MOVED = "moved"
    UNKNOWN_LIBRARY = "unknown library"
    UNKNOWN_VERSION = "unknown version"
    QUOTA = "quota"
    CREDENTIAL = "credential"
    UNFINISHED = "unfinished"
    EMPTY = "empty"
    FAILED = "failed"
    UNRECOGNISED = "unrecognised"


DEFINITE = frozenset({Reason.UNKNOWN_LIBRARY, Reason.UNKNOWN_VERSION})
"""Reasons by which upstream states that there is no answer."""

LONGEST_QUOTE = 200
"""Characters of upstream's text in a note."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Refusal of a text; `moved_to` is the library's new id if it has moved.

    `is_message` is True for a text without markup: a message, and not a list or documentation in
    an unknown form. `text` is upstream's text verbatim and `is_error` its own verdict, once the
    reply is known; `remembered` marks a refusal that is repeated without asking again.
    """

    reason: Reason
    moved_to: str | None = None
    is_message: bool = field(default=True, compare=False)
    text: str = field(default="", compare=False)
    is_error: bool = field(default=False, compare=False)
    remembered: bool = field(default=False, compare=False)

    @property
    def is_definite(self) -> bool:
        """Tell whether it settles the question, as opposed to a passing failure."""
        return self.reason in DEFINITE

    @property
    def quoted(self) -> str:
        """Upstream's text in one line."""
        text = " ".join(self.text.split())
        if not text:
            return "Context7 sent an empty answer"
        return f"Context7 says: {text[:LONGEST_QUOTE].rstrip('.')}"


# A message has no headings, fences or lists: a text with these does not report a failure.
_MARKUP = re.compile(r"^(?:#+ |```|- )", re.MULTILINE)
_HTML = re.compile(
    r"(?>(?:<!--.*?-->|<\?xml[^>]*>)\s*)*<(?:!doctype\b|html|head|body|title|h1|center)\b",
    re.IGNORECASE | re.DOTALL,
)
_STATUS = re.compile(r"(?:#+ )?(?:error |http(?:/[\d.]+)? )?[45]\d\d(?: |:|$)", re.IGNORECASE)
_STUB = re.compile(r"Library \S+ has been redirected to this library: (/\S*[^\s.])\.?")
_REDIRECTED = "library_redirected"
_CODES: Mapping[str, Reason] = {
    "invalid_library_id": Reason.UNKNOWN_LIBRARY,
    "library_not_finalized": Reason.UNFINISHED,
    "library_not_found": Reason.UNKNOWN_LIBRARY,
    "no_libraries_found": Reason.UNKNOWN_LIBRARY,
    "no_snippets_found": Reason.EMPTY,
    "search_failed": Reason.FAILED,
    "tag_not_found": Reason.UNKNOWN_VERSION,
}
# Searched in this order, in lower case and with single spaces.
_SIGNS: Mapping[Reason, tuple[str, ...]] = {
    Reason.UNKNOWN_VERSION: (r'^(?:version|tag|branch) "[^"]*" (?:was )?not found',),
    Reason.EMPTY: (
        r"^no (?:code |info )?documentation (?:available|found)",
        r"^no (?:content|context data|results|snippets) (?:available|found)",
        r"^documentation not found or not finalized",
    ),
    Reason.UNKNOWN_LIBRARY: (
        r'^library (?:"[^"]*"|/\S+) (?:was |could )?not (?:be )?found',
        r"^no (?:documentation )?libraries found",
        r"^the library you are trying to access does not exist",
        r"status 404\b",
    ),
    Reason.UNFINISHED: (
        r"\bnot (?:yet )?finali[sz]ed\b",
        r"\bstill being (?:read|index|pars|proc)",
    ),
    Reason.QUOTA: (
        r"\bquota\b",
        r"\brate[ -]limit",
        r"\btoo many requests\b",
        r"\b(?:spending|request|usage) limit",
        r"status (?:402|429)\b",
    ),
    Reason.CREDENTIAL: (
        r"\b(?:invalid|missing|expired|revoked|unknown) (?:api )?(?:key|token|credential)",
        r"\b(?:unauthori[sz]ed|forbidden)\b",
        r"\b(?:access|permission) denied\b",
        r"\bauthentication (?:is )?required\b",
        r"\bkey may not\b",
        r"status 40[13]\b",
    ),
    Reason.FAILED: (
        r"^error (?:searching|fetching)\b",
        r"^failed to\b",
        r"^request failed with status",
        r"\bfetch failed\b",
        r"\btry again later\b",
        r"\bwent wrong\b",
        r"\bcould not be processed\b",
        r"\b(?:timed out|time-?out)\b",
        r"\b(?:internal (?:server )?error|bad gateway|(?:service|temporarily) unavailable)\b",
        r"\bnot available at the moment\b",
    ),
}
_PATTERNS = {reason: re.compile("|".join(signs)) for reason, signs in _SIGNS.items()}


def refusal(text: str) -> Refusal:
    """Return the refusal of `text`, which is neither a list nor documentation."""
    said = text.strip()
    if not said:
        return Refusal(Reason.EMPTY)
    if _HTML.match(said) or _STATUS.match(said):
        return Refusal(_reason_in(said[:MAX_MESSAGE_LENGTH], otherwise=Reason.FAILED))
    if _MARKUP.search(said):
        return Refusal(Reason.UNRECOGNISED, is_message=False)
    if stub := _STUB.fullmatch(said):
        return _moved(stub[1])
    if len(said) > MAX_MESSAGE_LENGTH:
        return Refusal(Reason.UNRECOGNISED)
    return _from_json(said) or Refusal(_reason_in(said))


def _moved(new: str) -> Refusal:
    library_id = parse_id(new)
    return Refusal(Reason.MOVED, str(library_id) if library_id else None)


def _from_json(text: str) -> Refusal | None:
    """Read an error body of the HTTP API, which upstream may pass on as text."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    code, message, new = (str(body.get(name, "")) for name in ("error", "message", "redirectUrl"))
    if code == _REDIRECTED:
        return _moved(new)
    return Refusal(_CODES.get(code) or _reason_in(message or code.replace("_", " ")))


def _reason_in(message: str, otherwise: Reason = Reason.UNRECOGNISED) -> Reason:
    words = " ".join(message.lower().split())
    found = (reason for reason, pattern in _PATTERNS.items() if pattern.search(words))
    return next(found, otherwise)


def admit_list(text: str) -> LibraryList | Refusal:
    """Return the list of libraries in `text`, or the refusal of the text."""
    found = parse_list(text) if len(text) <= MAX_LENGTH else None
    return found or refusal(text)


def admit_docs(text: str) -> tuple[Snippet, ...] | Refusal:
    """Return the snippets of `text`, or the refusal of the text."""
    found = parse_snippets(text) if len(text) <= MAX_LENGTH else ()
    return found or refusal(text)
