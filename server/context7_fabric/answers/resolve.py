"""Look-ups: from a library's name to the libraries it may mean."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import anyio

from context7_fabric.answers.cache import AnswerCache, CacheLookup
from context7_fabric.answers.fallback import RegistryFallback, is_usable
from context7_fabric.answers.freshness import Lifetime
from context7_fabric.answers.lookup import agrees, names_of, needs_registry
from context7_fabric.answers.pinned import LookUpPins
from context7_fabric.answers.response import (
    cause,
    failed,
    in_front,
    noted,
    refused,
    short_list,
    stands,
)
from context7_fabric.answers.stored import ANONYMOUS, RecordFactory, StoredAnswer, list_key
from context7_fabric.errors import UpstreamError
from context7_fabric.models import PUBLIC, Answer, Caller, Outcome, Progress, Question, Tier, tokens
from context7_fabric.parsing.admission import Refusal
from context7_fabric.parsing.ids import parse_id
from context7_fabric.parsing.libraries import Library, LibraryList, parse_list
from context7_fabric.registry.choices import LearnedChoices
from context7_fabric.registry.matching import NameMatch
from context7_fabric.registry.registry import Registry
from context7_fabric.registry.rows import Row
from context7_fabric.upstream.context7 import Context7

LOAD_SECONDS = 3.0

MOST_REMEMBERED = 64
"""Look-ups, over all sessions, that wait for the question that shows what was meant."""

Lesson: TypeAlias = tuple[tuple[str, ...], str]
"""Names of a look-up, and the id that a question shows them to mean; without names, nothing."""


class ResolveService:
    """Answers look-ups, and learns from the question that follows which library was meant."""

    def __init__(
        self,
        answers: AnswerCache,
        context7: Context7,
        learned: LearnedChoices,
        registry: Registry,
        fallback: RegistryFallback,
        records: RecordFactory,
        lifetime: Callable[[Row | None], Lifetime],
    ) -> None:
        """Serve lists for the `lifetime` of the row meant; use `fallback` without upstream."""
        self._answers = answers
        self._context7 = context7
        self._learned = learned
        self._registry = registry
        self.fallback = fallback
        """Answers of the registry alone."""
        self.load_seconds = LOAD_SECONDS
        """Seconds that a look-up waits for the registry to be loaded, after the start."""
        self._records = records
        self._lifetime = lifetime
        self._recent: OrderedDict[tuple[str, tuple[str, ...]], frozenset[str]] = OrderedDict()
        # By session and names: the ids that were listed and that the name means by the exact rule.

    async def resolve(
        self,
        look_up: Question,
        caller: Caller,
        *,
        refresh: bool = False,
        pins: LookUpPins | None = None,
    ) -> Answer:
        """Return the libraries that a name may mean, as upstream lists them.

        With `refresh` upstream is asked even when a fresh list is stored. What `pins` choose goes
        first.
        """
        await self._wait_for_registry(look_up, caller)
        names = names_of(look_up, self._registry)
        found = await self._answers.ask(
            self._cache_lookup(look_up, names, caller, refresh=refresh), caller
        )
        if not isinstance(found, Answer):
            answer = await self._without_list(look_up, found)
            return await self._pinned(answer, look_up, caller, pins) or answer
        self._remember(caller, look_up, names, found)
        pinned = await self._pinned(found, look_up, caller, pins)
        if pinned is not None or found.outcome is Outcome.MISS:
            return pinned or found
        return await self._shortened(found, look_up, names, caller)

    async def is_fresh(self, look_up: Question, caller: Caller) -> bool:
        """Tell whether a look-up would be answered without upstream."""
        await self._wait_for_registry(look_up, caller)
        return await self._is_fresh(look_up, caller)

    async def is_held(self, look_up: Question, caller: Caller) -> bool:
        """Tell whether a look-up would be answered at once, perhaps with a refresh behind it."""
        await self._wait_for_registry(look_up, caller)
        names = names_of(look_up, self._registry)
        lookup = self._cache_lookup(look_up, names, caller, refresh=False)
        return await self._answers.is_held(lookup, caller)

    async def used(self, library_id: str, caller: Caller) -> None:
        """Learn from a question about `library_id` what a look-up of the session meant."""
        self.count(library_id)
        names, meant = self.lesson(library_id, caller)
        for name in names:
            await self._learned.choose(name, meant, caller.holder)

    def count(self, library_id: str) -> None:
        """Count one use of a library."""
        self._registry.used(_base(library_id))

    def lesson(self, library_id: str, caller: Caller) -> Lesson:
        """Return the names of the session's last look-up that means a library, and its listed id.

        Without a session there are none: requests of one address may be of several clients.
        """
        for connection, names in reversed(self._recent):
            ids = self._recent[connection, names] if connection == caller.connection else ()
            for listed in (library_id.strip(), _base(library_id)):
                if listed in ids:
                    return names, listed
        return (), library_id

    async def _wait_for_registry(self, look_up: Question, caller: Caller) -> None:
        """Wait while the registry loads, unless the plain name finds a fresh list."""
        if self._registry.loaded.is_set():
            return
        if needs_registry(look_up) or not await self._is_fresh(look_up, caller):
            with anyio.move_on_after(self.load_seconds):
                await self._registry.loaded.wait()

    async def _is_fresh(self, look_up: Question, caller: Caller) -> bool:
        names = names_of(look_up, self._registry)
        lookup = self._cache_lookup(look_up, names, caller, refresh=False)
        return await self._answers.is_fresh(lookup, caller)

    def _cache_lookup(
        self, look_up: Question, names: tuple[str, ...], caller: Caller, *, refresh: bool
    ) -> CacheLookup:
        match = self._registry.find(look_up.library, look_up.text)
        row = None if match is None else match.row
        return CacheLookup(
            tuple(map(list_key, names)),
            Tier.ALIAS if match is not None and match.tier == "alias" else Tier.NAME,
            self._lifetime(row),
            partial(self._fetch, look_up, match, caller),
            doubted=self._names_a_broken_id,
            refresh=refresh,
            known=row is not None and is_usable(row),
            lesser=partial(self._is_known_by_likeness, look_up),
        )

    async def _is_known_by_likeness(self, look_up: Question) -> bool:
        return await self.fallback.answer(look_up, "") is not None

    def _names_a_broken_id(self, record: StoredAnswer) -> bool:
        rows = (self._registry.row(entry.id) for entry in _entries(parse_list(record.text)))
        return any(row is not None and row.broken for row in rows)

    async def _fetch(
        self, look_up: Question, match: NameMatch[Row] | None, caller: Caller, progress: Progress
    ) -> StoredAnswer | Refusal:
        found = await self._context7.resolve(look_up, progress)
        if isinstance(found, Refusal):
            return found
        text, listed = found
        await self._registry.teach(match, listed)
        owner = _owner(listed, caller)
        return self._records.listing(text, look_up.library, look_up.text, owner)

    async def _shortened(
        self, answer: Answer, look_up: Question, names: tuple[str, ...], caller: Caller
    ) -> Answer:
        """Return the chosen entry, and others that the name means: the caller saves the rest.

        The list stays whole without a choice, and where the chosen entry does not go by the name.
        """
        choice = await self._learned.choice(names, caller.holder)
        listed = None if choice is None else parse_list(answer.text)
        if choice is None or listed is None:
            return answer
        named = self._named(look_up, listed.libraries)
        if choice not in named or not agrees(look_up, choice, self._registry):
            return answer
        shown = [entry for entry in listed.libraries if entry.id in named]
        shown.sort(key=lambda entry: entry.id != choice)
        text = short_list(listed, shown)
        return replace(
            answer,
            text=text,
            tier=Tier.LEARNED,
            library_id=choice,
            tokens_saved=max(0, tokens(answer.text) - tokens(text)),
        )

    async def _pinned(
        self,
        answer: Answer,
        look_up: Question,
        caller: Caller,
        pins: LookUpPins | None,
    ) -> Answer | None:
        """Return a list with the entry that `pins` choose in front, None where they choose none.

        A list of upstream's own just now stays whole behind it; any other is shortened.
        """
        if pins is None or answer.outcome is Outcome.SUGGESTION:
            return None
        listed = parse_list(answer.text)
        if listed is None:
            return None
        named = self._named(look_up, listed.libraries)
        found = pins.first(answer, listed, named)
        if found is None:
            return None
        pin, entry = found
        if answer.outcome is Outcome.MISS:
            text = in_front(answer.text, [entry])
        else:
            others = [each for each in listed.libraries if each.id in named - {pin.library.base}]
            text = short_list(listed, [entry, *others])
        caller.trace.pin = pin.as_listed
        saved = max(0, tokens(answer.text) - tokens(text))
        pinned = replace(answer, text=text, tier=Tier.PIN, library_id=entry.id, tokens_saved=saved)
        return noted(pinned, pin.as_listed)

    async def _without_list(self, look_up: Question, found: Refusal | UpstreamError) -> Answer:
        """Answer without a list: a refusal that settles it, local knowledge, or the failure."""
        if isinstance(found, Refusal) and stands(found):
            return refused(found)
        local = await self.fallback.answer(look_up, cause(found))
        if local is not None:
            return local
        if isinstance(found, Refusal):
            return refused(found)
        lacking = f"nothing is stored about the library {look_up.library!r}"
        if not self._registry.loaded.is_set():
            lacking = "the registry of known libraries is still loading: ask again in a few seconds"
        return failed(found, lacking)

    def _remember(
        self, caller: Caller, look_up: Question, names: tuple[str, ...], answer: Answer
    ) -> None:
        """Keep which of the listed libraries the look-up may have meant, for its session."""
        if caller.connection is None:
            return
        named = self._named(look_up, _entries(parse_list(answer.text)))
        ids = frozenset(each for each in named if agrees(look_up, each, self._registry))
        self._recent.pop((caller.connection, names), None)
        self._recent[caller.connection, names] = ids
        while len(self._recent) > MOST_REMEMBERED:
            self._recent.popitem(last=False)

    def _named(self, look_up: Question, listed: Sequence[Library]) -> frozenset[str]:
        """Return the ids of the entries that the name means by the exact rule."""
        return self._registry.named(look_up.library, {entry.id: entry.title for entry in listed})


def _base(library_id: str) -> str:
    """Return the id without its version."""
    parsed = parse_id(library_id)
    return parsed.base if parsed else library_id


def _owner(listed: LibraryList, caller: Caller) -> str:
    """Return the owner of a list: one under an account's filter is private, key or no key."""
    if listed.note is not None and caller.principal == PUBLIC:
        return ANONYMOUS
    return caller.principal


def _entries(listed: LibraryList | None) -> tuple[Library, ...]:
    return listed.libraries if listed else ()
