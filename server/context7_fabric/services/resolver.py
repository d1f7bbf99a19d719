"""Look-ups: from a library's name to the libraries it may mean."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import anyio.to_thread

from context7_fabric.documents.ids import parse_id
from context7_fabric.documents.keys import name_key
from context7_fabric.documents.libraries import Library, LibraryList, format_entry, parse_list
from context7_fabric.documents.screening import screen
from context7_fabric.errors import UpstreamError
from context7_fabric.fabric.policy import Lifetime
from context7_fabric.models import PUBLIC, Answer, Caller, Clock, Outcome, Progress, Tier, tokens
from context7_fabric.registry.learned import Learned
from context7_fabric.registry.seeds import Seed, Seeds
from context7_fabric.render import chosen_entry, entries
from context7_fabric.services.answers import Answers, Enquiry, Fetched, Found, How
from context7_fabric.services.context7 import Context7
from context7_fabric.services.presenting import failed, refused, served
from context7_fabric.services.records import ANONYMOUS, StoredAnswer, list_key

MOST_REMEMBERED = 64
"""How many look-ups, over all connections, wait for the question that shows what was meant."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """A name to resolve, and what it is wanted for (may be empty)."""

    name: str
    question: str = ""


class Resolver:
    """Answers look-ups, and learns from the question that follows which library was meant."""

    def __init__(
        self,
        answers: Answers,
        context7: Context7,
        learned: Learned,
        seeds: Callable[[], Seeds],
        clock: Clock,
        *,
        lifetime: Lifetime,
        origin: str,
    ) -> None:
        """Serve lists for `lifetime`; `seeds` is called when upstream cannot answer."""
        self._answers = answers
        self._context7 = context7
        self._learned = learned
        self._seeds = seeds
        self._clock = clock
        self._lifetime = lifetime
        self._origin = origin
        self._recent: OrderedDict[tuple[str, str], frozenset[str]] = OrderedDict()

    async def resolve(self, look_up: LookUp, caller: Caller) -> Answer:
        """Return the libraries that `look_up.name` may mean, as upstream lists them."""
        key = name_key(look_up.name)
        enquiry = Enquiry(
            list_key(key), self._lifetime, lambda progress: self._fetch(look_up, caller, progress)
        )
        found = await self._answers.ask(enquiry, caller)
        if found.record is not None:
            self._remember(caller, key, found.record)
            return await self._served(found, found.record, key, caller)
        return await self._unknown(look_up, found)

    async def used(self, library_id: str, caller: Caller) -> None:
        """Learn from a question about `library_id` what the connection's last look-up meant."""
        parsed = parse_id(library_id)
        base = parsed.base if parsed else library_id
        for connection, key in reversed(self._recent):
            if connection == caller.connection and base in self._recent[connection, key]:
                await self._learned.choose(key, base, caller.principal)
                return

    async def _fetch(self, look_up: LookUp, caller: Caller, progress: Progress) -> Fetched:
        heard = await self._context7.resolve(look_up.name, look_up.question, progress)
        if heard.read is None:
            return Fetched(heard.text, refusal=heard.refusal, is_error=heard.is_error)
        record = StoredAnswer(
            kind="list",
            text=heard.text,
            subject=look_up.name,
            question=look_up.question,
            principal=_owner(heard.read, caller),
            origin=self._origin,
            fetched_at=self._clock(),
        )
        return Fetched(heard.text, record)

    async def _served(self, found: Found, record: StoredAnswer, key: str, caller: Caller) -> Answer:
        answer = served(found, Tier.NAME, self._clock())
        if found.how is How.FETCHED:
            return answer
        return await self._shortened(answer, record, key, caller)

    async def _shortened(
        self, answer: Answer, record: StoredAnswer, key: str, caller: Caller
    ) -> Answer:
        """Return the chosen entry alone once a choice is known: the caller saves the rest."""
        listed = parse_list(answer.text)
        choice = await self._learned.choice(key, caller.principal)
        chosen = next((entry for entry in _entries(listed) if entry.id == choice), None)
        if listed is None or chosen is None:
            return answer
        text = chosen_entry(listed, chosen)
        return replace(
            answer,
            text=text,
            tier=Tier.LEARNED,
            library_id=chosen.id,
            tokens_saved=max(0, tokens(record.text) - tokens(text)),
        )

    async def _unknown(self, look_up: LookUp, found: Found) -> Answer:
        """Answer without a list: a refusal that settles it, else the seeds, else the failure."""
        if found.fetched is not None and found.fetched.definite:
            return refused(found.fetched, found.how)
        seeds = await anyio.to_thread.run_sync(self._seeds)
        hints = [seed for seed in seeds.find(look_up.name) if seed.id]
        if hints:
            return _from_seeds(hints)
        if found.fetched is not None:
            return refused(found.fetched)
        error = found.error or UpstreamError("Context7 gave no answer")
        return failed(error, f"nothing is stored about the library {look_up.name!r}")

    def _remember(self, caller: Caller, key: str, record: StoredAnswer) -> None:
        ids = frozenset(entry.id for entry in _entries(parse_list(screen(record.text).clean)))
        self._recent.pop((caller.connection, key), None)
        self._recent[caller.connection, key] = ids
        while len(self._recent) > MOST_REMEMBERED:
            self._recent.popitem(last=False)


def _owner(listed: LibraryList, caller: Caller) -> str:
    """Return whose the list is: a filter of somebody's makes it private, key or no key."""
    if listed.note is not None and caller.principal == PUBLIC:
        return ANONYMOUS
    return caller.principal


def _entries(listed: LibraryList | None) -> tuple[Library, ...]:
    return listed.libraries if listed else ()


def _from_seeds(hints: list[Seed]) -> Answer:
    listed = [_library(seed) for seed in hints]
    return Answer(
        text=entries(listed),
        outcome=Outcome.OFFLINE,
        tier=Tier.SEED,
        library_id=listed[0].id if len(listed) == 1 else None,
        note="Context7 cannot be reached; this comes from the seed file and is unverified.",
    )


def _library(seed: Seed) -> Library:
    bare = Library(
        id=seed.id,
        title=seed.name,
        description=seed.description,
        snippets=None,
        reputation="Unknown",
        trust_score=None,
        benchmark=None,
        versions=(),
        source=None,
        text="",
    )
    return replace(bare, text=format_entry(bare))
