"""Requests of the command line that need an app: `resolve`, `docs`, `stats`, those of `warm`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import islice
from secrets import token_hex
from typing import Any

import anyio

from context7_fabric.answers.library_choice import candidates, library_of, look_up_of
from context7_fabric.answers.prefetch import UnknownNames
from context7_fabric.answers.response import noted
from context7_fabric.call_log.statistics import as_object, read_statistics
from context7_fabric.daemon.commands import RecordCommands
from context7_fabric.models import (
    QUERY_DOCS,
    RESOLVE,
    Answer,
    Caller,
    DocsetUse,
    Outcome,
    Question,
    Tier,
)
from context7_fabric.parsing.ids import parse_id
from context7_fabric.parsing.libraries import parse_list
from context7_fabric.project.dependencies import Dependency
from context7_fabric.registry.rows import Row
from context7_fabric.relay.usage import suggestion
from context7_fabric.runtime.app import LIST_FRESH, App
from context7_fabric.runtime.store import is_shared
from context7_fabric.services import LOAD_SECONDS
from context7_fabric.settings import Settings
from context7_fabric.upstream.call_gate import CallBudget, UpstreamStatus, calls_at_most
from context7_fabric.views.upstream_status import back_off_end, opening_end

CLIENT = "context7-fabric cli"
"""The client's name in the records of these calls."""

LONGEST_REASON = 500
"""Characters of an answer without a list that are shown as the reason."""

MOST_STORED = 1_000
"""Stored answers about one library that `dependency` lists."""

MOST_ALIKE = 500
"""Ids that one which is not known is compared with: a hundredth of a second."""

_FAILED = frozenset({Outcome.ERROR, Outcome.NEGATIVE})
_FAILED_UPSTREAM = frozenset({Outcome.ERROR, Outcome.OFFLINE, Outcome.SUGGESTION})
_STORED = frozenset({Outcome.HIT, Outcome.STALE, Outcome.MISS, Outcome.COALESCED})


class AppCommands(RecordCommands):
    """The requests that need an app as well."""

    requests = RecordCommands.requests | {"resolve", "docs", "stats", "dependency", "warm"}

    def __init__(self, app: App, settings: Settings, *, repeats: bool = False) -> None:
        """Answer from `app`, as one session of a client whose `settings` these are.

        `repeats` says that the process outlasts the command, and so recognises a repeated question.
        """
        services, sees_all = app.services, not is_shared(settings)
        super().__init__(services.call_log, services.feedback, app.principal, sees_all=sees_all)
        self._app = app
        self._services = app.services
        self._session = f"cli-{token_hex(8)}"
        self._docsets: DocsetUse = settings.docset_use
        self._project = settings.project
        self._address = CLIENT if repeats else None

    async def resolve(self, name: str, question: str) -> dict[str, Any]:
        """Return the library that `name` means exactly, else the candidates, and the reason."""
        return _resolved(name, await self._find(name, question))

    async def docs(self, library: str, question: str) -> dict[str, Any]:
        """Return documentation of the library with this id or exact name, every field of it."""
        answer = await self._documentation(library, question)
        meant = await self._meant(library) if answer.outcome in _FAILED else ""
        return {"query": question} | asdict(answer) | ({"note": meant} if meant else {})

    async def dependency(
        self, dependency: Mapping[str, Any], repositories: Sequence[str], calls: int
    ) -> dict[str, Any]:
        """Return the library that a project's dependency means, and what is stored about it.

        At most `calls` calls go upstream; with 0 only what is stored counts, and `is_open` says
        whether a call would show more. `repositories` are those of the installed package.
        """
        asked = Dependency(**dependency)
        with anyio.move_on_after(LOAD_SECONDS):
            await self._services.registry.loaded.wait()
        look_up = look_up_of(asked, self._services.registry)
        unknown, row = self._unknown_names(), Row(asked.name, asked.ecosystem)
        if not await self._services.resolver.is_held(look_up, self._anonymous()):
            if await unknown.among([row]):
                return {"library_id": None, "is_open": False, "calls": 0}
            if calls == 0:
                return {"library_id": None, "is_open": True, "calls": 0}
        with calls_at_most(calls) as budget:
            found = await self._find_as(self._anonymous(), look_up)
        if found.outcome is Outcome.NEGATIVE:
            await unknown.remember(row)
        library_id = library_of(asked, found, self._services.registry, repositories)
        return {
            "library_id": library_id,
            "is_open": found.outcome in _FAILED_UPSTREAM,
            "candidates": list(candidates(found)),
            "versions": _versions(found, library_id),
            "answers": await self._stored_about(library_id),
            **await self._end(found, budget),
        }

    async def warm(self, library: str, question: str, calls: int) -> dict[str, Any]:
        """Ask a question so that its answer is stored, with at most `calls` calls upstream.

        `refusal` is the reason why no question about this id has an answer, None if one may have.
        """
        caller = self._anonymous()
        with calls_at_most(calls) as budget:
            answer = await self._services.query(Question(library, question), caller)
        arguments = {"libraryId": library, "query": question}
        self._recorded(QUERY_DOCS, arguments, caller, answer)
        is_stored = answer.outcome in _STORED
        refusal = _reason(answer) if answer.outcome is Outcome.NEGATIVE else None
        return {
            "is_stored": is_stored,
            "text": answer.text if is_stored else "",
            "refusal": refusal,
            **await self._end(answer, budget),
        }

    async def stats(self, since: float, until: float) -> dict[str, Any]:
        """Return the counts of every process on this store, and the sums of its records."""
        records = as_object(await read_statistics(self._app.fabric, since, until))
        # Last, so that it counts the store's faults of just now.
        return {**await _figures(self._app), "records": records}

    async def _documentation(self, library: str, question: str) -> Answer:
        pin = None
        if not library.startswith("/"):
            found = await self._find(library, question)
            library_id = found.library_id or _listed(library, found)
            if library_id is None:
                return _unresolved(library, found)
            library, pin = library_id, found.note if found.tier is Tier.PIN else None
        caller = self._caller()
        answer = noted(await self._services.query(Question(library, question), caller), pin)
        return self._recorded(QUERY_DOCS, {"libraryId": library, "query": question}, caller, answer)

    async def _meant(self, library: str) -> str:
        """Return the question whether a known library is meant by an id that is not known, or ''.

        It has the same organisation or project, and a similar id.
        """
        with anyio.move_on_after(LOAD_SECONDS):
            await self._services.registry.loaded.wait()
        asked = parse_id(library)
        if asked is None or self._services.registry.row(asked.base) is not None:
            return ""
        known = (row.id for row in self._services.registry.rows() if row.id)
        near = (each for each in known if {asked.org, asked.project} & set(each.split("/")))
        return suggestion(asked.base, islice(near, MOST_ALIKE)).removeprefix(": ")

    async def _find(self, name: str, question: str) -> Answer:
        return await self._find_as(self._caller(), Question(name, question))

    async def _find_as(self, caller: Caller, look_up: Question) -> Answer:
        found = await self._services.find(look_up, caller)
        arguments = {"libraryName": look_up.library, "query": look_up.text}
        return self._recorded(RESOLVE, arguments, caller, found)

    async def _end(self, answer: Answer, budget: CallBudget) -> dict[str, Any]:
        """Return the calls made for an answer, why it failed, and why no call can go out now."""
        gate = self._services.call_gate
        back_off = await gate.back_off()
        paused = back_off.why if back_off else None
        if paused is None and gate.is_open:
            opening = (await gate.status()).opening
            paused = opening.why if opening else "it did not answer"
        failure = _reason(answer) if answer.outcome in _FAILED_UPSTREAM else None
        return {"calls": budget.used, "failure": failure, "paused": paused}

    async def _stored_about(self, library_id: str | None) -> list[tuple[str, str]]:
        """Return library id and question of the stored answers about a library, of any version."""
        library = parse_id(library_id or "")
        if library is None:
            return []
        records = await self._services.answer_store.about(library.base, self._app.principal)
        return [(each.subject, each.question) for each in records[:MOST_STORED]]

    def _unknown_names(self) -> UnknownNames:
        ttl = self._app.settings.freshness.library_ttl
        origin = self._app.settings.upstream.origin
        lasts = LIST_FRESH if ttl is None else ttl
        return UnknownNames(self._app.fabric, origin, self._app.principal, lasts)

    def _anonymous(self) -> Caller:
        """Return a caller without a session, so that questions teach nothing, docsets and pins."""
        return replace(self._caller(), connection=None, address=None, docsets="off", project="")

    def _caller(self) -> Caller:
        return Caller(
            self._app.principal,
            connection=self._session,
            client=CLIENT,
            docsets=self._docsets,
            address=self._address,
            project=self._project,
        )

    def _recorded(
        self, tool: str, arguments: Mapping[str, object], caller: Caller, answer: Answer
    ) -> Answer:
        numbered = replace(answer, execution_id=self._services.call_log.new_id())
        self._services.note(tool, arguments, caller, numbered)
        return numbered


def _versions(found: Answer, library_id: str | None) -> list[str]:
    """Return the versions that a list has of a library."""
    listed = parse_list(found.text)
    entries = listed.libraries if listed else ()
    return [version for each in entries if each.id == library_id for version in each.versions]


def _listed(text: str, found: Answer) -> str | None:
    """Return the id that `text` is without its slash, if the look-up lists it."""
    library_id = parse_id(f"/{text}")
    known = library_id is not None and library_id.base in candidates(found)
    return str(library_id) if known else None


def _unresolved(name: str, found: Answer) -> Answer:
    """Return the failure to resolve a name, with the ids that may be meant."""
    listed = candidates(found)
    if not listed:
        outcome = found.outcome if found.outcome in _FAILED else Outcome.ERROR
        return replace(found, outcome=outcome, library_id=None)
    ids = ", ".join(listed)
    text = f"{name!r} is no exact match for one library: give one of these ids instead: {ids}"
    return replace(found, text=text, outcome=Outcome.ERROR, library_id=None)


def _resolved(name: str, found: Answer) -> dict[str, Any]:
    exact = found.library_id is not None
    result = {
        "query": name,
        "library_id": found.library_id,
        "exact": exact,
        "outcome": found.outcome.value,
        "tier": found.tier.value,
    }
    listed = [] if exact else list(candidates(found))
    suggested = listed if found.outcome is Outcome.SUGGESTION else None
    note = found.note if exact or listed else _reason(found)
    more = {"note": note, "candidates": listed, "suggestions": suggested}
    return result | {key: value for key, value in more.items() if value}


def _reason(found: Answer) -> str:
    """Return in one line the reason why there is neither an exact match nor a candidate."""
    text = " ".join((found.note or found.text).split())
    return text[:LONGEST_REASON] or "Context7 sent an empty answer."


async def _figures(app: App) -> dict[str, Any]:
    counts = await app.services.answer_store.counts()
    status = await app.services.call_gate.status()
    message = status.quota_message
    # Last, as above.
    usage, usage_of_all = await app.services.quota.month(), await app.services.quota.month_of_all()
    fault = usage_of_all.last_fault
    return {
        "calls_this_month": usage.calls,
        "calls_saved": usage.saved,
        "monthly_calls": app.services.quota.monthly_calls,
        "quota_said": message.text if message else None,
        "quota_said_at": message.at if message else None,
        **_status_fields(status),
        **counts,
        "store_faults": usage_of_all.faults,
        "last_store_fault": fault.text if fault else None,
        "last_store_fault_at": fault.at if fault else None,
    }


def _status_fields(status: UpstreamStatus) -> dict[str, Any]:
    """Return back-off, circuit breaker and lost session, each with what ends it."""
    limit, opening, lost = status.back_off, status.opening, status.lost_session
    return {
        "resting_until": limit.until if limit else None,
        "resting_because": limit.why if limit else None,
        "resting_ends": back_off_end(limit) if limit else None,
        "breaker_open_until": opening.at + opening.seconds if opening else None,
        "breaker_open_because": opening.why if opening else None,
        "breaker_closes": opening_end() if opening else None,
        "session_lost_at": lost.at if lost else None,
        "session_lost_how": lost.text if lost else None,
    }
