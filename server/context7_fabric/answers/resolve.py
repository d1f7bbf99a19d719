"""Look-ups: from a library's name to the libraries it may mean."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import anyio

from context7_fabric.answers.cache import (
    AnswerCache,
    CacheLookup,
    CacheOutcome,
    CacheResult,
    UpstreamResult,
)
from context7_fabric.answers.fallback import RegistryFallback, is_usable
from context7_fabric.answers.freshness import Lifetime
from context7_fabric.answers.lookup import (
    LibraryQuery,
    LookupKeys,
    agrees,
    needs_registry,
    subject_of,
)
from context7_fabric.answers.memo import id_of, screened
from context7_fabric.answers.response import failed, refused, served, short_list, silence, stands
from context7_fabric.answers.stored import ANONYMOUS, RecordFactory, StoredAnswer
from context7_fabric.errors import UpstreamError
from context7_fabric.models import PUBLIC, Answer, Caller, Progress, Tier, tokens
from context7_fabric.parsing.libraries import Library, LibraryList, parse_list
from context7_fabric.registry.choices import LearnedChoices
from context7_fabric.registry.registry import Registry
from context7_fabric.upstream.context7 import Context7

LOAD_SECONDS = 3.0
"""How long a look-up waits for the registry to be loaded, once, after the start."""

MOST_REMEMBERED = 64
"""How many look-ups, over all connections, wait for the question that shows what was meant."""


class ResolveService:
    """Answers look-ups, and learns from the question that follows which library was meant."""

    def __init__(
        self,
        answers: AnswerCache,
        context7: Context7,
        learned: LearnedChoices,
        registry: Registry,
        local: RegistryFallback,
        stamp: RecordFactory,
        lifetime: Callable[[LookupKeys], Lifetime],
    ) -> None:
        """Serve lists for `lifetime`; `local` speaks when upstream cannot."""
        self._answers = answers
        self._context7 = context7
        self._learned = learned
        self._registry = registry
        self._local = local
        self._stamp = stamp
        self._lifetime = lifetime
        self._recent: OrderedDict[tuple[str, tuple[str, ...]], frozenset[str]] = OrderedDict()
        # By session and names: the ids that were listed and that the name means by the exact rule.

    async def resolve(
        self, look_up: LibraryQuery, caller: Caller, *, refresh: bool = False
    ) -> Answer:
        """Return the libraries that `look_up.name` may mean, as upstream lists them.

        With `refresh` upstream is asked even when a fresh list is stored.
        """
        subject = await self._subject(look_up, caller)
        enquiry = self._enquiry(look_up, subject, caller, refresh=refresh)
        found = await self._answers.ask(enquiry, caller)
        if found.record is not None:
            self._remember(caller, look_up, subject, found.record)
            return await self._served(found, look_up, subject, caller)
        return await self._unknown(look_up, found)

    async def is_fresh(self, look_up: LibraryQuery, caller: Caller) -> bool:
        """Tell whether a look-up would be answered without upstream."""
        subject = await self._subject(look_up, caller)
        enquiry = self._enquiry(look_up, subject, caller, refresh=False)
        return await self._answers.is_fresh(enquiry, caller)

    async def used(self, library_id: str, caller: Caller) -> None:
        """Learn from a question about `library_id` what a look-up of the session meant."""
        self.count(library_id)
        names, meant = self._meant(library_id, caller)
        for name in names:
            await self._learned.choose(name, meant, caller.holder)

    def count(self, library_id: str) -> None:
        """Count one use of a library."""
        self._registry.used(_base(library_id))

    def teaches_nothing(self, library_id: str, caller: Caller) -> bool:
        """Tell whether `used` would only count, as far as memory alone knows."""
        names, meant = self._meant(library_id, caller)
        return all(self._learned.is_chosen(name, meant, caller.holder) for name in names)

    def _meant(self, library_id: str, caller: Caller) -> tuple[tuple[str, ...], str]:
        """Return the names of the session's last look-up that means a library, and its listed id.

        Without a session there are none: requests of one address may be of several clients.
        """
        for connection, names in reversed(self._recent):
            ids = self._recent[connection, names] if connection == caller.connection else ()
            for listed in (library_id.strip(), _base(library_id)):
                if listed in ids:
                    return names, listed
        return (), library_id

    async def _subject(self, look_up: LibraryQuery, caller: Caller) -> LookupKeys:
        """Return what is meant; while the registry loads, the plain name does if it has a list."""
        subject = subject_of(look_up, self._registry)
        if self._registry.loaded.is_set():
            return subject
        plain = self._enquiry(look_up, subject, caller, refresh=False)
        if needs_registry(look_up) or not await self._answers.is_fresh(plain, caller):
            with anyio.move_on_after(LOAD_SECONDS):
                await self._registry.loaded.wait()
        return subject_of(look_up, self._registry)

    def _enquiry(
        self, look_up: LibraryQuery, subject: LookupKeys, caller: Caller, *, refresh: bool
    ) -> CacheLookup:
        return CacheLookup(
            subject.keys,
            self._lifetime(subject),
            partial(self._fetch, look_up, subject, caller),
            doubted=self._names_a_broken_id,
            refresh=refresh,
            known=subject.match is not None and is_usable(subject.match.row),
            lesser=partial(self._is_known_by_likeness, look_up),
        )

    async def _is_known_by_likeness(self, look_up: LibraryQuery) -> bool:
        return await self._local.answer(look_up, "") is not None

    def _names_a_broken_id(self, record: StoredAnswer) -> bool:
        rows = (self._registry.row(entry.id) for entry in _entries(parse_list(record.text)))
        return any(row is not None and row.broken for row in rows)

    async def _fetch(
        self, look_up: LibraryQuery, subject: LookupKeys, caller: Caller, progress: Progress
    ) -> UpstreamResult:
        heard = await self._context7.resolve(look_up.name, look_up.question, progress)
        if heard.read is None:
            return UpstreamResult(heard.text, refusal=heard.refusal, is_error=heard.is_error)
        await self._registry.teach(subject.match, heard.read)
        owner = _owner(heard.read, caller)
        record = self._stamp.listing(heard.text, look_up.name, look_up.question, owner)
        return UpstreamResult(heard.text, record)

    async def _served(
        self, found: CacheResult, look_up: LibraryQuery, subject: LookupKeys, caller: Caller
    ) -> Answer:
        answer = served(found, subject.tier, self._stamp.clock())
        if found.how is CacheOutcome.FETCHED:
            return answer
        return await self._shortened(answer, look_up, subject, caller)

    async def _shortened(
        self, answer: Answer, look_up: LibraryQuery, subject: LookupKeys, caller: Caller
    ) -> Answer:
        """Return the chosen entry, and others that the name means: the caller saves the rest.

        The list stays whole without a choice, and where the chosen entry does not go by the name.
        """
        choice = await self._learned.choice(subject.names, caller.holder)
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

    async def _unknown(self, look_up: LibraryQuery, found: CacheResult) -> Answer:
        """Answer without a list: a refusal that settles it, local knowledge, or the failure."""
        if found.fetched is not None and stands(found.fetched):
            return refused(found.fetched, found.how)
        local = await self._local.answer(look_up, silence(found))
        if local is not None:
            return local
        if found.fetched is not None:
            return refused(found.fetched)
        error = found.error or UpstreamError("Context7 gave no answer")
        lacking = f"nothing is stored about the library {look_up.name!r}"
        if not self._registry.loaded.is_set():
            lacking = "what is known of libraries is still being read: ask again in a few seconds"
        return failed(error, lacking)

    def _remember(
        self, caller: Caller, look_up: LibraryQuery, subject: LookupKeys, record: StoredAnswer
    ) -> None:
        """Keep which of the listed libraries the look-up may have meant, for its session."""
        if caller.connection is None:
            return
        listed = _entries(parse_list(screened(record.text).clean))
        named = self._named(look_up, listed)
        ids = frozenset(each for each in named if agrees(look_up, each, self._registry))
        self._recent.pop((caller.connection, subject.names), None)
        self._recent[caller.connection, subject.names] = ids
        while len(self._recent) > MOST_REMEMBERED:
            self._recent.popitem(last=False)

    def _named(self, look_up: LibraryQuery, listed: Sequence[Library]) -> frozenset[str]:
        """Return the ids of the entries that the name means by the exact rule."""
        return self._registry.named(look_up.name, {entry.id: entry.title for entry in listed})


def _base(library_id: str) -> str:
    """Return the id without its version."""
    parsed = id_of(library_id)
    return parsed.base if parsed else library_id


def _owner(listed: LibraryList, caller: Caller) -> str:
    """Return whose the list is: a filter of somebody's makes it private, key or no key."""
    if listed.note is not None and caller.principal == PUBLIC:
        return ANONYMOUS
    return caller.principal


def _entries(listed: LibraryList | None) -> tuple[Library, ...]:
    return listed.libraries if listed else ()
