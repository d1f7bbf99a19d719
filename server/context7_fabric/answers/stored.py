"""Repository of stored answers in the fabric: one record for each admitted text of upstream."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any, Literal
from urllib.parse import quote, unquote

from anyio import to_thread
from pydantic import TypeAdapter, ValidationError

from context7_fabric.errors import ContextError, StoreError
from context7_fabric.fabric.context import Context, Scope, address
from context7_fabric.fabric.fabric import Fabric, first_of
from context7_fabric.fabric.read_cache import RevisionCache, StoreRevision
from context7_fabric.models import PUBLIC, Clock
from context7_fabric.parsing.ids import parse_id
from context7_fabric.parsing.keys import bounded, question_key
from context7_fabric.parsing.screening import ORDERS, screen
from context7_fabric.privacy.principals import owned
from context7_fabric.registry.seeds import ECOSYSTEMS

log = logging.getLogger(__name__)

DOCS = "docs:"
LISTS = "list:"
UNKNOWN_NAMES = "unknown:"
"""Prefix of the keys of names that Context7 did not know."""

AnswerKind = Literal["docs", "list"]

ANONYMOUS = "anonymous"
"""The principal of what only callers without a credential may read: a list under a filter."""

QUARANTINE = "quarantine:"
QUARANTINE_SECONDS = 30 * 86400.0

MOST_READ = 128
LONGEST_READ = 32_768
"""Bounds of the read cache, in answers and in characters of one answer's text."""


@dataclass(frozen=True, slots=True)
class TextChange:
    """A refresh that brought another text: when (epoch seconds), and both SHA-256 digests."""

    at: float
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """One admitted text of upstream, verbatim, and its provenance.

    `principal` owns the credential that fetched it (`PUBLIC`: there was none), `origin` is the
    Context7 that sent it, `subject` the library id (docs) or the name (list) asked for, `question`
    the question.
    `fetched_at` is in seconds since the epoch. `praised` states that this very text was rated
    well. `lasts` is false for a record that expires by itself; it is not stored.
    """

    kind: AnswerKind
    text: str
    subject: str
    question: str
    principal: str
    origin: str
    fetched_at: float
    changes: tuple[TextChange, ...] = ()
    praised: bool = False
    lasts: bool = field(default=True, compare=False)

    @property
    def digest(self) -> str:
        """The SHA-256 of the text, in hex."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()

    def readable_by(self, principal: str) -> bool:
        """Tell whether `principal` may read the text: its own, or a public one."""
        return self.principal in owners(principal)

    def same_since(self, moment: float) -> bool:
        """Tell whether no refresh brought another text after `moment` (epoch seconds)."""
        return all(change.at <= moment for change in self.changes)


@dataclass(frozen=True, slots=True)
class RecordFactory:
    """Factory of records, with the time and the Context7 that sent their texts."""

    clock: Clock
    origin: str

    def answer(self, text: str, subject: str, question: str, principal: str) -> StoredAnswer:
        """Return the record of documentation about the library `subject`."""
        return self._record("docs", text, subject, question, principal)

    def listing(self, text: str, subject: str, question: str, principal: str) -> StoredAnswer:
        """Return the record of a list for the name `subject`."""
        return self._record("list", text, subject, question, principal)

    def _record(
        self, kind: AnswerKind, text: str, subject: str, question: str, principal: str
    ) -> StoredAnswer:
        return StoredAnswer(
            kind=kind,
            text=text,
            subject=subject,
            question=question,
            principal=principal,
            origin=self.origin,
            fetched_at=self.clock(),
        )


def owners(principal: str) -> tuple[str, ...]:
    """Return the owners of the entries that `principal` may read, itself first."""
    return (ANONYMOUS, PUBLIC) if principal == PUBLIC else (principal, PUBLIC)


@cache
def _form() -> TypeAdapter[StoredAnswer]:
    """Return the validator of records; it is built on first use, since that takes a while."""
    return TypeAdapter(StoredAnswer)


def list_key(name_key: str) -> str:
    """Return the fabric key of the list of libraries for a normalised name."""
    return bounded(LISTS + quote(name_key, safe="@/+.", errors="surrogatepass"))


def name_in(key: str) -> str | None:
    """Return the normalised name whose list is stored under the fabric key `key`.

    None for the key of something else, and for a name that is too long for its key.
    """
    name = unquote(key.removeprefix(LISTS), errors="surrogatepass")
    return name if list_key(name) == key else None


def docs_key(question_key: str) -> str:
    """Return the fabric key of an answer to a documentation question."""
    return DOCS + question_key


class AnswerStore:
    """Repository of stored answers in the fabric, which checks at each read who may read it."""

    def __init__(self, fabric: Fabric) -> None:
        """Keep records in `fabric`'s GLOBAL scope."""
        self._fabric = fabric
        self._read_cache = RevisionCache[StoredAnswer](fabric.revision, MOST_READ)
        self.revision = fabric.revision

    async def read(self, keys: Sequence[str], principal: str) -> StoredAnswer | None:
        """Return the answer under the first of `keys` that has one for the principal, else None.

        Its own answer goes before the public one.
        """
        as_of = self._read_cache.revision()
        record = self._read_cache.get((keys[0], principal))
        return record or await self._looked_up(keys, principal, as_of)

    async def own(self, key: str, owner: str) -> StoredAnswer | None:
        """Return the answer under `key` that belongs to `owner` itself."""
        return _owners_record(await self._fabric.get_context(owned(key, owner)), owner)

    async def _looked_up(
        self, keys: Sequence[str], principal: str, as_of: StoreRevision | None
    ) -> StoredAnswer | None:
        places = {owned(key, owner): (key, owner) for key in keys for owner in owners(principal)}

        def read(context: Context) -> StoredAnswer | None:
            key, owner = places[context.key]
            record = _owners_record(context, owner)
            if record is None or not record.readable_by(principal):
                return None
            if context.expires_at is not None:  # without a write
                return replace(record, lasts=False)
            if len(record.text) <= LONGEST_READ:
                self._read_cache.keep((key, principal), record, as_of)
            return record

        return await first_of(self._fabric, list(places), read)

    async def drop(self, keys: Iterable[str], principal: str) -> int:
        """Remove what `principal` may read under `keys`; return the number of entries removed.

        Raises:
            StoreError: An entry could not be removed.
        """
        found = await self._readable(keys, principal)
        went = [
            await self._fabric.delete_context(owned(key, each.principal)) for key, each in found
        ]
        return sum(went)

    async def praise(self, keys: Iterable[str], principal: str, heard_at: float) -> int:
        """Mark what `principal` may read under `keys` as rated well; return the number of entries.

        A text that came after `heard_at` (epoch seconds) is another than the one that was rated.
        """
        found = await self._readable(keys, principal)
        rated = [(key, each) for key, each in found if each.same_since(heard_at)]
        marked = [await self._keep(key, replace(each, praised=True), None) for key, each in rated]
        return sum(marked)

    async def _readable(
        self, keys: Iterable[str], principal: str
    ) -> list[tuple[str, StoredAnswer]]:
        """Return each answer under `keys` that `principal` may read, with its key."""
        found = [(key, await self.own(key, owner)) for key in keys for owner in owners(principal)]
        return [(key, record) for key, record in found if record is not None]

    async def set_aside(self, key: str, record: StoredAnswer) -> None:
        """Store `record` in quarantine, where it is never served, for an investigation."""
        await self._keep(QUARANTINE + key, record, ttl=QUARANTINE_SECONDS)

    async def write(self, key: str, record: StoredAnswer) -> None:
        """Store `record` under `key` for its principal; age is judged when it is read.

        One that is too large for the fabric is not stored: the next question goes upstream again.
        """
        await self._keep(key, record, ttl=None)

    async def _keep(self, key: str, record: StoredAnswer, ttl: float | None) -> bool:
        key = owned(key, record.principal)
        try:
            return await self._fabric.set_context(key, _value(record), ttl=ttl, disposable=True)
        except ContextError as error:
            log.warning("an answer is not stored: %s", error)
            return False

    async def about(self, library: str, principal: str) -> list[StoredAnswer]:
        """Return what is stored of the library with id `library` (any version), newest first."""
        contexts = await self._fabric.query(f"{DOCS}{_globbed(_in_keys(library))}[@?]*")
        records = (record_of(context) for context in contexts)
        return [record for record in records if record and record.readable_by(principal)]

    async def counts(self) -> dict[str, int]:
        """Return the numbers of stored answers and lists; one for several principals is several.

        A list stored under its row is stored under the plain name that was asked for as well, until
        the store evicts one of the two.
        """
        lists = await self._count(LISTS)
        below_rows = [await self._count(list_key(f"{each}:")) for each in (*ECOSYSTEMS, "")]
        return {
            "answers": await self._count(DOCS),
            "lists": max(lists - sum(below_rows), sum(below_rows)),
            "quarantined": await self._count(QUARANTINE),
        }

    async def _count(self, prefix: str) -> int:
        """Return the number of entries below `prefix`, 0 where the store cannot count them."""
        start = address(Scope.GLOBAL, prefix)
        try:
            return await to_thread.run_sync(self._fabric.backend.dbsize, start)
        except StoreError as error:
            self._fabric.faults.note(error)
            return 0


def _in_keys(library: str) -> str:
    """Return the id `library` as the keys of answers spell it."""
    parsed = parse_id(library)
    key = question_key(parsed, "", mode="any", page=1) if parsed else library
    return key.partition("?")[0]


def _globbed(text: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in text)


def _value(record: StoredAnswer) -> dict[str, Any]:
    """Return the stored form of `record`."""
    value = asdict(record)
    del value["lasts"]
    return value


def _owners_record(context: Context | None, owner: str) -> StoredAnswer | None:
    record = None if context is None else record_of(context)
    return record if record is not None and record.principal == owner else None


def record_of(context: Context) -> StoredAnswer | None:
    """Return the stored answer that `context` holds, None when it is something else."""
    try:
        return _form().validate_python(context.value)
    except ValidationError:
        return None


MOST_CHANGES = 5


class AnswerWriter:
    """Writer of admitted answers, which compares each with the stored one."""

    def __init__(self, store: AnswerStore, clock: Clock) -> None:
        """Write to `store`."""
        self._store = store
        self._clock = clock

    async def keep(self, key: str, record: StoredAnswer) -> StoredAnswer:
        """Store `record` under `key` and return it, with the changes of its text so far.

        A text that gives the model orders where the stored one gave none is put into quarantine
        instead; then the stored one is returned.
        """
        before = await self._store.own(key, record.principal)
        if before is not None and _turned_bad(before.text, record.text):
            log.warning("a new text for %s gives the model orders: set aside", key)
            await self._store.set_aside(key, record)
            return before
        kept = record if before is None else _with_changes(record, before, self._clock())
        await self._store.write(key, kept)
        return kept


def _turned_bad(before: str, now: str) -> bool:
    return ORDERS in screen(now).flags and ORDERS not in screen(before).flags


def _with_changes(record: StoredAnswer, before: StoredAnswer, now: float) -> StoredAnswer:
    if record.text == before.text:
        return replace(record, changes=before.changes, praised=before.praised)
    change = TextChange(at=now, old=before.digest, new=record.digest)
    return replace(record, changes=(*before.changes, change)[-MOST_CHANGES:])
