"""Who wants to be told of what, and looking for it again and again while anybody does.

A change by this process and one by another on the same store are seen in the same way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import anyio

from context7_fabric.fabric.change_feed import Ear
from context7_fabric.services.states import State, below
from context7_fabric.services.topics import Topic

LOOK_EVERY = 0.4
"""Seconds between two looks."""

SELDOM = 5.0
"""The same while it can be heard that nothing was written: what ends by itself is not announced."""

Hear: TypeAlias = Callable[[Topic], Awaitable[None]]
"""Is told of a topic that changed. It must neither raise nor wait for anybody."""

Look: TypeAlias = Callable[[Collection[Topic]], Awaitable[Mapping[Topic, State]]]
"""Returns the states of topics, as far as they can be had."""

_UNKNOWN: Final = object()
_UNSEEN: Final = object()
"""How a topic stands whose first look failed: it differs from every state, as it may change."""


@dataclass(slots=True)
class _Watched:
    """One topic: how it was last seen, who hears of it, and whether the last look at it failed."""

    state: State = _UNKNOWN
    hearers: list[Hear] = field(default_factory=list)
    is_due: bool = False

    @property
    def is_new(self) -> bool:
        """Tell whether it was never looked at."""
        return self.state is _UNKNOWN

    def see(self, state: State) -> bool:
        """Take in how it is now; tell whether it changed."""
        changed = not self.is_new and self.state != state
        self.state, self.is_due = state, False
        return changed


class Changes:
    """Tells of each change once; two at one look are one."""

    def __init__(self, look: Look, ear: Ear) -> None:
        """Look by `look` where `ear` has not heard that it is in vain; first when `run`."""
        self._look = look
        self._ear = ear
        self._quiet = 0.0
        self._watched: dict[Topic, _Watched] = {}
        self._some = anyio.Event()

    @property
    def watched(self) -> Collection[Topic]:
        """What somebody is told of now."""
        return self._watched.keys()

    async def watch(self, topics: Collection[Topic], hear: Hear) -> None:
        """Tell `hear` of every change to `topics` that comes after this call.

        What cannot be seen now counts as changed once it can: one notice too many does no harm.
        Who is cancelled in it has to `unwatch` all the same.
        """
        for topic in topics:
            self._watched.setdefault(topic, _Watched()).hearers.append(hear)
        if topics:
            self._some.set()
        new = [each for each in topics if self._watched[each].is_new]
        states = await self._look(new)
        for topic in new:
            watched = self._watched.get(topic)
            if watched is not None and watched.is_new:
                watched.state = states.get(topic, _UNSEEN)
                watched.is_due |= topic not in states

    def unwatch(self, topics: Collection[Topic], hear: Hear) -> None:
        """Take back one `watch` of the same."""
        for topic in topics:
            watched = self._watched[topic]
            watched.hearers.remove(hear)
            if not watched.hearers:
                del self._watched[topic]
        if not self._watched:
            self._some = anyio.Event()

    async def run(self) -> None:
        """Look again and again while anything is watched; runs until it is cancelled."""
        while True:
            await self._some.wait()
            await anyio.sleep(LOOK_EVERY)
            self._quiet += LOOK_EVERY
            if self._is_due():
                self._quiet = 0.0
                await self.look()

    def _is_due(self) -> bool:
        written = self._ear.take()
        if written is None or self._quiet >= SELDOM:
            return True
        if any(watched.is_due for watched in self._watched.values()):
            return True
        concerned = tuple(start for topic in self._watched for start in below(topic))
        return any(key.startswith(concerned) for key in written)

    async def look(self) -> None:
        """Look once, and tell of what changed since the last look."""
        topics = tuple(self._watched)
        states = await self._look(topics)
        for topic, hearers in self._changed(topics, states).items():
            for hear in dict.fromkeys(hearers):
                await hear(topic)

    def _changed(
        self, topics: Collection[Topic], states: Mapping[Topic, State]
    ) -> dict[Topic, tuple[Hear, ...]]:
        """Return who hears of which of the `topics` that were looked at; note what is unseen."""
        changed = {}
        for topic in topics:
            watched = self._watched.get(topic)
            if watched is None:
                continue
            if topic not in states:
                watched.is_due = True
            elif watched.see(states[topic]):
                changed[topic] = tuple(watched.hearers)
        return changed
