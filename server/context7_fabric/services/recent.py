"""What happened lately: values by key, forgotten after a while and bounded in number."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from context7_fabric.models import Clock

MOST = 1024

V = TypeVar("V")


class Recent(Generic[V]):
    """Values that are remembered for some seconds; the oldest go when there are too many."""

    def __init__(self, clock: Clock, seconds: float, most: int = MOST) -> None:
        """Remember each value for `seconds`, and at most `most` of them."""
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._noted: OrderedDict[str, tuple[float, V]] = OrderedDict()

    def put(self, key: str, value: V) -> None:
        """Remember `value` under `key`, from now on."""
        self._noted.pop(key, None)
        self._noted[key] = (self._clock(), value)
        while len(self._noted) > self._most:
            self._noted.popitem(last=False)

    def get(self, key: str) -> V | None:
        """Return what is remembered under `key`, None when nothing is any more."""
        noted = self._noted.get(key)
        if noted is None:
            return None
        at, value = noted
        # A clock that was set back would keep a value for as long as it was ahead.
        return value if 0 <= self._clock() - at < self._seconds else None
