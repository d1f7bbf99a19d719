"""Cache of whole answers for the fast paths, valid while the store's revision and freshness hold.

It holds only answers that would be hits again: asked anew, the question would find the same copy.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Final, NamedTuple

from context7_fabric.answers.cache import note_copy
from context7_fabric.answers.freshness import Freshness, is_ahead
from context7_fabric.fabric.read_cache import RevisionCache, StoreRevision
from context7_fabric.models import Answer, CallTrace, Clock

MOST_RESPONSES: Final = 128
LONGEST_RESPONSE: Final = 32_768
"""Bounds of the cache, in answers and in characters of one answer's text."""


class _Response(NamedTuple):
    answer: Answer
    fetched_at: float
    fresh_until: float
    stored_at: tuple[str, ...]
    pin: str | None


class ResponseCache:
    """Answers by question and caller; any write to the store drops them all."""

    def __init__(self, revision: Callable[[], StoreRevision | None], clock: Clock) -> None:
        """Keep answers while `revision` stays the same."""
        self._responses = RevisionCache[_Response](revision, MOST_RESPONSES)
        self._clock = clock

    def revision(self) -> StoreRevision | None:
        """Return the store's revision, to be passed to `keep` with an answer read since."""
        return self._responses.revision()

    def keep(
        self, key: Hashable, answer: Answer, trace: CallTrace, as_of: StoreRevision | None
    ) -> None:
        """Keep `answer` under `key` if `trace` shows nothing but a fresh copy as of a revision."""
        fetched_at, fresh_until = answer.fetched_at, trace.fresh_until
        if fetched_at is None or fresh_until is None or len(trace.steps) != 1:
            return
        if len(answer.text) <= LONGEST_RESPONSE and _is_encodable(answer.text):
            response = _Response(answer, fetched_at, fresh_until, trace.stored_at, trace.pin)
            self._responses.keep(key, response, as_of)

    def get(self, key: Hashable, trace: CallTrace) -> Answer | None:
        """Return the answer under `key` at its present age, and trace it as the hit that it is."""
        if self._responses.revision() is None:
            return None
        response, now = self._responses.get(key), self._clock()
        if response is None or now >= response.fresh_until or is_ahead(response.fetched_at, now):
            return None
        age = max(0.0, now - response.fetched_at)
        trace.stored_at += response.stored_at
        trace.pin = response.pin
        note_copy(trace, age, Freshness.FRESH)
        return replace(response.answer, age_seconds=age)


def _is_encodable(text: str) -> bool:
    """Tell whether `text` can be sent: a lone surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
