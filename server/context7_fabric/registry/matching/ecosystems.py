"""Languages: which words name one, and in which ecosystem its libraries are published.

A language that publishes in none of ours has the empty set, which no library agrees with. Two
readings: in a look-up every word of `LANGUAGES` that stands alone is one; a question is prose, so
there an English word ("go", "node") counts only where nothing else can be meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

Ecosystems = frozenset[str]

# By ecosystem; "" is none of ours.
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
"""Languages that a number behind belongs to: in "python 3 redis" nobody asks for redis 3."""

LEADING = re.compile("golang|java|javascript|node[.]js|nodejs|npm|pypi|python[3]?|rust")
"""Words that speak of a language in front of a name too; the others are more often its beginning.

"python requests" is requests, but "ts jest", "node cron" and "typescript eslint" are ts-jest,
node-cron and typescript-eslint.
"""

# What implies a language in a question: files, tools, platforms.
_TELLTALES = {
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
_COMMANDS = {
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


_TOLD_BY = _by_word(_TELLTALES)
_RUN_BY = _by_word(_COMMANDS)
_WRITTEN_IN = _by_word(_SUFFIXES)

# English, names, or too short for prose; `_is_language` says when they are a language there.
_ORDINARY = re.compile("c|cargo|crates?|dart|go|julia|node|py|r|rs|rust|swift|ts|zig")
_BEFORE_LANGUAGE = re.compile("for|in|using|via|with")
_BESIDE_LANGUAGE = re.compile("and|from|or|than|to")
_BEFORE_NODE = re.compile("in|on|under|using|with")
_BEHIND_NODE = re.compile(r"v?\d[\d.x]*\+?|and|but|or")
_BEHIND_LANGUAGE = re.compile(
    "apps?|backend|client|code|crate|developer|library|module|package|program|project|script|sdk"
    "|server|service"
)

_OPENING_MARKS = "\"'`([{<*\u201c\u2018\u00ab"
_CLOSING_MARKS = "\"'`)]}>*.,;:!?\u201d\u2019\u00bb"
_ENDS_CLAUSE = re.compile(r"[^\w+#\"'`*]$")
_POSSESSIVE = re.compile("['\u2019]s$")
_JOINT = re.compile("[-/]")


def both(some: Ecosystems | None, others: Ecosystems | None) -> Ecosystems | None:
    """Return the ecosystems that both admit; None admits them all."""
    if some is None or others is None:
        return others if some is None else some
    return some & others


def languages_in(question: str, *, besides: str = "") -> Ecosystems | None:
    """Return the ecosystems that a question names or implies; None when it names no language.

    Empty when every language in it is of no ecosystem of ours. `besides` is the normalised name
    of the library that the question is about: its words there are no language.
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
    word, behind = bare[at].casefold(), _behind(at, bare)
    if command := _RUN_BY.get(f"{word}+{behind}"):
        yield command
    elif _ORDINARY.fullmatch(word):
        if _is_language(at, words, bare):
            yield word
    elif word in LANGUAGES:
        yield word
    elif word in _TOLD_BY:
        yield _TOLD_BY[word]
    elif "." in word[1:]:
        suffix = word.rpartition(".")[2]
        yield from filter(None, [_WRITTEN_IN.get(suffix)])
    else:
        parts = _JOINT.split(word)
        yield from (part for part in parts if part in LANGUAGES and not _ORDINARY.fullmatch(part))


def _behind(at: int, bare: Sequence[str]) -> str:
    return bare[at + 1].casefold() if at + 1 < len(bare) else ""


def _is_language(at: int, words: Sequence[str], bare: Sequence[str]) -> bool:
    """Tell whether the ordinary word at `at` can only be the language that it also names."""
    word, before, behind = bare[at], bare[at - 1].casefold() if at else "", _behind(at, bare)
    introduced = _BEFORE_LANGUAGE.fullmatch(before) is not None
    ends = not behind or _ENDS_CLAUSE.search(words[at]) is not None
    match word.casefold():
        case "node":
            closed = ends or word == "Node" or _BEHIND_NODE.fullmatch(behind) is not None
            return closed and _BEFORE_NODE.fullmatch(before) is not None
        case "c" | "r":
            return introduced and word.isupper()
        case "go" if behind == "live":
            return False
        case _:
            beside = ends and _BESIDE_LANGUAGE.fullmatch(before) is not None
            named = beside or _BEHIND_LANGUAGE.fullmatch(behind) is not None
            return introduced or (word[0].isupper() and named) or word == "Rust"
