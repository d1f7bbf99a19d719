"""Keys: what makes two questions, or two names of libraries, count as one.

A key can be read. It is built so that different parts never give the same key: two questions
share one only where they differ in nothing but white space. How a fabric stores a key is its own
business.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from context7_fabric.parsing.ids import LibraryId

_APOSTROPHES = str.maketrans("\u2018\u2019", "''")


def fold(text: str) -> str:
    """Return `text` with compatible characters, letter case and apostrophes made one."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.translate(_APOSTROPHES)


MAX_KEY_LENGTH = 384
"""Longest key, in characters: what is put before and behind it has room up to the fabric's 512."""

_DIGEST_LENGTH = 40
# Never in a key otherwise: every sign with a meaning there is percent-encoded in its parts.
_BEFORE_DIGEST = "!"
_EMPTY = "%"
_RESERVED_IN_ID = re.compile(r"[%/@?&#!\s\x00-\x1f]")
_RESERVED_IN_WORD = re.compile(r"[^\w.~-]")
_NAME_SEPARATORS = re.compile(r"[\s_-]+")
_NAME_WRAPPING = "\"'`\u201c\u201d\u00ab\u00bb \t\r\n"


def question_key(library: LibraryId, question: str, *, mode: str, page: int) -> str:
    """Return the key of a question about `library`.

    White space around `question` is dropped and each run of it inside, line breaks included, is
    one blank; every other character counts. `mode` and `page` say which part of the answer is
    asked for. The key begins with `/org/project@version?` (no version: `/org/project?`), is at
    most `MAX_KEY_LENGTH` characters long, and two different sets of arguments have different keys.
    """
    asked = "+".join(_escaped(_RESERVED_IN_WORD, word) for word in question.split())
    shown_mode = _escaped(_RESERVED_IN_WORD, mode)
    # Earlier releases kept content words alone, right behind the "?"; no word of theirs has a "=".
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
    """Return `key`, where it is too long its head and a digest of the whole."""
    if len(key) <= MAX_KEY_LENGTH:
        return key
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    tail = f"{_BEFORE_DIGEST}{digest}"
    return key[: MAX_KEY_LENGTH - len(tail)] + tail


def name_key(name: str) -> str:
    """Return a library's name as look-ups compare it.

    Case, compatible characters and surrounding quotes are made one, and so is every run of white
    space, `_` and `-`; nothing else, for other signs may tell two packages apart.
    """
    return _NAME_SEPARATORS.sub("-", fold(name).strip(_NAME_WRAPPING))


# Not plurals, though they end in "s"; without it some would be another word.
_SINGULAR = re.compile(
    "alias|atlas|bias|bus|canvas|corpus|https|lens|news|redis|series|species|status|this|virus"
    "|windows"
)
# Their plurals end like words that have none, or that end in "y" or a sibilant.
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
    """Return the singular of `word`, which is in lower case; the word itself if it has none."""
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
