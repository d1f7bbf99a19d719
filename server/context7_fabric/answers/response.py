"""Answers made of stored records, refusals and errors, with provenance, screening and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final

from context7_fabric.answers.stored import StoredAnswer
from context7_fabric.errors import FabricError
from context7_fabric.models import Answer, Outcome, Tier
from context7_fabric.parsing.admission import Reason, Refusal
from context7_fabric.parsing.libraries import RULE, Library, LibraryList, parse_list
from context7_fabric.parsing.screening import Screening, screen
from context7_fabric.parsing.snippets import Snippet, join_snippets

MOST_TEXTS: Final = 128
LONGEST_TEXT: Final = 32_768
"""Bounds of the memory of screened texts, in texts and in characters of one text."""

_FROM_UPSTREAM = frozenset({Outcome.MISS, Outcome.COALESCED})
_PASSED_ON = frozenset({Reason.UNRECOGNISED, Reason.MOVED})
_HELP = "`context7-fabric doctor` tells what is wrong."

_remembered_screening = lru_cache(MOST_TEXTS)(screen)


def screened(text: str) -> Screening:
    """Return the screening of `text`, which depends on the text alone and is remembered."""
    return _remembered_screening(text) if len(text) <= LONGEST_TEXT else screen(text)


def served(
    record: StoredAnswer, outcome: Outcome, tier: Tier, now: float, note: str | None = None
) -> Answer:
    """Return the answer that `record` makes; `tier` is the place of a stored one.

    Stored text is screened each time it is served: the rules may have changed since.
    """
    screening = screened(record.text)
    return Answer(
        text=screening.clean,
        outcome=outcome,
        tier=Tier.UPSTREAM if outcome in _FROM_UPSTREAM else tier,
        library_id=record.subject if record.kind == "docs" else None,
        fetched_at=record.fetched_at,
        age_seconds=max(0.0, now - record.fetched_at),
        note=_joined(note, _cut_notices(screening)),
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
        note=_joined(note.clean, _cut_notices(text)),
        screening=tuple(found),
    )


def findings(screening: Screening) -> tuple[str, ...]:
    """Return the findings that the answer's `_meta` states; empty when nothing was found."""
    return (*screening.flags, *(("notice",) if screening.notices else ()))


def stands(refusal: Refusal) -> bool:
    """Tell whether upstream's text is its answer, as opposed to a failure that we may bridge.

    An unrecognised text may have a form that is newer than this program: it is passed on. So is a
    redirect: one that reaches this point has no usable target.
    """
    return refusal.is_definite or refusal.reason in _PASSED_ON


def cause(found: Refusal | FabricError) -> str:
    """Return in one line the reason why upstream gave no usable answer."""
    return found.quoted if isinstance(found, Refusal) else str(found)


def refused(refusal: Refusal) -> Answer:
    """Return upstream's own refusal verbatim, heard now or remembered."""
    passed_on = not refusal.is_message and not refusal.is_error
    outcome = Outcome.MISS if passed_on else Outcome.ERROR
    if refusal.is_definite:
        outcome = Outcome.NEGATIVE
    tier = Tier.LOCAL if refusal.remembered else Tier.UPSTREAM
    return Answer(refusal.text, outcome, tier, is_error=refusal.is_error)


def failed(error: FabricError, lacking: str) -> Answer:
    """Return the error result for a call that neither upstream nor the fabric can answer."""
    text = f"{error}, and {lacking}. {_HELP}"
    return Answer(text, Outcome.ERROR, Tier.LOCAL, is_error=True)


def _cut_notices(screening: Screening) -> str | None:
    """Name the notices that were cut off."""
    if not screening.notices:
        return None
    cut = "; ".join(" ".join(notice.split())[:120] for notice in screening.notices)
    return f"A notice was cut off this text: “{cut}”"


def noted(answer: Answer, note: str | None) -> Answer:
    """Return `answer` with `note` in front of its own."""
    return replace(answer, note=_joined(note, answer.note))


def _joined(*notes: str | None) -> str | None:
    return " ".join(note for note in notes if note) or None


HEADER = "Available Libraries:\n\n"
_ALSO = "\n- Also matching: "
_FIRST_ENTRY = "- Title: "
_RULED = f"\n{RULE}\n"
MOST_OTHERS = 9
"""Other ids that the short form of a list names before it only counts."""


def short_list(found: LibraryList, shown: Sequence[Library]) -> str:
    """Return the short form of a list: the entries `shown` in full, the other ids in one line."""
    ids = {library.id for library in shown}
    others = [library.id for library in found.libraries if library.id not in ids]
    note = f"{found.note}\n\n" if found.note else ""
    text = note + _RULED.join(library.text for library in shown)
    return f"{text}{_ALSO}{_some(others)}" if others else text


def read_list(text: str) -> LibraryList | None:
    """Return the entries that a list has in full, whether it is upstream's or its short form."""
    return parse_list(text.partition(_ALSO)[0])


def _some(ids: Sequence[str]) -> str:
    # Without blanks, and without a heading above the entry: each id costs a token less to read.
    shown = ",".join(ids[:MOST_OTHERS])
    more = len(ids) - MOST_OTHERS
    return f"{shown} and {more} more" if more > 0 else shown


def in_front(text: str, libraries: Sequence[Library]) -> str:
    """Return the text of a list with entries of ours in front of its own, which stay as sent."""
    at = text.index(_FIRST_ENTRY)
    ours = _RULED.join(library.text for library in libraries)
    return f"{text[:at]}{ours}{_RULED}{text[at:]}"


def entries(libraries: Sequence[Library]) -> str:
    """Return libraries of the local registry in the form of upstream's list."""
    return HEADER + _RULED.join(library.text for library in libraries)


def page(snippets: Sequence[Snippet]) -> str:
    """Return snippets in the form of upstream's documentation."""
    return join_snippets(snippets)


def no_further_page(library_id: str, number: int) -> str:
    """Return the one line that answers a page beyond the last."""
    return f"There is no page {number} on this topic for {library_id}: earlier pages had it all."
