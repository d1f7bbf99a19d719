"""Readable keys of questions and of library names.

Two questions share a key only if they differ in nothing but white space.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from context7_fabric.parsing.ids import LibraryId

_APOSTROPHES = str.maketrans("\u2018\u2019", "''")


def fold(text: str) -> str:
    """Return `text` with compatible characters, letter case and apostrophes unified."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.translate(_APOSTROPHES)


MAX_KEY_LENGTH = 384
"""Characters of the longest key: prefixes and suffixes have room up to the fabric's 512."""

_DIGEST_LENGTH = 40
# Nowhere else in a key, as its parts are percent-encoded.
_BEFORE_DIGEST = "!"
_EMPTY = "%"
_RESERVED_IN_ID = re.compile(r"[%/@?&#!\s\x00-\x1f]")
_RESERVED_IN_WORD = re.compile(r"[^\w.~-]")
_NAME_SEPARATORS = re.compile(r"[\s_-]+")
_NAME_WRAPPING = "\"'`\u201c\u201d\u00ab\u00bb \t\r\n"


def question_key(library: LibraryId, question: str, *, mode: str, page: int) -> str:
    """Return the key of a question about `library`.

    Each run of white space in `question` counts as one blank, and none around it; every other
    character counts. `mode` and `page` select the part of the answer. The key begins with
    `/org/project@version?` (no version: `/org/project?`) and has `MAX_KEY_LENGTH` characters at
    most. Different arguments have different keys.
    """
    asked = "+".join(_escaped(_RESERVED_IN_WORD, word) for word in question.split())
    shown_mode = _escaped(_RESERVED_IN_WORD, mode)
    return bounded(f"{_library_part(library)}?q={asked}&mode={shown_mode}&page={page}")


def _library_part(library: LibraryId) -> str:
    org, project = (_escaped(_RESERVED_IN_ID, part) for part in (library.org, library.project))
    version = "" if library.version is None else f"@{_escaped(_RESERVED_IN_ID, library.version)}"
    return f"/{org}/{project}{version}"


def _escaped(reserved: re.Pattern[str], part: str) -> str:
    return reserved.sub(_percent, part) or _EMPTY


def _percent(sign: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in sign[0].encode("utf-8", "surrogatepass"))


def bounded(key: str) -> str:
    """Return `key`, or its head and a digest of the whole if it is too long."""
    if len(key) <= MAX_KEY_LENGTH:
        return key
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    tail = f"{_BEFORE_DIGEST}{digest}"
    return key[: MAX_KEY_LENGTH - len(tail)] + tail


def name_key(name: str) -> str:
    """Return a library's name as look-ups compare it.

    Case, compatible characters, surrounding quotes and each run of white space, `_` and `-` are
    unified. Other characters may distinguish two packages and stay.
    """
    return _NAME_SEPARATORS.sub("-", fold(name).strip(_NAME_WRAPPING))


# Not plurals, though they end in "s".
_SINGULAR = re.compile(
    "alias|atlas|bias|bus|canvas|corpus|https|lens|news|redis|series|species|status|this|virus"
    "|windows"
)
# Words whose plural ends like a singular, or like that of a word in "y" or a sibilant.
_PLAIN = re.compile(
    "api|cache|calorie|cli|cookie|cpu|db|die|emoji|gpu|gui|hoodie|id|lie|menu|movie|niche|pie|tie"
    "|uri|vm"
)
_FUNCTION = re.compile(
    r"(?:create|fetch|find(?!er|ing)|generate|get(?!away|ter)|set(?!back|t|up)|use(?!r))[a-z]{4,}"
)
_SIBILANT = ("ches", "shes", "sses", "xes")
_SHORTEST = 4


def singular(word: str) -> str:
    """Return the singular of a lower-case `word`; the word itself if it is not a plural."""
    if not (word.endswith("s") and word.isascii() and word.isalpha()):
        return word
    if _PLAIN.fullmatch(word[:-1]):
        return word[:-1]
    if len(word) < _SHORTEST or _SINGULAR.fullmatch(word) or _FUNCTION.match(word):
        return word
    if word.endswith(_SIBILANT) or _SINGULAR.fullmatch(word[:-2]):
        return word[:-2]
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    return word if word.endswith(("ss", "us", "is")) else word[:-1]
