"""Versions, as people and package managers write them behind a library's name."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STAGE = "(?:a|alpha|b|beta|c|canary|dev|final|next|post|pre|preview|rc)"
_NUMBER = rf"v?\d+(?:\.(?:\d+|x|\*))*(?:[.-]?{_STAGE}(?:[.-]?\d+)?)*\+?"
_VERSION = re.compile(_NUMBER)
_TAG = "(?:alpha|beta|canary|dev|edge|experimental|latest|lts|next|nightly|rc|stable)"
_MAJOR = re.compile(r"\d+")
_WILD = re.compile(r"(?:\.[x*])*\+?$")

_OPERATOR = re.compile("[<>=!~^]")
_CLAUSE = rf"[<>=!~^]{{1,3}} ?[\"']?(?:{_NUMBER}|\*)[\"']?"
_SPECIFIERS = re.compile(rf"{_CLAUSE}(?: ?,? ?{_CLAUSE})*")
_EXACT = re.compile(rf"(?:={{1,3}}|~=?|\^) ?[\"']?(?P<number>{_NUMBER})[\"']?")
_TAGGED = re.compile(rf"(?P<name>.*[^\s@/])@(?:[~^]?(?P<number>{_NUMBER})|(?P<tag>{_TAG})|\*)")
_COORDINATES = re.compile(rf"(?P<name>[^\s:]+:[^\s:]+):(?P<number>{_NUMBER})")
_EXTRAS = re.compile(r"(?P<name>.*[^\s\[\]])\[[^\[\]]*\]")


@dataclass(frozen=True, slots=True)
class Pinned:
    """A name without what was attached to it; a range of versions asks for none."""

    name: str
    version: str | None


def is_version(word: str) -> bool:
    """Tell whether a word that stands alone is a version: `3`, `v2.1.0`, `18.x`, `1.0rc1`."""
    return _VERSION.fullmatch(word) is not None


def plain(version: str) -> str:
    """Return a version without a leading `v` and a trailing `.x`, `.*` or `+`."""
    return _WILD.sub("", version.removeprefix("v"))


def major(version: str) -> str:
    """Return the first number of a version; empty for a tag such as `next`."""
    match = _MAJOR.match(version)
    return match[0] if match else ""


def pinned(text: str) -> Pinned | None:
    """Take one specifier off the end of `text`: `==2.1`, `@15`, `:1.0` or `[extras]`."""
    if match := _TAGGED.fullmatch(text) or _COORDINATES.fullmatch(text):
        groups = match.groupdict()
        version = plain(groups["number"]) if groups["number"] else groups.get("tag")
        return Pinned(match["name"], None if version == "latest" else version)
    if match := _OPERATOR.search(text):
        return _specified(text[: match.start()].rstrip(" ("), text[match.start() :].rstrip(" )"))
    if match := _EXTRAS.fullmatch(text):
        return Pinned(match["name"], None)
    return None


def _specified(name: str, specifiers: str) -> Pinned | None:
    if not name or not _SPECIFIERS.fullmatch(specifiers):
        return None
    exact = _EXACT.fullmatch(specifiers)
    return Pinned(name, plain(exact["number"]) if exact else None)
