"""From the end of an enquiry to the answer a caller gets: outcome, provenance, screening, notes."""

from __future__ import annotations

from dataclasses import replace

from context7_fabric.errors import FabricError
from context7_fabric.models import Answer, Outcome, Tier
from context7_fabric.parsing.admission import Reason
from context7_fabric.parsing.screening.screen import Screening
from context7_fabric.services.enquiries import DEFINITE, Fetched, Found, How
from context7_fabric.services.remembering import screened

_OUTCOMES = {
    How.HIT: Outcome.HIT,
    How.STALE: Outcome.STALE,
    How.OFFLINE: Outcome.OFFLINE,
    How.FETCHED: Outcome.MISS,
    How.COALESCED: Outcome.COALESCED,
}
_HELP = "`context7-fabric doctor` tells what is wrong."


def served(found: Found, tier: Tier, now: float, library_id: str | None = None) -> Answer:
    """Return the answer that `found.record` makes; `tier` says where it lies when stored.

    `library_id` is the library that it is about, if it is about one. Stored text is screened each
    time it is served: the rules may have changed since.
    """
    record = found.record
    if record is None:
        raise ValueError("nothing was found")
    screening = screened(record.text)
    fresh_from_upstream = found.how in (How.FETCHED, How.COALESCED)
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


def stands(fetched: Fetched) -> bool:
    """Tell whether upstream's text is its answer, as opposed to a failure that we may bridge.

    What nobody can read may be a form that is newer than this program: it is passed on. So is a
    redirect: it comes this far only where it leads nowhere.
    """
    reason = fetched.refusal.reason if fetched.refusal else None
    return fetched.definite or reason in (None, Reason.UNRECOGNISED, Reason.MOVED)


def silence(found: Found) -> str:
    """Say in one line why upstream gave no answer that could be used."""
    if found.fetched is not None:
        return found.fetched.said
    return str(found.error or "Context7 gave no answer")


def refused(fetched: Fetched, how: How = How.REFUSED) -> Answer:
    """Return upstream's own refusal, word for word, heard now or remembered."""
    reason = fetched.refusal.reason if fetched.refusal else None
    negative = reason in DEFINITE
    answered = fetched.refusal is not None and not fetched.refusal.is_message
    passed_on = answered and not fetched.is_error
    outcome = Outcome.NEGATIVE if negative else Outcome.MISS if passed_on else Outcome.ERROR
    tier = Tier.LOCAL if how is How.REMEMBERED else Tier.UPSTREAM
    return Answer(fetched.text, outcome, tier, is_error=fetched.is_error)


def failed(error: FabricError, lacking: str) -> Answer:
    """Return the error result for a call that neither upstream nor the fabric can answer."""
    text = f"{error}, and {lacking}. {_HELP}"
    return Answer(text, Outcome.ERROR, Tier.LOCAL, is_error=True)


def _told(screening: Screening) -> str | None:
    """Name the notices that were cut off."""
    if not screening.notices:
        return None
    cut = "; ".join(" ".join(notice.text.split())[:120] for notice in screening.notices)
    return f"A notice was cut off this text: “{cut}”"


def _joined(*notes: str | None) -> str | None:
    return " ".join(note for note in notes if note) or None
