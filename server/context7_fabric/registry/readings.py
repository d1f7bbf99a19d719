"""Readings of a look-up's text: the names that it may mean, and the languages that it names.

The first reading has every word of the text. Each further one has less: without an install command
or an import, a stock phrase ("docs for …"), a version or extras, or a word that names a language.
The first reading that is a library's name counts, so a name may itself contain such a part ("react
testing library", "python-dotenv").

A language that publishes in none of our ecosystems has the empty set, which no library agrees
with. In a look-up every word of `LANGUAGES` that stands alone is a language. A question is prose,
so there an English word ("go", "node") counts only where nothing else can be meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from context7_fabric.parsing.keys import fold

Ecosystems = frozenset[str]

# By ecosystem; "" stands for all others.
_PUBLISHED = {
    "pypi": "python python2 python3 cpython py py3 pypi pip conda",
    "npm": "javascript js ecmascript typescript ts node nodejs node.js npm deno",
    "crates": "rust rustlang rs cargo crate crates crates.io",
    "go": "go golang",
    "maven": "java jvm maven",
    "": "c c++ cpp c# csharp f# fsharp .net dotnet nuget php packagist ruby rubygems swift objc"
    " objective-c kotlin scala clojure elixir erlang haskell dart julia lua perl r matlab zig",
}
LANGUAGES: Mapping[str, Ecosystems] = {
    word: frozenset(filter(None, [ecosystem]))
    for ecosystem, words in _PUBLISHED.items()
    for word in words.split()
}
"""The ecosystems that a language word admits."""

VERSIONED = re.compile("golang|go|java|nodejs|node|node[.]js|php|py|python[23]?|ruby|rust")
"""Languages that a number after them belongs to: "python 3 redis" does not ask for redis 3."""

LEADING = re.compile("golang|java|javascript|node[.]js|nodejs|npm|pypi|python[3]?|rust")
"""Words that name a language before a name too; others are more often the start of the name.

"python requests" is requests, but "ts jest", "node cron" and "typescript eslint" are ts-jest,
node-cron and typescript-eslint.
"""

# Files, tools and platforms that imply a language in a question.
_CLUES = {
    "python": "pyproject.toml requirements.txt",
    "node": "package.json tsconfig.json pnpm npx",
    "rust": "cargo.toml rustc",
    "go": "go.mod goroutine goroutines",
    "java": "pom.xml gradle build.gradle",
    "c#": "asp.net",
    "dart": "pubspec.yaml",
    "kotlin": "android",
    "php": "composer.json",
    "ruby": "gemfile",
    "swift": "ios",
}
_COMMAND_CLUES = {
    "python": "uv+add poetry+add",
    "node": "yarn+add bun+add",
    "rust": "cargo+add cargo+build cargo+install cargo+run",
    "go": "go+mod",
}
_SUFFIXES = {
    "python": "py",
    "node": "cjs js jsx mjs ts tsx",
    "rust": "rs",
    "go": "go",
    "java": "java",
    "c#": "cs",
    "kotlin": "kt",
    "php": "php",
    "ruby": "rb",
    "swift": "swift",
}


def _by_word(table: Mapping[str, str]) -> dict[str, str]:
    return {word: language for language, words in table.items() for word in words.split()}


_CLUED_BY = _by_word(_CLUES)
_RUN_BY = _by_word(_COMMAND_CLUES)
_WRITTEN_IN = _by_word(_SUFFIXES)

# English words, names, or too short for prose; `_is_language` decides about them.
_ORDINARY = re.compile("c|cargo|crates?|dart|go|julia|node|py|r|rs|rust|swift|ts|zig")
_INTRODUCES_LANGUAGE = re.compile("for|in|using|via|with")
_BESIDE_LANGUAGE = re.compile("and|from|or|than|to")
_BEFORE_NODE = re.compile("in|on|under|using|with")
_AFTER_NODE = re.compile(r"v?\d[\d.x]*\+?|and|but|or")
_AFTER_LANGUAGE = re.compile(
    "apps?|backend|client|code|crate|developer|library|module|package|program|project|script|sdk"
    "|server|service"
)

_OPENING_MARKS = "\"'`([{<*\u201c\u2018\u00ab"
_CLOSING_MARKS = "\"'`)]}>*.,;:!?\u201d\u2019\u00bb"
_ENDS_CLAUSE = re.compile(r"[^\w+#\"'`*]$")
_POSSESSIVE = re.compile("['\u2019]s$")
_JOINT = re.compile("[-/]")


def both(some: Ecosystems | None, others: Ecosystems | None) -> Ecosystems | None:
    """Return the ecosystems that both admit; None admits all."""
    if some is None or others is None:
        return others if some is None else some
    return some & others


def languages_in(question: str, *, besides: str = "") -> Ecosystems | None:
    """Return the ecosystems of the languages in a question; None if it names no language.

    Empty if no language in it has an ecosystem of ours. `besides` is the normalised name of the
    library that the question is about: its words are not languages.
    """
    words = question.split()
    bare = [_bare(word) for word in words]
    name = {besides, *besides.split("-")}
    named = [
        LANGUAGES[language]
        for at, word in enumerate(bare)
        if word.casefold() not in name
        for language in _languages_at(at, words, bare)
    ]
    return frozenset().union(*named) if named else None


def _bare(word: str) -> str:
    return _POSSESSIVE.sub("", word.lstrip(_OPENING_MARKS).rstrip(_CLOSING_MARKS))


def _languages_at(at: int, words: Sequence[str], bare: Sequence[str]) -> Iterator[str]:
    word, after = bare[at].casefold(), _after(at, bare)
    if command := _RUN_BY.get(f"{word}+{after}"):
        yield command
    elif _ORDINARY.fullmatch(word):
        if _is_language(at, words, bare):
            yield word
    elif word in LANGUAGES:
        yield word
    elif word in _CLUED_BY:
        yield _CLUED_BY[word]
    elif "." in word[1:]:
        suffix = word.rpartition(".")[2]
        yield from filter(None, [_WRITTEN_IN.get(suffix)])
    else:
        parts = _JOINT.split(word)
        yield from (part for part in parts if part in LANGUAGES and not _ORDINARY.fullmatch(part))


def _after(at: int, bare: Sequence[str]) -> str:
    return bare[at + 1].casefold() if at + 1 < len(bare) else ""


def _is_language(at: int, words: Sequence[str], bare: Sequence[str]) -> bool:
    """Return whether the ordinary word at `at` can only be the language."""
    word, before, after = bare[at], bare[at - 1].casefold() if at else "", _after(at, bare)
    introduced = _INTRODUCES_LANGUAGE.fullmatch(before) is not None
    ends = not after or _ENDS_CLAUSE.search(words[at]) is not None
    match word.casefold():
        case "node":
            closed = ends or word == "Node" or _AFTER_NODE.fullmatch(after) is not None
            return closed and _BEFORE_NODE.fullmatch(before) is not None
        case "c" | "r":
            return introduced and word.isupper()
        case "go" if after == "live":
            return False
        case _:
            beside = ends and _BESIDE_LANGUAGE.fullmatch(before) is not None
            named = beside or _AFTER_LANGUAGE.fullmatch(after) is not None
            return introduced or (word[0].isupper() and named) or word == "Rust"


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
    """Name without its version specifier; a range of versions counts as none."""

    name: str
    version: str | None


def is_version(word: str) -> bool:
    """Return whether a word that stands alone is a version: `3`, `v2.1.0`, `18.x`, `1.0rc1`."""
    return _VERSION.fullmatch(word) is not None


def plain(version: str) -> str:
    """Return a version without a leading `v` and a trailing `.x`, `.*` or `+`."""
    return _WILD.sub("", version.removeprefix("v"))


def major(version: str) -> str:
    """Return the first number of a version; empty for a tag such as `next`."""
    match = _MAJOR.match(version)
    return match[0] if match else ""


def pinned(text: str) -> PinnedName | None:
    """Remove one specifier from the end of `text`: `==2.1`, `@15`, `:1.0` or `[extras]`."""
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
"""Characters of the longest text that is read as a name: the longest name that npm admits."""

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
    """One reading of a look-up: a normalised bare name, its ecosystems and its version.

    `ecosystems` are those that its language words admit: None without such a word, empty if
    none of ours can be meant. `glued` is the name with the version's first number attached, if
    both were words of their own: "boto 3" may mean boto3 or version 3 of boto.
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
        """Return the reading of `text`, which a language word limits to `ecosystems`."""
        admitted = both(self.ecosystems, ecosystems)
        return replace(self, text=_unwrapped(text), ecosystems=admitted)

    @property
    def asked(self) -> Reading:
        name = _name(self.text)
        glued = f"{name}{major(self.version)}" if self.apart and self.version else ""
        return Reading(name, self.ecosystems, self.version, glued)


# Most names: a shortcut, as loading a registry spells a hundred thousand of them.
_PLAIN = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def spelling(name: str) -> str:
    """Return a library's name or alias as readings spell it."""
    if _PLAIN.fullmatch(name):
        return name
    return _name(_unwrapped(fold(" ".join(name.split()))))


def read_name(text: str) -> Reading:
    """Return the last reading of a look-up's text, the barest one; its name may be empty."""
    *_, last = readings(text)
    return last


def readings(text: str) -> Iterator[Reading]:
    """Yield the readings of `text`, from every word of it down to the bare name."""
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
    """Strip quotes, brackets around the whole, final punctuation and a possessive."""
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


def _without_language_after(reading: _Reading) -> _Reading | None:
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
    number, _, after = rest.partition(" ")
    versioned = after and VERSIONED.fullmatch(word) and is_version(number)
    name = _LANGUAGE_NOUN.sub("", after if versioned else rest, count=1)
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
    _without_language_after,
    _without_version,
)
