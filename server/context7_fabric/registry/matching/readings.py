"""What a look-up's text may mean: from its every word down to a bare name.

Taken off, one thing at a time: an install command or an import, stock phrases ("docs for …"),
versions and extras, and words that name a language. What is left after any of these steps is a
reading, and the first reading that some library goes by is the one that counts: so a name may
itself contain what is elsewhere taken off ("react testing library", "python-dotenv").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from context7_fabric.parsing.keys import fold
from context7_fabric.registry.matching.ecosystems import (
    LANGUAGES,
    LEADING,
    VERSIONED,
    Ecosystems,
    both,
)

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
class PinnedName:
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


def pinned(text: str) -> PinnedName | None:
    """Take one specifier off the end of `text`: `==2.1`, `@15`, `:1.0` or `[extras]`."""
    if match := _TAGGED.fullmatch(text) or _COORDINATES.fullmatch(text):
        groups = match.groupdict()
        version = plain(groups["number"]) if groups["number"] else groups.get("tag")
        return PinnedName(match["name"], None if version == "latest" else version)
    if match := _OPERATOR.search(text):
        return _specified(text[: match.start()].rstrip(" ("), text[match.start() :].rstrip(" )"))
    if match := _EXTRAS.fullmatch(text):
        return PinnedName(match["name"], None)
    return None


def _specified(name: str, specifiers: str) -> PinnedName | None:
    if not name or not _SPECIFIERS.fullmatch(specifiers):
        return None
    exact = _EXACT.fullmatch(specifiers)
    return PinnedName(name, plain(exact["number"]) if exact else None)


MAX_NAME_LENGTH = 214
"""Longest text that is read as a name, in characters: the longest name that npm admits."""

_QUOTES = "\"'`\u201c\u201d\u00ab\u00bb "
_END_MARKS = ".,;:!? "
_BRACKETS = {"(": ")", "[": "]", "{": "}", "<": ">", "*": "*"}
_SEPARATORS = re.compile("[_-]+")

_COMMANDS = re.compile(
    r"[$!%]? ?(?:"
    r"(?P<pypi>(?:(?:python3? -m |uv )?pip3? install|(?:uv|poetry|pdm) add|pipx install))"
    r"|(?P<npm>(?:npm (?:install|i|add)|(?:yarn|bun|deno) add|pnpm (?:add|i|install)|npx))"
    r"|(?P<crates>cargo (?:add|install))"
    r"|(?P<go>go (?:get|install))"
    r")(?: -\S+)* (?P<name>[^ -]\S*)(?: -\S+)*"
)
_IMPORTS = re.compile(
    r"from (?P<from>[\w.]+) import .+"
    r"|import (?P<alias>[\w.]+) as \w+"
    r"|import .+ from [\"'](?P<npm>\S+?)[\"']?"
    r"|(?:(?:const|let|var) .+ = )?require\([\"'](?P<required>\S+?)[\"']\)"
    r"|import (?P<bare>[\w.]+)"
    r"|import (?P<quoted>[\"']\S+)"
)
_IMPORTED_FROM = {"from": "pypi", "alias": "pypi", "bare": "pypi", "npm": "npm", "required": "npm"}

_NOUN = (
    r"(?:docs?|documentation|tutorials?|(?:user )?guides?|reference|manual|examples"
    r"|quick ?start|cheat ?sheet)"
)
_OPENING = re.compile(
    r"(?:please )?(?:(?:(?:show|get|give|find|fetch|read|open|search|check|see|need|want)(?: me)?"
    r"|look ?up|i need|i want) )?(?:the )?(?:(?:official|latest) )?"
    rf"(?:{_NOUN}|introduction|intro) (?:for|of|on|to|about)(?: the)? "
    r"|how (?:to|do i|do you|can i) (?:use|install|import|set up)(?: the)? "
    r"|getting started with(?: the)? "
    r"|the (?:library|package) "
    r"|(?:library|package|docs|documentation): "
)
# Only with a closing noun: a name may begin with such a word.
_ADJECTIVE = re.compile(r"(?:the|official|latest)(?: official| latest)? ")
_CLOSING = re.compile(
    rf" (?:(?:official|latest|online) )?(?:{_NOUN}|library|package|getting started|latest version)$"
)
_VERSION_WORD = re.compile(r"(?<= )(?:version|ver\.?|v) (?=v?\d)")
_LANGUAGE_NOUN = re.compile("^(?:library|package):? ")
_BEFORE_LANGUAGE = re.compile(" (?:for|in|with|using|on)$")


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a look-up: a normalised bare name and what was said about it.

    `ecosystems` are those that its language words admit: None without such a word, empty when
    nothing of ours can be meant. `glued` is the name with the version's first number attached,
    where both were words of their own: "boto 3" may mean boto3 as well as version 3 of boto.
    """

    name: str
    ecosystems: Ecosystems | None = None
    version: str | None = None
    glued: str = ""


@dataclass(frozen=True, slots=True)
class _Reading:
    text: str
    ecosystems: Ecosystems | None = None
    version: str | None = None
    apart: bool = False

    def less(self, text: str, ecosystems: Ecosystems | None = None) -> _Reading:
        """Return the reading of `text`, which its language word confines to `ecosystems`."""
        admitted = both(self.ecosystems, ecosystems)
        return replace(self, text=_unwrapped(text), ecosystems=admitted)

    @property
    def asked(self) -> Reading:
        name = _name(self.text)
        glued = f"{name}{major(self.version)}" if self.apart and self.version else ""
        return Reading(name, self.ecosystems, self.version, glued)


# Most names; a hundred thousand of them are spelled while a registry is loaded.
_PLAIN = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def spelling(name: str) -> str:
    """Return a library's name or alias as the readings of a look-up spell it."""
    if _PLAIN.fullmatch(name):
        return name
    return _name(_unwrapped(fold(" ".join(name.split()))))


def read_name(text: str) -> Reading:
    """Return the barest reading of a look-up's text; its name is empty if nothing is asked for."""
    *_, last = readings(text)
    return last


def readings(text: str) -> Iterator[Reading]:
    """Yield what `text` may mean, from every word of it down to the bare name."""
    spaced = " ".join(text.split())
    if len(spaced) > MAX_NAME_LENGTH:
        yield Reading("")
        return
    reading: _Reading | None = _Reading(_unwrapped(_VERSION_WORD.sub("", fold(spaced))))
    while reading is not None:
        yield reading.asked
        reading = next((less for step in _STEPS if (less := step(reading)) is not None), None)


def _name(text: str) -> str:
    return "-".join(_SEPARATORS.sub("-", word) for word in text.split())


def _unwrapped(text: str) -> str:
    """Strip quotes, brackets around the whole, marks at the end and a possessive."""
    while True:
        bare = text.strip(_QUOTES).rstrip(_END_MARKS).removesuffix("'s")
        if bare[1:] and _BRACKETS.get(bare[0]) == bare[-1]:
            bare = bare[1:-1]
        if bare == text:
            return bare
        text = bare


def _without_command(reading: _Reading) -> _Reading | None:
    if match := _COMMANDS.fullmatch(reading.text):
        groups = match.groupdict()
        return reading.less(groups.pop("name"), frozenset(key for key in groups if groups[key]))
    if match := _IMPORTS.fullmatch(reading.text):
        kind = match.lastgroup or ""
        ecosystem = _IMPORTED_FROM.get(kind)
        return reading.less(match[kind], frozenset([ecosystem]) if ecosystem else None)
    return None


def _without_opening(reading: _Reading) -> _Reading | None:
    match = _OPENING.match(reading.text)
    if match is None and _CLOSING.search(reading.text):
        match = _ADJECTIVE.match(reading.text)
    return reading.less(reading.text[match.end() :]) if match else None


def _without_closing(reading: _Reading) -> _Reading | None:
    match = _CLOSING.search(reading.text)
    return reading.less(reading.text[: match.start()]) if match else None


def _without_pin(reading: _Reading) -> _Reading | None:
    pin = pinned(reading.text)
    if pin is None:
        return None
    return replace(reading.less(pin.name), version=pin.version or reading.version, apart=False)


def _without_language_behind(reading: _Reading) -> _Reading | None:
    head, _, last = reading.text.rpartition(" ")
    word = _unwrapped(last)
    if is_version(word):
        head, _, last = head.rpartition(" ")
        word = last if VERSIONED.fullmatch(last) else ""
    if not head or word not in LANGUAGES:
        return None
    bare = _BEFORE_LANGUAGE.sub("", head)
    # "angular js" is not Angular, and "day js" not day: there it belongs to the name.
    return reading.less(f"{head}.js" if word == "js" and bare == head else bare, LANGUAGES[word])


def _without_language_before(reading: _Reading) -> _Reading | None:
    first, _, rest = reading.text.partition(" ")
    word = _unwrapped(first)
    if word not in LANGUAGES:
        return None
    number, _, behind = rest.partition(" ")
    versioned = behind and VERSIONED.fullmatch(word) and is_version(number)
    name = _LANGUAGE_NOUN.sub("", behind if versioned else rest, count=1)
    if not name or is_version(name) or (name == rest and not LEADING.fullmatch(word)):
        return None
    return reading.less(name, LANGUAGES[word])


def _without_version(reading: _Reading) -> _Reading | None:
    head, _, last = reading.text.rpartition(" ")
    word = _unwrapped(last)
    if not head or not is_version(word):
        return None
    return replace(reading.less(head), version=plain(word), apart=True)


_STEPS: tuple[Callable[[_Reading], _Reading | None], ...] = (
    _without_command,
    _without_opening,
    _without_closing,
    _without_pin,
    _without_language_before,
    _without_language_behind,
    _without_version,
)
