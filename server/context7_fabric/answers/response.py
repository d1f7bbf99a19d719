"""From the end of an enquiry to the answer a caller gets: outcome, provenance, screening, notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from context7_fabric.answers.cache import DEFINITE, CacheOutcome, CacheResult, UpstreamResult
from context7_fabric.answers.memo import screened
from context7_fabric.errors import FabricError
from context7_fabric.models import Answer, Outcome, Tier
from context7_fabric.parsing.admission import Reason
from context7_fabric.parsing.libraries import RULE, Library, LibraryList
from context7_fabric.parsing.screening import Screening
from context7_fabric.parsing.snippets import Snippet, join_snippets

_OUTCOMES = {
    CacheOutcome.HIT: Outcome.HIT,
    CacheOutcome.STALE: Outcome.STALE,
    CacheOutcome.OFFLINE: Outcome.OFFLINE,
    CacheOutcome.FETCHED: Outcome.MISS,
    CacheOutcome.COALESCED: Outcome.COALESCED,
}
_HELP = "`context7-fabric doctor` tells what is wrong."


def served(found: CacheResult, tier: Tier, now: float, library_id: str | None = None) -> Answer:
    """Return the answer that `found.record` makes; `tier` says where it lies when stored.

    `library_id` is the library that it is about, if it is about one. Stored text is screened each
    time it is served: the rules may have changed since.
    """
    record = found.record
    if record is None:
        raise ValueError("nothing was found")
    screening = screened(record.text)
    fresh_from_upstream = found.how in (CacheOutcome.FETCHED, CacheOutcome.COALESCED)
    return Answer(
        text=screening.clean,
        outcome=_OUTCOMES[found.how],
        tier=Tier.UPSTREAM if fresh_from_upstream else tier,
        library_id=library_id,
        fetched_at=record.fetched_at,
        age_seconds=max(0.0, now - record.fetched_at),
        note=_joined(found.note, _told(screening)),
        screening=findings(screening),
    )


def screened_throughout(answer: Answer) -> Answer:
    """Return `answer` with refusals, errors and notes screened too: they quote upstream's words."""
    text, note = screened(answer.text), screened(answer.note or "")
    found = dict.fromkeys((*answer.screening, *findings(text), *findings(note)))
    if (text.clean, note.clean, len(found)) == (
        answer.text,
        answer.note or "",
        len(answer.screening),
    ):
        return answer
    return replace(
        answer,
        text=text.clean,
        note=_joined(note.clean, _told(text)),
        screening=tuple(found),
    )


def findings(screening: Screening) -> tuple[str, ...]:
    """Return what the answer's `_meta` says of its screening; empty when nothing was found."""
    return (*screening.flags, *(("notice",) if screening.notices else ()))


def stands(fetched: UpstreamResult) -> bool:
    """Tell whether upstream's text is its answer, as opposed to a failure that we may bridge.

    What nobody can read may be a form that is newer than this program: it is passed on. So is a
    redirect: it comes this far only where it leads nowhere.
    """
    reason = fetched.refusal.reason if fetched.refusal else None
    return fetched.definite or reason in (None, Reason.UNRECOGNISED, Reason.MOVED)


def silence(found: CacheResult) -> str:
    """Say in one line why upstream gave no answer that could be used."""
    if found.fetched is not None:
        return found.fetched.said
    return str(found.error or "Context7 gave no answer")


def refused(fetched: UpstreamResult, how: CacheOutcome = CacheOutcome.REFUSED) -> Answer:
    """Return upstream's own refusal, word for word, heard now or remembered."""
    reason = fetched.refusal.reason if fetched.refusal else None
    negative = reason in DEFINITE
    answered = fetched.refusal is not None and not fetched.refusal.is_message
    passed_on = answered and not fetched.is_error
    outcome = Outcome.NEGATIVE if negative else Outcome.MISS if passed_on else Outcome.ERROR
    tier = Tier.LOCAL if how is CacheOutcome.REMEMBERED else Tier.UPSTREAM
    return Answer(fetched.text, outcome, tier, is_error=fetched.is_error)


def failed(error: FabricError, lacking: str) -> Answer:
    """Return the error result for a call that neither upstream nor the fabric can answer."""
    text = f"{error}, and {lacking}. {_HELP}"
    return Answer(text, Outcome.ERROR, Tier.LOCAL, is_error=True)


def _told(screening: Screening) -> str | None:
    """Name the notices that were cut off."""
    if not screening.notices:
        return None
    cut = "; ".join(" ".join(notice.split())[:120] for notice in screening.notices)
    return f"A notice was cut off this text: “{cut}”"


def _joined(*notes: str | None) -> str | None:
    return " ".join(note for note in notes if note) or None


HEADER = "Available Libraries:\n\n"
_RULED = f"\n{RULE}\n"
MOST_OTHERS = 9
"""How many other ids the short form of a list names before it only counts."""


def short_list(found: LibraryList, shown: Sequence[Library]) -> str:
    """Return the short form of a list: the entries `shown` in full, the other ids in one line."""
    ids = {library.id for library in shown}
    others = [library.id for library in found.libraries if library.id not in ids]
    note = f"{found.note}\n\n" if found.note else ""
    text = note + _RULED.join(library.text for library in shown)
    return f"{text}\n- Also matching: {_some(others)}" if others else text


def _some(ids: Sequence[str]) -> str:
    # Without blanks, and without a heading above the entry: each id costs a token less to read.
    shown = ",".join(ids[:MOST_OTHERS])
    more = len(ids) - MOST_OTHERS
    return f"{shown} and {more} more" if more > 0 else shown


def entries(libraries: Sequence[Library]) -> str:
    """Return libraries of our own knowledge in the form of upstream's list."""
    return HEADER + _RULED.join(library.text for library in libraries)


def page(snippets: Sequence[Snippet]) -> str:
    """Return snippets in the form of upstream's documentation."""
    return join_snippets(snippets)


def no_further_page(library_id: str, number: int) -> str:
    """Return the one line that answers a page which is not there."""
    return f"There is no page {number} on this topic for {library_id}: earlier pages had it all."
