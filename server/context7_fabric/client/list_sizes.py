"""How many tokens the lists of libraries have that look-ups on this machine brought."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from context7_fabric.answers.stored import LISTS, AnswerShelf, record_of
from context7_fabric.fabric.fabric import Fabric
from context7_fabric.models import tokens

SAMPLE = 100
"""How many lists, the newest, stand for all."""


class ListSizes:
    """The sizes of the stored lists that one principal may read."""

    def __init__(self, fabric: Fabric, principal: str) -> None:
        """Read the lists in `fabric`."""
        self._fabric = fabric
        self._shelf = AnswerShelf(fabric)
        self._principal = principal
        self._mean: int | None = None

    async def tokens(self, keys: Sequence[str]) -> int:
        """Return the size of the list under the first of `keys` that has one, in tokens.

        Without one it is the mean size of the stored lists, 0 when there are none.
        """
        record = await self._shelf.read(keys, self._principal)
        if record is not None:
            return tokens(record.text)
        if self._mean is None:
            self._mean = await self._measured()
        return self._mean

    def forget_mean(self) -> None:
        """Measure the mean again when it is next wanted."""
        self._mean = None

    async def _measured(self) -> int:
        contexts = await self._fabric.query(f"{LISTS}*", limit=SAMPLE)
        records = (record_of(context) for context in contexts)
        mine = (each for each in records if each and each.readable_by(self._principal))
        texts = {each.text for each in mine}  # one list may lie under several names
        return round(fmean(map(tokens, texts))) if texts else 0
