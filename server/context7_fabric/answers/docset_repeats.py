"""Questions that pass a docset by: asked again on one connection, or rated badly by their rater."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from context7_fabric.answers.stored import DOCS
from context7_fabric.fabric.context import Json
from context7_fabric.fabric.fabric import Fabric, first_of
from context7_fabric.models import Caller, Clock, DocsetDecision, Mode, Question
from context7_fabric.parsing.ids import parse_id
from context7_fabric.privacy.principals import owned

REPEAT_SECONDS: Final = 600.0
"""Seconds after a page within which a like question counts as asked again."""

ALIKE: Final = 0.6
"""Jaccard index of two questions' words from which one counts as the other asked again.

Follow-up questions on one library have a median overlap of 0.13: they ask for the next subtopic.
"""

MOST_CLIENTS: Final = 1024
"""Clients and libraries that are remembered; the one served longest ago goes first."""

MOST_PAGES: Final = 16
"""Pages that are remembered of one client and library, the newest."""

DECLINED: Final = "declined:"
"""Prefix of the keys of questions whose page was rated badly."""

DECLINED_SECONDS: Final = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class _Delivered:
    """Page that a client received at `at`: the words asked, and the part of the answer."""

    at: float
    words: frozenset[str]
    mode: Mode | None
    page: int


class DeliveredPages:
    """Pages of docsets that clients received lately, in this process only."""

    def __init__(self, clock: Clock) -> None:
        """Forget each page after `REPEAT_SECONDS` of `clock`."""
        self._clock = clock
        self._pages: OrderedDict[tuple[str, str], list[_Delivered]] = OrderedDict()

    def add(self, question: Question, decision: DocsetDecision, caller: Caller) -> None:
        """Remember that `caller` received a page; nothing where it cannot be recognised."""
        client = caller.repeats_as
        if client is None:
            return
        key, now = (client, decision.name), self._clock()
        page = _Delivered(now, words_of(decision), question.mode, question.page)
        kept = [each for each in self._pages.pop(key, ()) if _is_recent(each, now)]
        self._pages[key] = [*kept, page][-MOST_PAGES:]
        while len(self._pages) > MOST_CLIENTS:
            self._pages.popitem(last=False)

    def has_alike(self, question: Question, decision: DocsetDecision, caller: Caller) -> bool:
        """Tell whether `caller` received a page lately for the same or a like question.

        Another page or kind of snippets of the same answer is not asked again: it goes on.
        """
        pages = self._pages.get((caller.repeats_as or "", decision.name), ())
        now, words = self._clock(), words_of(decision)
        return any(
            _is_recent(each, now)
            and (each.mode, each.page) == (question.mode, question.page)
            and are_alike(each.words, words)
            for each in pages
        )


def words_of(decision: DocsetDecision) -> frozenset[str]:
    """Return the content words of a question in lower case, as the retrieval read them."""
    return frozenset(word.casefold() for word, _weight in decision.words)


def are_alike(some: frozenset[str], others: frozenset[str]) -> bool:
    """Tell whether the Jaccard index of two sets of words is at least `ALIKE`; pure."""
    union = some | others
    return bool(union) and len(some & others) >= ALIKE * len(union)


def _is_recent(page: _Delivered, now: float) -> bool:
    return 0 <= now - page.at < REPEAT_SECONDS


class DeclinedQuestions:
    """Questions whose page of a docset was rated badly: for their rater they go upstream."""

    def __init__(self, fabric: Fabric) -> None:
        """Keep them in `fabric`'s GLOBAL scope."""
        self._fabric = fabric

    async def has(self, keys: Sequence[str], holder: str) -> bool:
        """Tell whether `holder` rated a page badly for the question with one of the `keys`."""
        places = [_place(key, holder) for key in keys]
        return await first_of(self._fabric, places, lambda context: context.value) is not None

    async def add(self, keys: Iterable[str], holder: str) -> int:
        """Let a question go upstream for `holder` from now on; return the number of its keys."""
        added = 0
        for key in filter(_is_question, keys):
            value: Json = {"id": _library_in(key)}
            added += await self._fabric.set_context(
                _place(key, holder), value, ttl=DECLINED_SECONDS, disposable=True
            )
        return added

    async def remove(self, keys: Iterable[str], holder: str) -> int:
        """Undo `add`; return the number of keys that were there.

        Raises:
            StoreError: One could not be removed.
        """
        places = [_place(key, holder) for key in filter(_is_question, keys)]
        return sum([await self._fabric.delete_context(place) for place in places])


def _is_question(key: str) -> bool:
    return key.startswith(DOCS)


def _place(key: str, holder: str) -> str:
    return owned(DECLINED + key.removeprefix(DOCS), holder)


def _library_in(key: str) -> str:
    """Return the library's id at the beginning of a question's key, for a purge of the library."""
    library = parse_id(key.removeprefix(DOCS).partition("?")[0])
    return "" if library is None else library.base
