"""Putting a fetched answer on the shelf: what changed is noted, what turned bad is set aside."""

from __future__ import annotations

import logging
from dataclasses import replace

from context7_fabric.models import Clock
from context7_fabric.parsing.screening.screen import ORDERS, screen
from context7_fabric.services.records import AnswerShelf, Change, StoredAnswer

log = logging.getLogger(__name__)

MOST_CHANGES = 5


class Keeper:
    """Stores what was admitted, in view of what was stored before."""

    def __init__(self, shelf: AnswerShelf, clock: Clock) -> None:
        """Keep on `shelf`."""
        self._shelf = shelf
        self._clock = clock

    async def keep(self, key: str, record: StoredAnswer) -> StoredAnswer:
        """Store `record` under `key` and return it, with the changes of its text so far.

        A text that gives the model orders where the stored one gave none is put into quarantine
        instead; then the stored one is returned.
        """
        before = await self._shelf.own(key, record.principal)
        if before is not None and _turned_bad(before.text, record.text):
            log.warning("a new text for %s gives the model orders: set aside", key)
            await self._shelf.set_aside(key, record)
            return before
        kept = record if before is None else _noted(record, before, self._clock())
        await self._shelf.write(key, kept)
        return kept


def _turned_bad(before: str, now: str) -> bool:
    return ORDERS in screen(now).flags and ORDERS not in screen(before).flags


def _noted(record: StoredAnswer, before: StoredAnswer, now: float) -> StoredAnswer:
    if record.text == before.text:
        return replace(record, changes=before.changes, praised=before.praised)
    change = Change(at=now, old=before.digest, new=record.digest)
    return replace(record, changes=(*before.changes, change)[-MOST_CHANGES:])
