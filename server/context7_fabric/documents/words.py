"""The content words of a question: what is left when only its wording is taken away.

Questions with the same content words in the same order count as one question. So a word goes only
where it cannot change the meaning: articles, courtesies, pronouns, auxiliary verbs in front of
their subject. Negations, directions, numbers, versions, operators and identifiers stay. Better
one miss too many than another question's answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from context7_fabric.documents.plurals import singular

_FILLER = re.compile(r"a|an|the|i|we|you|me|my|our|your|how|what|whats|please|thanks")
_QUESTION_WORD = re.compile(r"how|what|whats|where|when|which|who|why")
_SUBJECT = re.compile(r"i|we|you|they|it|one|there")
_AUXILIARY = re.compile(r"am|are|can|could|did|do|does|is|was|were|would")
# Behind these "to" only introduces a verb; anywhere else it gives a direction.
_BEFORE_VERB = re.compile(r"able|how|like|need|possible|try|trying|want|way|what|when|where")
_OPENING = re.compile(
    r"(?:please "
    r"|(?:can|could|would|will) you (?=(?:please )?(?:show|tell|give|help|teach|explain) )"
    r"|(?:show|tell|give|help|teach) (?:me|us) "
    r"|explain (?=how |what |why )"
    r"|(?:i|we) (?:am |are |would )?(?:want|need|like|trying) (?=to )"
    r"|is it possible (?=to )"
    r"|(?:is there|what(?: is)?) (?:a|the) way (?=to ))*"
)
_NEGATED = re.compile(
    r"\b(?:cannot|(?:are|ca|could|did|do|does|is|was|were|wo|would)n'?t"
    r"|(?P<kept>had|has|have|might|must|need|should)n'?t)\b"
)
_SHORTENED = re.compile(r"(?<=\w)'(?:d|ll|m|re|s|ve)\b")
_SEPARATOR = re.compile(r",(?!\d)|[;、]")

_QUOTES = "\"'`\u201c\u201d\u00ab\u00bb"
_APOSTROPHES = str.maketrans("\u2018\u2019", "''")
_END_MARKS = ".:,?。"
# Here an exclamation mark ends the question; elsewhere it belongs to a name, as in `save!`.
_LAST_MARKS = re.compile(r"(?<=[\w)+#])[?!.。]+$")
_MOST_CLOSED = 3
# Dashes of prose; any other sign that stands alone is an operator that may be asked about.
_DASH = re.compile("[\u2013\u2014\u2022]")


def fold(text: str) -> str:
    """Return `text` with compatible characters, letter case and apostrophes made one."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return folded.translate(_APOSTROPHES)


def content_words(question: str) -> tuple[str, ...]:
    """Return the content words of `question` in order; none if it says nothing but courtesies."""
    tokens = _tokens(question)
    words = [_bare(token) for token in tokens]
    return tuple(
        singular(word)
        for at, (word, token) in enumerate(zip(words, tokens, strict=True))
        if _is_quoted(token) or not _is_wording(words, at)
    )


def question_of(text: str) -> str:
    """Return the question itself, normalised: its key where it has no content words."""
    return _LAST_MARKS.sub("", " ".join(fold(text).split()))


def _tokens(question: str) -> list[str]:
    text = _NEGATED.sub(_spelled_out, fold(question))
    text = " ".join(_SEPARATOR.sub(" ", _SHORTENED.sub("", text)).split())
    tokens = _OPENING.sub("", _LAST_MARKS.sub("", text), count=1).split()
    return tokens[:-1] if tokens[1:] and tokens[-1] == "?" else tokens


def _spelled_out(match: re.Match[str]) -> str:
    return f"{match['kept'] or ''} not"


def _bare(token: str) -> str:
    """Strip what wraps a word in prose; a token that is all signs stays as it is."""
    word = token.rstrip(_END_MARKS + _QUOTES).lstrip(_QUOTES + "(\u00bf\u00a1")
    for _ in range(min(word.count(")") - word.count("("), _MOST_CLOSED)):
        word = word.removesuffix(")").rstrip(_END_MARKS + _QUOTES)
    return word.removesuffix("()") or token


def _is_quoted(token: str) -> bool:
    return re.fullmatch(rf"[{_QUOTES}].+[{_QUOTES}][{_END_MARKS}]*", token) is not None


def _is_wording(words: Sequence[str], at: int) -> bool:
    """Tell whether the word at `at` belongs to how the question is put, not to what it asks."""
    word = words[at]
    before = words[at - 1] if at else ""
    after = words[at + 1] if at + 1 < len(words) else ""
    if word == "to":
        return not before or _is(_BEFORE_VERB, before)
    if word == "should":
        return _is(_QUESTION_WORD, before)
    if _is(_AUXILIARY, word):
        return _is(_QUESTION_WORD, before) or _is(_SUBJECT, after) or after == "not"
    return _is(_FILLER, word) or _is(_DASH, word)


def _is(kind: re.Pattern[str], word: str) -> bool:
    return kind.fullmatch(word) is not None
