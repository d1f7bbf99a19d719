"""Words to index and to look for: identifiers whole and in parts, names with signs spelled out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

MOST_WORDS = 32
"""Words of a question that are looked for; a longer question is a pasted text."""

_UNSPACED = (
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9d"
)
_RUN = re.compile(f"[{_UNSPACED}]+")
_GRAMMAR_OF_RUNS = re.compile(
    r"[\u3040-\u309f]{2,}|[のをはがにでと]|如何|怎么|怎样|什么|使用|[的了吗呢]"
)
_SIGNED = re.compile(r"(?<![\w+#.])(?:[A-Za-z]\+\+|[A-Za-z]#(?![\w#-])|\.NET\b)", re.IGNORECASE)
_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_JOINED = re.compile(r"\b\w*[a-z][A-Z]\w*|\b\w*[A-Z]{2}[a-z]\w*")
_CHUNK = re.compile(r"\w+(?:(?:\.|-|::|->|#)\w+)*")
_JOINT = re.compile(r"\.|-|::|->|#")

_GRAMMAR = """
    a about all also an and any are as at be been being between both but by can complete could do
    does each example examples for from had has have how i if in into is it its just may might my no
    not of on one only or our over own per same several should show so some such than that the them
    then there these they this those through to two us use used using via vs was we were what when
    where which while why will with would you your
"""
_KINDS = """
    basic basics best docs documentation guide introduction overview patterns practices quickstart
    tutorial usage
"""
FILLER = frozenset(f"{_GRAMMAR} {_KINDS}".split())
"""Words that say nothing about the subject of a question: words of grammar, and those for the kind
of page that is wanted. "Basic usage" stands in the headings of subjects that are not meant."""


def expression(term: str) -> str:
    """Return a term in FTS5's query language; several tokens then have to stand in a row."""
    return '"' + term.replace('"', " ") + '"'


@dataclass(frozen=True, slots=True)
class Word:
    """Word of a question: the term for all of it, and those for its parts, if it has any."""

    text: str
    whole: str
    parts: tuple[str, ...] = ()

    @property
    def terms(self) -> tuple[str, ...]:
        """The whole first, then the parts."""
        return (self.whole, *self.parts)

    @property
    def searched(self) -> tuple[str, ...]:
        """The terms that find snippets.

        A plain word with a hyphen is looked for by its parts alone: it is written in two words, in
        one or with the hyphen, and as a term of its own it would count three times. So is a word
        in a script without spaces, whose parts are pairs of characters.
        """
        is_divided = "-" in self.text or _RUN.fullmatch(self.text)
        return self.parts if is_divided and self.parts else self.terms


def indexed(text: str) -> str:
    """Return `text` as it is indexed: signs spelled out, scripts without spaces in pairs."""
    return _RUN.sub(lambda run: f" {_pairs(run[0])} ", spell_signs(text))


def _pairs(run: str) -> str:
    """Return the pairs of characters that stand side by side: the tokenizer takes a run as one."""
    return " ".join(run[at : at + 2] for at in range(max(1, len(run) - 1)))


def spell_signs(text: str) -> str:
    """Return `text` with `C++`, `C#`, `.NET` and their like as words that the tokenizer keeps."""
    if "++" not in text and "#" not in text and ".n" not in text.casefold():
        return text
    return _SIGNED.sub(lambda found: _spelled(found[0]), text)


def _spelled(name: str) -> str:
    if name.startswith("."):
        return "dotnet"
    return name[0] + ("plusplus" if name.endswith("++") else "sharp")


def split_identifiers(text: str) -> str:
    """Return the parts of the identifiers in `text` that only capitals divide, each once."""
    parts = (part for name in set(_JOINED.findall(text)) for part in _PARTS.findall(name))
    return " ".join(sorted({part.lower() for part in parts}))


def question_words(question: str) -> tuple[Word, ...]:
    """Return the words of a question, each once, without filler, at most `MOST_WORDS`."""
    chunks = _CHUNK.findall(_RUN.sub(_divided, spell_signs(question)))
    kept = {chunk.lower(): chunk for chunk in reversed(chunks) if chunk.lower() not in FILLER}
    return tuple(_word(chunk) for chunk in list(reversed(kept.values()))[:MOST_WORDS])


def _divided(run: re.Match[str]) -> str:
    """Return a run of a script without spaces in words, as well as words of grammar divide it."""
    return f" {_GRAMMAR_OF_RUNS.sub(' ', run[0])} "


def _word(chunk: str) -> Word:
    if _RUN.fullmatch(chunk):
        pairs = _pairs(chunk)
        return Word(chunk, pairs, tuple(dict.fromkeys(pairs.split())) if " " in pairs else ())
    pieces = [piece for piece in _JOINT.split(chunk) if piece]
    parts = dict.fromkeys(
        part for piece in pieces for part in _parts(piece, is_part=len(pieces) > 1)
    )
    return Word(chunk, chunk.lower(), tuple(parts))


def _parts(piece: str, *, is_part: bool) -> Iterable[str]:
    """Yield the parts of a piece without joints; the piece itself if it is a part of more."""
    parts = [part.lower() for name in piece.split("_") for part in _PARTS.findall(name) or [name]]
    if is_part:
        yield piece.lower()
    if len(parts) > 1:
        yield from (part for part in parts if part and part not in FILLER)
